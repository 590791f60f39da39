"""Convolution layers that stay fast inside a compiled loop.

On a CPU, XLA runs a convolution inside `lax.scan` or `lax.map` some thirty times slower than outside. There
the layer is a matrix product over shifted copies of the image; accelerators get `lax.conv_general_dilated`.
The platform is known when the program is lowered, so one program serves all and the unused branch is free.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

_FEW_CHANNELS = 8
"""Below this many input channels a row of `kernel` pixels is too short for a good matrix product."""


def conv(
    x: Float[Array, "n H W A"], w: Float[Array, "k l A B"], strides: tuple[int, int] = (1, 1)
) -> Float[Array, "n I J B"]:
    """Correlation of images with kernels, without padding.

    ``y[n, i, j, b] = Σ_{p, q, a} x[n, s i + p, t j + q, a] w[p, q, a, b]`` for strides s, t, so that an output has
    ``(H - k) // s + 1`` by ``(W - l) // t + 1`` pixels. Pad with `jnp.pad` beforehand for one as large as the input.

    >>> import jax
    >>> jax.jit(conv)(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 5))).shape
    (1, 2, 2, 5)
    """
    matmul = _by_patches if w.shape[2] < _FEW_CHANNELS else _by_rows
    fast, primitive = (partial(form, strides=strides) for form in (matmul, _by_convolution))
    return lax.platform_dependent(x, w, cpu=fast, default=primitive)


def conv_general_dilated(
    x: Array,
    w: Array,
    strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    **settings: Any,
) -> Array:
    """`lax.conv_general_dilated` as the layers of flax call it (NHWC), by `conv` where `why_slow` finds no reason."""
    if w.ndim != 4 or why_slow(2, lhs_dilation, rhs_dilation, feature_group_count, False) or any(settings.values()):
        return lax.conv_general_dilated(
            x, w, strides, padding, lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count, **settings
        )
    pads = lax.padtype_to_pads(x.shape[1:3], w.shape[:2], strides, padding) if isinstance(padding, str) else padding
    return conv(jnp.pad(x, ((0, 0), *map(tuple, pads), (0, 0))), w, (strides[0], strides[1]))


def why_slow(num_axes: int, input_dilation: Any, kernel_dilation: Any, groups: int, own: bool) -> str:
    """What keeps a convolution from having the form that is fast in a compiled loop on a CPU; empty if nothing."""
    reasons = {
        f"{num_axes} axes": num_axes != 2,
        "dilation": any(np.any(np.asarray(d) != 1) for d in (input_dilation, kernel_dilation) if d is not None),
        "feature groups": groups != 1,
        "a function of its own": own,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def max_pool(x: Float[Array, "n H W A"]) -> Float[Array, "n H//2 W//2 A"]:
    """Largest value of every 2 x 2 window; the last row or column of an odd size is dropped.

    >>> import jax
    >>> pooled = jax.jit(max_pool)(np.arange(16.0).reshape(1, 4, 4, 1))
    >>> np.squeeze(pooled).tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    # Strided slices: on a CPU the gradient of `reduce_window` costs more than the convolution before it.
    rows = jnp.maximum(x[:, 0:height:2, :width], x[:, 1:height:2, :width])
    return jnp.maximum(rows[:, :, 0::2], rows[:, :, 1::2])


class Conv(nnx.Module):
    """`conv` with a ``kernel x kernel`` weight (LeCun normal) and a bias (zero)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, rngs: nnx.Rngs):
        shape = (kernel, kernel, in_channels, out_channels)
        self.kernel = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(out_channels))

    def __call__(self, x: Array) -> Array:
        """Images ``[n, H, W, in_channels]`` to ``[n, H - kernel + 1, W - kernel + 1, out_channels]``."""
        kernel = self.kernel[...]
        return conv(jnp.asarray(x, kernel.dtype), kernel) + self.bias[...].reshape(1, 1, 1, -1)


class Block(NamedTuple):
    """A convolution, then (optionally) pooling, relu and dropout of units or of whole channels."""

    size: int
    kernel: int
    pool: bool
    dropout: float
    by_channel: bool


class ConvNet(nnx.Module):
    """Blocks of convolutions, one dense layer with relu and dropout, and a linear output; for `network`.

    Raises ValueError if the inputs are not images ``[n, H, W, A]``, or too small for the kernels.
    """

    def __init__(self, rngs, shape, blocks, hidden, num_outputs, dropout):
        if len(shape) != 3:
            raise ValueError(
                f"a convolutional network expects images [n, height, width, channels], but a row has shape "
                f"{shape}; reshape the inputs (gray images: x[..., None])"
            )
        height, width, depth = shape
        convs = []
        for block in blocks:
            convs.append(Conv(depth, block.size, block.kernel, rngs=rngs))
            scale = 2 if block.pool else 1
            height, width = ((side - block.kernel + 1) // scale for side in (height, width))
            depth = block.size
            if min(height, width) < 1:
                raise ValueError(
                    f"images of {shape[0]} x {shape[1]} pixels are too small for {len(blocks)} layers "
                    f"of kernel {block.kernel}; use a smaller kernel or larger images"
                )
        self.convs = nnx.List(convs)
        self.dense = nnx.Linear(height * width * depth, hidden, rngs=rngs)
        self.out = nnx.Linear(hidden, num_outputs, rngs=rngs)
        self.blocks, self.dropout = blocks, dropout

    def __call__(self, x, drop):
        """Images to (outputs ``[n, num_outputs]``, features ``[n, hidden]``)."""
        for block, layer in zip(self.blocks, self.convs):
            x = layer(x)
            x = nnx.relu(max_pool(x) if block.pool else x)
            x = drop(x, block.dropout, channels=block.by_channel)
        h = drop(nnx.relu(self.dense(x.reshape(x.shape[0], -1))), self.dropout)
        return self.out(h), h


def _by_convolution(x, w, strides):
    return lax.conv_general_dilated(x, w, strides, "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _by_patches(x, w, strides):
    """One product with all k l shifts side by side: best where the input has few channels."""
    k, l, _, outputs = w.shape
    shifts = [_shift(_shift(x, 1, i, k, strides[0]), 2, j, l, strides[1]) for i in range(k) for j in range(l)]
    return jnp.concatenate(shifts, -1) @ w.reshape(-1, outputs)


def _by_rows(x, w, strides):
    """The l column shifts side by side, then a product for each kernel row: k times fewer copies."""
    k, l, _, outputs = w.shape
    shifts = jnp.concatenate([_shift(x, 2, j, l, strides[1]) for j in range(l)], -1)
    return sum(_shift(shifts, 1, i, k, strides[0]) @ w[i].reshape(-1, outputs) for i in range(k))


def _shift(x, axis, first, size, stride):
    """What place `first` of a kernel of `size` meets along an axis."""
    return lax.slice_in_dim(x, first, x.shape[axis] - size + first + 1, stride, axis)
