"""A campaign of pairs as plain events: how it was opened, which pairs were asked, and what was answered."""

from typing import Any

import jax
import numpy as np

from bal.loop.fingerprint import comparable, describe, difference, rows_digest
from bal.pairs.nouns import Items, num_items
from bal.typing import PRNGKey

OPEN, ASK, TELL = "pairs", "ask pairs", "tell pairs"


def opened(key: PRNGKey, items: Items, **methods: Any) -> dict[str, Any]:
    """The event that a record begins with: digests of the items, the key, and the methods by name."""
    return {
        "kind": OPEN,
        "key": f"{jax.random.key_impl(key)} {np.asarray(jax.random.key_data(key)).tolist()}",
        "num_items": num_items(items),
        "items": rows_digest(items.x),
        "groups": None if items.group is None else rows_digest((items.group, items.prompt)),
        **{name: describe(method) for name, method in methods.items()},
    }


def reopened(events: list[dict[str, Any]], now: dict[str, Any], methods: tuple[str, ...]) -> list[dict[str, Any]]:
    """What was asked and told, in order; ValueError for a record of something else, or opened otherwise."""
    if not events:
        return []
    then = events[0]
    if then["kind"] != OPEN or any(event["kind"] not in (ASK, TELL) for event in events[1:]):
        raise ValueError("this record does not hold a campaign of pairs; open one under another name")
    for name in ("key", "num_items", "items", "groups"):
        if then[name] != now[name]:
            said = "other items" if name in ("items", "groups") else f"{name} {then[name]}, but got {now[name]}"
            raise ValueError(f"the record is of {said}; go on with its own, or open another record")
    for name in methods:
        if then[name] != now[name] and comparable(then[name], now[name]):
            what = difference(then[name], now[name])
            raise ValueError(f"the record goes on with its own {name} alone, but this differs: {what}; open another")
    return events[1:]
