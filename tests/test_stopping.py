"""Stopping rules against definitions, and in the drivers: read off a finished log, or stopping a run or people."""

from functools import partial
from inspect import unwrap

import jax
import numpy as np
import pytest
from campaigns import Kept
from problem import CLASSES, KEY, MOVING, SIZES, TASK, TEST, X, Y, evaluate
from rich.console import Console
from sklearn.metrics import cohen_kappa_score

from bal.acquisition import margin
from bal.evaluation import (
    History,
    cost_budget,
    estimated_recall,
    first_of,
    kappa,
    label_budget,
    plateau,
    recall_reached,
    stable_predictions,
    stopped_at,
    uncertainty_below,
    with_predictions,
)
from bal.evaluation.history import history
from bal.loop import Campaign, run, run_eager
from bal.loop.events import log_events
from bal.query import by_score
from bal.records import load, open_record, table
from bal.selection import best
from bal.strategies import power_bald
from bal.typing import Setup

SETUP = Setup(MOVING, power_bald(), **SIZES, evaluate=with_predictions(evaluate))
MARGIN = by_score(margin, best)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def log():
    return jax.device_get(jax.jit(partial(run, setup=SETUP))(KEY, TASK))


def same_first(stopped, log, num_rounds):
    """A run that stopped is the first rounds of the one that did not."""
    assert len(stopped.indices) == num_rounds
    for name in ("indices", "valid", "y"):
        np.testing.assert_array_equal(getattr(stopped, name), getattr(log, name)[:num_rounds])
    np.testing.assert_array_equal(stopped.num_training, log.num_training[: num_rounds + 1])
    assert set(stopped.metrics) == set(log.metrics)
    for name, values in log.metrics.items():
        np.testing.assert_allclose(stopped.metrics[name], values[: num_rounds + 1], rtol=1e-5, atol=1e-6)


def test_history_is_the_log_by_hand(log):
    cost = np.arange(len(Y)) / 10
    seen = history(log, 2, cost)
    rows = [*log.start, *log.indices[0], *log.indices[1], *log.indices[2]]
    assert seen.rows.tolist() == [int(row) for row in rows]
    assert seen.query.tolist() == [-1] * 4 + [0, 0, 1, 1, 2, 2]
    assert seen.labels.tolist() == [4, 6, 8]
    assert seen.answered.tolist() == [True] * 8 + [False] * 2
    assert seen.y.tolist() == [*np.asarray(Y)[seen.rows[:8]].tolist(), 0, 0]
    np.testing.assert_allclose(seen.spent, [cost[seen.rows[:n]].sum() for n in (4, 6, 8)])
    assert seen.price == pytest.approx(cost[seen.rows[8:]].sum())
    assert np.isnan(seen.log_q[:4]).all()
    np.testing.assert_allclose(seen.log_q[4:], log.log_q[:3].ravel())
    assert seen.metrics["predicted"].shape == (3, len(TEST[1]))


def test_rules_by_their_definitions(log):
    """The first round at which the quantity, computed anew from the log, says so."""
    cost = np.asarray(Y) + 1.0
    paid = np.cumsum([cost[log.start].sum(), *cost[log.indices].sum(1)])
    found = stopped_at(log, cost_budget(float(paid[2])), cost)
    assert (found.round, found.labels) == (2, 8)
    assert stopped_at(log, cost_budget(float(paid[-1])), cost) is None
    assert stopped_at(log, label_budget(9)).round == 2
    top = log.scores.max(1)
    assert stopped_at(log, uncertainty_below(float(top.min()) * 1.0001)).round == int(top.argmin())
    agree = np.array([cohen_kappa_score(a, b) for a, b in zip(log.metrics["predicted"], log.metrics["predicted"][1:])])
    pairs = (agree[:-1] + agree[1:]) / 2
    expected = 2 + int(np.argmax(pairs[:2] >= pairs[:2].max()))
    assert stopped_at(log, stable_predictions(float(pairs[:2].max()) - 1e-9, window=2)).round == expected
    assert stopped_at(log, first_of(label_budget(11), label_budget(9))).labels == 8


