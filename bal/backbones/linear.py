"""The dense layer of every backbone, where adapters come in: they are further collections of variables."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float


class Linear(linen.Module):
    """``y = (x W + b + s (x A) B) * l``, where A, B, s and l are there only if somebody brings them.

    Frozen weights lie in the collection "params": ``kernel [in, out]`` and ``bias [out]``. At the same path, the
    collection "lora" holds ``a [in, r]``, ``b [r, out]`` and, if it is not 1, the number ``scale``, through which no
    gradient flows; the collection "ia3" holds ``scale [out]``. Without an entry the layer is the dense one, bit by bit.

    Use it when a network of your own is to take adapters.

    Args:
      features: number of outputs.
      use_bias: whether b is there.
      dtype: type of the product, as ``jnp.bfloat16``; parameters stay float32.

    >>> layer, x = Linear(3), jnp.ones((2, 4))
    >>> variables = layer.init(jax.random.key(0), x)
    >>> twice = layer.apply(variables | {"ia3": {"scale": jnp.full(3, 2.0)}}, x)
    >>> bool((twice == 2 * layer.apply(variables, x)).all())
    True

    Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models"; Liu et al. 2022, "Few-Shot Parameter-Efficient
    Fine-Tuning is Better and Cheaper than In-Context Learning".
    """

    features: int
    use_bias: bool = True
    dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Float[Array, "*n A"]) -> Float[Array, "*n B"]:
        """The layer's outputs."""
        kernel = self.param("kernel", linen.initializers.lecun_normal(), (x.shape[-1], self.features))
        x = x.astype(self.dtype)
        y = x @ kernel.astype(self.dtype)
        if self.use_bias:
            bias = self.param("bias", linen.initializers.zeros_init(), (self.features,))
            y = y + jnp.broadcast_to(bias.astype(self.dtype), y.shape)
        if self.has_variable("lora", "a"):
            a, b = (self.get_variable("lora", name).astype(self.dtype) for name in "ab")
            scale = jax.lax.stop_gradient(self.get_variable("lora", "scale", 1.0))
            y = y + ((x @ a) @ b) * jnp.asarray(scale, self.dtype)
        return scaled(self, y)


class Scale(linen.Module):
    """``y = x * l`` where the collection "ia3" holds ``scale`` at this path, and x itself elsewhere.

    Use it when something that no `Linear` returns is to be rescaled: units of a feed-forward layer, ``l * act(W x)``.

    >>> Scale().apply({"ia3": {"scale": jnp.array([1.0, 0.0])}}, jnp.ones(2)).tolist()
    [1.0, 0.0]
    """

    @linen.compact
    def __call__(self, x: Float[Array, "*n A"]) -> Float[Array, "*n A"]:
        """The rescaled units."""
        return scaled(self, x)


def scaled(module: linen.Module, y: Float[Array, "*n A"]) -> Float[Array, "*n A"]:
    """Times the entry of the collection "ia3" at the path of this module, if there is one."""
    if not module.has_variable("ia3", "scale"):
        return y
    return y * jnp.broadcast_to(module.get_variable("ia3", "scale").astype(y.dtype), y.shape)
