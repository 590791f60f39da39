"""EfficientNet-Lite0 beside a slow float64 network written from the paper and from torch's definitions."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.backbones.efficientnet import LITE0, TINY, Block, EfficientNet, depthwise
from bal.backbones.efficientnet_names import timm_names, torch_names, variables_of
from bal.backbones.finding import find
from bal.backbones.images import KNOWN, efficientnet_lite0
from bal.backbones.old_torch import read_old_torch
from bal.datasets import MissingDataError

STRIDES, WIDE = (1, 2, 1), (3, 3, 5)  # of TINY, written down a second time
PAPER = [  # expansion, channels, repeats, stride, kernel: table 1 of the paper, B0
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
]  # fmt: skip


def as_torch(config, key=0):
    """A checkpoint of random numbers, statistics too, by the names and in the order of axes of torch."""
    random, tensors, width = np.random.default_rng(key), {}, config.stem
    draw = lambda *shape: (random.normal(size=shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)

    def norm(name, size):
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = 1 + 0.2 * draw(size), draw(size)
        tensors[f"{name}.running_mean"], tensors[f"{name}.running_var"] = 0.3 * draw(size), 0.5 + draw(size) ** 2
        tensors[f"{name}.num_batches_tracked"] = np.int64(3)

    tensors["_conv_stem.weight"] = draw(config.stem, 3, 3, 3)
    norm("_bn0", config.stem)
    for i, (kernel, _, inner, outer) in enumerate(config.blocks):
        if inner is not None:
            tensors[f"_blocks.{i}._expand_conv.weight"] = draw(inner, width, 1, 1)
            norm(f"_blocks.{i}._bn0", inner)
        inner = inner or width
        tensors[f"_blocks.{i}._depthwise_conv.weight"] = draw(inner, 1, kernel, kernel)
        norm(f"_blocks.{i}._bn1", inner)
        tensors[f"_blocks.{i}._project_conv.weight"] = draw(outer, inner, 1, 1)
        norm(f"_blocks.{i}._bn2", outer)
        width = outer
    tensors["_conv_head.weight"] = draw(config.features, width, 1, 1)
    norm("_bn1", config.features)
    tensors["_fc.weight"], tensors["_fc.bias"] = draw(config.num_classes, config.features), draw(config.num_classes)
    return tensors


def slow_conv(x, w, stride, groups=1):
    """torch's convolution on channels first, with TensorFlow's padding: one output pixel at a time."""
    outputs, _, k, _ = w.shape
    sides = [-(-size // stride) for size in x.shape[1:]]
    pads = [max((side - 1) * stride + k - size, 0) for side, size in zip(sides, x.shape[1:])]
    x = np.pad(x, [(0, 0)] + [(pad // 2, pad - pad // 2) for pad in pads])
    y = np.zeros((outputs, *sides))
    for i in range(sides[0]):
        for j in range(sides[1]):
            patch = x[:, i * stride : i * stride + k, j * stride : j * stride + k]
            if groups == 1:
                y[:, i, j] = np.tensordot(w, patch, 3)
            else:
                y[:, i, j] = (w[:, 0] * patch).sum((1, 2))
    return y


def slow_network(tensors, image, strides):
    """Features and logits of one image [H, W, 3], in float64."""
    t = {name: np.asarray(tensor, np.float64) for name, tensor in tensors.items()}

    def norm(x, name):
        mean, variance, scale, bias = (
            t[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * scale + bias

    relu6 = lambda x: np.minimum(np.maximum(x, 0), 6)
    x = relu6(norm(slow_conv(image.astype(np.float64).transpose(2, 0, 1), t["_conv_stem.weight"], 2), "_bn0"))
    for i, stride in enumerate(strides):
        name, before = f"_blocks.{i}", x
        if f"{name}._expand_conv.weight" in t:
            x = relu6(norm(slow_conv(x, t[f"{name}._expand_conv.weight"], 1), f"{name}._bn0"))
        w = t[f"{name}._depthwise_conv.weight"]
        x = relu6(norm(slow_conv(x, w, stride, len(w)), f"{name}._bn1"))
        x = norm(slow_conv(x, t[f"{name}._project_conv.weight"], 1), f"{name}._bn2")
        x = x + before if x.shape == before.shape else x
    features = relu6(norm(slow_conv(x, t["_conv_head.weight"], 1), "_bn1")).mean((1, 2))
    return features, t["_fc.weight"] @ features + t["_fc.bias"]


@cache
def tiny():
    """Tensors, variables, images of odd sides, and a program: features, logits, and features part by part."""
    tensors = as_torch(TINY)
    images = np.random.default_rng(1).normal(size=(2, 19, 14, 3)).astype(np.float32)
    network = EfficientNet(TINY)

    @jax.jit
    def apply(variables, images):
        call = partial(network.apply, variables)
        hidden = call(call(images, method="stem"), 0, 2, method="blocks")
        parts = call(call(hidden, 2, 3, method="blocks"), method="head")
        return call(images), call(images, method="logits"), parts

    return tensors, variables_of(tensors, TINY, "tiny.pth"), images, apply


def test_equals_the_slow_network():
    tensors, variables, images, apply = tiny()
    features, logits, _ = apply(variables, images)
    for n, image in enumerate(images):
        expected = slow_network(tensors, image, STRIDES)
        np.testing.assert_allclose(features[n], expected[0], atol=1e-5)
        np.testing.assert_allclose(logits[n], expected[1], atol=1e-5)


def test_rows_do_not_mix_and_blocks_go_one_after_the_other():
    _, variables, images, apply = tiny()
    features = apply(variables, images)[0]
    np.testing.assert_allclose(apply(variables, images[::-1])[0][::-1], features, rtol=1e-6, atol=1e-6)
    spoiled = apply(variables, np.stack([images[0], np.full_like(images[1], np.nan)]))[0]
    np.testing.assert_allclose(spoiled[0], features[0], rtol=1e-6, atol=1e-6)
    assert np.isnan(spoiled[1]).all()

    np.testing.assert_allclose(apply(variables, images)[2], features, rtol=1e-6, atol=1e-6)


def test_half_precision_is_close_and_its_parameters_are_not_touched():
    _, variables, images, apply = tiny()
    network = EfficientNet(TINY, jnp.bfloat16)
    half = jax.jit(network.apply)(variables, images)
    assert half.dtype == jnp.float32
    features = np.asarray(apply(variables, images)[0])
    error = np.abs(half - features).max() / np.abs(features).max()
    assert 1e-5 < error < 0.03  # bfloat16 has 8 bits, an error of 0.004 a product


@pytest.mark.slow  # what is differentiated is held by `test_equals_the_slow_network`
def test_gradients_are_finite_differences():
    _, variables, images, _ = tiny()
    with jax.enable_x64(True):
        variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), variables)
        network, weights = EfficientNet(TINY, jnp.float64), np.random.default_rng(2).normal(size=TINY.num_classes)
        frozen = {"batch_stats": variables["batch_stats"]}

        def loss(params):
            return (network.apply({"params": params, **frozen}, jnp.asarray(images), method="logits") @ weights).sum()

        random, compiled = np.random.default_rng(3), jax.jit(jax.value_and_grad(loss))
        direction = jax.tree.map(lambda leaf: random.normal(size=leaf.shape), variables["params"])
        step = lambda by: jax.tree.map(lambda leaf, d: leaf + by * d, variables["params"], direction)
        numeric = (compiled(step(1e-6))[0] - compiled(step(-1e-6))[0]) / 2e-6
        products = jax.tree.map(lambda a, b: float((a * b).sum()), compiled(step(0.0))[1], direction)
    np.testing.assert_allclose(sum(jax.tree.leaves(products)), numeric, rtol=1e-5)


@pytest.mark.parametrize(("kernel", "stride", "size"), [(3, 1, 6), (5, 2, 9), (3, 2, 8)])
def test_depthwise_is_xla_s_grouped_convolution(kernel, stride, size):
    random = np.random.default_rng(kernel)
    x = random.normal(size=(2, size, size + 1, 3)).astype(np.float32)
    w = random.normal(size=(kernel, kernel, 3)).astype(np.float32)
    expected = jax.lax.conv_general_dilated(
        x, w[:, :, None], (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=3
    )
    np.testing.assert_allclose(depthwise(jnp.asarray(x), jnp.asarray(w), stride), expected, atol=1e-5)


def test_the_configuration_is_that_of_the_paper():
    blocks, width = [], 32
    for expand, channels, repeats, stride, kernel in PAPER:
        for i in range(repeats):
            blocks.append(Block(kernel, stride if i == 0 else 1, width * expand if expand > 1 else None, channels))
            width = channels
    assert (32, tuple(blocks), 1280, 1000) == LITE0
    assert [block.stride for block in TINY.blocks] == [*STRIDES]
    learned = {name: t for name, t in as_torch(LITE0).items() if "running" not in name and "num_batches" not in name}
    assert sum(tensor.size for tensor in learned.values()) == 4_652_008


def test_names_of_timm_lead_to_the_same_variables():
    tensors, variables, _, _ = tiny()
    ours, theirs = torch_names(TINY.blocks), timm_names(TINY.blocks)
    assert theirs["block_0/project"] == "blocks.0.0.conv_pw"
    assert theirs["block_2/depthwise_norm"] == "blocks.1.1.bn2"
    assert ours.keys() == theirs.keys()
    renamed = {}
    for path, name in sorted(ours.items(), key=lambda item: -len(item[1])):
        for full in [full for full in tensors if full.startswith(f"{name}.")]:
            renamed[full.replace(name, theirs[path], 1)] = tensors[full]
    assert len(renamed) == len(tensors)
    again = variables_of(renamed, TINY, "timm.safetensors")
    assert jax.tree.structure(again) == jax.tree.structure(variables)
    for one, other in zip(jax.tree.leaves(again), jax.tree.leaves(variables)):
        np.testing.assert_array_equal(one, other)


def test_other_files_are_refused():
    tensors = tiny()[0]
    with pytest.raises(
        ValueError, match=r"a\.pth is no EfficientNet: it has no tensor conv_stem\.weight or _conv_stem"
    ):
        variables_of({"fc.weight": np.ones((2, 2))}, TINY, "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth lacks the tensor _blocks\.2\._bn1\.running_var; it is cut short"):
        variables_of({k: v for k, v in tensors.items() if k != "_blocks.2._bn1.running_var"}, TINY, "a.pth")
    other = as_torch(TINY._replace(features=17))
    with pytest.raises(ValueError, match=r"_conv_head\.weight has shape \[17, 6, 1, 1\], expected \[16, 6, 1, 1\]"):
        variables_of(other, TINY, "a.pth")


@pytest.mark.models
def test_the_published_weights_beside_the_slow_network():
    try:
        encoder = efficientnet_lite0()
    except MissingDataError as error:
        pytest.skip(str(error))
    tensors = read_old_torch(find(KNOWN).path)
    assert len(tensors) == 296
    image = np.random.default_rng(0).normal(size=(1, 45, 38, 3)).astype(np.float32)
    strides = [stride if i == 0 else 1 for _, _, repeats, stride, _ in PAPER for i in range(repeats)]
    features, logits = slow_network(tensors, image[0], strides)
    network = encoder.module
    np.testing.assert_allclose(network.apply(encoder.variables, jnp.asarray(image))[0], features, atol=2e-5)
    np.testing.assert_allclose(
        network.apply(encoder.variables, jnp.asarray(image), method="logits")[0], logits, atol=2e-4
    )
