"""Transforms against explicit conditioning, and random features against their expectations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.kernels import (
    Factors,
    acs_features,
    centered,
    conditioned,
    given_known,
    gradient,
    linear,
    map_rows,
    nngp,
    noisy,
    pool_only,
    scaled,
    sketch,
)
from bal.pool import chunked, dense
from bal.query import key_context, sketched
from bal.typing import Candidates, Learner, Posterior

KEY = jax.random.key(0)
N, L, F = 9, 5, 4
REAL = np.array([True, True, False, True, False])


def normal(seed, *shape):
    return jax.device_put(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def wide(x):
    return np.asarray(x, np.float64)


block = jax.jit(lambda kernel: kernel.block(kernel.rows))


def gram(kernel):
    return wide(block(kernel))


def features(scale=1.0):
    """Nine rows of which two are not eligible and one is NaN, and a labeled buffer with padding that is NaN."""
    rows, known = np.asarray(normal(0, N, F)), np.where(REAL[:, None], normal(1, L, F), np.float32(np.nan))
    index, one = np.arange(N, dtype=np.int32), np.ones(N, np.float32)
    return Candidates(scale * rows, index, index < N - 2, one, scale * known, REAL.astype(np.float32))


def conditional(prior, cross, known, noise):
    """``k - k_xX (K + σ²)⁻¹ k_Xx`` in float64."""
    return prior - cross @ np.linalg.solve(known + noise * np.eye(len(known)), cross.T)


def as_jax(candidates):
    return jax.device_put(candidates)


@pytest.mark.parametrize("noise", [0.3, 1e-6])
def test_given_known_is_explicit_conditioning(noise):
    c = as_jax(features())
    x, known = wide(c.rows), wide(c.known)[REAL]
    expected = conditional(x @ x.T, x @ known.T, known @ known.T, noise)
    rows = jax.jit(given_known(noise))(KEY, c).rows
    assert rows.dtype == jnp.float32
    mine = gram(linear(c._replace(rows=rows)))
    np.testing.assert_allclose(mine, expected, rtol=2e-4, atol=2e-5)
    assert (np.diag(mine) > 0).all()


def test_given_known_needs_float64_and_has_it():
    """Six rows span three of four directions at noise 1e-8: the posterior variance within the span stays accurate."""
    basis = normal(3, 3, F)
    known = jnp.concatenate([basis, basis + 1e-4 * normal(4, 3, F) @ jnp.diag(jnp.array([1.0, 1, 1, 0]))])
    c = Candidates(basis, jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3), known, jnp.ones(6))
    x, k = wide(basis), wide(known)
    precision = np.eye(F) + k.T @ k / 1e-8
    expected = np.diag(x @ np.linalg.inv(precision) @ x.T)
    np.testing.assert_allclose(jax.jit(lambda c: linear(given_known(1e-8)(KEY, c)).diag())(c), expected, rtol=1e-2)


@pytest.mark.parametrize("kernel", [linear, pytest.param(nngp(2), marks=pytest.mark.slow)])
def test_conditioned_is_explicit_conditioning(kernel):
    c = as_jax(features())
    both = jnp.concatenate([c.rows, c.known[REAL]])
    prior = gram(jax.jit(kernel)(c._replace(rows=both, index=jnp.arange(len(both)))))
    expected = conditional(prior[:N, :N], prior[:N, N:], prior[N:, N:], 0.3)
    mine = gram(jax.jit(conditioned(noisy(kernel, 0.3)))(c))
    np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)


def test_conditioned_with_a_noise_for_each_row():
    c = as_jax(features())
    noise = lambda rows: 0.1 + jnp.abs(rows[:, 0])
    x, known = wide(c.rows), wide(c.known)[REAL]
    expected = x @ x.T - x @ known.T @ np.linalg.solve(known @ known.T + np.diag(0.1 + abs(known[:, 0])), known @ x.T)
    np.testing.assert_allclose(gram(jax.jit(conditioned(noisy(linear, noise)))(c)), expected, rtol=1e-4, atol=1e-5)


def test_posteriors_agree_and_run_under_every_wrapping():
    """Plain, vmap of a compiled function, scan: float64 inside survives all of them."""
    c = as_jax(features())
    by_features = jax.jit(lambda c: linear(given_known(1e-4)(KEY, c)).diag())
    by_kernel = jax.jit(lambda c: conditioned(noisy(linear, 1e-4))(c).diag())
    plain = by_features(c)
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), c)
    np.testing.assert_allclose(by_kernel(c), plain, rtol=1e-2, atol=1e-5)
    for function in (by_features, by_kernel):
        for wrapped in (jax.vmap(function), jax.jit(jax.vmap(function))):
            np.testing.assert_allclose(wrapped(many)[1], function(c), rtol=1e-5, atol=1e-6)
        scan = jax.jit(lambda c, f=function: jax.lax.scan(lambda carry, _: (carry, f(carry)), c, None, 2)[1])
        np.testing.assert_allclose(scan(c)[1], function(c), rtol=1e-5, atol=1e-6)


def test_a_posterior_lowers_for_every_platform():
    platforms = ("cpu", "cuda", "tpu")
    for function in (lambda c: given_known(0.1)(KEY, c).rows, lambda c: conditioned(noisy(linear, 0.1))(c).diag()):
        assert jax.export.export(jax.jit(function), platforms=platforms)(as_jax(features())).platforms == platforms


def test_without_labels_the_posterior_is_the_prior():
    c = as_jax(features())._replace(known_weight=jnp.zeros(L))
    prior = gram(linear(c))
    np.testing.assert_allclose(gram(linear(jax.jit(given_known(0.1))(KEY, c))), prior, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gram(jax.jit(conditioned(noisy(linear, 0.1)))(c)), prior, rtol=1e-5, atol=1e-5)


def test_centered_and_scaled_use_eligible_rows():
    c = as_jax(features())
    c = c._replace(rows=c.rows.at[0].set(jnp.nan))
    live = wide(c.rows)[1 : N - 2]
    np.testing.assert_allclose(
        jax.jit(centered)(KEY, c).rows[1:], wide(c.rows)[1:] - live.mean(0), rtol=1e-5, atol=1e-6
    )
    factor = np.sqrt((live**2).sum(1).mean())
    np.testing.assert_allclose(jax.jit(scaled)(KEY, pool_only(KEY, c)).rows[1:], wide(c.rows)[1:] / factor, rtol=1e-5)
    factor = np.sqrt((wide(c.known)[REAL] ** 2).sum(1).mean())
    both = jax.jit(scaled)(KEY, c)
    np.testing.assert_allclose(both.rows[1:], wide(c.rows)[1:] / factor, rtol=1e-5)
    np.testing.assert_allclose(both.known[REAL], wide(c.known)[REAL] / factor, rtol=1e-5)


def test_centring_keeps_the_digits_of_distances():
    from bal.kernels.distance import kernel_distances

    x = normal(0, N, F) + 1000.0
    c = Candidates(x, jnp.arange(N), jnp.ones(N) > 0, jnp.ones(N))
    expected = ((wide(x) - wide(x)[:1]) ** 2).sum(1)

    @jax.jit
    def error(c):
        k = linear(c)
        return abs(kernel_distances(k.diag(), k.diag()[0], k.column(k.row(0))) - expected.astype(np.float32)).max()

    assert error(centered(KEY, c)) < 1e-2
    assert error(c) > 0.1


def mean_gram(transform, rows, num_keys=2000):
    """Mean over keys of the kernel of random features, and its standard error."""
    c = Candidates(rows, jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3))
    one = lambda key: (lambda phi: jnp.matmul(phi, phi.T))(transform(key, c).rows)
    grams = wide(jax.jit(jax.vmap(one))(jax.random.split(KEY, num_keys)))
    return grams.mean(0), grams.std(0) / np.sqrt(num_keys), grams.var(0)


def test_sketches_are_unbiased():
    x = normal(0, 3, F)
    mean, error, variance = mean_gram(sketch(5), x)
    expected = wide(x) @ wide(x).T
    assert (abs(mean - expected) < 4 * error).all()
    np.testing.assert_allclose(np.diag(variance), 2 * np.diag(expected) ** 2 / 5, rtol=0.25)


def test_sketches_of_gradients_are_unbiased():
    rows = tuple(Factors(normal(layer, 3, layer + 1), normal(layer + 9, 3, F)) for layer in (1, 3))
    expected = gram(gradient(Candidates(rows, jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3))))
    mean, error, _ = mean_gram(sketch(5), rows)
    assert (abs(mean - expected) < 4 * error).all()
    mean, error, variance = mean_gram(sketch(5), rows[1:])
    np.testing.assert_allclose(np.diag(variance), 8 * np.diag(mean) ** 2 / 5, rtol=0.5)


def test_rows_and_labeled_rows_share_a_sketch():
    x = normal(0, 3, F)
    out = sketch(2)(KEY, Candidates(x, jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3), x, jnp.ones(3)))
    assert out.rows.tolist() == out.known.tolist()
    assert not np.allclose(out.rows, sketch(2)(jax.random.key(1), out._replace(rows=x, known=x)).rows)


def many_factors(n):
    """Gradients of three layers."""
    return tuple(Factors(normal(layer, n, 2), normal(layer + 9, n, F)) for layer in range(3))


def test_a_sketch_holds_one_result_not_one_for_each_layer():
    """Beside the result XLA holds less than one more of its size, where the products of three layers would be six."""
    n, m = 20_000, 64
    c = Candidates(many_factors(n), jnp.arange(n), jnp.ones(n) > 0, jnp.ones(n))
    memory = jax.jit(lambda c: sketch(m)(KEY, c).rows).lower(c).compile().memory_analysis()
    assert memory.output_size_in_bytes == 4 * n * m
    assert memory.temp_size_in_bytes < 4 * n * m


def test_rows_sketched_in_chunks_are_those_of_the_transform():
    learner = Learner(None, None, lambda state, x: x)
    rows = sketched(lambda posterior, context, x: posterior.predict(x), 5)
    gradients = many_factors(7)
    expected = sketch(5)(KEY, Candidates(gradients, jnp.arange(7), jnp.ones(7) > 0, jnp.ones(7))).rows
    fixed = (Posterior(None, learner), key_context(KEY, None, dense))
    got = jax.jit(lambda gradients: chunked(3).map(rows, fixed, gradients))(gradients)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="set context=key_context"):
        rows(Posterior(None, learner), None, gradients)


@pytest.mark.parametrize("n", [pytest.param(24, marks=pytest.mark.slow), 2_000])
def test_one_row_that_is_not_finite_spoils_no_other(n):
    """Rows of NaN and infinity stay so and are left out of every mean over the pool."""
    x, real = np.array(normal(0, n, F)), np.ones(n, bool)
    known = normal(1, L, F)
    clean = Candidates(jnp.asarray(x), jnp.arange(n), jnp.ones(n) > 0, jnp.ones(n), known, jnp.ones(L))
    x[3], x[5, 1], real[[3, 5]] = np.nan, np.inf, False
    dirty = clean._replace(rows=jnp.asarray(x))
    without = clean._replace(eligible=jnp.asarray(real))
    transforms = (centered, lambda key, c: scaled(key, pool_only(key, c)), scaled, given_known(0.1), sketch(4))
    transform = jax.jit(lambda c: [transform(KEY, c).rows for transform in (*transforms, acs_features(4, 0.1))])
    for got, expected in zip(transform(dirty), transform(without), strict=True):
        np.testing.assert_allclose(got[real], expected[real], rtol=1e-5, atol=1e-6)
        assert not np.isfinite(got[~real]).all(1).any()


def test_without_a_real_label_the_pool_sets_the_scale():
    c = as_jax(features())._replace(known_weight=jnp.zeros(L))
    factor = np.sqrt((wide(c.rows)[: N - 2] ** 2).sum(1).mean())
    np.testing.assert_allclose(jax.jit(scaled)(KEY, c).rows, wide(c.rows) / factor, rtol=1e-5)


def test_acs_features_have_the_derived_mean_kernel():
    x, noise = normal(0, 3, F), 0.5
    k = wide(x) @ wide(x).T
    ratio = np.diag(k) / noise
    m = 0.5 * np.log1p(ratio) - ratio
    mean, error, _ = mean_gram(acs_features(4, noise), x)
    assert (abs(mean - (np.outer(m, m) + k**2 / (2 * noise**2))) < 4 * error).all()


def test_errors_teach():
    c = as_jax(features())
    for transform in (centered, scaled, given_known(0.1), acs_features(2, 0.1)):
        with pytest.raises(ValueError, match="features"):
            transform(KEY, c._replace(rows=(c.rows,), known=None))
    with pytest.raises(ValueError, match="labeled rows"):
        given_known(0.1)(KEY, pool_only(KEY, c))
    with pytest.raises(ValueError, match="labeled rows"):
        conditioned(linear)(pool_only(KEY, c))
    with pytest.raises(ValueError, match="positive noise"):
        given_known(0.0)
    with pytest.raises(ValueError, match="at least 1 feature"):
        sketch(0)
    with pytest.raises(ValueError, match="num_features"):
        acs_features(2, 0.0)
    assert map_rows(lambda rows: rows + 1)(KEY, pool_only(KEY, c)).known is None


@pytest.mark.parametrize(
    ("scale", "noise"),
    [(1.0, None), (10.0, 1e-5), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((1.0, 1e-6), (30.0, 1e-3)))],
)
def test_conditioned_on_more_labels_than_the_rank_of_the_kernel(scale, noise):
    """Eight features, twenty labels: rounded to float32 their matrix is not positive definite."""
    x, known = scale * normal(0, 30, 8), scale * normal(1, 20, 8)
    c = Candidates(x, jnp.arange(30), jnp.ones(30) > 0, jnp.ones(30), known, jnp.ones(20))
    kernel = linear if noise is None else noisy(linear, noise)
    variance = np.asarray(jax.jit(lambda c: conditioned(kernel)(c).diag())(c))
    prior = (wide(x) ** 2).sum(1)
    expected = np.diag(
        conditional(wide(x) @ wide(x).T, wide(x) @ wide(known).T, wide(known) @ wide(known).T, noise or 0)
    )
    assert (variance >= 0).all()
    np.testing.assert_allclose(variance / prior, expected / prior, atol=3e-6)


def test_a_labeled_row_that_is_not_finite_is_left_out():
    c = as_jax(features())
    some = jax.jit(lambda c: conditioned(noisy(linear, 0.3))(c).diag())
    lost = c._replace(known=c.known.at[1].set(jnp.nan))
    without = c._replace(known_weight=c.known_weight.at[1].set(0.0))
    np.testing.assert_allclose(some(lost), some(without), rtol=1e-6)
