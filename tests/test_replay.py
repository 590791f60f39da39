"""Picks made again from a record: they agree with those of the run, not with forged ones, and answer for others; and
what drivers tell of a round beside its picks, and the seconds of its parts."""

import time

import campaigns
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import CENTERS, CLASSES, KEY, MOVING, POOL, SETUP, TASK, X, Y, by_numpy

from bal.acquisition import bald, epistemic_variance, margin
from bal.learners import from_functions
from bal.loop import replay, run_eager, run_seeds, seed_keys
from bal.loop.clock import Clock, call, timed
from bal.loop.events import Known
from bal.pool import make_pool
from bal.query import by_score, remembered
from bal.records import load, open_record, timings
from bal.selection import best, random_uniform, softmax
from bal.typing import Query, Setup, Stage, Task

BLIND = Task(POOL, None)
WATCHED = SETUP._replace(learner=MOVING, query=remembered(by_score(bald), num_candidates=9))
DRAWN = SETUP._replace(learner=CENTERS, query=by_score(bald, softmax(0.5)), num_initial=0)
PRICED = POOL._replace(cost=POOL.cost.at[::2].set(2.5), x=POOL.x.at[20:].set(POOL.x[:20]))
COPIES = Task(PRICED, None)


@pytest.fixture(scope="module")
def eager(tmp_path_factory):
    """A fit that hangs on the one before, and a query with a memory."""
    with open_record(tmp_path_factory.mktemp("replay"), "eager", {}) as record:
        run_eager(KEY, TASK, WATCHED, record)
    return record


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The prior chooses first, picks are drawn; round by round and compiled. Half of the rows are copies of others."""
    task, folder = TASK._replace(pool=PRICED), tmp_path_factory.mktemp("told")
    with open_record(folder, "eager", {}) as eager:
        run_eager(KEY, task, DRAWN, eager)
        run_eager(seed_keys(0, 1)[0], task, DRAWN, eager, 1)
    with open_record(folder, "seeds", {}) as seeds:
        run_seeds(KEY[None], task, DRAWN, record=seeds)
    return folder, eager, seeds


def test_a_run_is_made_again_from_its_record_alone(eager):
    found = replay(eager.path, BLIND, WATCHED)
    assert found.agrees
    assert [(again.round, again.picks.tolist()) for again in found.rounds] == [
        (event["round"], event["acquired"]) for event in eager.rounds()
    ]
    np.testing.assert_allclose(found.rounds[2].scores, eager.rounds()[2]["scores"], rtol=1e-5)
    assert np.isnan(found.rounds[0].scores).all()
    some = replay(eager.path, TASK, WATCHED, rounds=[4, 1])
    assert [again.picks.tolist() for again in some.rounds] == [found.rounds[n].picks.tolist() for n in (1, 4)]
    assert str(some) == "seed 0\n" + "\n".join(f"round   {n}: picks {eager.rounds()[n]['acquired']}" for n in (1, 4))


def test_each_seed_of_a_record_is_made_again(told):
    """Its draws hang on the keys on record; so do those of a compiled seed."""
    _, eager, seeds = told
    both = [replay(eager.path, COPIES, DRAWN, seed) for seed in (0, 1)]
    assert [found.agrees for found in both] == [True, True]
    assert [again.picks.tolist() for again in both[1].rounds] == [event["acquired"] for event in eager.rounds(1)]
    assert both[0].rounds[1].picks.tolist() != both[1].rounds[1].picks.tolist()
    assert replay(seeds.path, COPIES, DRAWN).agrees


def by_hand(rows, labels):
    """The two rows of least margin between the likeliest classes, going by distance to the mean of each class."""
    x, means, rows = np.asarray(PRICED.x, np.float64), np.zeros((CLASSES, 2)), np.array(rows, int)
    for c in range(CLASSES):
        own = x[rows[np.array(labels, int) == c]]
        means[c] = own.sum(0) / (1 + len(own))
    squared = ((x[:, None] - means) ** 2).sum(-1)
    probs = np.zeros((len(x), CLASSES))
    for width in (0.2, 1.0):
        scaled = np.exp(-width * squared)
        probs += scaled / scaled.sum(-1, keepdims=True) / 2
    highest = np.sort(probs, -1)
    gap = highest[:, -1] - highest[:, -2]
    gap[rows] = np.inf
    return np.argsort(gap, kind="stable")[:2].tolist()


def test_another_query_is_asked_on_the_labels_of_the_record(told):
    _, eager, _ = told
    found = replay(eager.path, COPIES, DRAWN, 1, query=by_score(margin))
    assert [again.round for again in found.rounds] == [1, 2, 3, 4]
    rows, labels = [], []
    for event, again in zip(eager.rounds(1), found.rounds):
        rows, labels = rows + event["acquired"], labels + event["labels"]
        assert again.picks.tolist() == by_hand(rows, labels)
    assert [again.num_shared for again in found.rounds] == [
        len(set(again.picks.tolist()) & set(again.recorded.tolist())) for again in found.rounds
    ]
    assert not found.agrees


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (BLIND._replace(pool=POOL._replace(x=X.at[7, 1].set(np.nextafter(X[7, 1], 9)))), "inputs of the pool are not"),
        (BLIND._replace(pool=POOL._replace(cost=POOL.cost.at[3].set(2.0))), "or their costs, are not"),
        (TASK._replace(oracle=(Y + 1) % CLASSES), r"round 0 of the record has label \d for row \d+"),
    ],
)
def test_data_that_changed_in_one_place_are_refused(eager, task, message):
    with pytest.raises(ValueError, match=message):
        replay(eager.path, task, WATCHED)


def forged(root, events, name):
    with open_record(root, name, {}) as record:
        record.append(events)
    return record.path


def test_what_no_run_picked_does_not_agree(eager, tmp_path):
    """A record that is whole, with a row that was swapped for another, or a better score."""
    opened, *rounds = eager.events
    free = next(row for row in range(len(X)) if all(row not in event["acquired"] for event in rounds))
    swapped = rounds[3] | {"acquired": [rounds[3]["acquired"][0], free]}
    found = replay(forged(tmp_path, [opened, *rounds[:3], swapped], "swapped"), BLIND, WATCHED)
    assert [again.agrees for again in found.rounds] == [True, True, True, False]
    assert str(found).splitlines()[-1] == (
        f"round   3: picks {rounds[3]['acquired']}, recorded {swapped['acquired']}  <- differs"
    )
    better = rounds[1] | {"scores": [1.01 * score for score in rounds[1]["scores"]]}
    found = replay(forged(tmp_path, [opened, rounds[0], better], "better"), BLIND, WATCHED)
    assert [again.agrees for again in found.rounds] == [True, False]
    start = rounds[0] | {"acquired": [free, *rounds[0]["acquired"][1:]]}
    found = replay(forged(tmp_path, [opened, start], "start"), BLIND, WATCHED)
    assert not found.agrees


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 3}, r"has no rounds of seed 3; on record are \[0\]"),
        ({"rounds": 5}, "the record has the rounds 0 to 4, but round 5 was asked"),
        ({"setup": WATCHED._replace(learner=CENTERS)}, "made by another learner"),
        ({"setup": WATCHED._replace(query=by_score(bald))}, "made by another query"),
        ({"setup": WATCHED._replace(batch_size=3)}, "another batch_size"),
    ],
)
def test_what_cannot_be_made_again_is_refused(eager, changes, message):
    with pytest.raises(ValueError, match=message):
        replay(**{"record_path": eager.path, "task": BLIND, "setup": WATCHED, **changes})


def test_records_that_are_of_no_run_are_refused(eager, tmp_path):
    campaign = forged(tmp_path, [{"kind": "tell", "rows": [1], "labels": [0]}], "campaign")
    with pytest.raises(ValueError, match="does not say of which rows and methods it is"):
        replay(campaign, BLIND, WATCHED)
    with pytest.raises(ValueError, match="does not say of which rows and methods it is"):
        replay(forged(tmp_path, eager.rounds(), "old"), BLIND, WATCHED)


def nearest(x, y):
    time.sleep(0.01)
    return x, y


def votes(model, x):
    """Two draws a row: soft labels of all rows by closeness, for two widths."""
    time.sleep(0.02)
    rows, y = model
    widths = np.array([0.3, 1.0])[None, :, None]
    near = np.exp(-((x[:, None] - rows) ** 2).sum(-1)[:, None, :] * widths) @ y + 0.1 * np.arange(1, CLASSES + 1)
    return near / near.sum(-1, keepdims=True)


def test_a_model_on_the_host_is_made_again(tmp_path):
    """And labels that are distributions. What runs apart is timed apart."""
    soft = np.eye(CLASSES, dtype=np.float32)[np.asarray(Y)]
    learner = from_functions(nearest, votes)
    setup = SETUP._replace(learner=learner, query=by_score(bald), num_initial=2, evaluate=by_numpy, num_rounds=2)
    with open_record(tmp_path, "soft", {}) as record:
        run_eager(KEY, Task(POOL, soft, TASK.test), setup, record)
    found = replay(record.path, BLIND, setup)
    assert found.agrees
    assert [len(again.picks) for again in found.rounds] == [2, 2, 2]
    first, _, last = (entry["times"] for entry in timings(record.path))
    assert set(first) == {"compile", "fit", "evaluate", "predict", "select"}
    assert set(last) == {"compile", "fit", "evaluate"}
    assert first["fit"] >= 0.01
    assert first["predict"] >= 0.04, "the pool, and the rows that are known"
    assert first["evaluate"] >= 0.02


MORE = np.concatenate([campaigns.X, campaigns.X[:2] + 1])
LABELED = Setup(campaigns.COUNTING, campaigns.QUERY, 1, 1, 1)


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    """A campaign in which everything happens: a fit that hangs on the one before, a query with a memory."""
    with open_record(tmp_path_factory.mktemp("replay"), "labels", {}) as record:
        campaign = campaigns.open_campaign(record, capacity=30, pool_capacity=len(MORE))
        rows = campaigns.told(campaign, 3)
        rows += campaigns.told(campaign, 2)
        skipped = campaign.ask(2)
        campaign.skip(skipped[:1])
        campaign.add(MORE[campaigns.N :])
        campaign.tell([campaigns.N], [0.25], annotator="Ann")
        campaign.correct(rows[:1], [0.5])
        campaign.withdraw(rows[3:4])
        campaign.ask(2)
        campaign.tell(skipped[1:], [1.5])
        campaign.ask(1)
    return record


def test_the_asks_of_a_campaign_are_made_again(labeled):
    task = Task(make_pool(MORE), None)
    found = replay(labeled.path, task, LABELED)
    asks = [event for event in labeled.events if event["kind"] == "ask"]
    assert found.agrees
    assert [again.picks.tolist() for again in found.rounds] == [event["rows"] for event in asks]
    assert len(asks) == 5
    (last,) = replay(labeled.path, task, LABELED, rounds=4).rounds
    assert (last.round, last.picks.tolist()) == (4, asks[4]["rows"])
    other = replay(labeled.path, task, LABELED, query=by_score(epistemic_variance, lowest))
    assert [again.round for again in other.rounds] == [1, 2, 3, 4], "the first was drawn"
    assert not any(again.num_shared for again in other.rounds)


def lowest(key, candidates, batch_size):
    return best(key, candidates._replace(rows=-candidates.rows), batch_size)


def test_a_campaign_of_other_rows_or_methods_is_not_made_again(labeled):
    changed = MORE.copy()
    changed[campaigns.N + 1, 0] = np.nextafter(changed[campaigns.N + 1, 0], 9)
    with pytest.raises(ValueError, match="the inputs of rows 300 to 301 are not those of the record"):
        replay(labeled.path, Task(make_pool(changed), None), LABELED)
    with pytest.raises(ValueError, match="the costs of rows 0 to 299 are not"):
        replay(labeled.path, Task(make_pool(MORE, cost=np.full(len(MORE), 2.0)), None), LABELED)
    with pytest.raises(ValueError, match="made by another query"):
        replay(labeled.path, Task(make_pool(MORE), None), LABELED._replace(query=by_score(epistemic_variance)))
    swapped = [dict(event) for event in labeled.events]
    ask = next(event for event in swapped if event["kind"] == "ask" and event["queries"] == 1)
    told = next(event for event in swapped if event["kind"] == "tell" and event["rows"] == ask["rows"])
    ask["rows"] = told["rows"] = [17, 18]
    swapped = swapped[: swapped.index(told) + 1]
    found = replay(forged(labeled.path.parents[1], swapped, "swapped"), Task(make_pool(MORE), None), LABELED)
    assert [again.agrees for again in found.rounds] == [True, False]


def test_both_drivers_tell_the_same(told):
    _, eager, seeds = told
    assert len(eager.rounds()) == 5
    for one, two in zip(eager.rounds(), seeds.rounds(), strict=True):
        assert one.keys() == two.keys()
        for name in ("acquired", "cost", "labels", "counts"):
            assert one[name] == two[name]
        assert one.get("scored") == two.get("scored")
        assert one["diagnostics"].keys() == two["diagnostics"].keys()
        for name, value in one["diagnostics"].items():
            assert two["diagnostics"][name] == pytest.approx(value, rel=1e-4)
        assert two.get("log_q", []) == pytest.approx(one.get("log_q", []), rel=1e-4)


def test_what_is_told_is_right(told):
    _, eager, _ = told
    start, *rounds = eager.rounds()
    assert not {"log_q", "scored"} & start.keys(), "nothing was scored yet"
    assert start["diagnostics"] == {"duplicates": 0}
    x = np.asarray(PRICED.x)
    for event in rounds:
        rows, found = event["acquired"], event["diagnostics"]
        assert event["cost"] == [2.5 if row % 2 == 0 else 1.0 for row in rows]
        assert found["classes"] == {
            str(c): int((np.asarray(Y)[rows] == c).sum()) for c in set(np.asarray(Y)[rows].tolist())
        }
        assert found["duplicates"] == len(rows) - len({tuple(x[row]) for row in rows})
        assert event["scored"] == 40 - 2 * (event["round"] - 1)
        assert found["score_over_log_draws"] == pytest.approx(np.mean(event["scores"]) / np.log(2))
        assert len(event["log_q"]) == 2
        assert "log_q" not in event["info"]
    assert len(rounds) == 4


def test_seconds_are_kept_beside_the_log(told):
    folder, eager, seeds = told
    both = timings(eager.path)
    assert [(entry["seed"], entry["round"]) for entry in both] == [(seed, n) for seed in (0, 1) for n in range(5)]
    took = both[:5]
    assert [set(entry["times"]) for entry in took] == [{"compile", "fit", "evaluate", "query"}] * 4 + [
        {"compile", "fit", "evaluate"}
    ]
    assert took[0]["times"]["compile"] > 20 * took[1]["times"]["compile"]
    assert took[0]["memory"] is None or took[0]["memory"] > 2**20
    (together,) = timings(seeds.path)
    assert together["seeds"] == [0]
    assert together["times"]["compile"] > together["times"]["run"] > 0
    columns = load(folder)
    assert np.isfinite(columns["times.fit"][columns["name"] == "eager"]).all()
    assert (columns["call.seeds"][columns["name"] == "seeds"] == 1).all()


def test_parts_and_compilation_are_counted_once():
    clock = Clock()
    inner = timed("inner", lambda: time.sleep(0.02))
    shape = (7, 3)

    def outer():
        time.sleep(0.01)
        inner()
        nested = jax.jit(lambda x: jnp.sort(x).cumsum(0))
        return jax.jit(lambda x: nested(x) * nested(x + 1))(jnp.ones(shape))

    begun = time.perf_counter()
    assert clock.part("outer", outer).shape == shape
    whole = time.perf_counter() - begun
    found = clock.read()
    assert found["inner"] >= 0.02
    assert found["outer"] >= 0.01
    assert found["compile"] > 0.001
    assert sum(found.values()) == pytest.approx(whole, abs=0.005)
    assert clock.read() == {"compile": 0.0}
    inner()
    assert call("outer", lambda x: x + 1, 2) == 3
    assert clock.read() == {"compile": 0.0}, "outside of a part no clock runs"


def test_a_random_query_scores_nothing_and_a_shortlist_leaves_it_open():
    known = Known(X, None, 40, None, by_score(bald))
    drawn = Stage(None, random_uniform)
    assert known.scored(7) == 33
    assert known._replace(query=Query((drawn,))).scored(7) == 0
    assert known._replace(query=Query((drawn, *by_score(bald).stages))).scored(7) is None
    assert known._replace(query=remembered(by_score(bald), num_candidates=9)).scored(7) is None
