"""A function of a set of labeled rows, whatever their order: the mean of what each row says, then one number.

Zaheer et al. 2017, "Deep Sets" (NeurIPS).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.learners import mlp
from bal.learners.settings import named
from bal.method import brief_repr, method
from bal.typing import PRNGKey, PyTree


class SetFunction(NamedTuple):
    """A function of sets that is additive in its rows, so that one more row costs one addition.

    init: ``key, rows [n, E] -> params``; rows are read for their shape only.
    elements: ``params, rows [n, E] -> [n, W]``, row-wise: what each row adds to the sum over a set.
    score: ``params, total [m, W], size [m] -> [m]``, of m sets: the sums over them, and how many rows they have.
    """

    init: Callable[..., PyTree]
    elements: Callable[..., Array]
    score: Callable[..., Array]

    __repr__ = brief_repr


def check_sets(sets: object) -> None:
    """A `SetFunction`.

    >>> check_sets(deep_sets)
    Traceback (most recent call last):
    TypeError: expected a function of sets, got deep_sets; call deep_sets(), say
    """
    if not isinstance(sets, SetFunction):
        raise TypeError(f"expected a function of sets, got {named(sets)}; call deep_sets(), say")


@method
def deep_sets(width: int = 32, hidden: tuple[int, ...] = (64,)) -> SetFunction:
    """``f(S) = ρ(|S|⁻¹ Σ_{i in S} φ(row_i), log |S|)``: φ and ρ are networks with ReLU; higher is better.

    The same for any order of the rows, up to rounding. An empty set has mean 0 and counts as of size one.

    Args:
      width: W, how many numbers φ makes of a row.
      hidden: units of the hidden layers, of φ and of ρ.

    Raises:
      ValueError: a size below 1.

    >>> sets = deep_sets(width=4, hidden=(8,))
    >>> rows = jnp.eye(3)
    >>> params = jax.jit(sets.init)(jax.random.key(0), rows)
    >>> some, reversed_ = jnp.array([[1.0, 1.0, 0.0]]), jnp.array([[0.0, 1.0, 1.0]])
    >>> scores = jax.jit(lambda params, rows, masks: set_scores(sets, params, rows, masks))
    >>> bool(jnp.allclose(scores(params, rows, some), scores(params, rows[::-1], reversed_), atol=1e-6))
    True

    Zaheer et al. 2017, "Deep Sets" (NeurIPS).
    """
    phi, rho = mlp(hidden, num_outputs=width), mlp(hidden, num_outputs=1)

    def init(key: PRNGKey, rows: Float[Array, "n E"]) -> PyTree:
        key_phi, key_rho = jax.random.split(key)
        return {"phi": phi.init(key_phi, rows), "rho": rho.init(key_rho, jnp.zeros((1, width + 1), rows.dtype))}

    def elements(params: PyTree, rows: Float[Array, "n E"]) -> Float[Array, "n W"]:
        return phi.apply(params["phi"], rows)[0]

    def score(params: PyTree, total: Float[Array, "m W"], size: Float[Array, "m"]) -> Float[Array, "m"]:
        size = jnp.maximum(size, 1.0)[:, None]
        return rho.apply(params["rho"], jnp.concatenate([total / size, jnp.log(size)], 1))[0][:, 0]

    return SetFunction(init, elements, score)


def set_scores(
    sets: SetFunction, params: PyTree, rows: Float[Array, "L E"], masks: Float[Array, "S L"]
) -> Float[Array, "S"]:
    """``f(S)`` of S sets of the same rows, each given as the weights of its rows: 1 in the set, 0 outside.

    >>> from bal.learned.deep_sets import SetFunction
    >>> mean = SetFunction(lambda key, rows: (), lambda params, rows: rows, lambda params, total, n: total[:, 0] / n)
    >>> set_scores(mean, (), jnp.array([[1.0], [3.0], [8.0]]), jnp.array([[1.0, 1.0, 0.0]])).tolist()
    [2.0]
    """
    total = jnp.matmul(masks, sets.elements(params, rows), precision="highest")
    return sets.score(params, total, masks.sum(1))
