"""Tensors of an EfficientNet-Lite by the names that others give them, as variables of `EfficientNet`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bal.backbones.efficientnet import Block, EfficientNetConfig
from bal.typing import PyTree

_STATISTICS = {"running_mean": "mean", "running_var": "var"}


def variables_of(tensors: Mapping[str, np.ndarray], config: EfficientNetConfig, file: str) -> PyTree:
    """Variables ``{"params": ..., "batch_stats": ...}`` from a checkpoint of torch or timm.

    Names are those of the package efficientnet-lite (``_blocks.0._depthwise_conv.weight``) or of timm
    (``blocks.0.0.conv_dw.weight``), told apart by the first convolution. What else is in the file is left alone.

    Args:
      tensors: by name, in torch's order of axes.
      config: the sizes that are expected.
      file: named in errors.

    Raises:
      ValueError: a file of another network, or a tensor that is missing or of another shape.
    """
    timm = "conv_stem.weight" in tensors
    if not timm and "_conv_stem.weight" not in tensors:
        raise ValueError(
            f"{file} is no EfficientNet: it has no tensor conv_stem.weight or _conv_stem.weight, but "
            f"{', '.join(sorted(tensors)[:3]) or 'none at all'}; give a file of EfficientNet-Lite0"
        )
    names = timm_names(config.blocks) if timm else torch_names(config.blocks)
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    shapes = _shapes(config)
    for path, prefix in names.items():
        *above, layer = path.split("/")
        for leaf, name in _leaves(layer, prefix):
            collection = "batch_stats" if leaf in _STATISTICS.values() else "params"
            inside = variables[collection]
            for part in (*above, layer):
                inside = inside.setdefault(part, {})
            inside[leaf] = _tensor(tensors, name, leaf, shapes[path], file)
    return variables


def torch_names(blocks: tuple[Block, ...]) -> dict[str, str]:
    """Our path of each layer -> its name in the package efficientnet-lite.

    >>> torch_names((Block(3, 1, None, 8),))["block_0/project"]
    '_blocks.0._project_conv'
    """
    names = {"stem_conv": "_conv_stem", "stem_norm": "_bn0", "head_conv": "_conv_head", "head_norm": "_bn1"}
    for i, block in enumerate(blocks):
        layers = {"depthwise": "_depthwise_conv", "depthwise_norm": "_bn1"}
        layers |= {"project": "_project_conv", "project_norm": "_bn2"}
        if block.inner is not None:
            layers |= {"expand": "_expand_conv", "expand_norm": "_bn0"}
        names |= {f"block_{i}/{ours}": f"_blocks.{i}.{theirs}" for ours, theirs in layers.items()}
    return {**names, "classifier": "_fc"}


def timm_names(blocks: tuple[Block, ...]) -> dict[str, str]:
    """Our path of each layer -> its name in timm, which counts blocks within each stage, from one width to the next.

    >>> timm_names((Block(3, 1, None, 8), Block(3, 2, 48, 12)))["block_1/project"]
    'blocks.1.0.conv_pwl'
    """
    names = {"stem_conv": "conv_stem", "stem_norm": "bn1", "head_conv": "conv_head", "head_norm": "bn2"}
    stage, number, before = -1, 0, None
    for i, block in enumerate(blocks):
        stage, number = (stage, number + 1) if block.outer == before else (stage + 1, 0)
        before = block.outer
        layers = ("depthwise", "project") if block.inner is None else ("expand", "depthwise", "project")
        theirs = ("conv_dw", "conv_pw") if block.inner is None else ("conv_pw", "conv_dw", "conv_pwl")
        for place, (layer, name) in enumerate(zip(layers, theirs), 1):
            names[f"block_{i}/{layer}"] = f"blocks.{stage}.{number}.{name}"
            names[f"block_{i}/{layer}_norm"] = f"blocks.{stage}.{number}.bn{place}"
    return {**names, "classifier": "classifier"}


def _leaves(layer: str, prefix: str) -> list[tuple[str, str]]:
    """Leaf and name of each tensor of a layer."""
    if layer.endswith("_norm"):
        leaves = {"weight": "scale", "bias": "bias", **_STATISTICS}
    else:
        leaves = {"weight": "kernel", "bias": "bias"} if layer == "classifier" else {"weight": "kernel"}
    return [(ours, f"{prefix}.{theirs}") for theirs, ours in leaves.items()]


def _shapes(config: EfficientNetConfig) -> dict[str, tuple[int, ...]]:
    """The shape of each weight as torch keeps it: outputs first."""
    shapes = {"stem_conv": (config.stem, 3, 3, 3), "stem_norm": (config.stem,)}
    width = config.stem
    for i, (kernel, _, expanded, outer) in enumerate(config.blocks):
        inner = width if expanded is None else expanded
        layers = {"expand": (inner, width, 1, 1), "expand_norm": (inner,)}
        layers |= {"depthwise": (inner, 1, kernel, kernel), "depthwise_norm": (inner,)}
        layers |= {"project": (outer, inner, 1, 1), "project_norm": (outer,)}
        shapes |= {f"block_{i}/{layer}": shape for layer, shape in layers.items()}
        width = outer
    shapes |= {"head_conv": (config.features, width, 1, 1), "head_norm": (config.features,)}
    return shapes | {"classifier": (config.num_classes, config.features)}


def _tensor(tensors, name, leaf, shape, file):
    """One tensor in our order of axes: inputs before outputs."""
    shape = shape if leaf == "kernel" else shape[:1]
    if name not in tensors:
        raise ValueError(f"{file} lacks the tensor {name}; it is cut short, or of another network")
    tensor = np.asarray(tensors[name], np.float32)
    if tensor.shape != shape:
        raise ValueError(
            f"{file} is of another network: tensor {name} has shape {list(tensor.shape)}, expected {list(shape)}"
        )
    if leaf != "kernel" or len(shape) == 1:
        return tensor
    if len(shape) == 2:
        return tensor.T
    if shape[2:] == (1, 1):
        return tensor[:, :, 0, 0].T
    return tensor[:, 0].transpose(1, 2, 0) if shape[1] == 1 else tensor.transpose(2, 3, 1, 0)
