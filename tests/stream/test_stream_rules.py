"""Every rule against a slow loop in float64, written from its paper."""

from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.acquisition import bald, margin, vote_entropy
from bal.stream import (
    Decision,
    Outcome,
    at_random,
    ddm,
    minus_confidence,
    quantile,
    query_by_committee,
    recent_epig,
    split,
    threshold,
    variable_threshold,
)

T, K, C, TARGETS = 400, 4, 3, 5
RNG = np.random.default_rng(11)
SHARPNESS = np.geomspace(0.3, 6, T)[RNG.permutation(T), None, None, None]
LOGITS = RNG.normal(size=(T, 1 + TARGETS, K, C)) * SHARPNESS
LOG_PROBS = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
PREDICTION = np.exp(LOG_PROBS[:, 0]).mean(1).argmax(-1)
Y = np.where(np.arange(T) < 250, np.where(RNG.random(T) < 0.2, 0, PREDICTION), RNG.integers(0, C, T))
ALLOWED = RNG.random(T) < 0.7
KEYS = jax.random.split(jax.random.key(4), T)


def drive(rule):
    """The rule alone over given predictions, labels and budget: wishes, what was asked, and states after each row."""
    rows = 1 + rule.num_targets

    def one(state, inputs):
        key, log_probs, prediction, label, allowed, time = inputs
        wish = rule.decide(key, state, log_probs[:rows], time)
        decision = Decision(wish.ask, prediction, wish.score, wish.threshold, wish.info)
        asked = wish.ask & allowed
        outcome = Outcome(decision, jnp.where(asked, label, prediction), asked, allowed)
        state = rule.update(state, outcome, time)
        return state, (wish, asked, state)

    inputs = (KEYS, jnp.asarray(LOG_PROBS, jnp.float32), PREDICTION, Y, ALLOWED, jnp.arange(T))
    program = jax.jit(lambda inputs: jax.lax.scan(one, rule.init(), inputs)[1])
    return jax.tree.map(np.asarray, program(jax.tree.map(jnp.asarray, inputs)))


def entropy(p):
    return -(p * np.log(p)).sum(-1)


P = np.exp(LOG_PROBS[:, 0])
CONFIDENCE = P.mean(1).max(-1)
BALD = entropy(P.mean(1)) - entropy(P).mean(1)


def test_random_is_a_coin():
    wish, asked, _ = drive(at_random(0.3))
    assert abs(wish.ask.mean() - 0.3) < 4 * np.sqrt(0.21 / T)
    np.testing.assert_array_equal(asked, wish.ask & ALLOWED)
    assert not drive(at_random(0.0))[0].ask.any()


def test_fixed_uncertainty():
    wish, _, _ = drive(threshold(minus_confidence, -0.8))
    np.testing.assert_array_equal(wish.ask, CONFIDENCE < 0.8)
    np.testing.assert_allclose(wish.score, -CONFIDENCE, rtol=1e-5)


def test_margin_and_votes():
    ordered = np.sort(P.mean(1), -1)
    np.testing.assert_array_equal(drive(threshold(margin, -0.25))[0].ask, ordered[:, -1] - ordered[:, -2] < 0.25)
    votes = P.argmax(-1)
    np.testing.assert_array_equal(drive(threshold(vote_entropy, 0.0))[0].ask, (votes != votes[:, :1]).any(1))


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_variable_uncertainty_is_the_algorithm_of_the_paper(spread):
    """θ starts at 1; a row of confidence below it is wanted and θ shrinks by 1 - s, else θ grows by 1 + s."""
    wish, _, _ = drive(variable_threshold(minus_confidence, -1.0, 0.02, spread))
    theta, step = 1.0, 0.02
    for t in range(T):
        eta = 1.0 + spread * float(jax.random.normal(KEYS[t])) if spread else 1.0
        assert wish.ask[t] == (CONFIDENCE[t] < theta * eta)
        np.testing.assert_allclose(wish.threshold[t], -theta * eta, rtol=1e-3, atol=1e-4)
        if ALLOWED[t]:
            theta *= 1 - step if CONFIDENCE[t] < theta * eta else 1 + step
    assert 0.2 < wish.ask.mean() < 0.8


