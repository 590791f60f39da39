"""Parts of the figures on three toys, on budgets, and on batches that stand for the pool, each by an oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.special import entr

from bal.acquisition import margin
from bal.datasets import digits
from bal.learners import normal_inverse_gamma
from bal.selection import head_rows as plain_head_rows
from bal.selection import linear_fisher, unknown_noise
from bal.typing import Data, Learner, Posterior
from paper_figures import acs_fw, budget_phase, gp_toys
from paper_figures.claims import judge


def bits(p):
    return (entr(p) + entr(1 - p)) / np.log(2)


def of_normal(mean, variance, function):
    """Mean of a function under a normal, by many equal steps."""
    z = np.linspace(-10, 10, 40_001)
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.sum(function(mean + np.sqrt(variance) * z) * density) * (z[1] - z[0])


def test_the_closed_form_is_never_off_by_more_than_its_bumps():
    found = gp_toys.closed_form_error()
    f = np.linspace(0, 8, 80_001)
    bumps = np.abs(bits(scipy.stats.norm.cdf(f)) - np.exp(-(f**2) / (np.pi * np.log(2))))
    assert found["error"].max() <= bumps.max() + 1e-5
    np.testing.assert_allclose(bumps.max(), 0.0027, atol=1e-5)
    bump = lambda f: np.exp(-(f**2) / (np.pi * np.log(2)))
    means = np.linspace(0, 8, 41)
    here = [
        abs(of_normal(mean, 1.0, lambda f: bits(scipy.stats.norm.cdf(f))) - of_normal(mean, 1.0, bump))
        for mean in means
    ]
    at_one = np.interp(1.0, found["variance"], found["error"])
    np.testing.assert_allclose(max(here), at_one, atol=5e-5)


def test_a_hundred_nodes_are_no_integral_where_the_variance_is_large():
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    of_label = lambda f: bits(scipy.stats.norm.cdf(f))
    off = [
        abs((weights / weights.sum()) @ of_label(mean + 10 * nodes) - of_normal(mean, 100.0, of_label))
        for mean in np.linspace(0, 2, 21)
    ]
    assert 0.015 < max(off) < 0.03


@pytest.mark.parametrize("toy", gp_toys.TOYS)
def test_rows_of_a_toy(toy):
    sizes = gp_toys.Sizes(2, 3, 600, 300)
    task = gp_toys.of_seed(toy, sizes, seed=1)
    x, y, (x_test, y_test) = np.asarray(task.pool.x), np.asarray(task.oracle), map(np.asarray, task.test)
    assert x.shape == (600, 2)
    assert len(x_test) == len(y_test) == 300
    assert np.abs(x).max() <= 2
    assert sorted(y[np.asarray(task.start)].tolist()) == [0, 1]
    apart = {"noisy block": lambda r: (abs(r[0]) < 0.5) & (abs(r[1]) < 1), "far corner": lambda r: min(r) > 1.25}
    wasted = np.array([bool(apart.get(toy, lambda r: False)(row)) for row in x])
    np.testing.assert_array_equal(gp_toys.is_wasted(toy, x), wasted)
    column, row = ((x + 2) // (4 / 3)).T
    clean = (column + row) % 2 == 1 if toy == "checkerboard" else x[:, 0] > 0
    np.testing.assert_array_equal(y[~wasted], clean[~wasted])
    assert not gp_toys.is_wasted("noisy block", x_test).any() or toy != "noisy block"
    if toy == "noisy block":
        assert 0.3 < (y == clean)[wasted].mean() < 0.7
    if toy == "far corner":
        assert 200 <= wasted.sum() <= 260
        assert (y[wasted] == 1).all()


def test_margin_is_the_same_for_all_rows_until_there_is_a_label():
    log_probs = np.log(np.random.default_rng(0).dirichlet(np.ones(3), (5, 4)))
    posterior = Posterior(jnp.asarray(log_probs), Learner(None, None, lambda state, x: state[x]))
    score = jax.jit(lambda any_label, x: budget_phase.margin_or_none(posterior, any_label, x))
    np.testing.assert_array_equal(score(jnp.array(False), np.arange(5)), 0)
    np.testing.assert_allclose(score(jnp.array(True), np.arange(5)), jax.jit(margin)(log_probs), rtol=1e-6)


def test_features_are_whitened_components():
    x = digits().x.reshape(1797, -1).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(x, rowvar=False, ddof=0))
    for kind, size in (("good", 20), ("poor", 40)):
        found = budget_phase.features(kind)
        assert found.shape == (1797, size)
        for number in (0, 7, size - 1):
            projected = (x - x.mean(0)) @ vectors[:, ::-1][:, number] / np.sqrt(values[::-1][number])
            assert abs((projected * found[:, number]).mean()) > 0.999


def test_verdicts_on_budgets_follow_the_numbers():
    noise = 0.01 * np.random.default_rng(0).normal(size=(20, 21))
    line = np.linspace(0.2, -0.2, 21)
    curves = lambda slope: {"typiclust": 0.5 + slope * line + noise, "margin": 0.5 + noise[::-1], "random": 0.5 + noise}
    rows = budget_phase.claims(budget_phase.Config(), budget_phase.SIZES["cpu"])
    verdicts = lambda found: [verdict.holds for verdict in judge(rows, found, "cpu")]
    assert verdicts({"good": curves(1), "poor": curves(0.0)}) == [True, True, True, None]
    assert verdicts({"good": curves(-1), "poor": curves(1)}) == [False, False, False, None]


def test_the_closed_form_rows_are_those_of_the_normal_inverse_gamma():
    random = np.random.default_rng(0)
    x, y, new = random.normal(size=(9, 3)), random.normal(size=9), random.normal(size=(5, 3))
    head = normal_inverse_gamma(4, prior=1.0, shape=1.0, scale=1.0, standardize=False)

    class State:
        def __init__(self, head):
            self.head = head

    with jax.enable_x64(True):
        data = Data(x, y, np.ones(9))
        state = jax.jit(lambda key: head.fit(key, head.init(key, data), data))(jax.random.key(0))
        embedding = Learner(None, None, None, lambda state, x: head.embed(state.head, x))
        ours = acs_fw.head_rows(Posterior(State(state), embedding), None, jnp.asarray(new))
        ones = lambda rows: jnp.asarray(np.concatenate([rows, np.ones((len(rows), 1))], 1))
        theirs = plain_head_rows(ones(new), unknown_noise(ones(x), jnp.asarray(y), jnp.ones(9)))
        pairs = jax.jit(jax.vmap(jax.vmap(linear_fisher, (None, 0)), (0, None)))
        np.testing.assert_allclose(pairs(ours, ours), pairs(theirs, theirs), rtol=1e-6)


def test_best_weights_leave_no_more_than_any_others():
    random = np.random.default_rng(0)
    phi, batch = random.normal(size=(30, 6)), np.array([3, 7, 9])
    left, total = acs_fw.with_best_weights(phi, batch), phi.sum(0)
    tried = random.exponential(8, (20_000, 3)) * (random.uniform(size=(20_000, 3)) < 0.7)
    others = np.linalg.norm(total - tried @ phi[batch], axis=1) / np.linalg.norm(total)
    assert left <= others.min() + 1e-12
    assert others.min() < left + 0.02


def test_a_toy_pool_has_rows_on_both_sides_or_one():
    x, y = acs_fw.toy(3)
    assert x.shape == (240, 2)
    np.testing.assert_array_equal(y, x[:, 0] + x[:, 1] > 0)
    assert np.linalg.norm(x[:100] - x[:100].mean(0), axis=1).max() < 1.5  # a cluster
