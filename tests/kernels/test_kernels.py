"""Base kernels against explicit features, automatic differentiation, closed forms and Monte Carlo."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal import learners
from bal.kernels import (
    Factors,
    draw_covariance,
    gradient,
    kernel_of_part,
    kernel_sum,
    learner_covariance,
    linear,
    nngp,
    noisy,
    ntk,
    scaled_by,
)
from bal.kernels.gradient import label_gradients
from bal.query import last_layer_gradients, layer_gradients, posterior_context
from bal.typing import Candidates, Data, Learner, Posterior, Round

N, F, C, K = 7, 3, 4, 5


def candidates(rows, known=None, weight=None, eligible=None):
    n = jax.tree.leaves(rows)[0].shape[0]
    able, one = np.ones(n, bool) if eligible is None else eligible, np.ones(n, np.float32)
    index, able, one = jax.device_put((np.arange(n, dtype=np.int32), able, one))
    return Candidates(rows, index, able, one, known, weight)


def normal(seed, *shape):
    return jax.device_put(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


block = jax.jit(lambda kernel: kernel.block(kernel.rows))


def gram(kernel):
    return np.asarray(block(kernel), np.float64)


def wide(x):
    return np.asarray(x, np.float64)


LOG_PROBS = jax.nn.log_softmax(2 * normal(0, N, K, C), -1)


@pytest.mark.parametrize("shape", [(N, F), (N, K, F)])
def test_linear_is_the_inner_product_summed_over_members(shape):
    x = normal(1, *shape)
    kernel = linear(candidates(x))
    expected = np.einsum("nf,mf->nm", wide(x).reshape(N, -1), wide(x).reshape(N, -1))
    np.testing.assert_allclose(gram(kernel), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(kernel.diag(), np.diag(expected), rtol=1e-5)
    np.testing.assert_allclose(kernel.column(kernel.row(2)), expected[2], rtol=1e-5, atol=1e-5)


def test_kernels_of_kernels():
    rows = {"x": normal(1, N, F), "noise": jnp.arange(1.0, N + 1)}
    x = kernel_of_part(lambda rows: rows["x"], linear)
    base = gram(x(candidates(rows)))
    both = kernel_sum(scaled_by(x, 3.0), noisy(x, lambda rows: rows["noise"]))(candidates(rows, rows, jnp.ones(N)))
    np.testing.assert_allclose(gram(both), 4 * base, rtol=1e-5, atol=1e-5)
    assert both.noise.tolist() == both.known_noise.tolist() == rows["noise"].tolist()


def test_a_kernel_crosses_jit_without_compiling_again():
    traces = []

    @jax.jit
    def diag(kernel):
        traces.append(1)
        return kernel.diag()

    for seed in (0, 1):
        for kernel in (kernel_sum(scaled_by(linear, 2.0), linear), ntk(2)):
            diag(kernel(candidates(normal(seed, N, F))))
    assert len(traces) == 2


def test_draw_covariance_is_that_of_numpy():
    for of_draw, draws in ((jnp.exp, np.exp(wide(LOG_PROBS))), (lambda f: f, wide(LOG_PROBS))):
        expected = sum(np.cov(draws[:, :, c]) for c in range(C))
        np.testing.assert_allclose(
            gram(draw_covariance(of_draw)(candidates(LOG_PROBS))), expected, rtol=1e-4, atol=1e-6
        )
    means = normal(3, N, K)
    kernel = draw_covariance(lambda f: f)(candidates(means))
    np.testing.assert_allclose(gram(kernel), np.cov(wide(means)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("members", [pytest.param(1, marks=pytest.mark.slow), K])
def test_last_layer_gradients_are_those_of_autodiff(members):
    """Explicit ``[n, members * F * C]`` gradients of -log p(ŷ) in the weights of linear heads."""
    h, weights = normal(1, N, members, F), normal(2, members, F, C)
    log_probs = jax.nn.log_softmax(jnp.einsum("nkf,kfc->nkc", h, weights), -1)
    labels = jnp.exp(log_probs).mean(1).argmax(-1)

    def loss(weights, h, label):
        return -jax.nn.log_softmax(jnp.einsum("kf,kfc->kc", h, weights), -1)[:, label].sum()

    grads = jax.jit(jax.vmap(jax.grad(loss), (None, 0, 0)))(weights, h, labels)
    explicit = wide(grads).reshape(N, -1)
    learner = Learner(None, None, lambda state, x: log_probs, lambda state, x: h)
    rows = last_layer_gradients(Posterior(None, learner), None, jnp.zeros((N, 1)))
    assert len(rows) == members
    outer_products = [np.einsum("nc,nf->nfc", wide(block.outer), wide(block.inner)) for block in rows]
    np.testing.assert_allclose(np.stack(outer_products, 1).reshape(N, -1), explicit, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gram(gradient(candidates(rows))), explicit @ explicit.T, rtol=1e-4, atol=1e-5)


def test_shared_features_take_the_mean_prediction():
    (block,) = label_gradients(LOG_PROBS, normal(1, N, 1, F))
    mean = np.exp(wide(LOG_PROBS)).mean(1)
    expected = mean - np.eye(C)[mean.argmax(-1)]
    np.testing.assert_allclose(block.outer, expected, rtol=1e-5, atol=1e-6)


def mlp(params, x, tap):
    one = lambda h: jnp.concatenate([h, jnp.ones((len(h), 1))], 1)
    h = jnp.tanh(tap(one(x), one(x) @ params[0]))
    return tap(one(h), one(h) @ params[1])


@pytest.mark.parametrize(("outputs", "cotangent"), [(C, None), (1, jnp.ones_like)])
def test_layer_gradients_are_those_of_autodiff(outputs, cotangent):
    params, x = [normal(1, F + 1, 6), normal(2, 7, outputs)], normal(3, N, F)

    def objective(params, row):
        out = mlp(params, row[None], lambda h, z: z)[0]
        return out[0] if cotangent else -jax.nn.log_softmax(out)[jax.lax.stop_gradient(out).argmax()]

    grads = jax.jit(jax.vmap(jax.grad(objective), (None, 0)))(params, x)
    explicit = np.concatenate([wide(leaf).reshape(N, -1) for leaf in grads], 1)
    learner = Learner(None, None, None)
    rows = jax.jit(layer_gradients(mlp, cotangent))(Posterior(params, learner), None, x)
    mine = [np.einsum("nc,nf->nfc", wide(f.outer), wide(f.inner)).reshape(N, -1) for f in rows]
    np.testing.assert_allclose(np.concatenate(mine, 1), explicit, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gram(gradient(candidates(rows))), explicit @ explicit.T, rtol=1e-4, atol=1e-4)
    assert layer_gradients(mlp, cotangent) == layer_gradients(mlp, cotangent)


def monte_carlo_layers(x, num_hidden, weight_variance, bias_variance):
    """NNGP and NTK in float64 with the two Gaussian expectations of each layer by sampling."""
    rng = np.random.default_rng(0)
    k = bias_variance + weight_variance * x @ x.T / x.shape[1]
    theta = k.copy()
    for _ in range(num_hidden):
        f = rng.multivariate_normal(np.zeros(len(x)), k, 400_000)
        k = bias_variance + weight_variance * np.maximum(f, 0).T @ np.maximum(f, 0) / len(f)
        theta = k + weight_variance * (f > 0).astype(float).T @ (f > 0) / len(f) * theta
    return k, theta


def test_infinite_width_kernels_match_sampled_expectations():
    x = normal(1, 4, 3)
    sampled = monte_carlo_layers(wide(x), 2, 1.7, 0.3)
    for kernel, expected in zip((nngp, ntk), sampled):
        np.testing.assert_allclose(gram(kernel(2, 1.7, 0.3)(candidates(x))), expected, rtol=0.02)


def test_ntk_is_the_limit_of_gradients_of_wide_networks():
    """Mean over networks of width 512 in NTK parametrisation: the factored gradients of `layer_gradients`."""
    x, width, num = normal(1, 3, 2), 512, 64

    def forward(params, x, tap):
        h = jax.nn.relu(tap(x, x @ params[0]))
        return tap(h, h @ params[1])

    rows = layer_gradients(forward, jnp.ones_like)

    @jax.jit
    @jax.vmap
    def one(key):
        first, last = jax.random.split(key)
        # Weights N(0, 2 / fan_in); a gradient in the standard normal parameter is sqrt(2 / fan_in) times longer.
        params = [jax.random.normal(first, (2, width)), jax.random.normal(last, (width, 1)) * jnp.sqrt(2 / width)]
        a, b = rows(Posterior(params, Learner(None, None, None)), None, x)
        scaled = (Factors(a.outer, a.inner * jnp.sqrt(2 / 2)), Factors(b.outer, b.inner * jnp.sqrt(2 / width)))
        kernel = gradient(candidates(scaled))
        return kernel.block(kernel.rows)

    samples = wide(one(jax.random.split(jax.random.key(2), num)))
    standard_error = samples.std(0) / np.sqrt(num) + 1e-3
    assert (abs(samples.mean(0) - gram(ntk(1)(candidates(x)))) < 5 * standard_error).all()


@pytest.mark.parametrize("kernel", [pytest.param(nngp(3), marks=pytest.mark.slow), ntk(3, 1.5, 0.1)])
def test_a_row_and_its_copy_are_one(kernel):
    x = jnp.concatenate([normal(1, 4, 5), normal(1, 4, 5), jnp.zeros((1, 5))])
    k = jax.jit(kernel)(candidates(x))
    np.testing.assert_allclose(np.diag(gram(k)[:4, 4:8]), k.diag()[:4], rtol=1e-6)
    assert np.isfinite(gram(k)).all()


def test_learner_covariance_asks_the_learner():
    x, scale = normal(1, N, F), jnp.array(3.0)
    learner = Learner(None, None, None, None, lambda state, a, b: state * (a["e"] @ b["e"]))
    context = posterior_context(jax.random.key(0), Round(Posterior(scale, learner), None, None, None), None)
    kernel = learner_covariance(candidates({"e": x})._replace(context=context))
    np.testing.assert_allclose(gram(kernel), 3 * wide(x) @ wide(x).T, rtol=1e-5, atol=1e-5)


def test_errors_teach():
    pair = (normal(1, N, F), normal(2, N, F))
    with pytest.raises(ValueError, match="`kernel_of_part`"):
        linear(candidates(pair))
    with pytest.raises(ValueError, match="tuple of Factors"):
        gradient(candidates(pair))
    with pytest.raises(ValueError, match="at least 2 draws"):
        draw_covariance()(candidates(normal(0, N, 1, C)))
    with pytest.raises(ValueError, match="every draw or one"):
        label_gradients(LOG_PROBS, normal(0, N, 2, F))
    with pytest.raises(ValueError, match="positive"):
        noisy(linear, 0.0)
    with pytest.raises(ValueError, match="num_hidden"):
        nngp(-1)
    with pytest.raises(ValueError, match="at least one"):
        kernel_sum()


@pytest.mark.slow  # layers by autodiff are above, tapped networks in test_flax_modules.py
@pytest.mark.parametrize("members", [2])
def test_tapped_networks_give_the_gradients_of_all_dense_layers(members):
    """Inner products of factored gradients = those of the whole gradient by autodiff, biases included."""
    network = learners.mlp((6, 5), num_outputs=3)
    learner = learners.ensemble(network, members)
    x = jax.random.normal(jax.random.key(0), (4, 2))
    state = jax.jit(learner.init)(jax.random.key(1), Data(x, jnp.zeros(4, int), jnp.ones(4)))
    label = jax.jit(lambda state: jnp.exp(learner.predict(state, x)).mean(1).argmax(-1))(state)

    def loss(params, row, label):
        outputs = jax.vmap(lambda member: network.apply(member, row[None])[0][0])(params)
        return -jax.nn.log_softmax(outputs, -1)[:, label].sum()

    per_row = jax.jit(jax.vmap(jax.grad(loss), (None, 0, 0)))(state.params, x, label)
    flat = np.concatenate([np.asarray(leaf).reshape(4, -1) for leaf in jax.tree.leaves(per_row)], 1)

    @jax.jit
    def products(state):
        rows = layer_gradients(learners.tapped_members(network))(Posterior(state, learner), None, x)
        return gradient(candidates(rows)).block(rows)

    np.testing.assert_allclose(products(state), flat @ flat.T, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("n", [24, 2_000])
def test_a_row_of_nan_has_gradients_of_nan_and_spoils_no_other(n):
    """One entry is enough: of one draw and class in row 3, of one feature in row 5."""
    log_probs, features = jax.nn.log_softmax(normal(0, n, 3, 4)), normal(1, n, 3, 5)

    @jax.jit
    def numbers(log_probs, features):
        rows = label_gradients(log_probs, features)
        k = gradient(Candidates(rows, jnp.arange(n), jnp.ones(n) > 0, jnp.ones(n)))
        return jnp.stack([k.diag(), k.column(k.row(0))], 1)

    spoiled, holes = np.array(log_probs), np.array(features)
    spoiled[3, 1, 2] = holes[5, 0, 0] = np.nan
    got = numbers(spoiled, holes)
    bad = np.isin(np.arange(n), [3, 5])
    assert np.isnan(np.asarray(got)[bad]).all()
    np.testing.assert_allclose(np.asarray(got)[~bad], np.asarray(numbers(log_probs, features))[~bad], rtol=1e-6)
