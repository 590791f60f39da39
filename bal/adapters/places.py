"""Where adapters can come into a network: its `Linear` layers and its `Scale`s, in the order of their calls."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen, traverse_util

from bal.backbones import Linear, Scale
from bal.method import brief_repr
from bal.typing import PRNGKey, PyTree

Path = tuple[str, ...]


class Place(NamedTuple):
    """One layer that takes an adapter.

    path: of the layer in the network, as ``("layers_0", "attention", "key")``.
    scales: True for a `Scale`, which has no weights of its own.
    inputs, outputs: sizes.
    """

    path: Path
    scales: bool
    inputs: int
    outputs: int

    @property
    def block(self) -> int:
        """Number of the block that the layer is part of, -1 outside of all."""
        name, _, number = self.path[0].rpartition("_")
        return int(number) if name == "layers" and number.isdecimal() else -1


class Adapter(NamedTuple):
    """What is trained beside frozen weights.

    init: ``key, places, params -> {collection: entries}``, variables that change no output yet.
    draw: ``key, collections, sigma -> collections``, a normal draw of scale `sigma` around trained ones, or None.
    """

    init: Callable[[PRNGKey, tuple[Place, ...], PyTree], PyTree]
    draw: Callable[[PRNGKey, PyTree, Any], PyTree] | None = None

    __repr__ = brief_repr


def places_of(module: linen.Module, variables: PyTree, last: int | None = None) -> tuple[Place, ...]:
    """All layers of a backbone that take adapters, in the order of their calls; nothing is computed.

    Use it to see what `init_ia3` and `init_lora` go by.

    Args:
      module: of tokens and mask, as that of a `bal.backbones.TextEncoder` or `LanguageModel`.
      variables: its variables.
      last: only those of the last so many blocks; None = everywhere.

    Raises:
      ValueError: no layer that takes an adapter, or fewer blocks than `last`.

    >>> from bal.backbones import tiny_text_encoder
    >>> encoder = tiny_text_encoder(jax.random.key(0))
    >>> [".".join(place.path) for place in places_of(encoder.module, encoder.variables, last=1)][:3]
    ['layers_1.attention.query', 'layers_1.attention.key', 'layers_1.attention.value']
    """
    seen: dict[Path, Place] = {}

    def around(call: Callable, args: tuple, settings: dict, context: Any) -> Any:
        result = call(*args, **settings)
        layer = context.module
        if isinstance(layer, Linear | Scale) and context.method_name == "__call__":
            scales = isinstance(layer, Scale)
            seen[layer.path] = Place(layer.path, scales, args[0].shape[-1], result.shape[-1])
        return result

    def passed(variables: PyTree) -> Any:
        with linen.intercept_methods(around):
            return module.apply(variables, jnp.zeros((1, 2), jnp.int32), jnp.ones((1, 2), bool))

    jax.eval_shape(passed, variables)
    if not seen:
        raise ValueError(f"{type(module).__name__} has no bal.backbones.Linear or Scale; build its layers of these")
    num_blocks = 1 + max(place.block for place in seen.values())
    if last is not None and not 1 <= last <= num_blocks:
        raise ValueError(f"expected last between 1 and the {num_blocks} blocks of the network, got {last}")
    first = -1 if last is None else num_blocks - last
    return tuple(place for place in seen.values() if place.block >= first)


def count_parameters(collections: PyTree) -> int:
    """How many numbers a tree holds.

    Use it to say what an adapter costs.

    >>> count_parameters({"ia3": {"key": {"scale": jnp.ones(4)}}})
    4
    """
    return sum(leaf.size for leaf in jax.tree.leaves(collections))


def nested(entries: dict[Path, Any]) -> PyTree:
    """The tree of entries by path.

    >>> nested({("a", "b"): 1})
    {'a': {'b': 1}}
    """
    return traverse_util.unflatten_dict(entries)


def flat(tree: PyTree) -> dict[Path, Any]:
    """The entries of a tree by path, whose leaves are arrays.

    >>> flat({"a": {"b": 1}})
    {('a', 'b'): 1}
    """
    return traverse_util.flatten_dict(tree)
