from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import correlate2d

from bal.learners.networks import Network, gal_cnn, lenet, linear, mlp, network
from bal.learners.networks.conv import Block, Conv, ConvNet, conv, max_pool

NETWORKS = {
    "linear": (linear(3), (6,)),
    "mlp": (mlp((8, 5), 3, dropout=0.4), (4, 2)),
    "lenet": (lenet(3, channels=(4, 6), kernel=3, hidden=7), (11, 12, 1)),
    "gal_cnn": (gal_cnn(3, channels=(4, 6), kernel=3, hidden=7), (9, 8, 2)),
}
COMPILED = {
    name: (Network(jax.jit(net.init), jax.jit(net.apply, static_argnames="shared")), shape)
    for name, (net, shape) in NETWORKS.items()
}
SHAPES = {"few channels": ((2, 7, 6, 1), (3, 2, 1, 5)), "many channels": ((2, 7, 6, 9), (3, 2, 9, 5))}

networks = pytest.mark.parametrize("name", NETWORKS)
few_by_default = pytest.mark.parametrize(
    "shape", [SHAPES["few channels"], pytest.param(SHAPES["many channels"], marks=pytest.mark.slow)], ids=SHAPES.keys()
)
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


def normal(seed, shape):
    return jax.device_put(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@cache
def made(name):
    """Compiled: operation by operation, compilation would take most of the test run."""
    net, shape = COMPILED[name]
    x = normal(3, (6, *shape))
    return net, net.init(jax.random.key(0), x), x


def reference_conv(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def images_and_weights(shape):
    return normal(0, shape[0]), normal(1, shape[1])


def relative_error(got, want):
    return float(np.linalg.norm(np.ravel(got) - np.ravel(want)) / np.linalg.norm(np.ravel(want)))


# Convolutions


@shapes
def test_conv_is_correlation_by_definition(shape):
    x, w = (np.asarray(a, np.float64) for a in images_and_weights(shape))
    wanted = [
        [sum(correlate2d(image[..., a], w[..., a, b], mode="valid") for a in range(x.shape[-1])) for b in range(5)]
        for image in x
    ]
    assert_allclose(jax.jit(conv)(*images_and_weights(shape)), np.moveaxis(wanted, 1, -1), rtol=1e-4, atol=1e-5)


@shapes
def test_gradients_equal_those_of_the_convolution_primitive(shape):
    x, w = images_and_weights(shape)
    cotangent = normal(2, (2, 5, 5, 5))
    got, want = (jax.jit(lambda x, w, f=f: jax.vjp(f, x, w)[1](cotangent))(x, w) for f in (conv, reference_conv))
    assert max(jax.tree.map(relative_error, got, want)) < 1e-6


@few_by_default
def test_conv_under_vmap_scan_and_forward_mode(shape):
    x, w = images_and_weights(shape)
    weights = np.stack([w, 2 * w, -w])
    slope_by = lambda conv, x: jax.grad(lambda a: jnp.sum(conv(x, a) ** 2))

    @jax.jit
    def ours(x, w, weights):
        _, scanned = lax.scan(lambda carry, a: (carry, slope_by(conv, x)(a)), 0, weights)
        tangent = jax.jvp(lambda a: conv(x, a), (w,), (jnp.cos(w),))[1]
        return jax.vmap(conv, (None, 0))(x, weights), scanned, tangent

    @jax.jit
    def theirs(x, a):
        return reference_conv(x, a), slope_by(reference_conv, x)(a)

    values, slopes = zip(*(theirs(x, a) for a in weights))
    for got, want in zip(ours(x, w, weights), (np.stack(values), np.stack(slopes), theirs(x, np.cos(w))[0])):
        assert relative_error(got, want) < 1e-6


@few_by_default
@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_each_platform_gets_its_own_form_only(shape, platform):
    step = jax.jit(jax.grad(lambda w, x: jnp.sum(conv(x, w) ** 2)))
    x, w = images_and_weights(shape)
    text = jax.export.export(step, platforms=[platform])(w, x).mlir_module()
    assert ("stablehlo.convolution" in text) == (platform != "cpu")
    assert ("stablehlo.dot_general" in text) == (platform == "cpu")


@shapes
def test_nothing_is_left_of_the_choice_on_this_machine(shape):
    step = jax.jit(jax.grad(lambda w, x: jnp.sum(conv(x, w) ** 2)))
    x, w = images_and_weights(shape)
    text = step.trace(w, x).lower(lowering_platforms=("cpu",)).compile().as_text()
    assert " dot(" in text
    assert " conditional(" not in text
    assert " convolution(" not in text


@pytest.mark.parametrize("size", [(4, 6), (5, 6), (4, 7), (5, 7)])
def test_max_pool_drops_odd_edges(size):
    both = lambda pool: jax.jit(lambda x: (pool(x), jax.grad(lambda x: jnp.sum(jnp.sin(pool(x))))(x)))
    x = normal(0, (2, *size, 3))
    ours, theirs = (both(pool)(x) for pool in (max_pool, lambda x: nnx.max_pool(x, (2, 2), strides=(2, 2))))
    assert_array_equal(ours[0], theirs[0])
    assert_allclose(ours[1], theirs[1], atol=1e-6)


def test_conv_takes_whole_numbers_and_adds_a_bias():
    layer = Conv(1, 2, 3, rngs=nnx.Rngs(0))
    layer.bias[...] = jnp.array([1.0, -2.0])
    x = jnp.arange(64, dtype=jnp.uint8).reshape(1, 8, 8, 1)
    wanted = reference_conv(x.astype(float), layer.kernel[...]) + jnp.array([1.0, -2.0]).reshape(1, 1, 1, 2)
    assert_allclose(layer(x), wanted, rtol=1e-5, atol=1e-4)


# Architectures against the same network spelled out


def dense(params, x):
    return x @ params["kernel"] + params["bias"].reshape(1, -1)


def convolved(params, x):
    return reference_conv(x, params["kernel"]) + params["bias"].reshape(1, 1, 1, -1)


def pooled(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def masked(key, layer, rate, x, shape):
    keep = jax.random.bernoulli(jax.random.fold_in(key, layer), 1 - rate, shape)
    return x * keep / (1 - rate)


@jax.jit
def published_lenet(params, x, key):
    h = x
    for layer, size in enumerate((4, 6)):
        h = masked(key, layer, 0.5, convolved(params["convs"][layer], h), (1, 1, 1, size))
        h = nnx.relu(pooled(h))
    h = masked(key, 2, 0.5, nnx.relu(dense(params["dense"], h.reshape(len(x), -1))), (1, 7))
    return dense(params["out"], h), h


@jax.jit
def published_gal_cnn(params, x, key):
    h = nnx.relu(convolved(params["convs"][0], x))
    h = pooled(nnx.relu(convolved(params["convs"][1], h)))
    h = masked(key, 1, 0.25, h, (1, *h.shape[1:])).reshape(len(x), -1)
    h = masked(key, 2, 0.5, nnx.relu(dense(params["dense"], h)), (1, 7))
    return dense(params["out"], h), h


@pytest.mark.parametrize(("name", "published"), [("lenet", published_lenet), ("gal_cnn", published_gal_cnn)])
def test_architecture_is_the_published_one(name, published):
    net, params, x = made(name)
    key = jax.random.key(5)
    for got, want in zip(net.apply(params, x, key), published(params, x, key)):
        assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("net", "count"), [(lenet(), 184_586), (gal_cnn(), 513_994), (mlp(), 101_770)])
def test_paper_sizes_on_28_by_28_images(net, count):
    # Kernels by layer, then all biases: LeNet 800 + 51,200 + 131,072 + 1,280 + 234,
    # Gal 512 + 16,384 + 495,616 + 1,280 + 202, multi-layer perceptron 100,352 + 1,280 + 138.
    params = jax.eval_shape(net.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 28, 28, 1), jnp.float32))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