def test_a_rule_of_ones_own_and_wrong_ones(log):
    assert stopped_at(log, lambda so_far: len(so_far.labels) == 2).round == 1
    with pytest.raises(TypeError, match=r"a stopping rule returns True, False, None or a sentence, got 3"):
        stopped_at(log, lambda so_far: 3)
    with pytest.raises(ValueError, match="needs the metric f1, but what is measured is accuracy, nll, predicted"):
        stopped_at(log, plateau("f1"))
    with pytest.raises(ValueError, match="expected class numbers of a fixed set of rows in accuracy"):
        stopped_at(log, stable_predictions(name="accuracy"))
    with pytest.raises(ValueError, match=r"expected the log of one seed"):
        stopped_at(jax.tree.map(lambda leaf: leaf[None], log), label_budget(9))
    with pytest.raises(TypeError, match=r"expected stop as a rule of bal\.evaluation"):
        unwrap(run_eager)(KEY, TASK, SETUP, stop=10)
    for wrong in (lambda: label_budget(0), lambda: plateau("nll", 0), lambda: stable_predictions(1.5), first_of):
        with pytest.raises(ValueError, match=r"expected|needs"):
            wrong()


def test_plateau_waits_and_reads_both_directions():
    curve = lambda *values: History(np.arange(len(values)), metrics={"m": np.array(values, float)})
    rule = plateau("m", patience=2, min_gain=0.1)
    assert rule(curve(1, 2, 2.05, 2.1)) is not None
    assert rule(curve(1, 2, 2.05, 2.11)) is None
    assert rule(curve(1, 2, 2)) is None  # one evaluation since, whose best before is 1
    lower = plateau("m", patience=2, higher_is_better=False)
    assert lower(curve(3, 1, 2, 2)) is not None
    assert lower(curve(3, 1, 2, 0.9)) is None
    assert rule(curve(np.nan, np.nan, 1, 1)) is None  # nothing was measured before


def test_kappa_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    two[:40] = one[:40]
    assert kappa(one, two) == pytest.approx(cohen_kappa_score(one, two))
    assert np.isnan(kappa(one * 0, one * 0))
    constant = History(np.arange(5), metrics={"predicted": np.zeros((5, 9), int)})
    assert stable_predictions()(constant) is None


def draw_all(weight, num, rng):
    """Rows drawn one by one without replacement, by weight; [repetitions, num] and their log probabilities."""
    order = np.argsort(-np.log(weight) - rng.gumbel(size=(300, len(weight))), 1)[:, :num]
    taken = np.cumsum(weight[order], 1)
    return order, np.log(weight[order] / (weight.sum() - taken + weight[order]))


def test_recall_is_unbiased_and_its_interval_covers():
    """Exactly, over all orders of three picks; and over draws of a pool with relevant rows that are likelier."""
    weight, relevant = np.array([3.0, 1.0, 2.0, 0.5]), np.array([True, False, True, False])
    mean = 0.0
    for first in range(4):
        for second in set(range(4)) - {first}:
            q = weight[first] / weight.sum(), weight[second] / (weight.sum() - weight[first])
            y, chance = relevant[[first, second]], q[0] * q[1]
            by_hand = (y[0] / q[0] + y[0] + y[1] / q[1]) / 2
            mean += chance * by_hand
            found = estimated_recall(y, np.log(q))
            assert found.total == pytest.approx(max(by_hand, y.sum()))
    assert mean == pytest.approx(relevant.sum())
    weight = np.where(np.arange(500) < 40, 6.0, 1.0)
    rows, log_q = draw_all(weight, 150, np.random.default_rng(1))
    found = [estimated_recall(row < 40, q) for row, q in zip(rows, log_q)]
    total = np.array([each.total for each in found])
    assert abs(total.mean() - 40) < 3 * total.std() / np.sqrt(300)
    high, low = (np.mean([getattr(each, name) >= 40 for each in found]) for name in ("total_high", "total_low"))
    assert 0.965 < high < 0.99
    assert low < 0.04