def test_variable_threshold_of_a_positive_score():
    wish, _, _ = drive(variable_threshold(bald, 0.5, 0.05))
    theta = 0.5
    for t in range(T):
        assert wish.ask[t] == (BALD[t] > theta)
        if ALLOWED[t]:
            theta *= 1.05 if BALD[t] > theta else 0.95


@pytest.mark.parametrize("tolerance", [np.inf, 20.0])
def test_the_quantile_filter_is_that_of_the_paper(tolerance):
    wish, asked, _ = drive(quantile(bald, 0.2, 50, tolerance))
    num_asked = 0
    for t in range(T):
        latest = BALD[max(0, t - 49) : t + 1]
        theta = np.quantile(latest, 0.8)
        theta -= (latest.max() - latest.min()) * (0.2 * (t + 1) - num_asked) / tolerance
        np.testing.assert_allclose(wish.threshold[t], theta, rtol=1e-3, atol=1e-5)
        if abs(BALD[t] - theta) > 1e-5:
            assert wish.ask[t] == (BALD[t] >= theta)
        num_asked += asked[t]
    if tolerance < np.inf:
        assert abs(num_asked / T - 0.2) < 0.02  # although three labels in ten are refused


def test_scores_that_are_not_numbers_are_passed_over():
    """They are not wanted, and move no quantile of others."""
    rule = quantile(lambda log_probs: jnp.where(log_probs[:, 0, 0] < -2.0, jnp.nan, bald(log_probs)), 0.2, 50, np.inf)
    wish, _, _ = drive(rule)
    lost = LOG_PROBS[:, 0, 0, 0] < -2.0
    assert 20 < lost.sum() < T - 20
    assert not wish.ask[lost].any()
    kept = []
    for t in np.flatnonzero(~lost):
        kept.append(BALD[t])
        np.testing.assert_allclose(wish.threshold[t], np.quantile(kept[-50:], 0.8), rtol=1e-3, atol=1e-5)


def test_a_score_that_is_nan_moves_no_threshold():
    rule = variable_threshold(lambda log_probs: jnp.full(len(log_probs), jnp.nan), -1.0)
    wish = rule.decide(KEYS[0], rule.init(), jnp.zeros((1, K, C)), 0)
    decision, yes = Decision(wish.ask, jnp.int32(0), wish.score, wish.threshold), jnp.array(True)
    assert not wish.ask
    assert rule.update(rule.init(), Outcome(decision, jnp.int32(0), ~yes, yes), 0) == -1.0


def test_committee_of_two():
    wish, _, _ = drive(query_by_committee())
    votes = np.eye(C)[P.argmax(-1)].mean(1)
    chance = 1 - (votes**2).sum(-1)
    assert not wish.ask[chance == 0].any()
    split_votes = chance > 0
    expected, spread = chance[split_votes].sum(), np.sqrt((chance * (1 - chance)).sum())
    assert abs(wish.ask.sum() - expected) < 4 * spread


def test_epig_about_the_latest_rows():
    """The score is the information about the targets handed in, by enumeration of both labels."""
    wish, _, _ = drive(threshold(recent_epig(TARGETS), 0.05))
    joint = np.einsum("tkc,tmkd->tmcd", P, np.exp(LOG_PROBS[:, 1:])) / K
    alone = joint.sum(-1, keepdims=True) * joint.sum(-2, keepdims=True)
    expected = (joint * np.log(joint / alone)).sum((-1, -2)).mean(1)
    np.testing.assert_allclose(wish.score, expected, atol=2e-6)


def ddm_by_hand(wrong, times):
    """Gama et al. 2004, as printed: the time from which rows count, after each label."""
    since, found, count, errors, low, warned = 0, [], 0, 0, None, None
    for bad, time in zip(wrong, times, strict=True):
        count, errors = count + 1, errors + bad
        p = errors / count
        s = np.sqrt(p * (1 - p) / count)
        if count >= 30:
            if low is None or p + s <= sum(low):
                low = (p, s)
            warned = (time if warned is None else warned) if p + s > low[0] + 2 * low[1] else None
            if p + s > low[0] + 3 * low[1]:
                since, count, errors, low, warned = warned, 0, 0, None, None
        found.append(since)
    return np.array(found)