# The contract of every network


@networks
def test_outputs_are_linear_in_the_features(name):
    net, params, x = made(name)
    for key in (None, jax.random.key(1)):
        outputs, features = net.apply(params, x, key)
        assert outputs.shape == (6, 3)
        out = jax.tree.map(np.asarray, params["out"])
        assert_allclose(outputs, dense(out, np.asarray(features)), rtol=1e-5, atol=1e-6)


@networks
@pytest.mark.parametrize("key", [None, 7])
def test_rows_do_not_see_each_other(name, key):
    net, params, x = made(name)
    key = None if key is None else jax.random.key(key)
    whole = net.apply(params, x, key)
    order = np.array([4, 0, 5])
    for part, full in zip(net.apply(params, jax.device_put(np.asarray(x)[order]), key), whole):
        assert_allclose(part, np.asarray(full)[order], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["mlp", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lenet", "gal_cnn"))]
)
def test_masks_follow_the_key_under_jit_and_vmap(name):
    net, params, x = made(name)
    keys = jax.random.split(jax.random.key(1), 4)
    draws = np.asarray(jax.jit(jax.vmap(lambda key: net.apply(params, x, key)[0]))(keys))
    again = np.stack([net.apply(params, x, key)[0] for key in keys])
    assert_allclose(draws, again, rtol=1e-4, atol=1e-5)
    differences = np.abs(draws[:, None] - draws[None]).max((2, 3)) + np.eye(4)
    assert differences.min() > 1e-3
    same_row = jax.device_put(np.repeat(np.asarray(x)[:1], len(x), 0))
    shared, own = (net.apply(params, same_row, keys[0], shared=shared)[0] for shared in (True, False))
    assert np.ptp(shared, axis=0).max() < 1e-5
    assert np.ptp(own, axis=0).max() > 1e-3


def test_dropout_keeps_the_mean_and_its_layers_are_independent():
    class Masks(nnx.Module):
        def __init__(self, rngs, shape):
            self.scale = nnx.Param(jnp.ones(()))

        def __call__(self, x, drop):
            return drop(x, 0.2), drop(x, 0.2, channels=True)

    net = network(Masks)
    x = jnp.ones((500, 10, 8))
    apply = jax.jit(lambda params: net.apply(params, x, jax.random.key(1), shared=False))
    units, channels = (np.asarray(part) for part in apply(net.init(jax.random.key(0), x)))
    assert set(np.unique(units)) == {0.0, np.float32(1.25)}
    assert abs(float(units.mean()) - 1) < 0.01
    assert_array_equal(channels, np.broadcast_to(channels[:, :1], channels.shape))
    assert abs(float(channels.mean()) - 1) < 0.05
    one_unit, one_channel = (h[:, 0].ravel() > 0 for h in (units, channels))
    assert abs(np.corrcoef(one_unit, one_channel)[0, 1]) < 0.06


@pytest.mark.parametrize("name", ["mlp", pytest.param("lenet", marks=pytest.mark.slow)])
def test_init_reads_the_shape_only_and_vmaps_over_members(name):
    net, params, x = made(name)
    row = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(
        lambda leaf: leaf.shape, jax.eval_shape(net.init, jax.random.key(0), row)
    )
    keys = jnp.stack([jax.random.key(0), jax.random.key(1)])
    members = jax.jit(jax.vmap(net.init, (0, None)))(keys, x)
    for member, alone in zip(jax.tree.leaves(members), jax.tree.leaves(params)):
        assert_allclose(np.asarray(member)[0], alone, rtol=1e-5, atol=1e-6)
    one, other = np.asarray(members["out"]["kernel"])
    assert np.abs(one - other).max() > 1e-2
    outputs, _ = jax.vmap(net.apply, (0, None))(members, x)
    assert_allclose(np.asarray(outputs)[0], net.apply(params, x)[0], rtol=1e-4, atol=1e-5)


def test_init_scale():
    kernel = jax.tree.map(np.asarray, linear(50).init(jax.random.key(0), jnp.ones((1, 400)))["out"])
    assert_array_equal(kernel["bias"], np.zeros(50))
    assert abs(kernel["kernel"].std() * 20 - 1) < 0.03


@pytest.mark.parametrize(
    "name", ["lenet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("linear", "mlp", "gal_cnn"))]
)
def test_training_step_lowers_for_every_platform(name):
    net, params, x = made(name)

    @jax.jit
    def steps(params, key, x):
        def step(params, key):
            grads = jax.grad(lambda p: jnp.sum(net.apply(p, x, key, shared=False)[0] ** 2))(params)
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), None

        return lax.scan(step, params, jax.random.split(key, 2))[0]

    exported = jax.export.export(steps, platforms=["cpu", "cuda", "tpu"])(params, jax.random.key(0), x)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert [leaf.shape for leaf in exported.out_avals] == [leaf.shape for leaf in jax.tree.leaves(params)]


# A user's own module


class TwoInputs(nnx.Module):
    def __init__(self, rngs, shape):
        self.layers = nnx.List([nnx.Linear(shape["image"][0], 4, rngs=rngs), nnx.LayerNorm(4, rngs=rngs)])
        self.out = nnx.Linear(4 + shape["age"][0], 2, rngs=rngs)

    def __call__(self, x, drop):
        h = x["image"]
        for layer in self.layers:
            h = layer(h)
        features = drop(jnp.concatenate([h, x["age"]], -1), 0.5)
        return self.out(features), features


def test_a_module_of_ones_own_with_a_tree_of_inputs():
    net = network(TwoInputs)
    x = {"image": jnp.linspace(-1, 1, 12).reshape(4, 3), "age": jnp.ones((4, 1))}
    params = net.init(jax.random.key(0), x)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(params))
    grads = jax.jit(jax.grad(lambda p: net.apply(p, x, jax.random.key(1))[0].sum()))(params)
    assert jax.tree.structure(grads) == jax.tree.structure(params)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(grads)) > 0


