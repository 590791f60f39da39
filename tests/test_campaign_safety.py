"""A campaign and its record stay one: whatever line a call is cut off at, and whoever else is calling."""

import inspect
import sys
import threading
from functools import partial

import jax
import numpy as np
import pytest
from campaigns import COUNTING, KEY, QUERY, Kept, N, X, Y, open_campaign, same, told

import bal.loop.campaign
from bal.loop import Campaign, checkpoint, giving, growing, labels
from bal.pool import asked
from bal.query import by_score
from bal.records import open_record
from bal.selection import random_uniform

FILES = {module.__file__ for module in (bal.loop.campaign, asked, checkpoint, giving, growing, labels)}
METHODS = {Kept.append.__code__, Kept.save_state.__code__}


def cut_off(call, stop):
    """Raise KeyboardInterrupt when the call comes to the `stop`-th line of the campaign's own code that it has not been
    at before; whether there was such a line."""
    lines = set()

    def trace(frame, what, argument):
        if frame.f_code not in METHODS and frame.f_code.co_filename not in FILES:
            return None
        here = (frame.f_code.co_filename, frame.f_lineno)
        if what == "line" and here not in lines:
            lines.add(here)
            if len(lines) == stop:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def is_free(campaign):
    """Another thread may call it."""
    found = []

    def look():
        if campaign._lock.acquire(blocking=False):
            campaign._lock.release()
            found.append(True)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return bool(found)


CALLS = {
    "ask": (lambda c: None, lambda c: c.ask(1)),
    "tell": (lambda c: None, lambda c: c.tell([(row := free_row(c))], Y[[row]])),
    "skip": (lambda c: c.ask(1), lambda c: c.skip(c.pending[-1:])),
    "add": (lambda c: None, lambda c: c.add(X[:1] + 5)),
    "correct": (lambda c: None, lambda c: c.correct(c.indices[:1], Y[[free_row(c)]])),
    "withdraw": (lambda c: c.tell([(row := free_row(c))], Y[[row]]), lambda c: c.withdraw(c.indices[-1:])),
    "second opinion": (
        lambda c: None,
        lambda c: c.tell(c.indices[:1], [1.0], annotator=f"number {int(c._now.book.log.count)}", weight=0.5),
    ),
}


def free_row(campaign):
    return next(row for row in range(N) if row not in campaign._now.book.log.indices)


QUICK = {"ask", "tell", "add"}  # the others go the way of `tell`


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in CALLS])
def test_cut_off_at_every_line(name):
    """Afterwards the campaign equals its record, or refuses to go on, and what is opened again goes on."""
    prepare, call = CALLS[name]
    options = {"capacity": N, "pool_capacity": N + 150}
    record = Kept()
    campaign = open_campaign(record, **options)
    told(campaign)
    outcomes, stop, reached = set(), 0, True
    while reached:
        stop += 1
        prepare(campaign)
        events = len(record.events)
        reached = cut_off(partial(call, campaign), stop)
        replayed = open_campaign(record, x=rows_of(record), **options)
        if is_free(campaign) and not campaign._is_behind:
            assert same(campaign, replayed), f"line {stop} of {name}"
            outcomes.add(("goes on", len(record.events) - events))
        else:
            with pytest.raises(RuntimeError, match="open the record and the campaign again"):
                call(campaign)
            outcomes.add(("refuses", len(record.events) - events))
            campaign = replayed
    assert stop > 20
    assert {("goes on", 0), ("refuses", 0), ("refuses", 1), ("goes on", 1)} == outcomes


def rows_of(record):
    """The pool with the rows added so far."""
    added = sum(event["kind"] == "add" for event in record.events)
    return np.concatenate([X, *[X[:1] + 5] * added])


