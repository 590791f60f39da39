"""BALD is the expected drop of the posterior's entropy, in two conjugate models; and the published curves with slips.

Oracles: adaptive integration of scipy's entropies, updates of the posteriors from their definition.
"""

import jax
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from test_paper_figures import TINY

from paper_figures.bald_estimator import BETA, COUNTS, MODELS, PUBLISHED, Sizes, coin, errors, normal_gains, run

SIZES, _ = TINY["bald_estimator"]
CURVES = Sizes(50, COUNTS, 2, 2)  # closed forms alone are looked at


@pytest.fixture(scope="module")
def found():
    with jax.enable_x64(True):
        return {model: run(model, SIZES) for model in MODELS}


@pytest.mark.parametrize("model", MODELS)
def test_bald_from_draws_is_the_expected_drop_of_the_posteriors_entropy(found, model):
    np.testing.assert_allclose(found[model].drawn, found[model].own, rtol=0.03)
    np.testing.assert_allclose(found[model].bald, found[model].own, rtol=1e-10)


def observed(model, seed, n):
    """Parameters of the posterior after the first observations of a seed, from their definition."""
    y = (stats.bernoulli(0.5) if model == "coin" else stats.norm(1, 1)).rvs(max(SIZES.counts), random_state=1 + seed)
    y = y[:n]
    if model == "coin":
        return BETA[0] + y.sum(), BETA[1] + n - y.sum()
    return updated(y, 1.0, 5.0, 1.0, 0.0)


def updated(y, a, b, k, m):
    """Murphy 2007, "Conjugate Bayesian analysis of the Gaussian distribution"."""
    n, mean = len(y), np.mean(y, 0)
    spread = 0.5 * np.sum((y - mean) ** 2, 0) + k * n * (mean - m) ** 2 / (2 * (k + n))
    return a + n / 2, b + spread, k + n, (k * m + n * mean) / (k + n)


@pytest.mark.parametrize(("seed", "place"), [(0, 0), (1, 1)])
def test_information_about_the_coin(found, seed, place):
    a, b = observed("coin", seed, SIZES.counts[place])
    belief, entropy = stats.beta(a, b), lambda a, b: stats.beta(a, b).entropy()
    given = quad(lambda p: belief.pdf(p) * stats.bernoulli(p).entropy(), 0, 1, epsabs=1e-12)[0]
    prediction, truth = stats.bernoulli(a / (a + b)), stats.bernoulli(0.5)
    after = lambda data: sum(data.pmf(y) * entropy(a + y, b + 1 - y) for y in (0, 1))
    labels = np.array([0, 1])  # as scipy hands them to the function whose expectation it is asked for
    at_once = sum(truth.pmf(labels) * entropy(a + np.sum([labels]), b + 1 - np.sum([labels])))
    expected = {
        "bald": prediction.entropy() - given,
        "own": belief.entropy() - after(prediction),
        "predictive": prediction.entropy() - np.log(2),
        "parameter": belief.entropy() - after(truth),
        "slipped": belief.entropy() - at_once,
    }
    for name, value in expected.items():
        ours = getattr(found["coin"], name)[seed, place]
        np.testing.assert_allclose(ours, value, rtol=1e-8, atol=1e-12, err_msg=name)


def normal_gamma_entropy(a, b, k, right):
    """Of λ, plus that of μ given λ expected over λ."""
    of_precision = stats.gamma(a, scale=1 / b if right else b).entropy()
    log_precision = stats.loggamma(a).mean() - np.log(b)
    return of_precision + 0.5 * (np.log(2 * np.pi * np.e / k) - log_precision)


@pytest.mark.parametrize(("seed", "place"), [(0, 0), (1, 1)])
def test_information_about_the_normal(found, seed, place):
    a, b, k, m = observed("normal", seed, SIZES.counts[place])
    prediction, truth = stats.t(2 * a, m, np.sqrt(b * (k + 1) / (a * k))), stats.norm(1, 1)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 2_002)[1:-1]
    y, measure = np.tan(angle), (angle[1] - angle[0]) / np.cos(angle) ** 2

    def drop(data, right=True):
        a_next, b_next, k_next, _ = updated(y[None], a, b, k, m)
        after = normal_gamma_entropy(a_next, b_next, k_next, right)
        return normal_gamma_entropy(a, b, k, right) - np.sum(data.pdf(y) * after * measure)

    precision = stats.gamma(a, scale=1 / b)
    given = quad(lambda p: precision.pdf(p) * 0.5 * np.log(2 * np.pi * np.e / p), 0, np.inf)[0]
    expected = {
        "bald": prediction.entropy() - given,
        "own": drop(prediction),
        "predictive": prediction.entropy() - truth.entropy(),
        "parameter": drop(truth),
        "slipped": drop(truth, right=False),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(found["normal"], name)[seed, place], value, atol=1e-7, err_msg=name)


def test_the_published_curves_have_the_slips():
    y = np.stack([stats.bernoulli(0.5).rvs(1000, random_state=1 + seed) for seed in range(50)])
    with jax.enable_x64(True):
        of_coin = coin(y.astype(np.float64), CURVES)
    y = np.stack([stats.norm(1, 1).rvs(1000, random_state=1 + seed) for seed in range(50)])
    of_normal = normal_gains(*map(np.array, zip(*(zip(*(updated(one[:n], 1, 5, 1, 0) for n in COUNTS)) for one in y))))
    for model, one in (("coin", of_coin), ("normal", of_normal)):
        curve = lambda truth, one=one: errors(one, truth).mean(0)
        np.testing.assert_allclose(curve("predictive"), PUBLISHED[model, "predictive"], rtol=0.01)
        np.testing.assert_allclose(curve("slipped"), PUBLISHED[model, "parameter"], rtol=0.01)
        assert (curve("parameter") < 0.3 * np.array(PUBLISHED[model, "parameter"])).all()
        assert (curve("parameter")[-1] < 0.01 * curve("parameter")[0]).all()
