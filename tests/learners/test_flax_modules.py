"""Modules as flax's own tutorials write them, against the same computations written out or done by flax by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from bal.learners import cold, ensemble, mc_dropout, network, shrink_and_perturb, tapped_members, warm
from bal.learners.ensemble import EnsembleState
from bal.learners.training import minibatches, train
from bal.query import layer_gradients
from bal.typing import Data, Posterior

KEY, OTHER = jax.random.key(0), jax.random.key(1)
X = jax.random.normal(KEY, (6, 3))
Y = jnp.arange(6) % 2
DATA = Data(X, Y, jnp.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0]))


class Net(nnx.Module):
    """Dropout and batch norm as in flax's tutorial, which also hands `rngs` to one of the layers."""

    def __init__(self, size: int, outputs: int, rate: float = 0.25, *, rngs: nnx.Rngs):
        self.first = nnx.Linear(size, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, momentum=0.8, rngs=rngs)
        self.drop = nnx.Dropout(rate, rngs=rngs)
        self.late = nnx.Dropout(2 * rate)
        self.last = nnx.Linear(8, outputs, rngs=rngs)

    def __call__(self, x, rngs: nnx.Rngs | None = None):
        h = self.drop(nnx.relu(self.norm(self.first(x))))
        return self.last(self.late(h, rngs=rngs))


class LinenNet(linen.Module):
    rate: float = 0.25

    @linen.compact
    def __call__(self, x, train: bool):
        h = linen.Dense(8)(x)
        h = linen.BatchNorm(use_running_average=not train, momentum=0.8)(h)
        h = linen.Dropout(self.rate, deterministic=not train)(linen.relu(h))
        h = linen.Dropout(2 * self.rate)(h, deterministic=not train)
        return linen.Dense(2)(h)


NETS = {"nnx": network(Net, 3, 2), "linen": network(LinenNet())}
QUIET = {"nnx": network(Net, 3, 2, rate=0.0), "linen": network(LinenNet(rate=0.0))}
cross_entropy = optax.losses.softmax_cross_entropy_with_integer_labels
SGD = optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1, momentum=0.9))
INIT = {kind: jax.jit(net.init) for kind, net in NETS.items()}
kinds = pytest.mark.parametrize("kind", NETS)
linen_is_slow = pytest.mark.parametrize("kind", ["nnx", pytest.param("linen", marks=pytest.mark.slow)])


def layers(kind: str, params: Any) -> tuple[Any, Any, Any]:
    """The first and last dense layer, and what the batch norm holds."""
    if kind == "nnx":
        return params["first"], params["last"], params["norm"]
    stats, params = params["batch_stats"]["BatchNorm_0"], params["params"]
    return params["Dense_0"], params["Dense_1"], params["BatchNorm_0"] | stats


def moved_params(kind: str) -> Any:
    """Parameters and statistics that are all different from what a network begins with."""
    noise = lambda leaf: leaf + 0.3 * jax.random.uniform(jax.random.fold_in(KEY, leaf.size), leaf.shape)
    return jax.jit(lambda params: jax.tree.map(noise, params))(INIT[kind](KEY, X))


