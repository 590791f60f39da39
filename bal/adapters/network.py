"""A pretrained encoder with an adapter and a head as a `Network`, so that every learner of networks takes it.

The frozen part is cut in two. What lies below the adapters is run once for each row, and its states are the rows of the
pool; what lies above is `Upper`, of which there is one copy however many members, draws and seeds there are.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float

from bal.adapters.places import Adapter, Path, Place, flat, nested, places_of
from bal.backbones import LanguageModel, TextEncoder
from bal.learners import Network
from bal.learners.settings import check_count, check_rate
from bal.method import method
from bal.numerics import dot
from bal.typing import PRNGKey, PyTree


class TokenStates(NamedTuple):
    """Rows of a pool: states of all tokens below the adapters, as ``token_states(encoder, tokens, mask, 0, start)``.

    hidden: of any floating type; float16 takes half the memory.
    mask: True for a token of the sentence, False for padding, which changes nothing.
    """

    hidden: Float[Array, "n T D"]
    mask: Bool[Array, "n T"]


class Upper(NamedTuple):
    """The last blocks of a backbone, frozen.

    module: of the whole backbone; params: of these blocks alone, as arrays of JAX.
    start, stop: numbers of the first block and of the one behind the last.
    places: layers that take adapters.
    absent: path and shape of what the module has outside of all blocks, such as its table of words: never read.
    """

    module: linen.Module
    params: PyTree
    start: int
    stop: int
    places: tuple[Place, ...]
    absent: tuple[tuple[Path, tuple[int, ...]], ...]


def upper(backbone: TextEncoder | LanguageModel, last: int = 2) -> Upper:
    """The last blocks of an encoder or a language model: what `adapted` trains beside.

    Make it once and hand it to all learners: they then share its arrays.

    Use it with `TokenStates` of the blocks below, ``token_states(encoder, tokens, mask, 0, upper(encoder).start)``.

    Args:
      backbone: a `TextEncoder` or a `LanguageModel`.
      last: how many blocks.

    Raises:
      ValueError: fewer blocks than `last`, or a network without layers that take adapters.

    >>> from bal.backbones import tiny_text_encoder
    >>> top = upper(tiny_text_encoder(jax.random.key(0)), last=1)
    >>> top.start, top.stop, list(top.params)
    (1, 2, ['layers_1'])
    """
    check_count("last", last)
    places = places_of(backbone.module, backbone.variables, last)
    numbers = sorted({place.block for place in places})
    whole = backbone.variables["params"]
    params = {f"layers_{n}": jax.tree.map(jnp.asarray, whole[f"layers_{n}"]) for n in numbers}
    outside = {path: leaf for path, leaf in flat(whole).items() if not path[0].startswith("layers_")}
    absent = tuple((path, leaf.shape) for path, leaf in sorted(outside.items()))
    return Upper(backbone.module, params, numbers[0], numbers[-1] + 1, places, absent)


@method
def full() -> Adapter:
    """All weights of the upper blocks as an "adapter": full fine-tuning, each member with a copy of its own.

    Use it as the expensive end of a comparison.

    >>> full()
    full()
    """
    return Adapter(lambda key, places, params: {"params": params})


@method
def head_only() -> Adapter:
    """Nothing: the head alone is trained, on frozen features.

    Use it as the cheap end of a comparison.

    >>> head_only()
    head_only()
    """
    return Adapter(lambda key, places, params: {})


@method
def adapted(top: Upper, num_outputs: int, adapter: Adapter, *, dropout: float = 0.0) -> Network:
    """A network of `TokenStates`: frozen blocks with an adapter, the mean over tokens, a linear head.

    Its parameters are ``{"adapter": {collection: entries}, "head": ...}`` and nothing that is frozen: gradients,
    moments of an optimizer, members and draws are of these alone. Its features are the means.

    Use it in any learner of networks: `adapter_ensemble`, `tfb`, or `bal.learners.laplace` and `mc_dropout`.

    Args:
      top: the frozen blocks.
      num_outputs: of the head.
      adapter: `ia3`, `lora`, `full` or `head_only`.
      dropout: rate in the blocks, in training and, for learners that draw, in draws.

    Raises:
      ValueError: a size below 1 or a rate outside [0, 1); when traced, rows of another width than the blocks.

    >>> from bal.adapters import ia3, upper
    >>> from bal.backbones import tiny_text_encoder
    >>> net = adapted(upper(tiny_text_encoder(jax.random.key(0)), last=1), 2, ia3())
    >>> x = TokenStates(jnp.ones((3, 4, 16)), jnp.ones((3, 4), bool))
    >>> outputs, features = jax.eval_shape(lambda: net.apply(net.init(jax.random.key(0), x), x))
    >>> outputs.shape, features.shape
    ((3, 2), (3, 16))
    """
    check_count("num_outputs", num_outputs)
    check_rate(dropout)
    width = top.places[0].inputs

    def init(key: PRNGKey, x: TokenStates) -> PyTree:
        _check_rows(x, width)
        key_adapter, key_head = jax.random.split(key)
        kernel = jax.random.normal(key_head, (width, num_outputs)) / math.sqrt(width)
        head = {"kernel": kernel, "bias": jnp.zeros(num_outputs)}
        return {"adapter": adapter.init(key_adapter, top.places, top.params), "head": head}

    def apply(params: PyTree, x: TokenStates, key: Any = None, shared: bool = True) -> tuple[Array, Array]:
        _check_rows(x, width)
        module: Any = top.module
        streams = None
        if key is not None and dropout:
            module, streams = module.clone(rate=dropout, shared=shared), {"dropout": key}
        own = dict(params["adapter"])
        absent = {path: jax.ShapeDtypeStruct(shape, jnp.float32) for path, shape in top.absent}
        variables = {"params": nested(absent) | own.pop("params", top.params)} | own
        hidden: Any = x.hidden.astype(jnp.float32)
        hidden = module.apply(variables, hidden, x.mask, top.start, top.stop, method="blocks", rngs=streams)
        features = mean_of_tokens(hidden, x.mask)
        kernel, bias = params["head"]["kernel"], params["head"]["bias"]
        return dot(features, kernel) + jnp.broadcast_to(bias, (len(features), num_outputs)), features

    return Network(init, apply)


def mean_of_tokens(hidden: Float[Array, "n T D"], mask: Bool[Array, "n T"]) -> Float[Array, "n D"]:
    """Mean of the states of those tokens that the mask holds.

    >>> mean_of_tokens(jnp.array([[[1.0], [3.0], [99.0]]]), jnp.array([[True, True, False]])).tolist()
    [[2.0]]
    """
    weight = jnp.broadcast_to(mask[..., None], hidden.shape)
    return jnp.where(weight, hidden, 0).sum(1) / jnp.maximum(weight.sum(1), 1)


def _check_rows(x: Any, width: int) -> None:
    if not isinstance(x, TokenStates) or x.hidden.ndim != 3 or x.hidden.shape[-1] != width:
        got = x.hidden.shape if isinstance(x, TokenStates) else type(x).__name__
        raise ValueError(f"expected TokenStates whose hidden states are [n, T, {width}], got {got}; see token_states")
