"""The picks of a record, made again from it alone: to check it, or to ask what another query would have picked."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from bal.learners.settings import check_count
from bal.loop.doors import arrays_of, check_answers, check_is_setup, check_is_task, check_setup, predicted
from bal.loop.eager import nothing, run_parts
from bal.loop.identity import check_recorded, check_same, run_identity
from bal.loop.replay_asks import asks_again
from bal.loop.round import Carry, begin, first_rows, record_answers
from bal.pool.over import over_of, take
from bal.records.reading import CAMPAIGN_KINDS, read_record
from bal.typing import Query, Selection, Setup, Task

_RELATIVE, _ABSOLUTE = 1e-3, 1e-5
_COMPARED = ("rows", "present", "batch_size", "learner", "query")


class ReplayedRound(NamedTuple):
    """One round, made again and as recorded: rows of the pool in order, and their scores; only picks that are valid.

    round: its number on record; round 0 is the start set, which has no scores (NaN).
    """

    round: int
    picks: Int[np.ndarray, "B"]
    scores: Float[np.ndarray, "B"]
    recorded: Int[np.ndarray, "B"]
    recorded_scores: Float[np.ndarray, "B"]

    @property
    def agrees(self) -> bool:
        """The same rows in the same order, and scores that differ by no more than 1e-3 of them (or 1e-5)."""
        if self.picks.tolist() != self.recorded.tolist():
            return False
        return np.allclose(self.scores, self.recorded_scores, _RELATIVE, _ABSOLUTE, equal_nan=True)

    @property
    def num_shared(self) -> int:
        """Rows that are in both batches."""
        return len(np.intersect1d(self.picks, self.recorded))


class Replay(NamedTuple):
    """The rounds of one seed, made again; printed, a line a round.

    >>> picked = ReplayedRound(1, np.array([7, 3]), np.array([0.9, 0.5]), np.array([7, 4]), np.array([0.9, 0.5]))
    >>> print(Replay(0, (picked,)))
    seed 0
    round   1: picks [7, 3], recorded [7, 4]  <- differs
    >>> picked.agrees, picked.num_shared
    (False, 1)
    """

    seed: int
    rounds: tuple[ReplayedRound, ...]

    @property
    def agrees(self) -> bool:
        """Whether every round is the recorded one."""
        return all(round.agrees for round in self.rounds)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}"]
        for number, picks, _, recorded, _ in self.rounds:
            words = f"picks {picks.tolist()}"
            if picks.tolist() != recorded.tolist():
                words += f", recorded {recorded.tolist()}"
            lines.append(f"round {number:>3}: {words}")
        return "\n".join(
            f"{line}{'' if place == 0 or self.rounds[place - 1].agrees else '  <- differs'}"
            for place, line in enumerate(lines)
        )


def replay(
    record_path: str | Path,
    task: Task,
    setup: Setup,
    seed: int = 0,
    rounds: int | Iterable[int] | None = None,
    query: Query | None = None,
) -> Replay:
    """Make the picks of a recorded run again, from the rows and labels on record: no oracle is asked.

    Every round is fitted to what the record says was labeled by then, and queried again with the keys on record. What
    comes out is compared, round by round: rows exactly, scores within rounding.

    With `query`, another one is asked at each round in place of the recorded, on the same labels: what would it have
    picked? Its memory, where it has one, is that of a query that watched from the start; a batch never enters the
    training set.

    ``replay(record.path, task, setup, rounds=12, query=strategies.bald())`` is what BALD would have asked at round 12;
    docs/resume.md runs such programs.

    Use it to check a record that you were given, a new version of a library, another machine; or to compare strategies
    at one and the same state. Learners are fitted from the first round on, since a fit may depend on the one before:
    the time is that of the run without its evaluations.

    Args:
      record_path: folder of a record of `run_eager`, `run_seeds`, `study` or `Campaign`: `path` of what `open_record`
        returns. The asks of a campaign are its rounds, each made again from what had been told by then.
      task: the data of the run. Its pool must be that of the record, to the last bit; its oracle may be None, and an
        array of labels is compared with those on record. The test set is not looked at.
      setup: how it was learned; `evaluate` is not called.
      seed: which seed of the record.
      rounds: numbers of rounds to report, as on record: round r holds what was picked with the labels of the rounds
        before it, round 0 the start set. None = all.
      query: another query to ask.

    Returns:
      A `Replay`: ``agrees``, and for each round its picks and scores beside those on record.

    Raises:
      ValueError: other rows, costs, batch size, learner or (without `query`) query than the record says; labels that
        are not those on record; no such seed or round; a record of a version that did not write down whose it was.
      CorruptRecordError: a record whose files were changed.
      FileNotFoundError: a folder that is no record.
    """
    check_is_task(task)
    check_is_setup(setup)
    over = over_of(setup.learner, setup.over)
    check_setup(setup.learner, setup.query if query is None else query, over)
    task = arrays_of(task, over)
    kept = read_record(Path(record_path)).events
    if any(event["kind"] in CAMPAIGN_KINDS for event in kept):
        return _asked(kept, task, setup, rounds, query)
    opened, events = _on_record(kept, record_path, seed)
    wanted = _wanted(rounds, len(events), query)
    key = jax.random.wrap_key_data(jax.device_put(np.array(opened["key"], np.uint32)))
    first = first_rows(key, task, setup)
    now = run_identity(key, task._replace(test=None), first, setup._replace(evaluate=None))
    check_same(opened, {name: now[name] for name in _COMPARED if name != "query" or query is None})
    labels = _labels(events, task, setup)
    asked, pool, learner = setup.query if query is None else query, task.pool, setup.learner
    parts = run_parts(learner, asked, setup.evaluate or nothing, over)
    capacity = len(events[0]["acquired"]) + max(setup.num_rounds, len(events) - 1, 1) * setup.batch_size
    carry = begin(key, learner._replace(init=parts.init), asked, pool, labels[0], capacity)
    found = [_compared(events[0], first)] if 0 in wanted else []
    for number, (event, y) in enumerate(zip(events[: max(wanted)], labels)):
        key_round = jax.random.fold_in(key, number)
        labeled = record_answers(carry.labeled, pool, _selection(event), y, number)
        carry = Carry(labeled, parts.fit(key_round, pool, labeled, carry.state), carry.memory)
        if number + 1 in wanted or asked.remember is not None:
            picks, memory = parts.acquire(key_round, pool, carry, setup.batch_size)
            carry = carry._replace(memory=memory)
            found += [_compared(events[number + 1], picks)] if number + 1 in wanted else []
    return Replay(seed, tuple(found))


def _asked(
    events: list[dict[str, Any]], task: Task, setup: Setup, rounds: int | Iterable[int] | None, query: Query | None
) -> Replay:
    """The asks of a campaign as rounds."""
    found = []
    for number, (event, picks, is_queried) in enumerate(asks_again(events, task, setup, query)):
        if is_queried or query is None or rounds is not None:
            told = {"round": number, "acquired": event["rows"], "valid": [True] * len(event["rows"])}
            found.append(_compared(told | {"scores": event["scores"]}, picks))
    if rounds is not None:
        wanted = _wanted(rounds, len(found), query)
        found = [again for again in found if again.round in wanted]
    return Replay(0, tuple(found))


def _on_record(
    events: list[dict[str, Any]], path: str | Path, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the run said of itself, and its rounds."""
    own = [event for event in events if event["kind"] == "round" and event["seed"] == seed]
    opened = [event["run"] for event in events if event["kind"] == "open" and event.get("seed") == seed]
    if not own:
        seeds = sorted({event["seed"] for event in events if event["kind"] == "round"})
        raise ValueError(f"{path} has no rounds of seed {seed}; on record are {seeds or 'none at all'}")
    if not opened:
        raise ValueError(
            f"{path} does not say of which rows and methods it is, as written by an earlier version, so that nothing "
            "can be made again; compare by hand what bal.records.load shows"
        )
    return opened[-1], own


