"""Cheaper image encoders from one that is there: whole filters are taken out by their norm, nothing is trained."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bal.backbones.efficientnet import EfficientNetConfig
from bal.backbones.nouns import ImageEncoder
from bal.typing import PyTree


def prune_filters(encoder: ImageEncoder, keep: float, order: int = 1) -> ImageEncoder:
    """The encoder with a share of the inner channels of each block, and with their weights alone.

    An inner channel is a filter of the expansion, one of the depthwise convolution, their normalizations, and an input
    of the projection. The channels kept are the ``round(keep * inner)`` (one at least) with the largest score
    ``|w_expand| |w_depthwise| |w_project|``, norms of order 1 or 2 of their weights. What runs between blocks keeps its
    channels, so features keep number and meaning. The work of a block falls in proportion to `keep`, as its depthwise
    convolution does not mix channels; first convolution, first block (which has no expansion) and last convolution stay
    as they are.

    Use it when features for a large pool, or the first rounds, are to cost less; ``keep=1`` is the encoder itself.
    A new shape is a new program. `mask_filters` computes the same features with the shapes, and the work, of before.

    Args:
      encoder: `efficientnet_lite0` or `tiny_image_encoder`.
      keep: share of the channels, in (0, 1].
      order: 1 or 2, of the norm.

    Raises:
      ValueError: a share outside (0, 1], or another order.
      TypeError: an encoder that is no EfficientNet.

    >>> import jax
    >>> from bal.backbones import tiny_image_encoder
    >>> half = prune_filters(tiny_image_encoder(jax.random.key(0)), 0.5)
    >>> [block.inner for block in half.module.config.blocks]
    [None, 6, 9]

    Caccia et al. 2023, "Towards Compute-Optimal Transfer Learning"; reconstructed: theirs are the residual blocks of a
    ResNet, where a norm of filters says by itself what to keep. Of the scores tried on Lite0 this one kept most of the
    accuracy: more than the norms of one or two of the three, or with the scales of the normalizations.
    """
    kept = kept_filters(encoder, keep, order)
    config = encoder.module.config
    blocks = [b if at is None else b._replace(inner=len(at)) for b, at in zip(config.blocks, kept)]
    module = encoder.module.clone(config=config._replace(blocks=tuple(blocks)))
    variables = _changed(encoder.variables, kept, lambda leaf, axis, at: jnp.take(leaf, at, axis))
    return encoder._replace(module=module, variables=variables, source=_named(encoder, keep, order))


def mask_filters(encoder: ImageEncoder, keep: float, order: int = 1) -> ImageEncoder:
    """The encoder of `prune_filters` in its old shapes: what is taken out there is zero here.

    Zero are the filters, and scale and shift of their normalizations, without which a filter of zeros would still
    return a constant.

    Use it when many shares are to be tried without compiling for each; nothing gets faster.

    Args:
      encoder: `efficientnet_lite0` or `tiny_image_encoder`.
      keep: share of the channels, in (0, 1].
      order: 1 or 2, of the norm.

    Raises:
      ValueError: a share outside (0, 1], or another order.
      TypeError: an encoder that is no EfficientNet.
    """

    def masked(leaf: Any, axis: int, at: np.ndarray) -> Any:
        shape = [1] * leaf.ndim
        shape[axis] = -1
        return leaf * jnp.zeros(leaf.shape[axis]).at[at].set(1.0).reshape(shape)

    kept = kept_filters(encoder, keep, order)
    variables = {**encoder.variables, "params": _changed(encoder.variables, kept, masked)["params"]}
    return encoder._replace(variables=variables, source=_named(encoder, keep, order))


def kept_filters(encoder: ImageEncoder, keep: float, order: int = 1) -> tuple[np.ndarray | None, ...]:
    """Which inner channels of each block `prune_filters` keeps, in order; None for a block without an expansion.

    Equal scores go to the channel that comes first.

    Args:
      encoder: `efficientnet_lite0` or `tiny_image_encoder`.
      keep: share of the channels, in (0, 1].
      order: 1 or 2, of the norm.

    Raises:
      ValueError: a share outside (0, 1], or another order.
      TypeError: an encoder that is no EfficientNet.
    """
    config = getattr(encoder.module, "config", None)
    if not isinstance(config, EfficientNetConfig):
        raise TypeError(
            f"expected an EfficientNet, whose blocks have inner channels, got {type(encoder.module).__name__}"
        )
    if not 0 < keep <= 1:
        raise ValueError(f"expected a share of filters above 0 and at most 1, got keep={keep}; 0.5 keeps half of them")
    if order not in (1, 2):
        raise ValueError(f"expected a norm of order 1 or 2, got order={order}")
    kept = []
    for i, block in enumerate(config.blocks):
        if block.inner is None:
            kept.append(None)
            continue
        params = encoder.variables["params"][f"block_{i}"]
        kernels = [
            params["expand"]["kernel"],
            params["depthwise"]["kernel"],
            jnp.transpose(params["project"]["kernel"]),
        ]
        scores = np.prod([_norms(kernel, order) for kernel in kernels], 0)
        largest = np.argsort(-scores, kind="stable")[: max(1, round(keep * block.inner))]
        kept.append(np.sort(largest))
    return tuple(kept)


class LayerFlops(NamedTuple):
    """Floating-point operations for one image: those of the features, and all with the classifier; by layer, too.

    A multiplication and an addition are two operations. Normalizations and activations are not counted.
    """

    features: int
    total: int
    layers: dict[str, int]


def count_flops(config: EfficientNetConfig, size: int) -> LayerFlops:
    """Work of an EfficientNet for one image of `size` x `size` pixels.

    A layer with a kernel of k x k, A input channels in each group, B outputs and P output pixels takes ``2 k² A B P``.
    A training step takes about three times the forward pass.

    >>> from bal.backbones.efficientnet import LITE0
    >>> count_flops(LITE0, 224).total
    770375104
    """
    side, width = -(-size // 2), config.stem
    layers = {"stem_conv": 2 * 9 * 3 * config.stem * side**2}
    for i, (kernel, stride, expanded, outer) in enumerate(config.blocks):
        inner = width if expanded is None else expanded
        if expanded is not None:
            layers[f"block_{i}/expand"] = 2 * width * inner * side**2
        side, width = -(-side // stride), outer
        layers[f"block_{i}/depthwise"] = 2 * kernel**2 * inner * side**2
        layers[f"block_{i}/project"] = 2 * inner * outer * side**2
    layers["head_conv"] = 2 * width * config.features * side**2
    features = sum(layers.values())
    layers["classifier"] = 2 * config.features * config.num_classes
    return LayerFlops(features, sum(layers.values()), layers)


def _norms(kernel: Any, order: int) -> np.ndarray:
    """Norm of each filter."""
    return np.linalg.norm(np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1]), order, axis=0)


def _changed(variables: PyTree, kept: tuple[np.ndarray | None, ...], change: Any) -> PyTree:
    """Variables whose inner channels went through `change(leaf, axis, kept)`."""
    variables = {name: dict(collection) for name, collection in variables.items()}
    for i, at in enumerate(kept):
        if at is None:
            continue
        for collection in variables.values():
            block = {}
            for layer, leaves in collection.get(f"block_{i}", {}).items():
                inner = layer != "project_norm"
                axis = 0 if layer == "project" else -1
                block[layer] = {leaf: change(a, axis, at) if inner else a for leaf, a in leaves.items()}
            if block:
                collection[f"block_{i}"] = block
    return variables


def _named(encoder, keep, order):
    share = f"{keep:g} of inner filters by norm of order {order}"
    return encoder.source if keep == 1 else encoder.source._replace(name=f"{encoder.source.name}, {share}")
