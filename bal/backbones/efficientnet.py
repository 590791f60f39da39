"""EfficientNet-Lite: inverted residual blocks with relu6, in the form that is fast on a CPU.

A depthwise convolution is a sum of shifted products, one for each pixel of the kernel, on images that were padded
first: on a CPU XLA's own depthwise convolution takes ten to eighty times as long. A 1 x 1 convolution is a matrix
product.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen
from jax import lax
from jaxtyping import Array, Float

from bal.backbones.linear import Linear
from bal.learners.networks.conv import conv

EPSILON = 1e-3
"""Added to a running variance, as where the weights were trained."""


class Block(NamedTuple):
    """An inverted residual block: expand (1 x 1), depthwise convolution, project (1 x 1).

    kernel: height and width of the depthwise convolution.
    stride: its step.
    inner: channels between the two 1 x 1 convolutions; None = those that come in, which are not expanded.
    outer: channels that go out. The block's input is added where it has as many and the stride is 1.
    """

    kernel: int
    stride: int
    inner: int | None
    outer: int


class EfficientNetConfig(NamedTuple):
    """All sizes of an EfficientNet-Lite.

    stem: channels of the first convolution, 3 x 3 with stride 2.
    blocks: in their order, each with its own inner width, so that a pruned network is another configuration.
    features: channels of the last 1 x 1 convolution, of which the mean over all pixels is the feature vector.
    num_classes: outputs of the classifier.
    """

    stem: int
    blocks: tuple[Block, ...]
    features: int
    num_classes: int


def _stages(*stages: tuple[int, int, int, int, int, int]) -> tuple[Block, ...]:
    return tuple(
        Block(kernel, stride if i == 0 else 1, None if expand == 1 else expand * (before if i == 0 else outer), outer)
        for repeats, kernel, stride, expand, before, outer in stages
        for i in range(repeats)
    )


LITE0 = EfficientNetConfig(
    32,
    _stages(
        (1, 3, 1, 1, 32, 16),
        (2, 3, 2, 6, 16, 24),
        (2, 5, 2, 6, 24, 40),
        (3, 3, 2, 6, 40, 80),
        (3, 5, 1, 6, 80, 112),
        (4, 5, 2, 6, 112, 192),
        (1, 3, 1, 6, 192, 320),
    ),
    1280,
    1000,
)
"""EfficientNet-Lite0: 16 blocks, 4.65 million parameters."""

TINY = EfficientNetConfig(8, (Block(3, 1, None, 4), Block(3, 2, 12, 6), Block(5, 1, 18, 6)), 16, 5)
"""The same architecture in the smallest size that has all of its parts."""


class EfficientNet(linen.Module):
    """Images to features ``[n, F]``: stem, blocks, last convolution, mean over pixels.

    ``y = (x - mean) scale / √(variance + 0.001) + bias`` normalizes after each convolution, with running statistics
    that stay what they are: they lie in the collection "batch_stats", apart from "params", so that fine-tuning takes
    gradients of the latter and leaves them alone. Rows never mix. Padding is that of TensorFlow ("same"): of an odd
    number of pixels, the greater part goes to the right and below; torch's own would shift all features. There is no
    dropout and no squeeze-excitation.

    Use it when images are to become features (`image_features`), or its upper blocks are to be fine-tuned: ``hidden =
    apply(variables, images, method="stem")`` and `blocks` of the lower ones are computed once, the rest is trained.

    Args:
      config: all sizes.
      dtype: of activations and products, as ``jnp.bfloat16``; parameters and normalization stay float32.

    >>> import jax
    >>> network, images = EfficientNet(TINY), jnp.ones((2, 16, 16, 3))
    >>> variables = jax.eval_shape(network.init, jax.random.key(0), images)
    >>> jax.eval_shape(network.apply, variables, images).shape
    (2, 16)

    Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"; the Lite variants are
    R. Liu's, 2020.
    """

    config: EfficientNetConfig
    dtype: Any = jnp.float32

    def setup(self):
        """Names the parts."""
        config, dtype = self.config, self.dtype
        self.stem_conv, self.stem_norm = Conv(3, config.stem, 2, dtype), Norm()
        self.block = [InvertedResidual(block, dtype) for block in config.blocks]
        self.head_conv, self.head_norm = Linear(config.features, False, dtype), Norm()
        self.classifier = Linear(config.num_classes, True, dtype)

    def __call__(self, images: Float[Array, "n H W 3"]) -> Float[Array, "n F"]:
        """Features of images whose channels are (gray level - 127) / 128."""
        return self.head(self.blocks(self.stem(images), 0, len(self.config.blocks)))

    def stem(self, images: Float[Array, "n H W 3"]) -> Float[Array, "n I J A"]:
        """What the first block sees."""
        return _relu6(self.stem_norm(self.stem_conv(images)))

    def blocks(self, hidden: Float[Array, "n H W A"], start: int, stop: int) -> Float[Array, "n I J B"]:
        """What blocks `start` to `stop - 1` make of the hidden state before `start`."""
        for block in self.block[start:stop]:
            hidden = block(hidden)
        return hidden

    def head(self, hidden: Float[Array, "n H W A"]) -> Float[Array, "n F"]:
        """Features, from what the last block returns; of float32 at least."""
        last = _relu6(self.head_norm(self.head_conv(hidden)))
        return last.astype(jnp.promote_types(last.dtype, jnp.float32)).mean((1, 2))

    def logits(self, images: Float[Array, "n H W 3"]) -> Float[Array, "n C"]:
        """Scores of the classes of the network's own training."""
        return self.classifier(self(images))


