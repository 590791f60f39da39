"""The loop over a stream: what it reads, what it pays, what it refuses."""

from inspect import unwrap
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.loop import seed_keys
from bal.stream import Decision, StreamMethod, run_stream, run_stream_seeds, share_of_rows, total, unlimited, windowed

T, CLASSES = 60, 3
RNG = np.random.default_rng(5)
Y = RNG.integers(0, CLASSES, T)
X = (RNG.normal(size=(CLASSES, 2))[Y] * 2 + RNG.normal(size=(T, 2))).astype(np.float32)
KEY = jax.random.key(2)


class Sums(NamedTuple):
    """Of the rows of each class, as far as they are known."""

    total: jax.Array
    count: jax.Array


def _init(key, x):
    return Sums(jnp.zeros((CLASSES, *x.shape)), jnp.ones(CLASSES))


def _decide(key, state, x, time):
    distance = jnp.abs(state.total / state.count[:, None] - x[None]).sum(1)
    chance = jax.random.uniform(key)
    return Decision(chance < 0.5, distance.argmin().astype(jnp.int32), chance, jnp.full((), 0.5), {"time": time})


def _update(key, state, x, outcome, time):
    weight = jnp.where(outcome.asked, 1.0, 0.1)
    return Sums(state.total.at[outcome.y].add(weight * x), state.count.at[outcome.y].add(weight))


MEANS = StreamMethod(_init, _decide, _update, CLASSES)
"""Nearest mean, with its own predictions as pseudo-labels; asks by chance."""


@pytest.fixture(scope="module")
def stream():
    run = jax.jit(run_stream, static_argnums=(3, 4))
    return lambda y, budget=None, key=KEY, x=X: jax.tree.map(np.asarray, run(key, x, y, MEANS, budget))


def test_labels_that_were_not_asked_are_never_read(stream):
    honest, state = stream(Y)
    assert 0 < honest.asked.sum() < T
    garbled = np.where(honest.asked, Y, (Y + 1 + np.arange(T) % 2) % CLASSES)
    other, other_state = stream(garbled)
    for name in ("wanted", "asked", "prediction", "score", "threshold", "spent"):
        np.testing.assert_array_equal(getattr(other, name), getattr(honest, name))
    jax.tree.map(np.testing.assert_array_equal, other_state, state)
    assert (other.correct != honest.correct).any()


def test_labels_that_were_asked_matter(stream):
    honest = stream(Y)[0]
    assert (stream(np.where(honest.asked, (Y + 1) % CLASSES, Y))[0].prediction != honest.prediction).any()


def test_a_prediction_comes_before_its_label(stream):
    for t in (0, 17, T - 1):
        changed = Y.copy()
        changed[t:] = (changed[t:] + 1) % CLASSES
        np.testing.assert_array_equal(stream(changed)[0].prediction[: t + 1], stream(Y)[0].prediction[: t + 1])


def test_the_log_is_that_of_a_plain_loop(stream):
    """The same pure functions called row by row from Python."""
    log, last = stream(Y, share_of_rows(0.3))
    key_init, key_rows = jax.random.split(KEY)
    state, asked_so_far = _init(key_init, X[0]), 0
    for t in range(T):
        key_decide, _ = jax.random.split(jax.random.fold_in(key_rows, t))
        decision = _decide(key_decide, state, X[t], t)
        asked = bool(decision.query) and asked_so_far + 1 <= 0.3 * (t + 1) + 1e-9
        asked_so_far += asked
        assert (log.wanted[t], log.asked[t]) == (bool(decision.query), asked)
        assert log.prediction[t] == int(decision.prediction)
        assert log.correct[t] == (int(decision.prediction) == Y[t])
        assert log.info["time"][t] == t
        np.testing.assert_allclose(log.spent[t], asked_so_far / (t + 1), rtol=1e-6)
        weight, label = (1.0, Y[t]) if asked else (0.1, int(decision.prediction))
        state = Sums(state.total.at[label].add(weight * X[t]), state.count.at[label].add(weight))
    np.testing.assert_allclose(last.total, state.total, rtol=1e-5, atol=1e-5)


