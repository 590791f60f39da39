"""Whose rounds a record holds: what `run_eager` and `run_seeds` write down, and compare when they go on."""

import warnings
from typing import Any

import jax
import numpy as np

from bal.loop.fingerprint import comparable, describe, difference, rows_digest
from bal.records import Record
from bal.records.reading import CAMPAIGN_KINDS
from bal.typing import PRNGKey, Selection, Setup, Task


def run_identity(key: PRNGKey, task: Task, start: Selection, setup: Setup) -> dict[str, Any]:
    """What must be the same for the rounds of a record to go on: all that decides picks and metrics, but for the number
    of rounds."""
    return {
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "rows": rows_digest(task.pool.x),
        "present": rows_digest((task.pool.present, task.pool.cost)),
        "start": np.asarray(start.indices).tolist(),
        "batch_size": setup.batch_size,
        "learner": describe(setup.learner),
        "query": describe(setup.query),
        "evaluate": describe(setup.evaluate),
        "test set": describe(task.test),
    }


def opening(seed: int, identity: dict[str, Any]) -> dict[str, Any]:
    """The event that says whose rounds those of a seed are."""
    return {"kind": "open", "seed": seed, "run": identity}


def same_run(record: Record, seed: int, identity: dict[str, Any]) -> bool:
    """Whether the record is known to hold this very run; writes the identity down where nothing is on record.

    False for a record without identity, as older versions wrote: its rounds are then done again, each checked. Parts
    that a record does not tell of, because its version knew none of them, are not compared.

    Raises:
      ValueError: a run that differs, by the first part that does.
    """
    if any(event["kind"] in CAMPAIGN_KINDS or _is_campaign(event) for event in record.events):
        raise ValueError("this record holds a campaign, not the rounds of an experiment; open one under another name")
    opened = [event for event in record.events if event["kind"] == "open" and event.get("seed") == seed]
    if not opened:
        if record.rounds(seed):
            return False
        record.append([opening(seed, identity)])
        return True
    check_same(opened[-1]["run"], identity)
    return True


def check_same(before: dict[str, Any], identity: dict[str, Any]) -> None:
    """What a run says of itself is what the record says of it.

    Raises:
      ValueError: a run that differs, by the first part that does.
    """
    for name, now in identity.items():
        was = before.get(name, now)
        if was == now:
            continue
        if name in _SENTENCES:
            raise ValueError(f"{_SENTENCES[name]}: {_TAUGHT}")
        if not comparable(str(was), now):
            text = f"the record was made by an earlier version or another Python: its {name} cannot be compared"
            warnings.warn(text, stacklevel=4)
            continue
        raise ValueError(f"the record was made by another {name} ({difference(was, now)}): {_TAUGHT}")


def check_recorded(event: dict[str, Any], rows: np.ndarray, valid: np.ndarray, given: np.ndarray | None) -> None:
    """The picks and, where they are given, their labels are those of the record.

    Raises:
      ValueError: another row was picked, or another label is given.
    """
    number, recorded = event["round"], np.asarray(event["labels"])
    if list(event["acquired"]) != rows.tolist():
        raise ValueError(
            f"round {number} of the record acquired {list(event['acquired'])}, but this run acquires {rows.tolist()}: "
            "resume with the configuration, versions and threads of the record"
        )
    if given is None:
        return
    differs = recorded != given.astype(recorded.dtype)
    differs = valid & differs.any(tuple(range(1, differs.ndim)))
    if differs.any():
        place = int(differs.argmax())
        raise ValueError(
            f"round {number} of the record has label {recorded[place]} for row {rows[place]}, but the oracle says "
            f"{given[place]}: resume with the labels of the record, or start a record of its own"
        )


def _is_campaign(event: dict[str, Any]) -> bool:
    return event["kind"] == "open" and "seed" not in event


_TAUGHT = "resume with what the record was made with, or start a record of its own"

_SENTENCES = {
    "key": "the record was made with another key",
    "rows": "the inputs of the pool are not those of the record",
    "present": "the rows that are present, or their costs, are not those of the record",
    "start": "the start set is not that of the record",
    "batch_size": "the record was made with another batch_size",
}
