"""Frank-Wolfe in both forms against the published algorithm in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sparse_inputs import FEATURES, KEY, TRIALS, B, J, N, candidates, run, run_all

from bal import selection
from bal.selection import PoolRows
from bal.selection.sparse.frank_wolfe import _projection
from bal.selection.sparse.problem import check_weights
from bal.typing import Candidates


@pytest.fixture(scope="module")
def wolfe():
    return run_all(selection.frank_wolfe())


def frank_wolfe_by_definition(phi, batch_size, steps):
    """Algorithm 1 of Pinsler et al. in kernel form, with γ clipped: picks in order, weights, residuals."""
    phi = np.asarray(phi, np.float64)
    k = phi @ phi.T
    size = np.sqrt(np.diag(k))
    s, w, picks, residuals = size.sum(), np.zeros(len(phi)), [], []
    while len(picks) < batch_size and len(residuals) < steps:
        r = k @ (1 - w)
        f = int(np.argmax(r / size))
        numerator = s / size[f] * r[f] - (1 - w) @ k @ w
        gamma = np.clip(numerator / (s**2 - 2 * s / size[f] * (k @ w)[f] + w @ k @ w), 0, 1)
        w *= 1 - gamma
        w[f] += gamma * s / size[f]
        residuals.append(np.sqrt((1 - w) @ k @ (1 - w) / k.sum()))
        if f not in picks:
            picks.append(f)
    return picks, w, residuals


def test_frank_wolfe_is_the_published_algorithm(wolfe):
    for trial in range(TRIALS):
        picks, w, residuals = frank_wolfe_by_definition(FEATURES[trial], B, 10 * B)
        assert wolfe.indices[trial].tolist() == picks
        np.testing.assert_allclose(wolfe.info["weights"][trial], w[picks], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(wolfe.info["residual"][trial], residuals[-1], rtol=1e-3)
        assert (np.diff(residuals) <= 1e-12).all()
        assert int(wolfe.info["num_steps"][trial]) == len(residuals)
    assert not bool(wolfe.info["topped_up"].any())


def test_first_pick_is_best_aligned_with_the_pool(wolfe):
    phi = FEATURES.astype(np.float64)
    alignment = np.einsum("tnj,tj->tn", phi, phi.sum(1)) / np.linalg.norm(phi, axis=2)
    assert wolfe.indices[:, 0].tolist() == alignment.argmax(1).tolist()
    np.testing.assert_allclose(wolfe.scores[:, 0], alignment.max(1), rtol=1e-5)


def test_kernel_form_is_the_projection_form(wolfe):
    select = selection.frank_wolfe_kernel(jnp.dot)
    one = jnp.ones(N)

    def kernel(phi):
        return select(KEY, Candidates(phi, jnp.arange(N), one > 0, one, context=PoolRows(phi, one)), B)

    got = jax.jit(jax.vmap(kernel))(FEATURES)
    assert got.indices.tolist() == wolfe.indices.tolist()
    for name in ("weights", "residual", "num_steps"):
        np.testing.assert_allclose(got.info[name], wolfe.info[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scales", [np.ones(8), 1.0 + np.arange(8)])
def test_orthogonal_rows_give_weight_one_and_no_residual(scales):
    """The first N steps take every row once if all are equally long; then the squared residual falls as 1 / t."""
    with jax.enable_x64(True):
        some = candidates(np.diag(scales))
        rule = _projection(some.rows.features, some.context)

        def step(state, _):
            position = jnp.argmax(rule.score(state))
            return rule.update(state, position), (position, jnp.sum((some.context.features - state.fitted) ** 2))

        last, (picks, squared) = jax.jit(lambda: jax.lax.scan(step, rule.state, None, length=4000))()
    np.testing.assert_allclose(last.weights, 1.0, atol=0.1)
    assert 5 < squared[399] / squared[3999] < 20
    assert (np.diff(squared) <= 1e-12).all()
    if np.ptp(scales) == 0:
        assert sorted(picks[:8].tolist()) == list(range(8))


def test_duplicates_are_topped_up_and_marked():
    """Two directions, ten copies each: steps go back and forth between two rows, and the longest rows fill up."""
    phi = np.repeat([[2.0, 0.0], [0.0, 1.0]], 10, 0).astype(np.float32)
    picks = run(selection.frank_wolfe(max_steps=500), candidates(phi), 4)
    assert picks.indices.tolist() == [0, 10, 1, 2]
    assert picks.info["topped_up"].tolist() == [False, False, True, True]
    assert int(picks.info["num_distinct"]) == 2
    assert picks.info["weights"].tolist()[2:] == [0.0, 0.0]
    assert float(picks.info["residual"]) < 0.03
    assert bool(picks.valid.all())


def test_a_step_cap_stops_and_tops_up():
    picks = run(selection.frank_wolfe(max_steps=2), candidates(FEATURES[0]), 4)
    assert int(picks.info["num_steps"]) == 2
    assert picks.info["topped_up"].tolist() == [False, False, True, True]
    assert len(set(picks.indices.tolist())) == 4


def test_batch_of_ones_is_nearer_to_the_pool_than_random_batches():
    """Read as a plain batch, rescaled to the pool sum: below the mean of random batches of the same size."""
    phi = FEATURES.reshape(-1, J)[:64].astype(np.float64)
    v = phi.sum(0)
    residual = lambda rows: np.linalg.norm(
        v - phi[rows].sum(0) * (phi[rows].sum(0) @ v) / np.sum(phi[rows].sum(0) ** 2)
    )
    picks = run(selection.frank_wolfe(), candidates(phi.astype(np.float32)), 8).indices
    rng = np.random.RandomState(7)
    assert residual(np.asarray(picks)) < 0.7 * np.mean([residual(rng.permutation(64)[:8]) for _ in range(200)])


def test_contexts_are_demanded():
    some = candidates(FEATURES[0])._replace(context=None)
    for select in (selection.frank_wolfe(), selection.sparse_greedy(), selection.sparse_iht()):
        with pytest.raises(ValueError, match="use pool_sums"):
            select(KEY, some, 2)
    with pytest.raises(ValueError, match="use pool_rows"):
        selection.frank_wolfe_kernel(jnp.dot)(KEY, some, 2)


@pytest.mark.parametrize("make", [selection.sparse_greedy, selection.sparse_iht])
def test_meaningless_settings_are_rejected(make):
    for settings in ({"alpha": -1.0}, {"beta": -1.0}):
        with pytest.raises(ValueError, match="must not be negative"):
            make(**settings)
    with pytest.raises(ValueError, match="normalize is"):
        check_weights(1.0, 1.0, "mean")
