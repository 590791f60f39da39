"""Reward networks: a network of one item, as a network of pairs that any learner of networks can train."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array

from bal.learners import Network
from bal.learners.settings import named
from bal.method import method
from bal.typing import PRNGKey, PyTree


@method
def reward_network(network: Network) -> Network:
    """Outputs and features of pairs ``[n, 2, ...]``: those of the first item less those of the second.

    ``d = r(a) - r(b)``, so that a bias cancels, and so does what both items have in common. Both items of a pair go
    through the same masks of dropout. `tapped` shows the last layer alone, at the difference of features: that is all
    that Laplace's approximation of a last layer needs ("last_layer" exact, "last_kfac"), and of structures that take
    more layers, such as "kfac", it makes one of the last layer too.

    Use it in `bal.learners.ensemble`, `mc_dropout` or `laplace` with the likelihood of `bradley_terry` or `thurstone`.

    Raises:
      TypeError: what is no network. ValueError: when first used, inputs that are no pairs.

    >>> import jax, jax.numpy as jnp
    >>> from bal.learners import mlp
    >>> net, x = reward_network(mlp((8,), num_outputs=1)), jnp.ones((5, 2, 3))
    >>> params = jax.jit(net.init)(jax.random.key(0), x)
    >>> outputs, features = jax.jit(net.apply)(params, x)
    >>> outputs.shape, features.shape, float(jnp.abs(outputs).max())  # equal items
    ((5, 1), (5, 8), 0.0)
    """

    if not isinstance(network, Network):
        raise TypeError(f"expected a Network, got {named(network)}; mlp((64,), num_outputs=1), say")

    def init(key: PRNGKey, x: PyTree) -> PyTree:
        return network.init(key, first(x))

    def apply(params: PyTree, x: PyTree, key: Any = None, shared: bool = True) -> tuple[Array, Array | None]:
        one, other = (network.apply(params, part(x), key, shared) for part in (first, second))
        features = None if one[1] is None or other[1] is None else one[1] - other[1]
        return one[0] - other[0], features

    def tapped(params: PyTree, x: PyTree, tap: Callable) -> Array:
        if network.tapped is None:
            raise ValueError("laplace needs a network with `tapped`; make it by bal.learners.network")
        seen: list[tuple] = []
        note = lambda h, z, w: seen.append((h, z, w)) or z
        difference = network.tapped(params, first(x), note) - network.tapped(params, second(x), note)
        number = len(seen) // 2
        h, _, w = seen[number - 1]
        return tap(h - seen[-1][0], difference, w)

    def train(params: PyTree, x: PyTree, key: PRNGKey) -> tuple[Array, PyTree]:
        if network.train is None:
            return apply(params, x, key, False)[0], None
        outputs, moved = network.train(params, first(x), key)
        if moved is not None and jax.tree.leaves(moved):
            raise ValueError(
                "a network of pairs has no running statistics: the two items of a pair would each have their own; use "
                "a network without batch norm"
            )
        return outputs - network.train(params, second(x), key)[0], moved

    return Network(init, apply, tapped, train)


def first(x: PyTree) -> PyTree:
    """First items of pairs ``[n, 2, ...]``."""
    return jax.tree.map(lambda leaf: check_pairs(leaf)[:, 0], x)


def second(x: PyTree) -> PyTree:
    """Second items of pairs ``[n, 2, ...]``."""
    return jax.tree.map(lambda leaf: check_pairs(leaf)[:, 1], x)


def check_pairs(leaf: Any) -> Any:
    """The same, or an error that says what inputs of pairs are."""
    if leaf.ndim < 2 or leaf.shape[1] != 2:
        raise ValueError(
            f"expected inputs of pairs, [n, 2, ...], got {list(leaf.shape)}; stack both items, as "
            "bal.pairs.pair_inputs(x, pairs) does"
        )
    return leaf
