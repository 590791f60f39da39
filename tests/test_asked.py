"""The acquisition log: of events, against a list of answers kept by hand; of compiled loops, against that of events."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.pool import make_pool
from bal.pool.asked import Book, advance, standing
from bal.pool.labeled import answer, ask, empty_log, is_answered, is_asked, is_covered, is_pending, training_set
from bal.typing import PADDING

COST = 1 + np.arange(200.0)
EMPTY = jax.tree.map(np.asarray, empty_log(150, jnp.zeros((1, 2))))


class ByHand:
    """Answers as dicts in a list, each with what became of it."""

    def __init__(self):
        self.answers, self.queries = [], 0

    def open(self, row):
        return next((a for a in self.answers if a["row"] == row and a["state"] in ("pending", "skipped")), None)

    def of(self, row, who):
        told = [a for a in self.answers if a["row"] == row and a["state"] == "answered"]
        return [a for a in told if who is None or a["who"] == who]

    def held(self):
        return {a["row"] for a in self.answers if a["state"] in ("pending", "answered", "skipped")}

    def do(self, event):
        for number, row in enumerate(event["rows"]):
            who = event.get("annotator")
            if event["kind"] == "ask":
                self.answers.append({"row": row, "state": "pending", "y": (0, 0), "who": None, "cost": 0, "time": 0})
            elif event["kind"] == "tell":
                place = self.open(row)
                if place is None:
                    self.answers.append(place := {"row": row})
                place |= {"state": "answered", "y": tuple(event["labels"][number]), "who": who, "time": self.queries}
                place |= {"weight": event.get("weight", 1), "cost": COST[row]}
            elif event["kind"] == "skip":
                self.open(row)["state"] = "skipped"
            elif event["kind"] == "correct":
                first, *others = self.of(row, who)
                self.answers.append(first | {"state": "corrected"})
                for other in others:
                    other["state"] = "corrected"
                first |= {"y": tuple(event["labels"][number]), "cost": 0, "time": self.queries}
            else:
                for told in self.of(row, who):
                    told["state"] = "withdrawn"
        self.queries = event.get("queries", self.queries)


def draw(rng, hand):
    """One event that may follow."""
    kind = rng.choice(["ask", "tell", "tell", "correct", "withdraw", "skip"])
    state = {"skip": "pending", "correct": "answered", "withdraw": "answered"}.get(kind)
    labels = lambda rows: rng.normal(size=(len(rows), 2)).astype(np.float32).tolist()
    new = rng.choice(np.setdiff1d(np.arange(200), list(hand.held())), 2, replace=False).tolist()
    if kind == "ask":
        return {"kind": "ask", "rows": new, "queries": hand.queries + 1}
    if state is not None:
        found = [a for a in hand.answers if a["state"] == state]
        if not found:
            return None
        one = found[rng.integers(len(found))]
        if kind == "skip":
            return {"kind": "skip", "rows": [one["row"]]}
        who = {} if one["who"] is None else {"annotator": one["who"]}
        return {"kind": kind, "rows": [one["row"]], **who} | ({"labels": labels([0])} if kind == "correct" else {})
    told = list(dict.fromkeys([*[a["row"] for a in hand.answers[-2:]], *new[:1]]))
    who = {"annotator": str(rng.choice(["Ann", "Bob"])), "weight": 0.5} if rng.random() < 0.5 else {}
    return {"kind": "tell", "rows": told, "labels": labels(told), **who}


@pytest.mark.parametrize("seed", range(3))
def test_the_log_of_events_is_a_list_of_answers(seed):
    """Sixty random events, all at once and one by one, against the list kept by hand."""
    rng, hand, events = np.random.default_rng(seed), ByHand(), []
    while len(events) < 60:
        event = draw(rng, hand)
        if event is not None and len(hand.answers) < 145:
            hand.do(event)
            events.append(event)
    book = advance(Book(EMPTY), events, COST)
    step = Book(EMPTY)
    for event in events:
        step = advance(step, [event], COST)
    for one, two in zip(jax.tree.leaves(book), jax.tree.leaves(step), strict=True):
        np.testing.assert_array_equal(one, two)
    log, used = book.log, slice(len(hand.answers))
    states = ["pending", "answered", "skipped", "corrected", "withdrawn"]
    assert {event["kind"] for event in events} == {"ask", "tell", "correct", "withdraw", "skip"}
    assert log.count == len(hand.answers)
    assert log.indices[used].tolist() == [a["row"] for a in hand.answers]
    assert [states[state] for state in log.status[used]] == [a["state"] for a in hand.answers]
    np.testing.assert_array_equal(log.y[used], np.array([a["y"] for a in hand.answers], np.float32))
    assert [book.annotators[number] for number in log.annotator[used]] == [a["who"] for a in hand.answers]
    weights = [a["weight"] if a["state"] == "answered" else 0 for a in hand.answers]
    assert log.weight[used].tolist() == weights
    assert log.cost[used].tolist() == [a["cost"] for a in hand.answers]
    assert log.time[used].tolist() == [a["time"] for a in hand.answers]
    assert np.flatnonzero(is_asked(jax.tree.map(jnp.asarray, log), 200)).tolist() == sorted(hand.held())
    assert standing(log, book.annotators) == {
        row: {a["who"] for a in hand.of(row, None)} for row in hand.held() if hand.of(row, None)
    }
    assert is_pending(log)[used].tolist() == [a["state"] == "pending" for a in hand.answers]
    covered = [a["state"] in ("pending", "answered") for a in hand.answers]
    assert is_covered(log)[used].tolist() == covered
    assert not is_covered(log)[len(hand.answers) :].any()
    assert [leaf.dtype for leaf in log] == [leaf.dtype for leaf in EMPTY]
    assert all((leaf == 0).all() for leaf in (EMPTY.weight, EMPTY.y, EMPTY.count))  # not written to


def test_the_log_of_compiled_loops_is_that_of_events():
    rows, labels = np.array([[7, 3], [5, 9]]), np.arange(8.0, dtype=np.float32).reshape(2, 2, 2)
    compiled = empty_log(6, jnp.zeros((1, 2)))
    for time in range(2):
        told = (jnp.asarray(labels[time]), jnp.asarray(COST[rows[time]]), time)
        compiled = answer(compiled, jnp.asarray(rows[time]), jnp.ones(2, bool), *told)
    compiled = ask(compiled, jnp.array([4, 0]), jnp.array([True, False]))
    events = [
        {"kind": "tell", "rows": rows[0], "labels": labels[0]},
        {"kind": "ask", "rows": [], "queries": 1},
        {"kind": "tell", "rows": rows[1], "labels": labels[1]},
        {"kind": "ask", "rows": [4]},
    ]
    empty = jax.tree.map(np.asarray, empty_log(6, jnp.zeros((1, 2))))
    for one, two in zip(advance(Book(empty), events, COST).log[:-1], compiled[:-1], strict=True):
        np.testing.assert_array_equal(one, two)
    assert compiled.count == 6  # the pick that was not valid has a place, so that rounds stay aligned
    assert compiled.indices[5] == PADDING


def test_training_sees_every_answer_with_its_weight_and_annotator():
    events = [
        {"kind": "tell", "rows": [7, 2], "labels": [[1, 1], [2, 2]], "annotator": "Ann"},
        {"kind": "tell", "rows": [7], "labels": [[3, 3]], "annotator": "Bob", "weight": 0.25},
        {"kind": "withdraw", "rows": [2]},
    ]
    book = advance(Book(EMPTY), events, COST)
    data = training_set(jax.tree.map(jnp.asarray, book.log), make_pool(np.arange(20.0, dtype=np.float32)))
    seen = np.flatnonzero(np.asarray(data.weight))
    assert np.asarray(data.x)[seen].tolist() == [7, 7]
    assert np.asarray(data.y)[seen].tolist() == [[1, 1], [3, 3]]
    assert np.asarray(data.weight)[seen].tolist() == [1, 0.25]
    assert data.annotator is not None
    assert [book.annotators[number] for number in np.asarray(data.annotator)[seen]] == ["Ann", "Bob"]
    assert is_answered(book.log).sum() == 2
