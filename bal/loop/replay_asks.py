"""The asks of a campaign, made again from its record: everything else is taken from there as it happened."""

import json
from collections import deque
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from bal.loop.asking import drawn
from bal.loop.campaign import Campaign
from bal.loop.fingerprint import describe, rows_digest
from bal.loop.identity import check_same
from bal.pool.labeled import is_answered
from bal.pool.over import take
from bal.records.reading import CAMPAIGN_KINDS
from bal.typing import Query, Selection, Setup, Task


def asks_again(
    events: list[dict[str, Any]], task: Task, setup: Setup, query: Query | None
) -> Iterator[tuple[dict[str, Any], Selection, bool]]:
    """Each ask on record, what is picked in its place, and whether a query picked it; rows that nothing is known of are
    drawn.

    Raises:
      ValueError: other rows or costs than on record, another learner or (without `query`) query, or more than one of
        them on record; a record that does not say of which rows it is.
    """
    opened = [event for event in events if event["kind"] == "open"]
    if not opened:
        raise ValueError(
            "the record does not say of which rows and methods it is, as written by an earlier version, so that "
            "nothing can be made again; compare by hand what bal.records.load shows"
        )
    now = {"learner": describe(setup.learner)} | ({"query": describe(setup.query)} if query is None else {})
    for event in opened:
        check_same({name: event[name] for name in now}, now)
    campaign = _opened(opened, task, setup, query)
    seen = deque([campaign._now], 1 + max(event.get("late", 0) for event in events))  # what came while an ask was made
    for event in events:
        before, rows = campaign._now, event.get("rows", [])
        if event["kind"] == "ask":
            then = seen[-1 - event.get("late", 0)]
            known = bool(is_answered(then.book.log).any())
            after = campaign._query(then, len(rows)) if known else drawn(campaign._model, then, len(rows))
            picks: Any = after.selection
            yield event, picks, known
            after = before._replace(state=after.state, memory=after.memory)
            campaign._now = after._replace(book=campaign._told(before, event))
        elif event["kind"] == "add":
            campaign.add(take(task.pool.x, np.array(rows)), cost=np.asarray(task.pool.cost)[rows])
            _check(campaign, event, rows[-1] + 1, rows[0])
        elif event["kind"] in CAMPAIGN_KINDS:
            campaign._now = before._replace(book=campaign._told(before, event))
        if event["kind"] in CAMPAIGN_KINDS:
            seen.append(campaign._now)


def _opened(opened: list[dict[str, Any]], task: Task, setup: Setup, query: Query | None) -> Campaign:
    """The campaign as it began, with the room that it had in the end."""
    first, last = opened[0], opened[-1]
    name, data = first["key"].split(" ", 1)
    key = jax.random.wrap_key_data(jax.device_put(np.array(json.loads(data), np.uint32)), impl=name)
    rows = np.arange(min(first["num_rows"], len(task.pool.present)))
    campaign = Campaign(
        key,
        setup.learner,
        setup.query if query is None else query,
        take(task.pool.x, rows),
        capacity=last["capacity"],
        cost=np.asarray(task.pool.cost)[rows],
        pool_capacity=last["pool_capacity"],
        over=setup.over,
        **{name: first.get(name) for name in ("num_classes", "num_outputs", "classes") if _is_own(name, first)},
        soft=first.get("soft", False),
    )
    _check(campaign, first, first["num_rows"], 0)
    return campaign


def _is_own(name: str, opened: dict[str, Any]) -> bool:
    """Names of classes say how many there are."""
    return name != "num_classes" or opened.get("classes") is None


def _check(campaign: Campaign, event: dict[str, Any], stop: int, start: int) -> None:
    pool = campaign._now.pool
    for name, array, what in (("pool", pool.x, "inputs"), ("cost", pool.cost, "costs")):
        if rows_digest(array, min(stop, len(pool.present)), start) != event[name]:
            raise ValueError(
                f"the {what} of rows {start} to {stop - 1} are not those of the record; hand in a task of its rows in "
                "their order, those added later behind them"
            )
