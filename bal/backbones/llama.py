"""A language model of the llama type: rotary positions, shared key heads, gated units, norms without a mean."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Bool, Float, Int

from bal.backbones.bert import dropped
from bal.backbones.linear import Linear, Scale
from bal.typing import PyTree


class LlamaConfig(NamedTuple):
    """Sizes of a `Llama`: `num_shared` heads of keys and values serve all `num_heads`; `longest` text in tokens.

    tied: logits are taken with the table of the embedding. base: of the angles; epsilon: of the norms.
    """

    vocabulary: int
    width: int
    feed: int
    num_layers: int
    num_heads: int
    num_shared: int
    longest: int = 2048
    base: float = 10_000.0
    epsilon: float = 1e-5
    tied: bool = True


class Norm(linen.Module):
    """``x / sqrt(mean(x²) + ε) * g``."""

    epsilon: float

    @linen.compact
    def __call__(self, x: Float[Array, "*n D"]) -> Float[Array, "*n D"]:
        """Of the size of the gain."""
        gain = self.param("scale", linen.initializers.ones_init(), (x.shape[-1],))
        return x * jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + self.epsilon) * jnp.broadcast_to(gain, x.shape)


def rotated(x: Float[Array, "n T *H d"], positions: Int[Array, "n T"], base: float) -> Float[Array, "n T *H d"]:
    """Pairs (i, i + d/2) turned by ``position * base^(-2i/d)``, so that products depend on differences of positions.

    Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding".
    """
    half = x.shape[-1] // 2
    angles = jnp.einsum("nt,d->ntd", positions.astype(jnp.float32), base ** (-jnp.arange(half) / half))
    angles = angles.reshape(*positions.shape, *[1] * (x.ndim - 3), half)
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1).astype(x.dtype)


class Attention(linen.Module):
    """Each query looks at the keys that it may see; groups of heads share keys and values."""

    config: LlamaConfig
    dtype: Any

    def setup(self) -> None:
        """Four dense layers without a bias, into which adapters come."""
        config = self.config
        size = config.width // config.num_heads
        linear = lambda features: Linear(features, use_bias=False, dtype=self.dtype)
        self.query, self.out = linear(config.num_heads * size), linear(config.width)
        self.key, self.value = linear(config.num_shared * size), linear(config.num_shared * size)

    def __call__(
        self,
        x: Float[Array, "n T D"],
        positions: Int[Array, "n T"],
        seen: Bool[Array, "n T S"],
        kept: tuple[Float[Array, "n S H d"], Float[Array, "n S H d"]] | None = None,
    ) -> tuple[Float[Array, "n T D"], tuple[Float[Array, "n S H d"], Float[Array, "n S H d"]]]:
        """Outputs, and keys and values: those of these tokens, or those `kept` with these put in at `positions`."""
        config, (n, length) = self.config, x.shape[:2]
        groups, size = config.num_heads // config.num_shared, config.width // config.num_heads
        query = self.query(x).reshape(n, length, config.num_shared, groups, size)
        key, value = (part(x).reshape(n, length, config.num_shared, size) for part in (self.key, self.value))
        query, key = (rotated(part, positions, config.base) for part in (query, key))
        if kept is not None:
            rows = jnp.arange(n)[:, None]
            key, value = (old.at[rows, positions].set(new) for old, new in zip(kept, (key, value), strict=True))
        scores = jnp.einsum("nthgd,nshd->nhgts", query, key).astype(jnp.float32) / size**0.5
        scores = jnp.where(seen[:, None, None], scores, jnp.finfo(jnp.float32).min)
        shares = jax.nn.softmax(scores, -1).astype(value.dtype)
        mixed = jnp.einsum("nhgts,nshd->nthgd", shares, value)
        return self.out(mixed.reshape(n, length, config.width)), (key, value)


class Layer(linen.Module):
    """Attention and gated units ``W2 (silu(Wg x) * l * (W1 x))``, each added to what came in."""

    config: LlamaConfig
    dtype: Any
    rate: float
    shared: bool

    def setup(self) -> None:
        """Where adapters come in: `Linear` everywhere, and `feed_scale`."""
        config, linear = self.config, lambda features: Linear(features, use_bias=False, dtype=self.dtype)
        self.attention_norm, self.feed_norm = Norm(config.epsilon), Norm(config.epsilon)
        self.attention = Attention(config, self.dtype)
        self.gate, self.up, self.down = linear(config.feed), linear(config.feed), linear(config.width)
        self.feed_scale = Scale()

    def __call__(
        self,
        hidden: Float[Array, "n T D"],
        positions: Int[Array, "n T"],
        seen: Bool[Array, "n T S"],
        kept: PyTree = None,
    ) -> tuple[Float[Array, "n T D"], PyTree]:
        """Hidden states behind the layer, and its keys and values."""
        mixed, kept = self.attention(self.attention_norm(hidden), positions, seen, kept)
        hidden = hidden + dropped(self, mixed.astype(jnp.float32))
        x = self.feed_norm(hidden)
        units = jax.nn.silu(self.gate(x)) * self.feed_scale(self.up(x))
        return hidden + dropped(self, self.down(units).astype(jnp.float32)), kept


class Llama(linen.Module):
    """Logits of the next token, ``log softmax`` of which is ``log p(token t + 1 | tokens to t)``.

    Layers ``h += attention(norm(h)); h += W2 (silu(Wg x) * l * (W1 x)), x = norm(h)``. A token sees itself and those
    before it, padding excepted, at whatever end that is; positions count the tokens that are there. Of `lower` layers
    that are frozen, ``blocks(embed(tokens), mask, 0, lower)`` is computed once, and the rest by adapter.

    Use it when text is to be scored or written; `smollm2` is one with weights.

    Args:
      config: sizes.
      dtype: of the products, as ``jnp.bfloat16``; parameters, norms, softmax and outputs are float32.
      rate: of dropout after each half of a layer; it needs a key, ``rngs={"dropout": key}``, and is off without one.
      shared: True = one mask of units for all tokens of all rows, a draw of a posterior; False = one each.

    >>> config = LlamaConfig(vocabulary=50, width=16, feed=24, num_layers=2, num_heads=2, num_shared=1)
    >>> tokens, mask = jnp.ones((1, 4), jnp.int32), jnp.ones((1, 4), bool)
    >>> variables = jax.eval_shape(Llama(config).init, jax.random.key(0), tokens, mask)
    >>> jax.eval_shape(Llama(config).apply, variables, tokens, mask).shape
    (1, 4, 50)

    Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models"; Allal et al. 2025, "SmolLM2: When Smol
    Goes Big".
    """

    config: LlamaConfig
    dtype: Any = jnp.float32
    rate: float = 0.0
    shared: bool = False

    def setup(self) -> None:
        """The table of tokens, and the layers that come after it."""
        config = self.config
        self.embedding = self.param(
            "embedding", linen.initializers.normal(config.width**-0.5), (config.vocabulary, config.width)
        )
        self.layers = [Layer(config, self.dtype, self.rate, self.shared) for _ in range(config.num_layers)]
        self.norm = Norm(config.epsilon)
        if not config.tied:
            self.head = Linear(config.vocabulary, use_bias=False, dtype=self.dtype)

    def __call__(self, tokens: Int[Array, "n T"], mask: Bool[Array, "n T"]) -> Float[Array, "n T V"]:
        """Logits of the token behind each."""
        return self.logits(self.blocks(self.embed(tokens), mask, 0, self.config.num_layers))

    def embed(self, tokens: Int[Array, "n T"]) -> Float[Array, "n T D"]:
        """What goes into the first layer."""
        return self.embedding[tokens]

    def blocks(
        self, hidden: Float[Array, "n T D"], mask: Bool[Array, "n T"], start: int, stop: int
    ) -> Float[Array, "n T D"]:
        """Hidden states behind layers ``start .. stop - 1``."""
        positions = jnp.maximum(jnp.cumsum(mask, 1) - 1, 0)
        seen = jnp.tril(jnp.broadcast_to(mask[:, None], (*mask.shape, mask.shape[1])))
        for layer in self.layers[start:stop]:
            hidden, _ = layer(hidden, positions, seen)
        return hidden

    def logits(self, hidden: Float[Array, "*n D"]) -> Float[Array, "*n V"]:
        """Scores of all tokens, from hidden states behind the last layer."""
        hidden = self.norm(hidden).astype(self.dtype)
        scores = hidden @ self.embedding.T.astype(self.dtype) if self.config.tied else self.head(hidden)
        return scores.astype(jnp.float32)

    def onward(
        self, tokens: Int[Array, "n T"], positions: Int[Array, "n T"], kept: PyTree
    ) -> tuple[Float[Array, "n T D"], PyTree]:
        """Hidden states of further tokens behind the last layer, from the keys and values of those before them.

        `kept` is what the last call returned, or `empty_cache`; it is written at `positions`, and read up to them.
        """
        hidden, places = self.embed(tokens), jnp.arange(jax.tree.leaves(kept)[0].shape[1])
        seen, after = places[None, None] <= positions[..., None], []
        for layer, old in zip(self.layers, kept, strict=True):
            hidden, new = layer(hidden, positions, seen, old)
            after.append(new)
        return hidden, tuple(after)


def empty_cache(config: LlamaConfig, num_rows: int, length: int, dtype: Any = jnp.float32) -> PyTree:
    """Room for the keys and values of `length` tokens a row, in every layer; for `Llama.onward`."""
    zeros = jnp.zeros((num_rows, length, config.num_shared, config.width // config.num_heads), dtype)
    return ((zeros, zeros),) * config.num_layers