@kinds
def test_without_a_key_it_is_the_function_written_out(kind):
    params = moved_params(kind)
    first, last, norm = layers(kind, params)
    h = np.asarray(X) @ first["kernel"] + np.asarray(first["bias"])[None]
    mean, spread = np.asarray(norm["mean"])[None], np.sqrt(np.asarray(norm["var"])[None] + 1e-5)
    h = (h - mean) / spread * np.asarray(norm["scale"])[None] + np.asarray(norm["bias"])[None]
    features = np.maximum(h, 0)
    outputs = features @ last["kernel"] + np.asarray(last["bias"])[None]
    for got, want in zip(jax.jit(NETS[kind].apply)(params, X), (outputs, features), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@linen_is_slow
def test_a_draw_has_one_mask_per_layer_and_training_one_per_row(kind):
    """Features behind two dropouts, of ones: a unit is kept with probability ¾ · ½ and is then 8/3."""
    net = NETS[kind]
    params = jax.tree.map(jnp.zeros_like, INIT[kind](KEY, X))
    first, _, norm = layers(kind, params)
    first["bias"], norm["var"] = first["bias"] + 1, norm["var"] + 1
    norm["bias"] = norm["bias"] + 1  # every hidden unit is 1, whatever the row
    if kind == "linen":
        params["params"]["BatchNorm_0"]["bias"] = norm["bias"]
    x = jnp.ones((40, 3))
    keys = jax.random.split(KEY, 200)
    draws = jax.jit(jax.vmap(lambda key: net.apply(params, x[:3], key)[1]))(keys)
    np.testing.assert_array_equal(draws, jnp.broadcast_to(draws[:, :1], draws.shape))
    np.testing.assert_allclose(np.unique(draws), [0.0, 8 / 3], rtol=1e-6)
    assert abs(float((draws[:, 0] > 0).mean()) - 3 / 8) < 4 * np.sqrt(0.375 * 0.625 / 1600)  # four standard errors
    assert len(np.unique(np.asarray(draws[:, 0]), axis=0)) > 90
    rows = jax.jit(jax.vmap(lambda key: net.apply(params, x, key, shared=False)[1]))(keys[:5])
    assert len(np.unique(np.asarray(rows).reshape(200, 8), axis=0)) > 90
    assert abs(float((rows > 0).mean()) - 3 / 8) < 4 * np.sqrt(0.375 * 0.625 / 1600)


def test_two_dropout_layers_of_one_shape_have_masks_of_their_own():
    class Two(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Dropout(0.5, rngs=rngs) for _ in range(2)])

        def __call__(self, x):
            return self.layers[0](x), self.layers[1](x)

    one, two = network(Two).apply({}, jnp.ones((2, 400)), KEY)
    assert abs(np.corrcoef(one[0] > 0, two[0] > 0)[0, 1]) < 0.2
    np.testing.assert_array_equal(one[0], one[1])


def by_hand_nnx(params: Any, batches: Any, optimizer: Any) -> Any:
    module = Net(3, 2, rate=0.0, rngs=nnx.Rngs(0))
    nnx.update(module, params)
    stepper = nnx.Optimizer(module, optimizer, wrt=nnx.Param)
    loss = lambda module, x, y: cross_entropy(module(x), y).mean()
    step = nnx.jit(lambda module, stepper, x, y: stepper.update(module, nnx.grad(loss)(module, x, y)))
    for rows in batches:
        step(module, stepper, X[rows], Y[rows])
    return nnx.to_pure_dict(nnx.state(module, nnx.Any(nnx.Param, nnx.BatchStat)))


def by_hand_linen(params: Any, batches: Any, optimizer: Any) -> Any:
    weights, stats, moments = params["params"], params["batch_stats"], optimizer.init(params["params"])

    def loss(weights, stats, x, y):
        variables = {"params": weights, "batch_stats": stats}
        outputs, moved = LinenNet(rate=0.0).apply(variables, x, train=True, mutable=["batch_stats"])
        return cross_entropy(outputs, y).mean(), moved["batch_stats"]

    gradient = jax.jit(jax.grad(loss, has_aux=True))
    for rows in batches:
        grads, stats = gradient(weights, stats, X[rows], Y[rows])
        updates, moments = optimizer.update(grads, moments, weights)
        weights = optax.apply_updates(weights, updates)
    return {"params": weights, "batch_stats": stats}


def trained(kind: str, params: Any, data: Data) -> Any:
    def loss(params, x, y, key):
        outputs, moved = QUIET[kind].train(params, x, key)
        return cross_entropy(outputs, y), moved

    return train(loss, SGD, KEY, params, data, 4, 3)


@linen_is_slow
def test_batch_statistics_follow_the_minibatches_as_in_flax_by_hand(kind):
    """Weights and running statistics; a decay of weights does not touch the latter, rows of weight 0 have no say."""
    start = moved_params(kind)
    poisoned = DATA._replace(x=X.at[4:].set(1e6))
    got = jax.jit(trained, static_argnums=0)(kind, start, poisoned)
    batches = minibatches(jax.random.split(KEY)[0], DATA.weight, 4, 3)
    hand = {"nnx": by_hand_nnx, "linen": by_hand_linen}[kind]
    want = hand(start, batches, SGD)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), got, want)
    nothing = jax.jit(trained, static_argnums=0)(kind, start, poisoned._replace(weight=jnp.zeros(6)))
    for name in ("mean", "var"):
        before, after, moved = (np.asarray(layers(kind, tree)[2][name]) for tree in (start, nothing, got))
        np.testing.assert_array_equal(before, after)
        assert (before != moved).all()


