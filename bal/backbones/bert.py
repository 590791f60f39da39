"""BERT: layers of self-attention over the tokens of a sentence, each followed by a small network for every token."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from bal.backbones.linear import Linear, Scale
from bal.typing import PyTree

Activation = Literal["gelu", "gelu_tanh", "relu"]
Rows = Array | np.ndarray


class BertConfig(NamedTuple):
    """Sizes of an encoder, and what tells its relatives apart.

    vocabulary, width, num_layers, num_heads: of tokens, of states, of blocks, of attention heads.
    feed: units between the two layers of the network for every token.
    positions: rows of the table of positions.
    first_position: row of the first token, 2 in RoBERTa; a sentence has at most ``positions - first_position`` tokens.
    token_types: rows of the table whose row 0 is added to every token; 0 = there is none, as in DistilBERT.
    epsilon: of the layer norms.
    """

    vocabulary: int
    width: int
    num_layers: int
    num_heads: int
    feed: int
    positions: int
    first_position: int = 0
    token_types: int = 2
    epsilon: float = 1e-12
    activation: Activation = "gelu"

    @property
    def longest(self) -> int:
        """Tokens of the longest sentence."""
        return self.positions - self.first_position


class Bert(linen.Module):
    """A BERT-type encoder: tokens -> states, one for every token.

    ``h_0 = norm(word + position + type)``; in every layer ``h <- norm(h + attend(h))``, ``h <- norm(h + W_2 act(W_1
    h))``. A token attends to those of its sentence that the mask holds, which stand on the left; what lies outside of
    the mask changes nothing within. DistilBERT and RoBERTa are other `BertConfig` of the same network.

    Use it when the weights are yours; `bert_encoder` reads published ones.

    Args:
      config: its sizes.
      dtype: of the products, as ``jnp.bfloat16``; parameters, norms, softmax and outputs are float32. Accelerators
        round float32 products, too, unless `jax.default_matmul_precision` says otherwise.
      rate: of dropout, after the embedding and after each half of a layer; it needs a key, ``rngs={"dropout": key}``,
        and is off without one.
      shared: True = one mask of units for all tokens of all rows, a draw of a posterior: row n of the output depends
        on row n of the input alone. False = every entry has its own, and so have the weights of attention: training.

    >>> encoder = Bert(BertConfig(50, width=16, num_layers=2, num_heads=2, feed=32, positions=12))
    >>> tokens, mask = jnp.ones((3, 5), jnp.int32), jnp.ones((3, 5), bool)
    >>> variables = jax.eval_shape(encoder.init, jax.random.key(0), tokens, mask)
    >>> jax.eval_shape(encoder.apply, variables, tokens, mask).shape
    (3, 5, 16)

    Devlin, Chang, Lee and Toutanova 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language
    Understanding"; Sanh, Debut, Chaumond and Wolf 2019, "DistilBERT"; Liu et al. 2019, "RoBERTa".
    """

    config: BertConfig
    dtype: Any = jnp.float32
    rate: float = 0.0
    shared: bool = False

    def setup(self) -> None:
        """Tables, and the layers that come after them."""
        table = linen.initializers.normal(0.02)
        c = self.config
        self.words = self.param("words", table, (c.vocabulary, c.width))
        self.places = self.param("positions", table, (c.positions, c.width))
        self.types = self.param("types", table, (c.token_types, c.width)) if c.token_types else None
        self.norm = norm(c)
        self.layers = [Layer(c, self.dtype, self.rate, self.shared) for _ in range(c.num_layers)]

    def __call__(self, tokens: Int[Rows, "n T"], mask: Bool[Rows, "n T"]) -> Float[Array, "n T D"]:
        """States after the last layer."""
        return self.blocks(self.embed(tokens), mask, 0, self.config.num_layers)

    def embed(self, tokens: Int[Rows, "n T"]) -> Float[Array, "n T D"]:
        """States before the first layer."""
        if tokens.shape[1] > self.config.longest:
            raise ValueError(
                f"expected at most {self.config.longest} tokens, for which the model has positions, got "
                f"{tokens.shape[1]}; cut the sentences"
            )
        places = jax.lax.dynamic_slice_in_dim(self.places, self.config.first_position, tokens.shape[1])
        places = places if self.types is None else places + self.types[:1].repeat(len(places), 0)
        states = jnp.asarray(self.words)[jnp.asarray(tokens)]
        return dropped(self, self.norm(states + jnp.broadcast_to(places, states.shape)))

    def blocks(
        self, hidden: Float[Rows, "n T D"], mask: Bool[Rows, "n T"], start: int, stop: int
    ) -> Float[Array, "n T D"]:
        """States after layer number `stop`, of those after layer number `start`: 0 is the embedding."""
        states = jnp.asarray(hidden)
        for layer in self.layers[start:stop]:
            states = layer(states, mask)
        return states


class Layer(linen.Module):
    """Attention, and a network for every token, each added to what came in and normalized."""

    config: BertConfig
    dtype: Any
    rate: float
    shared: bool

    def setup(self) -> None:
        """Where adapters come in: `Linear` everywhere, and `feed_scale`."""
        c = self.config
        self.attention = Attention(c, self.dtype, self.rate, self.shared)
        self.attention_norm = norm(c)
        self.feed_in = Linear(c.feed, dtype=self.dtype)
        self.feed_scale = Scale()
        self.feed_out = Linear(c.width, dtype=self.dtype)
        self.feed_norm = norm(c)

    def __call__(self, hidden: Float[Array, "n T D"], mask: Bool[Rows, "n T"]) -> Float[Array, "n T D"]:
        """The states of the next layer."""
        told = dropped(self, wide(self.attention(hidden, mask)))
        hidden = self.attention_norm(hidden + told)
        units = self.feed_scale(ACTIVATIONS[self.config.activation](self.feed_in(hidden)))
        return self.feed_norm(hidden + dropped(self, wide(self.feed_out(units))))


class Attention(linen.Module):
    """``softmax(Q K' / √d) V`` in every head, and a linear map of all heads."""

    config: BertConfig
    dtype: Any
    rate: float
    shared: bool

    @linen.compact
    def __call__(self, hidden: Float[Array, "n T D"], mask: Bool[Rows, "n T"]) -> Float[Array, "n T D"]:
        """What every token is told by the others."""
        width, num_heads = self.config.width, self.config.num_heads
        heads = (*mask.shape, num_heads, width // num_heads)
        query, key, value = (
            Linear(width, dtype=self.dtype, name=name)(hidden).reshape(heads) for name in ("query", "key", "value")
        )
        scores = jnp.einsum("nqhd,nkhd->nhqk", query, key, preferred_element_type=wide(query).dtype)
        allowed = jnp.broadcast_to(mask[:, None, None, :], scores.shape)
        scores = jnp.where(allowed, scores / math.sqrt(heads[-1]), jnp.finfo(scores.dtype).min)
        weights = jax.nn.softmax(scores, -1)
        if self.rate and self.has_rng("dropout") and not self.shared:
            weights = masked(self.make_rng("dropout"), weights, weights.shape, self.rate)
        told = jnp.einsum("nhqk,nkhd->nqhd", weights.astype(self.dtype), value)
        return Linear(width, dtype=self.dtype, name="out")(told.reshape(hidden.shape))


def embedded(module: Bert, variables: PyTree, tokens: Int[Rows, "n T"]) -> Float[Array, "n T D"]:
    """`Bert.embed` as a compiled program."""
    below = {name: tree for name, tree in variables["params"].items() if not name.startswith("layers_")}
    return _embed(module, {"params": below}, tokens)


def layered(
    module: Bert, variables: PyTree, hidden: Float[Rows, "n T D"], mask: Bool[Rows, "n T"], start: int, stop: int
) -> Float[Array, "n T D"]:
    """`Bert.blocks` by one compiled program, called for each layer: compiled in a fraction of the time of the whole."""
    layer = Layer(module.config, module.dtype, module.rate, module.shared)
    for name in (f"layers_{number}" for number in range(start, stop)):
        hidden = _layer(layer, {of: tree[name] for of, tree in variables.items() if name in tree}, hidden, mask)
    return jnp.asarray(hidden)


@partial(jax.jit, static_argnums=0)
def _embed(module: Bert, variables: PyTree, tokens: Int[Rows, "n T"]) -> Float[Array, "n T D"]:
    return module.apply(variables, tokens, method="embed")  # type: ignore[return-value]


@partial(jax.jit, static_argnums=0)
def _layer(
    layer: Layer, variables: PyTree, hidden: Float[Rows, "n T D"], mask: Bool[Rows, "n T"]
) -> Float[Array, "n T D"]:
    return layer.apply(variables, hidden, mask)  # type: ignore[return-value]


def norm(config: BertConfig) -> linen.LayerNorm:
    """Of the units of a token, in float32, the variance from centered values."""
    return linen.LayerNorm(config.epsilon, use_fast_variance=False)


def gelu(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """``x Φ(x)``, in float32; by erf, which is cheaper than the erfc of `jax.nn.gelu`."""
    z = wide(x)
    return (z * (0.5 + 0.5 * jax.lax.erf(z * math.sqrt(0.5)))).astype(x.dtype)


def wide(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """At least float32."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "gelu_tanh": jax.nn.gelu,
    "relu": jax.nn.relu,
}


def dropped(module: linen.Module, x: Float[Array, "n T D"]) -> Float[Array, "n T D"]:
    """Dropout by the `rate` of a module, with a mask for each entry, or for each unit if it is `shared`."""
    if not module.rate or not module.has_rng("dropout"):
        return x
    return masked(module.make_rng("dropout"), x, x.shape[-1:] if module.shared else x.shape, module.rate)


def masked(key: Any, x: Float[Array, "*n"], shape: tuple[int, ...], rate: float) -> Float[Array, "*n"]:
    """Entries of x, each kept with probability ``1 - rate`` by a mask of this shape, and divided by it."""
    keep = jax.random.bernoulli(key, 1 - rate, shape)
    return jnp.where(jnp.broadcast_to(keep, x.shape), x / (1 - rate), 0)
