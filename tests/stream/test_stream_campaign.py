"""People and streams: the same as a run, on record, played back, and what is refused."""

from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.loop import seed_keys
from bal.records import acquired, answers, open_record, table
from bal.stream import (
    StreamCampaign,
    at_random,
    from_learner,
    minus_confidence,
    quantile,
    run_stream,
    run_stream_seeds,
    share_of_rows,
    stream_rounds,
)
from tests.problem import CENTERS, CLASSES

T = 24
RNG = np.random.default_rng(0)
Y = RNG.integers(0, CLASSES, T)
X = (RNG.normal(size=(CLASSES, 2))[Y] * 2 + RNG.normal(size=(T, 2))).astype(np.float32)
KEY = jax.random.key(1)
METHOD = from_learner(CENTERS, quantile(minus_confidence, 0.4, 10), CLASSES, capacity=8, num_pseudo=4)
BUDGET = share_of_rows(0.5)
NAMES = ["a", "b", "c"]


def opened(record=None, method=METHOD, **changes):
    return StreamCampaign(
        **({"key": KEY, "method": method, "like": X[0], "budget": BUDGET, "record": record} | changes)
    )


def go_on(campaign, stop=T, labels=Y):
    seen = []
    for row in range(campaign.num_rows, stop):
        seen.append(campaign.see(X[row]))
        if seen[-1].ask:
            campaign.tell(labels[row])
    return seen


@pytest.fixture(scope="module")
def log():
    run = jax.jit(run_stream, static_argnums=(3, 4))
    return jax.tree.map(np.asarray, run(KEY, X, Y, METHOD, BUDGET).log)


def test_a_campaign_is_a_run(log):
    campaign = opened()
    seen = go_on(campaign)
    assert [one.row for one in seen] == [*range(T)]
    np.testing.assert_array_equal([one.ask for one in seen], log.asked)
    np.testing.assert_array_equal([one.prediction for one in seen], log.prediction)
    np.testing.assert_allclose([one.score for one in seen], log.score, rtol=1e-5)
    np.testing.assert_allclose(campaign.spent, log.spent[-1], rtol=1e-6)
    assert campaign.num_told == log.asked.sum() > 5
    assert repr(campaign) == f"StreamCampaign: {T} rows seen, {log.asked.sum()} labels told"


def test_a_record_is_played_back(tmp_path, log):
    asked = np.flatnonzero(log.asked)
    with open_record(tmp_path, "stream", {}) as record:
        campaign = opened(record, classes=NAMES)
        seen = go_on(campaign, asked[3], np.array(NAMES)[Y])
        assert [one.prediction for one in seen] == [NAMES[number] for number in log.prediction[: asked[3]]]
        campaign.see(X[asked[3]])  # and the process ends before its label comes
    with open_record(tmp_path, "stream", {}) as record:
        campaign = opened(record, classes=NAMES)
        assert (campaign.num_rows, campaign.num_told, campaign.waiting) == (asked[3] + 1, 3, asked[3])
        campaign.tell(NAMES[Y[asked[3]]])
        seen = go_on(campaign, labels=np.array(NAMES)[Y])
        np.testing.assert_array_equal([one.ask for one in seen], log.asked[asked[3] + 1 :])
    told = answers(record.path)
    assert told["row"].tolist() == asked.tolist()
    assert told["label"] == Y[asked].tolist()
    np.testing.assert_allclose(told["score"], log.score[asked], rtol=1e-5)


def test_a_model_of_nan_predicts_no_class_and_teaches_none(tmp_path):
    lost = CENTERS._replace(predict=lambda means, x: jnp.full((len(x), 2, CLASSES), jnp.nan))
    method = from_learner(lost, at_random(0.0), CLASSES, capacity=8, num_pseudo=4)
    with pytest.warns(UserWarning, match="in 48 of 48 rows the model predicted NaN: no class"):
        runs = run_stream_seeds(seed_keys(0, 2), X, Y, method)
    assert not runs.log.correct.any()
    assert (runs.log.prediction == -1).all()
    assert (runs.state.replay.counts == 0).all()
    with open_record(tmp_path, "lost", {}) as record:
        campaign = opened(record, method, classes=NAMES)
        assert [campaign.see(row).prediction for row in X[:3]] == [None] * 3
    with open_record(tmp_path, "lost", {}) as record:
        assert opened(record, method, classes=NAMES).num_rows == 3