def with_layer(make, result=lambda out, x: (out, x)):
    class Net(nnx.Module):
        def __init__(self, rngs, shape):
            self.layer = make(rngs)
            self.out = nnx.Linear(3, 2, rngs=rngs)

        def __call__(self, x, drop):
            return result(self.out(drop(x, 1.0 if make is rate_one else 0.0)), x)

    return network(Net)


def rate_one(rngs):
    return None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda rngs: nnx.Variable(jnp.ones(3)), r"`layer` is Variable; make it an nnx.Param"),
        (lambda rngs: jnp.ones(3), r"`layer` is ArrayImpl; make it an nnx.Param"),
    ],
)
def test_state_outside_the_parameters_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        with_layer(make).init(jax.random.key(0), jnp.ones((2, 3)))


def test_a_module_returns_outputs_or_a_pair():
    x = jnp.ones((2, 3))
    wrong = {"str": lambda out, x: "cat", r"shape \(2,\) for 2 rows": lambda out, x: out[:, 0]}
    for got, result in wrong.items():
        net = with_layer(lambda rngs: None, result=result)
        with pytest.raises(TypeError, match=rf"or the pair \(outputs, features\), but Net returned .*{got}"):
            net.apply(net.init(jax.random.key(0), x), x)


def test_a_dropout_rate_below_one():
    x = jnp.ones((2, 3))
    net = with_layer(rate_one)
    with pytest.raises(ValueError, match=r"rate lies in \[0, 1\), but is 1.0"):
        net.apply(net.init(jax.random.key(0), x), x)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 28, 28), r"row has shape \(28, 28\).*x\[\.\.\., None\]"),
        ((2, 8, 8, 1), "8 x 8 pixels are too small"),
    ],
)
def test_inputs_that_are_not_images(shape, message):
    with pytest.raises(ValueError, match=message):
        lenet().init(jax.random.key(0), jnp.ones(shape))


def test_blocks_may_be_combined_freely():
    blocks = (Block(2, 3, True, 0.0, False), Block(3, 2, False, 0.1, False))
    net = network(lambda rngs, shape: ConvNet(rngs, shape, blocks, 5, 4, 0.0))
    x = jnp.ones((2, 9, 9, 1))
    params = jax.eval_shape(net.init, jax.random.key(0), x)
    assert params["dense"]["kernel"].shape == (2 * 2 * 3, 5)
    assert jax.eval_shape(net.apply, params, x)[0].shape == (2, 4)