class InvertedResidual(linen.Module):
    """One block."""

    block: Block
    dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Float[Array, "n H W A"]) -> Float[Array, "n I J B"]:
        """The block's output."""
        kernel, stride, inner, outer = self.block
        hidden = x
        if inner is not None:
            hidden = _relu6(Norm(name="expand_norm")(Linear(inner, False, self.dtype, name="expand")(hidden)))
        hidden = Depthwise(kernel, stride, self.dtype, name="depthwise")(hidden)
        hidden = _relu6(Norm(name="depthwise_norm")(hidden))
        hidden = Norm(name="project_norm")(Linear(outer, False, self.dtype, name="project")(hidden))
        return hidden + x if stride == 1 and x.shape[-1] == outer else hidden


class Norm(linen.Module):
    """Batch normalization by running statistics, computed in float32."""

    @linen.compact
    def __call__(self, x: Float[Array, "n H W A"]) -> Float[Array, "n H W A"]:
        """Normalized images, of the type that came in."""
        size = (x.shape[-1],)
        scale = self.param("scale", linen.initializers.ones_init(), size)
        bias = self.param("bias", linen.initializers.zeros_init(), size)
        mean = self.variable("batch_stats", "mean", jnp.zeros, size).value
        variance = self.variable("batch_stats", "var", jnp.ones, size).value
        factor = scale * lax.rsqrt(variance + EPSILON)
        shape = (1, 1, 1, -1)
        return (x * factor.reshape(shape) + (bias - mean * factor).reshape(shape)).astype(x.dtype)


class Conv(linen.Module):
    """A convolution with "same" padding, from few channels."""

    kernel: int
    features: int
    stride: int
    dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Float[Array, "n H W A"]) -> Float[Array, "n I J B"]:
        """Convolved images."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        weight = self.param("kernel", linen.initializers.lecun_normal(), shape).astype(self.dtype)
        return conv(_padded(x.astype(self.dtype), self.kernel, self.stride), weight, (self.stride, self.stride))


class Depthwise(linen.Module):
    """A convolution of each channel by itself with "same" padding: ``kernel [k, k, A]``."""

    kernel: int
    stride: int
    dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Float[Array, "n H W A"]) -> Float[Array, "n I J A"]:
        """Convolved images."""
        shape = (self.kernel, self.kernel, x.shape[-1])
        init = linen.initializers.variance_scaling(1.0, "fan_in", "normal", in_axis=(0, 1), out_axis=2, batch_axis=())
        weight = self.param("kernel", init, shape).astype(self.dtype)
        return depthwise(_padded(x, self.kernel, self.stride), weight, self.stride)


def depthwise(x: Float[Array, "n H W A"], w: Float[Array, "k k A"], stride: int) -> Float[Array, "n I J A"]:
    """Correlation of each channel with a kernel of its own, without padding.

    ``y[n, i, j, a] = Σ_{p, q} x[n, s i + p, s j + q, a] w[p, q, a]``.
    """
    kernel, (height, width) = len(w), x.shape[1:3]
    shift = lambda x, axis, first, size: lax.slice_in_dim(x, first, size - kernel + first + 1, stride, axis)
    rows = [shift(x, 1, p, height) for p in range(kernel)]
    terms = [shift(rows[p], 2, q, width) * w[p, q].reshape(1, 1, 1, -1) for p in range(kernel) for q in range(kernel)]
    return sum(terms[1:], terms[0])


def _padded(x, kernel, stride):
    """Zeros around images, so that a convolution returns ``⌈size / stride⌉`` pixels an axis."""
    pads = lax.padtype_to_pads(x.shape[1:3], (kernel, kernel), (stride, stride), "SAME")
    # A copy of its own: fused into the products, each of the k^2 terms would look up its pixels with two conditions.
    return lax.optimization_barrier(jnp.pad(x, ((0, 0), *pads, (0, 0))))


def _relu6(x):
    return jnp.clip(x, 0, 6)
