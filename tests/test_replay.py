"""Picks made again from a record: they agree with those of the run, not with forged ones, and answer for others."""

import campaigns
import numpy as np
import pytest
from problem import CENTERS, CLASSES, KEY, MOVING, POOL, SETUP, TASK, X, Y

from bal.acquisition import bald, epistemic_variance, margin
from bal.learners import from_functions
from bal.loop import replay, run_eager, seed_keys
from bal.pool import make_pool
from bal.query import by_score, remembered
from bal.records import open_record
from bal.selection import best, softmax
from bal.typing import Setup, Task

BLIND = Task(POOL, None)
WATCHED = SETUP._replace(learner=MOVING, query=remembered(by_score(bald), num_candidates=9))
DRAWN = SETUP._replace(learner=CENTERS, query=by_score(bald, softmax(0.5)), num_initial=0, evaluate=None)


@pytest.fixture(scope="module")
def eager(tmp_path_factory):
    """A fit that hangs on the one before, and a query with a memory."""
    with open_record(tmp_path_factory.mktemp("replay"), "eager", {}) as record:
        run_eager(KEY, TASK, WATCHED, record)
    return record


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """The prior chooses first; picks are drawn."""
    with open_record(tmp_path_factory.mktemp("replay"), "seeds", {}) as record:
        for seed, key in enumerate(seed_keys(0, 2)):
            run_eager(key, TASK, DRAWN, record, seed)
    return record


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


def test_each_seed_of_a_record_is_made_again(seeds):
    """Its draws hang on the keys on record."""
    both = [replay(seeds.path, BLIND, DRAWN, seed) for seed in (0, 1)]
    assert [found.agrees for found in both] == [True, True]
    assert [again.picks.tolist() for again in both[1].rounds] == [event["acquired"] for event in seeds.rounds(1)]
    assert both[0].rounds[1].picks.tolist() != both[1].rounds[1].picks.tolist()


def by_hand(rows, labels):
    """The two rows of least margin between the likeliest classes, going by distance to the mean of each class."""
    x, means, rows = np.asarray(X, np.float64), np.zeros((CLASSES, 2)), np.array(rows, int)
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


def test_another_query_is_asked_on_the_labels_of_the_record(seeds):
    found = replay(seeds.path, BLIND, DRAWN, 1, query=by_score(margin))
    assert [again.round for again in found.rounds] == [1, 2, 3, 4]
    rows, labels = [], []
    for event, again in zip(seeds.rounds(1), found.rounds):
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
    return x, y


def votes(model, x):
    """Two draws a row: soft labels of all rows by closeness, for two widths."""
    rows, y = model
    widths = np.array([0.3, 1.0])[None, :, None]
    near = np.exp(-((x[:, None] - rows) ** 2).sum(-1)[:, None, :] * widths) @ y + 0.1 * np.arange(1, CLASSES + 1)
    return near / near.sum(-1, keepdims=True)


def test_a_model_on_the_host_is_made_again(tmp_path):
    """And labels that are distributions."""
    soft = np.eye(CLASSES, dtype=np.float32)[np.asarray(Y)]
    learner = from_functions(nearest, votes)
    setup = SETUP._replace(learner=learner, query=by_score(bald), num_initial=2, evaluate=None, num_rounds=2)
    with open_record(tmp_path, "soft", {}) as record:
        run_eager(KEY, Task(POOL, soft), setup, record)
    found = replay(record.path, BLIND, setup)
    assert found.agrees
    assert [len(again.picks) for again in found.rounds] == [2, 2, 2]


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