def test_the_drift_detector_is_that_of_the_paper():
    rng = np.random.default_rng(0)
    wrong = rng.random(900) < np.repeat([0.1, 0.5, 0.2], 300)
    times = np.arange(900) * 2
    detector = ddm()

    def one(state, inputs):
        state = detector.update(state, *inputs)
        return state, detector.since(state)

    since = jax.jit(lambda *inputs: jax.lax.scan(one, detector.init(), inputs)[1])(
        jnp.asarray(wrong), jnp.asarray(times)
    )
    np.testing.assert_array_equal(since, ddm_by_hand(wrong, times))
    assert 600 <= int(since[-1]) < 800


def test_split_asks_by_chance_and_by_rule():
    rule = split(variable_threshold(minus_confidence, -1.0, 0.02), share=0.9, chance=0.4)
    wish, asked, state = drive(rule)
    chance = wish.info.by_chance
    assert abs(chance.mean() - 0.4) < 4 * np.sqrt(0.24 / T)
    assert abs(wish.ask[chance].mean() - 0.9) < 4 * np.sqrt(0.09 / chance.sum())
    theta = 1.0
    for t in range(T):
        if not chance[t]:
            assert wish.ask[t] == (CONFIDENCE[t] < theta)
            if ALLOWED[t]:
                theta *= 0.98 if CONFIDENCE[t] < theta else 1.02
        np.testing.assert_allclose(-state.rule[t], theta, rtol=1e-3)
    heard = np.flatnonzero(chance & asked)  # the detector hears no others
    expected = np.zeros(T, int)
    for place, since in zip(heard, ddm_by_hand((Y != PREDICTION)[heard], heard), strict=True):
        expected[place:] = since
    np.testing.assert_array_equal(jax.vmap(rule.forget)(state), expected)
    assert expected[-1] > 240  # where labels became random


@pytest.mark.parametrize("num_right", [29, 30])
def test_the_first_error_after_none_is_a_drift(num_right):
    detector, row = ddm(), jnp.arange(31)
    update = lambda state, time: (detector.update(state, time == num_right, time), None)
    last = jax.jit(lambda row: jax.lax.scan(update, detector.init(), row)[0])(row)
    assert detector.since(last) == (30 if num_right == 30 else 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: at_random(1.2), "expected share in"),
        (lambda: variable_threshold(bald, 0.0), "finite start other than 0"),
        (lambda: variable_threshold(bald, np.inf), "a finite start"),
        (lambda: threshold(bald, np.nan), "as above, got NaN"),
        (lambda: variable_threshold(bald, 1.0, 1.0), "a step in"),
        (lambda: variable_threshold(bald, 1.0, spread=-1.0), "spread must be"),
        (lambda: quantile(bald, 0.0), "expected share in"),
        (lambda: quantile(bald, 0.1, 0), "window must be"),
        (lambda: quantile(bald, 0.1, tolerance=0.0), "positive tolerance"),
        (lambda: recent_epig(0), "num_targets must be"),
        (lambda: split(at_random(0.1), 0.1, 1.5), "expected chance in"),
        (lambda: split(split(at_random(0.1), 0.1), 0.1), "forgets by itself"),
        (lambda: ddm(warning=4.0), "0 < warning <= drift"),
    ],
)
def test_rules_out_of_range(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: unwrap(threshold)("bald", 0.1), "an acquisition such as bald"),
        (lambda: unwrap(quantile)(bald, "0.1"), "a number as share"),
        (lambda: unwrap(split)(bald, 0.1), "expected a Rule, got bald"),
        (lambda: unwrap(split)(at_random(0.1), 0.1, detector=ddm), "call its factory"),
    ],
)
def test_rules_of_another_kind(make, words):
    with pytest.raises(TypeError, match=words):
        make()
