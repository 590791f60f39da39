"""What people answered, and how fast: campaigns as they go on."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bal.records.campaigns import lines
from bal.watching.reliability import Judged, judge

DESK = "desk"
"""Kind of what `bal label` writes of answers that train nothing."""
_BESIDE = {"test": "to test rows", "again": "to rows seen again"}
_STANDS = {"tell": 1, "withdraw": -1}
HOUR = 3600.0
PAUSE = 600.0
"""Seconds without an answer from which on somebody was away."""


class People(NamedTuple):
    """A campaign so far.

    states: how many places are answered, pending, skipped, corrected and withdrawn. beside: answers that train nothing:
    of rows held out for a test, and of rows that the same person saw again. annotators: all answers by who gave
    them. at, answers: Unix time, and how many answers there were by then. an_hour: answers an hour of work, without the
    pauses; NaN below two. labels: how often each was given, where they are few. judged: of rows that a fitted model
    asked for, whether their first answer was foreseen.
    """

    states: dict[str, int]
    beside: dict[str, int]
    annotators: dict[str, int]
    at: Float[np.ndarray, "_"]
    answers: Int[np.ndarray, "_"]
    an_hour: float
    labels: dict[str, int]
    judged: list[Judged]


def people(events: list[dict[str, Any]], path: str = "the record") -> People:
    """Counts of a campaign from its events.

    Labels an hour are answers over the time between the first and the last, pauses of more than ten minutes left out:
    what a person works, not what a clock shows.

    Args:
      events: of a record, as `bal.watching.Folder` has them.
      path: named where they are damaged.

    Raises:
      CorruptRecordError: an event that does not follow.

    >>> told = lambda row, at: {"kind": "tell", "rows": [row], "labels": [1], "annotator": "ada", "at": at}
    >>> found = people([told(4, 0.0), told(7, 30.0), told(9, 60.0)])
    >>> found.states["answered"], found.annotators, found.an_hour
    (3, {'ada': 3}, 120.0)
    """
    found = lines(events, path)
    states = Counter(line["state"] for line in found)
    given = [line for line in found if line["state"] in ("answered", "corrected", "withdrawn")]
    desk = [event for event in events if event["kind"] == DESK]
    said = [event for event in desk if event["act"] in ("tell", "correct")]
    given += [{name: event.get(name) for name in ("annotator", "at")} for event in said]
    annotators = Counter(line["annotator"] or "nobody named" for line in given)
    labels = Counter(str(line["label"]) for line in found if line["state"] == "answered")
    at = np.sort(np.array([line["at"] for line in given if line["at"] is not None], float))
    gaps = np.diff(at)
    worked = float(gaps[gaps <= PAUSE].sum())
    an_hour = float((gaps <= PAUSE).sum() / worked * HOUR) if worked > 0 else np.nan
    few = dict(labels.most_common()) if len(labels) <= 30 else {}
    order = ("answered", "pending", "skipped", "corrected", "withdrawn")
    counts = {state: states[state] for state in order if states[state] or state == "answered"}
    stand = lambda what: sum(_STANDS.get(event["act"], 0) for event in desk if event.get("what") == what)
    beside = {words: number for what, words in _BESIDE.items() if (number := stand(what))}
    number = np.arange(1, len(at) + 1)
    return People(counts, beside, dict(annotators.most_common()), at, number, an_hour, few, _judged(events))


def _judged(events: list[dict[str, Any]]) -> list[Judged]:
    """Answers to rows that were asked for, the first to each."""
    asked: dict[int, Any] = {}
    found = []
    for event in events:
        if event["kind"] == "ask":
            asked |= dict(zip(event["rows"], (event.get("told") or {}).get("predicted", ())))
        elif event["kind"] == "tell":
            found += [judge(asked.pop(row, None), label) for row, label in zip(event["rows"], event["labels"])]
    return [one for one in found if one is not None]