def test_a_row_that_is_skipped_costs_nothing(tmp_path):
    with open_record(tmp_path, "stream", {}) as record:
        campaign = opened(record, from_learner(CENTERS, at_random(1.0), CLASSES))
        while not campaign.see(X[campaign.num_rows]).ask:
            pass
        campaign.skip()
        assert (campaign.waiting, campaign.num_told, campaign.spent) == (None, 0, 0.0)
        assert campaign.see(X[2]).ask
    again = opened(open_record(tmp_path, "stream", {}), from_learner(CENTERS, at_random(1.0), CLASSES))
    assert repr(again) == "StreamCampaign: 3 rows seen, 0 labels told, row 2 waits for its label"


def test_what_cannot_be_right_is_refused():
    campaign = opened(method=from_learner(CENTERS, at_random(1.0), CLASSES), budget=None, classes=NAMES)
    with pytest.raises(ValueError, match="no row waits for its label, so none can be told"):
        campaign.tell("a")
    with pytest.raises(ValueError, match="none can be skipped"):
        campaign.skip()
    with pytest.raises(ValueError, match="rows of shape"):
        campaign.see(X[0, :1])
    with pytest.raises(ValueError, match="NaN or infinity"):
        campaign.see(np.array([np.nan, 0.0]))
    assert campaign.num_rows == 0
    with pytest.raises(ValueError, match="open it with a row of floats"):
        opened(like=[0, 0]).see([0.5, 1.0])
    campaign.see(X[0].tolist())
    with pytest.raises(ValueError, match="row 0 waits for its label; tell or skip"):
        campaign.see(X[1])
    with pytest.raises(ValueError, match="label 'd' of row 0 is none of the classes"):
        campaign.tell("d")
    assert campaign.waiting == 0
    init = unwrap(StreamCampaign.__init__)  # behind the check of types
    for arguments, kind, words in (
        ((KEY, METHOD, X[0], 0.5), TypeError, "expected a Budget"),
        ((KEY, CENTERS, X[0]), TypeError, "expected a StreamMethod"),
        ((jnp.zeros(2), METHOD, X[0]), ValueError, "expected one key"),
        ((KEY, METHOD, X[0] * np.nan), ValueError, "NaN or infinity"),
    ):
        with pytest.raises(kind, match=words):
            init(object.__new__(StreamCampaign), *arguments)
    with pytest.raises(ValueError, match="expected num_classes=3 names of classes, got 2"):
        opened(classes=["a", "b"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": jax.random.key(5)}, "the record is of key"),
        ({"like": X[0, :1]}, "the record is of row"),
        ({"classes": NAMES}, "the record is of classes"),
        ({"method": METHOD._replace(num_classes=4)}, "the record is of num_classes"),
        ({"method": from_learner(CENTERS, at_random(0.5), CLASSES)}, "its own method alone"),
        ({"budget": share_of_rows(0.25)}, "its own budget alone"),
    ],
)
def test_a_record_of_something_else(tmp_path, change, words):
    with open_record(tmp_path, "stream", {}) as record:
        opened(record)
        with pytest.raises(ValueError, match=words):
            opened(record, **change)
        record.append([{"kind": "note"}])
        with pytest.raises(ValueError, match="does not hold the campaign of a stream"):
            opened(record)


def test_a_record_that_is_not_repeated(tmp_path):
    with open_record(tmp_path, "stream", {}) as record:
        opened(record)
        event = {"kind": "see", "row": 0, "x": [[0.0, 0.0]], "ask": True, "prediction": 2, "score": 0.0}
        record.append([event])
        with pytest.raises(ValueError, match="row 0 was decided about otherwise"):
            opened(record)


def test_rounds_on_record(tmp_path, log):
    with open_record(tmp_path, "stream", {}) as record:
        for seed in range(2):
            record.append(stream_rounds(log, Y, 5, seed))
        record.finish({})
    asked = np.flatnonzero(log.asked)
    np.testing.assert_array_equal(acquired(record.path)[1], asked)
    assert [y for event in record.rounds(1) for y in event["labels"]] == Y[asked].tolist()
    expected = [part.mean() for part in np.array_split(log.correct, 5)]
    rows = table(tmp_path)
    np.testing.assert_allclose(np.array(rows["metrics.accuracy"])[np.array(rows["seed"]) == 1], expected)
    assert record.rounds(0)[-1]["counts"]["training"] == len(asked)
    with pytest.raises(ValueError, match="at least one row a round"):
        stream_rounds(log, Y, T + 1)