@linen_is_slow
def test_where_the_statistics_of_a_round_begin(kind):
    fresh, previous = INIT[kind](OTHER, X), moved_params(kind)
    var = lambda tree: np.asarray(layers(kind, tree)[2]["var"])
    state = EnsembleState(jax.tree.map(lambda leaf: leaf[None], previous))

    def begun(restart):
        learner = ensemble(NETS[kind], 1, num_steps=0, restart=restart)
        return var(jax.jit(learner.fit)(KEY, state, DATA).params)[0]

    np.testing.assert_array_equal(begun(cold), var(fresh))
    np.testing.assert_array_equal(begun(warm), var(previous))
    shrunk = begun(shrink_and_perturb(0.5, 0.25))
    np.testing.assert_allclose(shrunk, 0.5 * var(previous) + 0.25, rtol=1e-6)


@linen_is_slow
def test_the_gradients_of_layers_are_those_of_the_loss(kind):
    """Outer products of the factors are the gradients of weights and biases of both dense layers."""
    params = moved_params(kind)
    posterior = Posterior(EnsembleState(jax.tree.map(lambda leaf: leaf[None], params)), ensemble(NETS[kind], 1))
    rows = jax.jit(layer_gradients(tapped_members(NETS[kind])))(posterior, None, X)
    label = NETS[kind].apply(params, X)[0].argmax(-1)

    def loss(params, row, label):
        return cross_entropy(NETS[kind].apply(params, row[None])[0], label[None])[0]

    grads = jax.jit(jax.vmap(jax.grad(loss), (None, 0, 0)))(params, X, label)
    for factors, layer in zip(rows, layers(kind, grads)[:2], strict=True):
        outer = jnp.einsum("ni,nj->nji", factors.outer, factors.inner)
        np.testing.assert_allclose(outer[:, :-1], layer["kernel"], rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(outer[:, -1], layer["bias"], rtol=1e-3, atol=1e-5)


def test_features_by_name_and_none():
    named = {"nnx": network(Net, 3, 2, features="first"), "linen": network(LinenNet(), features="Dense_0")}
    for kind, net in named.items():
        params = jax.jit(net.init)(KEY, X)
        first = layers(kind, params)[0]
        np.testing.assert_allclose(net.apply(params, X)[1], X @ first["kernel"], rtol=1e-5, atol=1e-6)
        assert net.apply(params, X, KEY, shared=False)[1].shape == (6, 8)
    for net in (network(Net, 3, 2, features="fist"), network(LinenNet(), features="fist")):
        with pytest.raises(ValueError, match=r"features='fist' names no layer of \w*Net; it has .*"):
            jax.eval_shape(net.init, KEY, X)
    learner = ensemble(network(linen.Sequential([linen.LayerNorm()])), 2)
    with pytest.raises(ValueError, match="no dense layer whose input could be its features; name a layer"):
        jax.eval_shape(lambda: learner.embed(learner.init(KEY, DATA), X))


@pytest.mark.parametrize("kind", QUIET)
def test_batch_norm_alone_makes_no_posterior_draws(kind):
    with pytest.raises(ValueError, match="a network without dropout"):
        jax.eval_shape(mc_dropout(QUIET[kind], 3).init, KEY, DATA)


def test_statistics_that_a_draw_would_move_are_left_alone():
    """A layer that moves its statistics wherever its module is told to train, in a draw too."""

    class Spectral(linen.Module):
        @linen.compact
        def __call__(self, x, train):
            h = linen.SpectralNorm(linen.Dense(4))(x, update_stats=train)
            return linen.Dense(2)(linen.Dropout(0.5, deterministic=not train)(h))

    net = network(Spectral())
    params = jax.jit(net.init)(KEY, X)
    outputs, features = jax.jit(net.apply)(params, X, KEY)
    assert outputs.shape == (6, 2)
    kept, (_, moved) = features.any(0), jax.jit(net.train)(params, X, KEY)
    assert 0 < kept.sum() < 4  # one mask for all rows
    assert jax.tree.structure(moved["batch_stats"]) == jax.tree.structure(params["batch_stats"])