@pytest.mark.parametrize(
    ("rounds", "asks"), [(1, 40), pytest.param(3, 500, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_two_threads_never_ask_for_a_row_twice(tmp_path, rounds, asks):
    """Before the first label, where an ask takes no time, and with a label now and then."""
    x = np.random.default_rng(0).normal(size=(rounds * 2 * asks + 50, 2)).astype(np.float32)
    query = by_score(lambda prediction: prediction.variance[:, 0], random_uniform)
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with open_record(tmp_path, "threads", {}) as record:
            options = {"x": x, "query": query, "capacity": len(x), "record": record if asks < 100 else None}
            campaign = open_campaign(**options)
            for _ in range(rounds):
                got = [[], []]
                both = [
                    threading.Thread(target=lambda mine=mine: mine.extend(int(campaign.ask(1)[0]) for _ in range(asks)))
                    for mine in got
                ]
                for thread in both:
                    thread.start()
                for thread in both:
                    thread.join()
                rows = got[0] + got[1]
                assert len(set(rows)) == len(rows) == 2 * asks
            assert len(set(campaign.pending)) == rounds * 2 * asks
            if options["record"] is not None:
                events = [row for event in record.events for row in event["rows"]]
                assert campaign.pending.tolist() == events
                assert same(campaign, open_campaign(**options))
    finally:
        sys.setswitchinterval(switch)


def test_two_threads_that_tell_and_correct_lose_no_answer():
    """Each corrects its own rows over and over: every answer has its place, and replay ends where they ended."""
    record = Kept()
    campaign = open_campaign(record, capacity=300)
    campaign.tell([0, 1], [0.0, 0.0])
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def work(row):
        for number in range(30):
            campaign.correct([row], [float(number)])
            campaign.tell([row], [0.5], annotator=f"{row} {number}")
            campaign.withdraw([row], annotator=f"{row} {number}")

    try:
        threads = [threading.Thread(target=work, args=(row,)) for row in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    assert campaign.indices.tolist() == [0, 1]
    assert campaign.labels.tolist() == [29, 29]
    assert campaign._now.book.log.count == 2 + 4 * 30
    assert same(campaign, open_campaign(record, capacity=300))


def test_a_refused_add_leaves_no_trace():
    """The next good one gets the numbers."""
    record = Kept()
    campaign = open_campaign(record, pool_capacity=N + 3)
    events = list(record.events)
    for bad in (np.array([["a", "b"]]), X[:1] * 1j, X[:1] * np.nan, X[:1].astype(float) * 1e41, X[:, :1], X[:0], X[:4]):
        with pytest.raises(ValueError, match=r"expected|row 0 of the inputs|the pool"):
            campaign.add(bad)
    with pytest.raises(ValueError, match="one positive cost"):
        campaign.add(X[:1], cost=[-1.0])
    assert record.events == events
    assert campaign.add(X[:2] + 1).tolist() == [N, N + 1]
    assert same(campaign, open_campaign(record, x=np.concatenate([X, X[:2] + 1]), pool_capacity=N + 3))


def test_a_closed_record_and_other_things_are_refused(tmp_path):
    with open_record(tmp_path, "closed", {}) as record:
        told(open_campaign(record))
    with pytest.raises(RuntimeError, match="closed; open the record again"):
        open_campaign(record)
    for other in (tmp_path, str(tmp_path), {}):
        with pytest.raises(TypeError, match=r"expected an open record, got .*open_record"):
            open_campaign(other)


def test_a_finished_record_can_be_looked_at(tmp_path):
    with open_record(tmp_path, "finished", {}) as record:
        campaign = open_campaign(record)
        told(campaign)
        record.finish({})
    with open_record(tmp_path, "finished", {}) as record:
        again = open_campaign(record)
        assert same(again, campaign)
        with pytest.raises(RuntimeError, match="finished and read only"):
            again.ask(1)


def test_the_key_is_a_key():
    init = inspect.unwrap(Campaign.__init__)  # behind the check of types
    for key in (0, np.zeros(2, np.uint32), jax.random.split(KEY), None):
        with pytest.raises(ValueError, match=r"expected one key as jax\.random\.key\(0\) or .* makes it"):
            init(object.__new__(Campaign), key, COUNTING, QUERY, X, capacity=9)
