"""How a campaign was opened, as an event, and what of it may differ when its record is opened again.

Labels belong to rows by number: a pool that was re-ordered or changed, another key or other labels are refused. A
larger capacity and rows behind the old ones are fine; another learner or query is named and written down.
"""

import warnings
from typing import Any

import jax
import numpy as np

from bal.loop.fingerprint import comparable, describe, difference, row_digests, rows_digest
from bal.loop.labels import LabelKind
from bal.pool.asked import KINDS
from bal.typing import Learner, Pool, PRNGKey, PyTree, Query

_KINDS = ("open", "add", *KINDS)


def open_event(
    key: PRNGKey,
    learner: Learner,
    query: Query,
    pool: Pool,
    num_rows: int,
    capacity: int,
    kind: LabelKind,
) -> dict[str, Any]:
    """The event of kind "open": digests of the first `num_rows` rows and their costs, settings, and the methods."""
    return {
        "kind": "open",
        "rows": [],
        "key": f"{jax.random.key_impl(key)} {np.asarray(jax.random.key_data(key)).tolist()}",
        "num_classes": kind.num_classes,
        "num_outputs": kind.num_outputs,
        "classes": None if kind.classes is None else list(kind.classes),
        "soft": kind.soft,
        "row": _row(pool.x),
        "num_rows": num_rows,
        "pool": rows_digest(pool.x, num_rows),
        "cost": rows_digest(pool.cost, num_rows),
        "capacity": capacity,
        "pool_capacity": len(pool.present),
        "learner": describe(learner),
        "query": describe(query),
    }


def reopen(events: list[dict[str, Any]], now: dict[str, Any], pool: Pool) -> set[str]:
    """What is new in an opening, compared with the events on record: nothing, or some of the parts of `open_event`.

    Raises:
      ValueError: the record is that of no campaign, or of other rows, another key, or labels of another kind.
    """
    if any(event["kind"] == "round" or (event["kind"] == "open" and "seed" in event) for event in events):
        raise ValueError("this record holds the rounds of an experiment, not a campaign; open one under another name")
    events = [event for event in events if event["kind"] in _KINDS]
    if not events:
        return set(now)
    last = max((number for number, event in enumerate(events) if event["kind"] == "open"), default=None)
    if last is None:
        _check_count(events, now["num_rows"], 0)
        _warn("comes from an earlier version and does not say of which rows it is, so they could not be compared")
        return {"pool"}
    then, added = events[last], [event for event in events[last:] if event["kind"] == "add"]
    then = {"classes": None, "soft": False} | then  # as opened by earlier versions
    for name in ("num_classes", "num_outputs", "classes", "soft", "row", "key"):
        named_now = name == "classes" and then[name] is None
        if then[name] != now[name] and not named_now:
            what = {"row": "rows of type", "key": "the key"}.get(name, name)
            raise ValueError(
                f"the record is of {what} {then[name]}, but got {now[name]}; continue it with its own, or open another "
                "record"
            )
    expected = then["num_rows"] + sum(len(event["rows"]) for event in added)
    if now["num_rows"] < expected or not _same("pool", pool.x, then, added):
        _refuse_rows(events, pool.x, now["num_rows"], expected)
    news = {name for name in ("capacity", "pool_capacity", "classes", "learner", "query") if then[name] != now[name]}
    if now["num_rows"] > expected:
        news.add("num_rows")
    if not _same("cost", pool.cost, then, added):
        _warn("goes on with other costs")
        news.add("cost")
    for name in news & {"learner", "query"}:
        if not comparable(then[name], now[name]):
            _warn(f"goes on under another version: whether the {name} is the same could not be compared")
        else:
            what = difference(then[name], now[name])
            _warn(f"goes on with another {name}, which begins anew from the labels: {what}")
    return news


def _refuse_rows(events: list[dict], x: PyTree, num_rows: int, expected: int) -> None:
    known = {row: digest for event in events for row, digest in zip(event["rows"], event.get("digests", ()))}
    here = [row for row in known if row < num_rows]
    for row, found in zip(here, row_digests(x, here), strict=True):
        if found != known[row]:
            raise ValueError(
                f"row {row} is not the row that the record knows by this number, so that labels would belong to other "
                "rows; hand in the rows of the record in their order, new ones behind them"
            )
    _check_count(events, num_rows, expected)
    raise ValueError(
        f"the first {expected} rows are not all those of the record (the rows asked for are the same, others differ); "
        "hand in the rows of the record in their order, new ones behind them"
    )


def _check_count(events: list[dict], num_rows: int, expected: int) -> None:
    named = [row for event in events for row in event["rows"]]
    expected = max([expected, *(row + 1 for row in named)])
    if num_rows < expected:
        added = sum(len(event["rows"]) for event in events if event["kind"] == "add")
        raise ValueError(
            f"the record is of {expected} rows, but only {num_rows} rows were handed in; hand in all rows of the "
            f"record in their order, the {added} added later included"
        )


def _same(name: str, x: PyTree, then: dict, added: list[dict]) -> bool:
    """Whether the rows are those that were opened with, and those that were added, going by their digests."""
    if rows_digest(x, then["num_rows"]) != then[name]:
        return False
    return all(rows_digest(x, event["rows"][-1] + 1, event["rows"][0]) == event[name] for event in added)


def _row(x: PyTree) -> str:
    """Names, types and shapes of one row."""
    leaves = jax.tree_util.tree_leaves_with_path(x)
    return ", ".join(
        f"{jax.tree_util.keystr(path)}{jax.dtypes.canonicalize_dtype(leaf.dtype)}{list(leaf.shape[1:])}"
        for path, leaf in leaves
    )


def _warn(text: str) -> None:
    warnings.warn(f"the record of this campaign {text}", stacklevel=5)