def test_recall_reached_stops_too_early_rarely_and_stops():
    """Looked at after every ten of 400 rows: the share of runs that stop below the target is below 5 %."""
    weight = np.where(np.arange(400) < 40, 20.0, 1.0)
    rows, log_q = draw_all(weight, 300, np.random.default_rng(2))
    rule, early, stopped = recall_reached(0.8), 0, 0
    for row, q in zip(rows[:60], log_q[:60]):
        for n in range(30, 300, 30):
            seen = History(np.arange(n // 30), y=(row < 40)[:n].astype(int), answered=row[:n] >= 0, log_q=q[:n])
            if rule(seen):
                stopped += 1
                early += (row[:n] < 40).sum() < 0.8 * 40
                break
    assert stopped >= 55
    assert early <= 0.05 * 60


def test_draws_without_a_relevant_row_say_nothing_of_the_total():
    """Known rows may be relevant: that none was drawn is no sign that these are all."""
    relevant, log_q = np.arange(30) == 0, np.where(np.arange(30) < 20, np.nan, -np.log(980 - np.arange(30)))
    found = estimated_recall(relevant, log_q)
    assert (found.recall, found.low, found.total_high) == (1.0, 0.0, np.inf)
    seen = History(np.arange(3), y=relevant.astype(int), answered=np.ones(30, bool), log_q=log_q)
    assert not recall_reached(0.8)(seen)


def test_recall_needs_rows_that_were_drawn(log):
    with pytest.raises(ValueError, match=r"two drawn rows at least.*use a query that draws its rows"):
        stopped_at(log._replace(log_q=None), recall_reached())
    assert stopped_at(log, recall_reached(0.99)) is None


RULES = {"budget": label_budget(9), "first": label_budget(4), "never": label_budget(99)}


@pytest.mark.parametrize("name", RULES)
def test_an_eager_run_stops_where_the_log_of_the_whole_one_says(name, log, tmp_path):
    """On record: the reason, once, however often it is called; without the rule it goes on as if it had not stopped."""
    found, oracle_rows = stopped_at(log, RULES[name]), []

    def oracle(key, indices, x):
        oracle_rows.extend(indices.tolist())
        return np.asarray(Y)[indices]

    task = TASK._replace(oracle=oracle)
    with open_record(tmp_path, "run", {}) as record:
        for _ in range(2):
            stopped = run_eager(KEY, task, SETUP, record, stop=RULES[name])
            same_first(stopped, log, SIZES["num_rounds"] if found is None else found.round)
        ends = [event for event in record.events if event["kind"] == "stop"]
        assert [event["reason"] for event in ends] == ([] if found is None else [found.reason])
        assert stopped_at(stopped, RULES[name]) is None, "the picks that were not labeled are not in the log"
        assert len(oracle_rows) == stopped.num_training[-1], "nobody is asked for labels that a rule gave up on"
        same_first(run_eager(KEY, task, SETUP, record), log, SIZES["num_rounds"])
        same_first(run_eager(KEY, task, SETUP, record, stop=RULES["budget"]), log, 2)
    assert len(oracle_rows) == len(set(oracle_rows)) == log.num_training[-1]


class Killed(Exception):
    pass


@pytest.mark.parametrize(("killed_after", "under"), [(0, None), (1, None), (2, None), (2, RULES["budget"])])
def test_killed_before_the_stop_it_stops_there_all_the_same(killed_after, under, log, tmp_path):
    """Under no rule the picks that await their labels are among what it sees when called again; or as it stops."""

    def kill(event):
        if event["round"] == killed_after:
            raise Killed

    with open_record(tmp_path, "run", {}) as record, pytest.raises(Killed):
        run_eager(KEY, TASK, SETUP, record, on_round=kill, stop=under)
    with open_record(tmp_path, "run", {}) as record:
        same_first(run_eager(KEY, TASK, SETUP, record, stop=RULES["budget"]), log, 2)
        assert [event["round"] for event in record.events if event["kind"] == "stop"] == [2]


def open_campaign(record=None, **changes):
    more = {"evaluate": SETUP.evaluate, "test": TEST, "num_classes": CLASSES, "record": record, **changes}
    return Campaign(KEY, MOVING, power_bald(), np.asarray(X), capacity=20, **more)


def label(campaign, batch_size=2):
    rows = campaign.ask(batch_size)
    campaign.tell(rows, np.asarray(Y)[rows])
    return rows.tolist()


def test_a_campaign_stops_before_rows_are_handed_out():
    """What a rule sees there is what it sees of the run with the same picks; reopened without it, it goes on."""
    seen, record = [], Kept()
    campaign = open_campaign(record, stop=lambda so_far: seen.append(so_far) or label_budget(9)(so_far))
    asked = [label(campaign, 4), label(campaign), label(campaign)]
    assert campaign.stopped is None
    for _ in range(2):
        assert campaign.ask(2).tolist() == []
    assert campaign.stopped == "8 labels are there, and the next 2 would exceed the budget of 9"
    assert f"stopped: {campaign.stopped}" in repr(campaign)
    assert [event["kind"] for event in record.events].count("stop") == 1
    last = seen[-1]
    assert last.rows[:8].tolist() == [row for rows in asked for row in rows]
    assert last.query.tolist() == [-1] * 4 + [0, 0, 1, 1, 2, 2]
    assert last.answered.tolist() == [True] * 8 + [False] * 2
    assert last.y[:8].tolist() == np.asarray(Y)[last.rows[:8]].tolist()
    assert (last.labels.tolist(), last.spent.tolist(), last.price) == ([4, 6, 8], [4, 6, 8], 2.0)
    assert np.isfinite(last.log_q[4:]).all()
    assert last.metrics["predicted"].shape == (3, len(TEST[1]))
    reopened = open_campaign(record.copy(), stop=lambda so_far: seen.append(so_far) or label_budget(9)(so_far))
    assert reopened.stopped == campaign.stopped
    assert reopened.ask(2).tolist() == []
    jax.tree.map(np.testing.assert_array_equal, seen[-1], last)
    free, never = open_campaign(record.copy()), open_campaign()
    assert [label(never, 4), label(never), label(never)] == asked
    assert label(free) == label(never)
    assert free.stopped is None


def test_rows_told_unasked_skipped_and_corrected_are_in_the_history():
    seen = []
    campaign = open_campaign(stop=seen.append)
    campaign.tell([5, 6], np.asarray(Y)[[5, 6]])
    rows = campaign.ask(2)
    campaign.tell(rows[:1], np.asarray(Y)[rows[:1]], cost=7.0)
    campaign.skip(rows[1:])
    campaign.correct([5], (np.asarray(Y)[[5]] + 1) % CLASSES)
    campaign.ask(1)
    last = seen[-1]
    assert last.rows[:4].tolist() == [5, 6, *rows]
    assert last.answered[:4].tolist() == [True, True, True, False]
    assert last.y[0] == (Y[5] + 1) % CLASSES
    assert last.query.tolist() == [-1, -1, 0, 0, 1]
    assert last.spent.tolist() == [2.0, 9.0]


def test_arrays_that_are_measured_are_on_record(tmp_path, log):
    """And read back as they were, from compiled seeds too."""
    with open_record(tmp_path, "run", {}) as record:
        run_eager(KEY, TASK, SETUP, record)
        for event, compiled in zip(record.rounds(), log_events(log, 0), strict=True):
            assert "predicted" not in event["metrics"]
            assert event["info"]["measured"]["predicted"] == compiled["info"]["measured"]["predicted"].tolist()
        again = run_eager(KEY, TASK, SETUP, record)
    assert again.metrics["predicted"].dtype == log.metrics["predicted"].dtype
    np.testing.assert_array_equal(again.metrics["predicted"], log.metrics["predicted"])
    assert "info.measured.predicted" in table(tmp_path)
    assert not [name for name in load(tmp_path) if "measured" in name], "they are of a round, not of a pick"