def spending(budget, wants):
    def row(state, want):
        asked = want & budget.allows(state)
        state = budget.update(state, asked)
        return state, (asked, budget.spent(state))

    return jax.tree.map(np.asarray, jax.jit(lambda wants: jax.lax.scan(row, budget.init(), wants)[1])(wants))


def test_small_shares_are_rounded_down_or_refused():
    asked = spending(share_of_rows(0.00016), np.ones(200_000, bool))[0].cumsum()
    assert asked[-1] <= 32  # and not the 2 in 10,000 that are nearer
    with pytest.raises(ValueError, match="at least 1 in 10,000"):
        share_of_rows(0.00006)


@pytest.mark.parametrize("share", [0.1, 0.3, 1 / 3, 0.7, 1.0])
def test_share_of_rows_is_exact(share):
    """For who always wants: the floor of share times rows, after every row, and no drift over many."""
    from fractions import Fraction

    asked = spending(share_of_rows(share), np.ones(20_000, bool))[0].cumsum()
    exact = Fraction(share).limit_denominator(10_000)
    expected = [exact.numerator * t // exact.denominator for t in range(1, 20_001)]
    np.testing.assert_array_equal(asked, expected)


def test_what_is_saved_may_be_spent():
    wants = np.arange(40) >= 20
    asked, spent = spending(share_of_rows(0.25), wants)
    assert asked.nonzero()[0].tolist() == [*range(20, 26), 27, 31, 35, 39]
    assert spent[-1] == 0.25


def test_windowed_is_the_published_recursion():
    wants = RNG.random(500) < 0.6
    asked, spent = spending(windowed(0.2, 50), wants)
    estimate = 0.0
    for t, want in enumerate(wants):
        expected = want and estimate / 50 < 0.2
        estimate = estimate * 49 / 50 + expected
        assert asked[t] == expected
        np.testing.assert_allclose(spent[t], estimate / 50, rtol=1e-4)
    assert asked[200:].mean() < 0.22


def test_total_stops():
    asked, spent = spending(total(7), RNG.random(30) < 0.8)
    assert asked.sum() == 7
    assert spent[-1] == 1
    assert spending(unlimited(), np.ones(9, bool))[0].all()


def test_seeds_are_runs(stream):
    keys = seed_keys(0, 3)
    orders = np.stack([np.random.default_rng(seed).permutation(T) for seed in range(3)])
    runs = run_stream_seeds(keys, X[orders], Y[orders], MEANS, share_of_rows(0.3), axes=(0, 0))
    assert runs.log.asked.shape == (3, T)
    one = stream(Y[orders[1]], share_of_rows(0.3), keys[1], X[orders[1]])[0]
    for ours, its in zip(runs.log[:4], one[:4], strict=True):
        np.testing.assert_array_equal(ours[1], its)
    assert (runs.log.score[0] != runs.log.score[1]).any()


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"x": np.where(np.arange(T)[:, None] == 4, np.nan, X)}, ValueError, "row 4 of the inputs holds NaN"),
        ({"y": Y + 1}, ValueError, "label 3 of row"),
        ({"y": Y[:-1]}, ValueError, "as many labels as rows"),
        ({"y": Y + 0.5}, ValueError, "integer class numbers"),
        ({"x": X[:0], "y": Y[:0]}, ValueError, "at least 1 row"),
        ({"axes": (0, 0)}, ValueError, "lead with 2 seeds and then the rows"),
        ({"keys": KEY}, ValueError, "one key per seed"),
        ({"method": _init}, TypeError, "expected a StreamMethod"),
        ({"budget": 0.1}, TypeError, "expected a Budget"),
    ],
)
def test_what_cannot_be_right_is_refused(change, kind, words):
    with pytest.raises(kind, match=words):
        unwrap(run_stream_seeds)(
            **({"keys": seed_keys(0, 2), "x": X, "y": Y, "method": MEANS, "budget": None} | change)
        )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: share_of_rows(0.0), "expected share in"),
        (lambda: share_of_rows(1.5), "expected share in"),
        (lambda: share_of_rows(1e-9), "use total"),
        (lambda: windowed(0.1, 0), "window must be at least 1"),
        (lambda: total(0), "num_labels must be at least 1"),
    ],
)
def test_budgets_out_of_range(make, words):
    with pytest.raises(ValueError, match=words):
        make()
