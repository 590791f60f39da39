"""A learner, a rule and a memory, against the same written out in Python lists and float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.acquisition import bald
from bal.learners import linear
from bal.stream import (
    Detector,
    at_random,
    committee,
    from_learner,
    minus_confidence,
    quantile,
    recent_epig,
    run_stream,
    share_of_rows,
    split,
    threshold,
    variable_threshold,
)
from bal.stream.committee import drawn_rows
from bal.typing import Data, Gaussian
from tests.problem import CENTERS, CLASSES

T = 90
RNG = np.random.default_rng(3)
Y = RNG.integers(0, CLASSES, T)
X = (RNG.normal(size=(CLASSES, 2))[Y] * 2 + RNG.normal(size=(T, 2)) * 0.7).astype(np.float32)
KEY = jax.random.key(8)
RUN = jax.jit(run_stream, static_argnums=(3, 4))


def run(method, y=Y, budget=None):
    return jax.tree.map(np.asarray, RUN(KEY, X, y, method, budget))


def probabilities(means, x):
    """Of CENTERS, both draws."""
    squared = ((x - means) ** 2).sum(-1)
    logits = -squared[None] * np.array([[0.2], [1.0]])
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def means_of(held):
    sums, counts = np.zeros((CLASSES, 2)), np.ones(CLASSES)
    for x, y, weight, _ in held:
        sums[y] += weight * x
        counts[y] += weight
    return sums / counts[:, None]


def by_hand(above, capacity, every, num_first, num_pseudo, pseudo_weight, share=1.0, since=lambda t: 0):
    """Asks where the confidence is below `above`; nothing is learned from before `since`."""
    asked_rows, pseudo_rows, means, log = [], [], np.zeros((CLASSES, 2)), []
    for t in range(T):
        p = probabilities(means, X[t].astype(float)).mean(0)
        prediction = p.argmax()
        asked = (p.max() < above or t < num_first) and sum(row[0] for row in log) + 1 <= share * (t + 1)
        log.append((asked, prediction, -p.max()))
        forgotten = since(t) > since(t - 1)
        means = np.zeros((CLASSES, 2)) if forgotten else means
        asked_rows = [row for row in asked_rows if row[3] >= since(t)]
        pseudo_rows = [row for row in pseudo_rows if row[3] >= since(t)]
        if asked:
            asked_rows = [*asked_rows, (X[t], Y[t], 1.0, t)][-capacity:]
        elif num_pseudo:
            pseudo_rows = [*pseudo_rows, (X[t], prediction, pseudo_weight, t)][-num_pseudo:]
        if t % every == 0:
            means = means_of([*asked_rows, *pseudo_rows])
    return tuple(np.array(part) for part in zip(*log, strict=True)), asked_rows, pseudo_rows


def held(state):
    """What training sees, in the order of time."""
    replay = state.replay
    rows = [(t, y, w) for t, y, w in zip(replay.time, replay.y, replay.weight, strict=True) if w > 0]
    return sorted((int(t), int(y), round(float(w), 4)) for t, y, w in rows)


@pytest.mark.parametrize(
    "settings",
    [
        {"capacity": 9, "every": 1, "num_first": 3, "num_pseudo": 0, "pseudo_weight": 0.1},
        {"capacity": 200, "every": 4, "num_first": 0, "num_pseudo": 7, "pseudo_weight": 0.3},
    ],
)
def test_the_method_is_that_of_a_slow_loop(settings):
    method = from_learner(CENTERS, threshold(minus_confidence, -0.7), CLASSES, **settings)
    log, state = run(method, budget=share_of_rows(0.5))
    (asked, prediction, score), asked_rows, pseudo_rows = by_hand(0.7, **settings, share=0.5)
    assert 9 < asked.sum() < 45
    np.testing.assert_array_equal(log.asked, asked)
    np.testing.assert_array_equal(log.prediction, prediction)
    np.testing.assert_allclose(log.score, score, rtol=1e-4)
    expected = sorted((t, int(y), round(w, 4)) for _, y, w, t in [*asked_rows, *pseudo_rows])
    assert held(state) == expected


ALWAYS_AT = 40
CLOCK = Detector(
    lambda: jnp.zeros((), jnp.int32),
    lambda state, wrong, time: jnp.where(time >= ALWAYS_AT, ALWAYS_AT - 5, 0),
    lambda state: state,
)
"""Says at row 40 that row 35 began something new."""


def test_what_is_before_a_drift_is_forgotten():
    rule = split(threshold(minus_confidence, -0.9), 1.0, 0.0, CLOCK)
    quiet = from_learner(CENTERS, rule, CLASSES, capacity=30)
    loud = from_learner(CENTERS, split(at_random(1.0), 1.0, 1.0, CLOCK), CLASSES, capacity=30)
    assert run(quiet)[1].rule.detector == 0  # without labels of chance nothing is heard
    log, state = run(loud)
    since = lambda t: ALWAYS_AT - 5 if t >= ALWAYS_AT else 0
    settings = {"capacity": 30, "every": 1, "num_first": 0, "num_pseudo": 0, "pseudo_weight": 0.1}
    (_, prediction, _), rows, _ = by_hand(2.0, **settings, since=since)
    np.testing.assert_array_equal(log.prediction, prediction)
    assert held(state) == [(t, int(y), 1.0) for _, y, _, t in rows]
    np.testing.assert_allclose(state.model, means_of(rows), rtol=1e-4)


def test_a_drift_starts_the_learner_anew():
    """One that goes on from its state, and learns nothing more, is again what it was at first."""
    counting = CENTERS._replace(
        init=lambda key, data: jax.random.uniform(key, (CLASSES, 2)), fit=lambda key, state, data: state + 1
    )
    method = from_learner(counting, split(at_random(1.0), 1.0, 1.0, CLOCK), CLASSES)
    _, state = run(method)
    np.testing.assert_allclose(state.model, state.fresh + T - ALWAYS_AT, rtol=1e-5)


@pytest.mark.parametrize(
    "rule",
    [
        split(variable_threshold(minus_confidence, -1.0), 0.3, 0.5, CLOCK),
        quantile(recent_epig(6), 0.2, 30),
    ],
)
def test_labels_that_were_not_asked_are_never_read(rule):
    method = from_learner(CENTERS, rule, CLASSES, num_pseudo=8, num_first=4)
    honest, state = run(method, budget=share_of_rows(0.4))
    assert 5 < honest.asked.sum() < T / 2
    garbled = np.where(honest.asked, Y, (Y + 1) % CLASSES)
    other, other_state = run(method, garbled, share_of_rows(0.4))
    np.testing.assert_array_equal(
        other.correct[~honest.asked], garbled[~honest.asked] == other.prediction[~honest.asked]
    )
    jax.tree.map(np.testing.assert_array_equal, other._replace(correct=0), honest._replace(correct=0))
    jax.tree.map(np.testing.assert_array_equal, other_state, state)


def test_targets_are_the_latest_rows():
    method = from_learner(CENTERS, threshold(recent_epig(4), 0.01), CLASSES, num_first=4)
    log, state = run(method)
    assert log.asked.any()
    assert not log.asked.all()
    order = np.argsort([t - (t % 4 > (T - 1) % 4) * 4 for t in range(4)])
    np.testing.assert_array_equal(state.recent[order], X[T - 4 :])


def test_rows_are_drawn_by_weight():
    weight = jnp.array([0.0, 1.0, 0.0, 3.0, 0.0])
    rows = np.asarray(drawn_rows(KEY, weight, (4000,)))
    assert set(rows) == {1, 3}
    assert abs((rows == 3).mean() - 0.75) < 4 * np.sqrt(0.1875 / 4000)


def test_a_committee_goes_on_where_it_was():
    """Two fits of one step are one descent: a member's weights by the gradient of softmax regression in float64."""
    import optax

    learner = committee(linear(CLASSES), 2, optimizer=optax.sgd(0.5), minibatch_size=8)
    x, weight = X[:12], np.where(np.arange(12) < 6, 1.0, 0.0).astype(np.float32)
    data = Data(x, Y[:12].astype(np.int32), weight)
    fit = jax.jit(learner.fit)
    state = jax.jit(learner.init)(KEY, data)
    keys = jax.random.split(KEY, 2)
    kernels = np.array(state.params["out"]["kernel"], np.float64)
    biases = np.array(state.params["out"]["bias"], np.float64)
    assert np.abs(kernels[0] - kernels[1]).max() > 0.1
    for key in keys:
        state = fit(key, state, data)
        rows = np.asarray(drawn_rows(jax.random.split(key)[0], jnp.asarray(weight), (1, 2, 8)))[0]
        assert rows.max() < 6
        for member in range(2):
            inputs, labels = x[rows[member]].astype(float), Y[rows[member]]
            logits = inputs @ kernels[member] + biases[member]
            p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            error = (p - np.eye(CLASSES)[labels]) / 8
            kernels[member] -= 0.5 * inputs.T @ error
            biases[member] -= 0.5 * error.sum(0)
    np.testing.assert_allclose(state.params["out"]["kernel"], kernels, rtol=1e-4, atol=1e-5)
    still = fit(KEY, state, data._replace(weight=np.zeros(12, np.float32)))
    jax.tree.map(np.testing.assert_array_equal, still, state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"learner": CENTERS._replace(host=True)}, "plain Python"),
        ({"num_classes": 1}, "num_classes must be"),
        ({"capacity": 0}, "capacity must be"),
        ({"num_pseudo": -1}, "num_pseudo must be"),
        ({"pseudo_weight": 0.0}, "positive pseudo_weight"),
    ],
)
def test_settings_out_of_range(change, words):
    with pytest.raises(ValueError, match=words):
        from_learner(**({"learner": CENTERS, "rule": quantile(bald, 0.1), "num_classes": CLASSES} | change))


def test_another_number_of_classes_is_named():
    with pytest.raises(ValueError, match="as many labels as rows"):
        run_stream(KEY, jnp.asarray(X[:0]), jnp.asarray(Y[:0]), from_learner(CENTERS, quantile(bald, 0.1), 5))
    real = CENTERS._replace(predict=lambda state, x: Gaussian(x[:, :1], x[:, :1], x[:, :1]))
    with pytest.raises(ValueError, match="got Gaussian; use a classifier"):
        run_stream(KEY, jnp.asarray(X), jnp.asarray(Y), from_learner(real, quantile(bald, 0.1), 5))
    with pytest.raises(ValueError, match=r"expected log probabilities \[rows, draws, 5\]"):
        run_stream(KEY, jnp.asarray(X), jnp.asarray(Y), from_learner(CENTERS, quantile(bald, 0.1), 5))