def _wanted(rounds: int | Iterable[int] | None, number: int, query: Query | None) -> set[int]:
    """Numbers of the rounds to report; a query has no part in the start set."""
    if rounds is None:
        wanted = set(range(0 if query is None or number == 1 else 1, number))
    else:
        wanted = {check_count("rounds", round, 0) for round in ([rounds] if isinstance(rounds, int) else rounds)}
    if not wanted or max(wanted) >= number:
        raise ValueError(
            f"the record has the rounds 0 to {number - 1}, but round {max(wanted, default=None)} was asked"
        )
    return wanted


def _labels(events: list[dict[str, Any]], task: Task, setup: Setup) -> list[Array]:
    """Labels on record, round by round, as the run had them; those that are given must be the same."""
    told = next((event["labels"] for event in events if event["labels"]), [0.0])
    like = np.asarray(told)
    check = lambda y, rows: y
    if over_of(setup.learner, setup.over).place != "host":
        one = jax.ShapeDtypeStruct((1, *like.shape[1:]), jax.dtypes.canonicalize_dtype(like.dtype))
        predictions = predicted(setup.learner, task.pool.x, one)[1]
        check = lambda y, rows: check_answers(predictions, y, rows)
    found = []
    for event in events:
        rows, valid = np.asarray(event["acquired"], np.int32), np.asarray(event["valid"], bool)
        y = np.asarray(event["labels"], like.dtype).reshape(len(rows), *like.shape[1:])
        if task.oracle is not None and not callable(task.oracle):
            given = np.asarray(take(task.oracle, rows))
            check_recorded(event, rows, valid, given)
            y = y.astype(given.dtype)
        found.append(jax.device_put(np.asarray(check(y, rows))))
    return found


def _selection(event: dict[str, Any]) -> Selection:
    put = lambda name, dtype: jax.device_put(np.array(event[name], dtype))
    return Selection(put("acquired", np.int32), put("scores", np.float32), put("valid", bool))


def _compared(event: dict[str, Any], picks: Selection) -> ReplayedRound:
    valid, was = np.asarray(picks.valid), np.asarray(event["valid"], bool)
    scores = np.asarray(picks.scores, np.float64)[valid], np.asarray(event["scores"], np.float64)[was]
    return ReplayedRound(
        event["round"],
        np.asarray(picks.indices)[valid],
        scores[0],
        np.asarray(event["acquired"], np.int32)[was],
        scores[1],
    )
