"""Ask, tell, skip, add: what people do to a campaign, and what it refuses, losing nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gpjax.kernels import RBF
from problem import CLASSES, KEY, MOVING, QUERY, N, X, Y

from bal.acquisition import epistemic_variance, over_outputs
from bal.learners import ensemble, mlp, warm
from bal.learners.gp import gp_regression, process
from bal.loop import Campaign
from bal.pool import streamed
from bal.query import Query, Stage, by_score
from bal.records import open_record
from bal.selection import best, random_uniform
from bal.typing import Gaussian, Learner

X_POOL, LABELS = np.asarray(X), np.asarray(Y)


def open_campaign(**changes):
    arguments = {"learner": MOVING, "query": QUERY, "x": X_POOL, "capacity": 12, "num_classes": CLASSES, **changes}
    return Campaign(KEY, **arguments)


@pytest.fixture
def started():
    campaign = open_campaign()
    rows = campaign.ask(4)
    campaign.tell(rows, LABELS[rows])
    return campaign


def test_pending_rows_are_not_asked_again_and_not_trained_on(started):
    first = started.ask(2)
    second = started.ask(2)
    assert not set(first) & set(second)
    assert started.pending.tolist() == [*first, *second]
    assert started.num_labeled == 4
    started.tell(second, LABELS[second])
    assert started.pending.tolist() == first.tolist()
    assert started.num_labeled == 6


def test_skipped_rows_never_come_back(started):
    rows = started.ask(2)
    started.skip(rows)
    assert started.pending.tolist() == []
    assert not set(rows) & set(started.ask(4))
    assert started.num_labeled == 4


def test_pending_rows_count_as_covered_and_skipped_rows_do_not(started):
    """A rule that spreads rows out must not ask for the neighbor of a row whose answer is on its way."""
    seen = []

    def watched(key, candidates, batch_size):
        jax.debug.callback(lambda weight: seen.append(weight.tolist()), candidates.known_weight)
        return random_uniform(key, candidates, batch_size)

    def last_seen():
        jax.effects_barrier()
        return seen[-1]

    spy = Stage(None, watched)
    campaign = open_campaign(query=Query((spy,)), learner=answering(lambda n: jnp.zeros((n, 1, 1))), num_classes=1)
    campaign.tell([0, 1], [0, 0])
    rows = campaign.ask(2)
    campaign.skip(rows[:1])
    campaign.ask(1)
    assert last_seen()[:4] == [1, 1, 0, 1]
    campaign.tell(rows[:1], [0])  # after all
    campaign.ask(1)
    assert last_seen()[:5] == [1, 1, 1, 1, 1]


def test_a_skipped_row_may_be_answered_after_all(started):
    rows = started.ask(2)
    started.skip(rows)
    started.tell(rows[:1], LABELS[rows[:1]])
    assert started.num_labeled == 5
    assert started.pending.tolist() == []


def test_rows_nobody_asked_for_may_be_told():
    campaign = open_campaign()
    campaign.tell([5, 9, 11], LABELS[[5, 9, 11]])
    rows = campaign.ask(3)
    assert campaign.last_selection is not None
    assert not {5, 9, 11} & set(rows)


def test_new_rows_join_the_pool(started):
    campaign = open_campaign(pool_capacity=N + 2)
    rows = campaign.ask(4)
    assert (rows < N).all()
    campaign.tell(rows, LABELS[rows])
    assert campaign.add(X_POOL[:2] + 0.5).tolist() == [N, N + 1]
    campaign.tell([N], [1])
    assert N not in campaign.ask(4)
    with pytest.raises(ValueError, match="room for 0 more rows"):
        campaign.add(X_POOL[:1])


def test_added_rows_are_asked_for():
    """Only the new rows are left: they must be the picks."""
    campaign = open_campaign(x=X_POOL[:4], pool_capacity=6)
    rows = campaign.ask(4)
    campaign.tell(rows, LABELS[rows])
    campaign.add(X_POOL[4:6])
    assert sorted(campaign.ask(2)) == [4, 5]


def test_predict_uses_all_answers(started):
    log_probs = started.predict(X_POOL[:5])
    assert log_probs.shape == (5, 2, CLASSES)
    rows = started.ask(2)
    started.tell(rows, LABELS[rows])
    assert np.abs(started.predict(X_POOL[:5]) - log_probs).max() > 1e-4


def test_streamed_pool(started, tmp_path):
    np.save(tmp_path / "x.npy", X_POOL)
    other = open_campaign(x=np.load(tmp_path / "x.npy", mmap_mode="r"), over=streamed(7))
    rows = other.ask(4)
    other.tell(rows, LABELS[rows])
    assert other.ask(2).tolist() == started.ask(2).tolist()


@pytest.mark.parametrize("restart", [None, pytest.param(warm, marks=pytest.mark.slow)], ids=["quick", "warm"])
def test_a_recorded_campaign_goes_on_where_it_stopped(tmp_path, restart):
    learner = MOVING if restart is None else ensemble(mlp((8,), num_outputs=CLASSES), 3, num_steps=15, restart=restart)
    steps = [
        lambda c: c.tell(rows := c.ask(4), LABELS[rows]),
        lambda c: c.skip(c.ask(2)[:1]),
        lambda c: c.tell(c.pending, LABELS[c.pending]),
        lambda c: c.tell(rows := c.ask(2), LABELS[rows]),
        lambda c: c.ask(2),
    ]
    whole = open_campaign(learner=learner)
    for step in steps:
        step(whole)
    for step in steps:  # a new process for every step
        with open_record(tmp_path, "campaign", {}) as record:
            campaign = open_campaign(learner=learner, record=record)
            step(campaign)
    assert campaign.indices.tolist() == whole.indices.tolist()
    assert campaign.labels.tolist() == whole.labels.tolist()
    assert campaign.pending.tolist() == whole.pending.tolist()


def refuses(campaign, call, message):
    """The call raises, and the campaign is as before."""
    before = (campaign.indices.tolist(), campaign.labels.tolist(), campaign.pending.tolist())
    with pytest.raises(ValueError, match=message):
        call(campaign)
    assert (campaign.indices.tolist(), campaign.labels.tolist(), campaign.pending.tolist()) == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.ask(0), "batch_size must be at least 1"),
        (lambda c: c.ask(37), "34 rows left, fewer than batch_size=37"),
        (lambda c: c.ask(9), "room for 6 more"),
        (lambda c: c.tell([40], [0]), r"row 40 is outside the pool: expected ids in \[0, 40\)"),
        (lambda c: c.tell([-1], [0]), "row -1 is outside the pool"),
        (lambda c: c.tell([1, 1], [0, 0]), "row 1 is named twice"),
        (lambda c: c.tell([0.5], [0]), "integer row ids"),
        (lambda c: c.tell(c.indices[:1], [0]), "has a label already"),
        (lambda c: c.tell(c.pending, [0]), "expected 2 labels"),
        (lambda c: c.tell(c.pending, [0, 3]), r"label 3 of row \d+ is out of range: expected classes in \[0, 3\)"),
        (lambda c: c.tell(c.pending, [0.0, 1.0]), "integer class numbers"),
        (lambda c: c.tell(c.pending, ["a", "b"]), "expected the labels as numbers"),
        (lambda c: c.skip(c.indices[:1]), "is not pending"),
        (lambda c: c.add(X_POOL[:1]), "room for 0 more rows"),
        (lambda c: c.predict(np.zeros((2, 5), np.float32)), "expected rows of shape"),
    ],
)
def test_bad_calls(started, call, message):
    started.ask(2)
    refuses(started, call, message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": X_POOL[:0]}, "the pool is empty"),
        ({"x": np.where(np.arange(N)[:, None] == 3, np.nan, X_POOL)}, "row 3 of the inputs holds NaN"),
        ({"x": {"a": X_POOL, "b": X_POOL[:5]}}, "share their leading axis"),
        ({"x": np.array(["a", "b"], object)}, "expected the inputs as numbers"),
        ({"capacity": 0}, "capacity must be at least 1"),
        ({"cost": np.ones(3)}, "one positive cost for each of 40 rows"),
        ({"cost": np.zeros(N)}, "one positive cost for each of 40 rows"),
        ({"pool_capacity": 5}, "smaller than the 40 rows"),
        ({"num_outputs": 2}, "expected num_classes or num_outputs, got 3 and 2"),
    ],
)
def test_bad_openings(changes, message):
    with pytest.raises(ValueError, match=message):
        open_campaign(**changes)


def test_several_outputs_in_double_precision(tmp_path):
    """A Gaussian process of two outputs: labels [2, 2], exact on record and after it is opened again."""
    x, y = np.linspace(0, 1, 9)[:, None], np.random.default_rng(0).normal(size=(9, 2))
    query = by_score(over_outputs(epistemic_variance), best)
    with jax.enable_x64(True):
        learner = gp_regression(process(RBF(lengthscale=0.3), noise=1e-6))
        options = {"learner": learner, "query": query, "x": x, "num_classes": None, "num_outputs": 2}
        with open_record(tmp_path, "outputs", {}) as record:
            campaign = open_campaign(record=record, **options)
            refuses(campaign, lambda c: c.tell([3, 6], y[[3, 6], 0]), "expected 2 labels of 2 outputs each")
            campaign.tell([3, 6], y[[3, 6]])
            rows = campaign.ask(1)
            campaign.tell(rows, y[rows])
        with open_record(tmp_path, "outputs", {}) as record:
            again = open_campaign(record=record, **options)
        np.testing.assert_array_equal(again.labels, y[[3, 6, 0]])  # the end farthest from a label
        found = again.predict(x[[3, 6, 0]])
    np.testing.assert_allclose(found.mean[:, 0], y[[3, 6, 0]], atol=1e-4)


def answering(predictions) -> Learner:
    """A learner that predicts what it is told to, whatever it is asked."""
    return Learner(lambda key, data: (), lambda key, state, data: (), lambda state, x: predictions(len(x)))


GOOD = np.log(np.full((1, 2, CLASSES), 1 / CLASSES, np.float32))


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (lambda n: jnp.zeros((n, 2, CLASSES)), "normalised, got a row that sums to 3"),
        (lambda n: jnp.full((n, 2, CLASSES), jnp.nan), "are NaN"),
        (lambda n: jnp.zeros((n, 2, CLASSES), jnp.int32), "floating-point"),
        (lambda n: jnp.zeros((n - 1, 2, CLASSES)), r"expected log probabilities of shape \[40"),
    ],
)
def test_bad_predictions(predictions, message):
    campaign = open_campaign(learner=answering(predictions))
    campaign.tell([0, 1], [0, 1])
    refuses(campaign, lambda c: c.ask(2), message)


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (lambda n: Gaussian(jnp.zeros((n, 2)), -jnp.ones((n, 2)), jnp.ones((n, 2))), "variance is negative"),
        (lambda n: Gaussian(jnp.full((n, 2), jnp.inf), jnp.ones((n, 2)), jnp.ones((n, 2))), "mean is not finite"),
    ],
)
def test_bad_moments(predictions, message):
    campaign = open_campaign(learner=answering(predictions), num_classes=None)
    campaign.tell([0, 1], [0, 1])
    refuses(campaign, lambda c: c.ask(2), message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learner": lambda n: jnp.zeros((n, CLASSES))}, r"predicts log probabilities \[rows, draws, classes\]"),
        ({"learner": lambda n: jnp.zeros((n, 2, 5))}, "predicts 5 classes .* got num_classes=3"),
        (
            {"learner": lambda n: jnp.zeros((n, 2, 3)), "num_classes": None},
            "predicts 3 classes .* got num_classes=None",
        ),
        ({"learner": lambda n: Gaussian(*jnp.ones((3, n, 2)))}, "predicts real numbers .* got num_classes=3"),
        ({"learner": lambda n: Gaussian(*jnp.ones((3, n, 2))), "num_classes": None, "num_outputs": 2}, "one outputs"),
    ],
)
def test_labels_of_another_kind_than_the_learner_predicts(changes, message):
    with pytest.raises(ValueError, match=message):
        open_campaign(**{**changes, "learner": answering(changes["learner"])})


def test_nan_scores_are_named():
    """Predictions are sound where they are checked, but the acquisition gives no numbers."""
    good = answering(lambda n: jnp.tile(jnp.asarray(GOOD), (n, 1, 1)))
    nothing = by_score(lambda log_probs: jnp.full(len(log_probs), jnp.nan), best)
    campaign = open_campaign(learner=good, query=nothing)
    campaign.tell([0], [0])
    refuses(campaign, lambda c: c.ask(2), "only 0 of 2 rows could be picked")


def test_regression_campaign():
    prediction = lambda n: Gaussian(jnp.zeros((n, 1)), jnp.arange(1.0, n + 1)[:, None], jnp.ones((n, 1)))
    campaign = open_campaign(learner=answering(prediction), query=by_score(epistemic_variance, best), num_classes=None)
    campaign.tell([0], [1.5])
    assert campaign.ask(2).tolist() == [N - 1, N - 2]
    refuses(campaign, lambda c: c.tell(c.pending, [1.0, np.nan]), "finite real labels")
    campaign.tell(campaign.pending, [2, 3])
    assert campaign.labels.tolist() == [1.5, 2.0, 3.0]


def test_the_key_is_the_only_randomness():
    assert open_campaign().ask(4).tolist() == open_campaign().ask(4).tolist()
    other = Campaign(jax.random.key(77), MOVING, QUERY, X_POOL, capacity=12, num_classes=CLASSES)
    assert other.ask(4).tolist() != open_campaign().ask(4).tolist()
