"""Finished seeds on record: which there are, whether they are of this experiment, and as logs again."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from bal.loop.compiled import Log
from bal.loop.events import Known, check_measured, events_log, log_events
from bal.loop.fingerprint import describe, rows_digest
from bal.loop.identity import check_recorded, opening, run_identity, same_run
from bal.loop.round import first_rows
from bal.pool.over import take
from bal.records import Record
from bal.typing import Selection, Setup, Task


def one_seed(task: Task, per_seed: Any, seed: int) -> Task:
    """What one seed sees; `per_seed` says for every leaf whether it leads with the seeds."""
    return jax.tree.map(lambda leaf, own: leaf[seed] if own else leaf, task, per_seed)


def identities(keys: Array, task: Task, setup: Setup, per_seed: Task) -> list[dict[str, Any]]:
    """`run_identity` of every seed; what they share is digested once."""
    found: list[dict[str, Any]] = []
    for seed, key in enumerate(keys):
        seen = one_seed(task, per_seed, seed)
        start = first_rows(key, seen, setup)
        if not found:
            found.append(run_identity(key, seen, start, setup))
            continue
        own = {"key": np.asarray(jax.random.key_data(key)).tolist(), "start": np.asarray(start.indices).tolist()}
        if any(jax.tree.leaves(per_seed.pool.x)):
            own["rows"] = rows_digest(seen.pool.x)
        if per_seed.pool.present or per_seed.pool.cost:
            own["present"] = rows_digest((seen.pool.present, seen.pool.cost))
        if any(jax.tree.leaves(per_seed.test)):
            own["test set"] = describe(seen.test)
        found.append({**found[0], **own})
    return found


def num_finished(
    record: Record, own: list[dict[str, Any]], num_rounds: int, has_stopped: Callable[[int], bool] = lambda seed: False
) -> int:
    """Seeds at the front that are on record with all their rounds, or up to where they stopped.

    Raises:
      ValueError: a seed on record that is not the one of this experiment.
    """
    for seed, identity in enumerate(own):
        num_recorded = len(record.rounds(seed))
        known = num_recorded > 0 and same_run(record, seed, identity)
        if not known or (num_recorded <= num_rounds and not has_stopped(seed)):
            return seed
    return len(own)


def read_back(record: Record, like: Log, task: Task, setup: Setup, per_seed: Task, num_seeds: int) -> Log:
    """The logs of the first seeds, from the record; their labels are compared with those that are given.

    `like` has the shapes and types of one seed.
    """
    one_round = lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
    picks = Selection(like.indices, like.scores, like.valid, like.log_q, like.info)
    picks_like, metrics_like = jax.tree.map(one_round, (picks, like.metrics))
    logs = []
    for seed in range(num_seeds):
        events = record.rounds(seed)[: setup.num_rounds + 1]
        check_measured(events, like.metrics)
        oracle = one_seed(task, per_seed, seed).oracle
        for event in events if not callable(oracle) else ():
            rows = np.asarray(event["acquired"], np.int32)
            check_recorded(event, rows, np.asarray(event["valid"], bool), np.asarray(take(oracle, rows)))
        logs.append(events_log(events, like.y_start, picks_like, metrics_like))
    return jax.device_put(jax.tree.map(lambda *leaves: np.stack(leaves), *logs))


def write_down(
    record: Record, own: list[dict[str, Any]], log: Log, first: int, known_of_seed: Callable[[int], Known]
) -> None:
    """Append the seeds of a log, numbered from `first` on; rounds that are on record already must be those."""
    log = jax.tree.map(np.asarray, log)
    opened = {event.get("seed") for event in record.events if event["kind"] == "open"}
    new = []
    for place in range(len(log.start)):
        seed = first + place
        one = jax.tree.map(lambda leaf, place=place: leaf[place], log)
        events, before = log_events(one, seed, known_of_seed(seed)), record.rounds(seed)
        check_measured(before, events[0]["metrics"])
        for was, now in zip(before, events):
            check_recorded(was, now["acquired"], now["valid"], now["labels"])
        new += [] if seed in opened else [opening(seed, own[seed])]
        new += events[len(before) :]
    record.append(new)
