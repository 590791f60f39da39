"""Sibson's information against its definition as an optimum, its dense formula in float64, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special

from bal.acquisition import bald, robust_bald
from tests.acquisition.inputs import INPUTS, near_agreeing, spread_out

ORDERS = (0.1, 0.5, 0.9, 1.5, 2.0, 10.0, 100.0)
COMPILED = {alpha: jax.jit(robust_bald(alpha)) for alpha in ORDERS}

NEAR_ONE = [jax.jit(robust_bald(alpha)) for alpha in (1 - 1e-6, 1.0, 1 + 1e-6)]
EXACT = jax.jit(bald)


def probabilities(log_probs):
    """In float64 and of sum 1, which near α = 1 is what the formula needs."""
    return special.softmax(np.asarray(log_probs, np.float64), -1)


def formula(log_probs, alpha):
    """With powers of the largest probability, so that none of the others overflows."""
    p = probabilities(log_probs)
    top = p.max(1)
    ratio = np.divide(p, top[:, None], out=np.zeros_like(p), where=top[:, None] > 0)
    return alpha / (alpha - 1) * np.log(np.sum(top * np.mean(ratio**alpha, 1) ** (1 / alpha), -1))


@pytest.mark.parametrize("alpha", ORDERS)
@pytest.mark.parametrize("name", INPUTS)
def test_formula(name, alpha):
    np.testing.assert_allclose(COMPILED[alpha](INPUTS[name]), formula(INPUTS[name], alpha), rtol=1e-5, atol=3e-7)


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_no_output_distribution_has_a_smaller_divergence(alpha):
    log_probs = spread_out(shape=(6, 4, 3))
    for row, score in zip(probabilities(log_probs), np.asarray(COMPILED[alpha](jnp.asarray(log_probs))), strict=True):

        def divergence(logits, row=row):
            return np.log(np.mean(row**alpha @ special.softmax(logits) ** (1 - alpha))) / (alpha - 1)

        best = optimize.minimize(divergence, np.log(row.mean(0)), tol=1e-12)
        assert score == pytest.approx(best.fun, abs=2e-6)


def test_order_one_is_bald():
    for name in ("spread_out", "near_agreeing", "impossible_classes"):
        exact = EXACT(INPUTS[name])
        for near in NEAR_ONE:
            np.testing.assert_allclose(near(INPUTS[name]), exact, rtol=1e-5)


def test_orders_rise_to_the_log_of_classes_or_draws():
    for name, log_probs in INPUTS.items():
        scores = np.array([COMPILED[alpha](log_probs) for alpha in ORDERS])
        assert (np.diff(scores, axis=0) > -3e-7).all(), name
        assert scores.max() <= np.log(min(log_probs.shape[1:])) + 1e-6
    every = np.where(np.arange(9)[:, None] % 5 == np.arange(5), 0.0, -np.inf).astype(np.float32)
    every = np.tile(every, (48, 1, 1))  # of the shape that is compiled
    for alpha in ORDERS:
        np.testing.assert_allclose(COMPILED[alpha](every), formula(every, alpha), rtol=1e-6)


@pytest.mark.parametrize("alpha", ORDERS)
def test_exactly_zero_for_equal_draws(alpha):
    equal = np.repeat(spread_out()[:, :1], 9, 1)
    assert not np.any(COMPILED[alpha](equal))
    nearly = near_agreeing()
    np.testing.assert_allclose(COMPILED[alpha](nearly), alpha * np.asarray(EXACT(nearly)), rtol=0.01 + 1e-3 * alpha)


@pytest.mark.parametrize("alpha", [0.0, -1.0, np.inf, np.nan])
def test_orders_that_are_none(alpha):
    with pytest.raises(ValueError, match="an order alpha that is a positive number, got"):
        robust_bald(alpha)
