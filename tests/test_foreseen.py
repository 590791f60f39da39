"""What the model predicted of the rows that it asked for is on record beside their scores, in every driver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from problem import CENTERS, CLASSES, KEY, QUERY, TASK, N, X, Y

from bal import Campaign, run_eager, run_seeds, seed_keys
from bal.loop.foreseen import MOST_CLASSES, averaged
from bal.pool import host
from bal.records import load, open_record
from bal.typing import Gaussian, Latent, MultiLabel, Setup

SETUP = Setup(CENTERS, QUERY, batch_size=3, num_rounds=2, num_initial=4)
RNG = np.random.default_rng(0)
FEW = RNG.normal(size=(5, 4, 3)).astype(np.float32)


def by_hand(rows, labels, asked):
    """Mean over draws of the class probabilities of `CENTERS`, in float64 from its definition."""
    x, y = np.asarray(X, float), np.asarray(labels)
    means = np.array([x[rows[y == c]].sum(0) / (1 + (y == c).sum()) for c in range(CLASSES)])
    squared = np.square(x[asked][:, None] - means).sum(-1)
    return np.mean([scipy.special.softmax(-width * squared, -1) for width in (0.2, 1.0)], 0)


def held_to_hand(events):
    """Every round against what was labeled before it."""
    rows, labels = np.zeros(0, int), np.zeros(0, int)
    for event in events:
        if event["round"]:
            expected = by_hand(rows, labels, event["acquired"])
            np.testing.assert_allclose(event["info"]["predicted"], expected, rtol=1e-4, atol=1e-6)
        rows, labels = np.append(rows, event["acquired"]), np.append(labels, event["labels"])


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Two seeds on record, the log, and the record."""
    with open_record(tmp_path_factory.mktemp("seeds"), "toy", {}) as record:
        return run_seeds(seed_keys(0, 2), TASK, SETUP, record=record).log, record


def test_averages_over_draws():
    expected = scipy.special.expit(FEW.astype(float)).mean(1)
    np.testing.assert_allclose(averaged(MultiLabel(jnp.asarray(FEW)))["predicted"], expected, rtol=1e-5)
    log_probs = scipy.special.log_softmax(FEW.astype(float), -1)
    found = averaged(jnp.asarray(log_probs, jnp.float32))
    np.testing.assert_allclose(found["predicted"], np.exp(log_probs).mean(1), rtol=1e-5)
    assert list(found) == ["predicted"]
    mean, variance, noise = FEW[..., 0], FEW[..., 1] ** 2, FEW[..., 2] ** 2
    second = scipy.stats.norm.cdf(mean / np.sqrt(1.0 + variance)).mean(1)
    found = averaged(Latent(jnp.asarray(mean), jnp.asarray(variance)))["predicted"]
    np.testing.assert_allclose(found, np.stack([1 - second, second], 1), rtol=1e-5)
    found = averaged(Gaussian(*map(jnp.asarray, (mean, variance, noise))))
    np.testing.assert_allclose(found["predicted"], mean.mean(1), rtol=1e-5)
    total = (mean**2 + variance + noise).mean(1) - mean.mean(1) ** 2  # of the mixture
    np.testing.assert_allclose(found["predicted_variance"], total, rtol=1e-4)


def test_of_very_many_classes_nothing_is_kept():
    assert averaged(jnp.zeros((2, 1, MOST_CLASSES)))["predicted"].shape == (2, MOST_CLASSES)
    assert averaged(jnp.zeros((2, 1, MOST_CLASSES + 1))) == {}


def test_in_a_compiled_run_and_on_its_record(seeds):
    log, record = seeds
    assert log.info["predicted"].shape == (2, 2, 3, CLASSES)
    for seed in range(2):
        events = record.rounds(seed)
        assert "predicted" not in events[0]["info"]  # the start set was drawn before anything was fitted
        held_to_hand(events)
        np.testing.assert_array_equal([event["info"]["predicted"] for event in events[1:]], log.info["predicted"][seed])


@pytest.mark.slow
@pytest.mark.parametrize("over", [None, host()], ids=["compiled", "host"])
def test_round_by_round(over):
    """By default tests/test_loop.py compares what every driver predicted with what the compiled run did."""
    events = []
    log = run_eager(KEY, TASK, SETUP._replace(over=over), on_round=events.append)
    held_to_hand(events)
    assert log.info["predicted"].shape == (2, 3, CLASSES)


def test_in_a_campaign(tmp_path):
    with open_record(tmp_path, "by-hand", {}) as record:
        campaign = Campaign(KEY, CENTERS, QUERY, np.asarray(X), capacity=N, num_classes=CLASSES, record=record)
        for size in (4, 3):
            rows = campaign.ask(size)
            campaign.tell(rows, np.asarray(Y)[rows])
    first, second = (event for event in record.events if event["kind"] == "ask")
    assert "told" not in first
    expected = by_hand(np.array(first["rows"]), np.asarray(Y)[first["rows"]], second["rows"])
    np.testing.assert_allclose(second["told"]["predicted"], expected, rtol=1e-4, atol=1e-6)
    assert load(tmp_path)["info.predicted"].tolist()[:4] == [""] * 4
    assert load(tmp_path)["info.predicted"][4].startswith("[0.")


def test_seeds_on_record_from_before_predictions_were_kept_go_on(seeds, tmp_path):
    """What is not known of them is NaN in the log; picks and records stay."""
    log, whole = seeds
    with open_record(tmp_path, "toy", {}) as record:
        for event in [event for event in whole.events if event.get("seed") == 0]:
            told = {"info": {k: v for k, v in event["info"].items() if k != "predicted"}} if "info" in event else {}
            record.append([event | told])
        before = len(record.events)
        again = run_seeds(seed_keys(0, 2), TASK, SETUP, record=record).log
    assert np.isnan(again.info["predicted"][0]).all()
    np.testing.assert_allclose(again.info["predicted"][1], log.info["predicted"][1], rtol=1e-5)
    assert jax.tree.map(np.ndarray.tolist, jax.device_get(again.indices)) == log.indices.tolist()
    assert [event.get("seed") for event in record.events[before:]] == [1] * 4
