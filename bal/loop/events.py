"""What happened in a run as a list of plain events, the form in which `bal.records` keeps it, and back.

Event r holds the rows that entered the training set before evaluation r (the start set for r = 0, then the picks of
round r - 1), their labels, and the metrics of the posterior fitted to them.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from bal.loop.compiled import Log
from bal.loop.doors import predicted
from bal.loop.fingerprint import host_view
from bal.loop.round import given_start
from bal.pool.over import over_of, take
from bal.records import diagnostics
from bal.typing import PyTree, Query, Selection, Setup, Task


class Known(NamedTuple):
    """What a record tells of picks beside the picks.

    x, cost: of the pool; cost is None where every label costs 1. num_present: rows that exist.
    num_draws: K of predictions ``[N, K, C]``; None of others.
    """

    x: PyTree
    cost: np.ndarray | None
    num_present: int
    num_draws: int | None
    query: Query

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """The inputs of some rows as bytes, to see which are the same."""
        if not len(indices):
            return np.zeros((0, 0), np.uint8)
        leaves = jax.tree.leaves(take(self.x, indices))
        as_bytes = lambda leaf: np.frombuffer(np.asarray(leaf).tobytes(), np.uint8).reshape(len(indices), -1)
        return np.concatenate([as_bytes(leaf) for leaf in leaves], 1)

    def scored(self, num_held: int) -> int | None:
        """Rows whose scores were compared; None where that is decided inside of a query, as by a random shortlist."""
        if self.query.stages[0].rows is not None:
            return self.num_present - num_held
        return 0 if all(stage.rows is None and stage.context is None for stage in self.query.stages) else None


def num_draws_of(task: Task, setup: Setup, y_like: Any) -> int | None:
    """K of predictions ``[N, K, C]``, traced; `y_like` holds labels of any rows, for shape and type only."""
    if over_of(setup.learner, setup.over).place == "host":
        return None
    one = jax.ShapeDtypeStruct((1, *y_like.shape[1:]), y_like.dtype)
    shapes = predicted(setup.learner, task.pool.x, one)[1]
    return shapes.shape[1] if hasattr(shapes, "shape") and len(shapes.shape) == 3 else None


def known_of(task: Task, setup: Setup, num_draws: int | None) -> Known:
    """What is known of a seed."""
    cost = np.asarray(task.pool.cost)
    num_present = int(np.asarray(task.pool.present).sum())
    return Known(
        jax.tree.map(host_view, task.pool.x), cost if (cost != 1).any() else None, num_present, num_draws, setup.query
    )


def round_event(
    seed: int,
    number: int,
    picks: Selection,
    y: Any,
    metrics: dict,
    training: Any,
    num_start: int,
    known: Known | None = None,
    rows: np.ndarray | None = None,
) -> dict:
    """One event of kind "round", from arrays. `y` are labels of any kind that leads with the picks; `rows` are the
    inputs of these, where they are `known` already."""
    info: dict[str, Any] = {name: np.asarray(value) for name, value in picks.info.items()}
    training, indices = int(training), np.asarray(picks.indices)
    scores, valid = np.asarray(picks.scores), np.asarray(picks.valid)
    told: dict[str, Any] = {} if picks.log_q is None else {"log_q": np.asarray(picks.log_q)}
    if known is not None:
        scored = None if number == 0 else known.scored(training - int(valid.sum()))
        told |= {} if scored is None else {"scored": scored}
        told |= {} if known.cost is None else {"cost": known.cost[np.minimum(indices, len(known.cost) - 1)]}
        rows = known.rows(indices) if rows is None else rows
        told["diagnostics"] = diagnostics(scores, valid, np.asarray(y), rows, known.num_draws, info)
    arrays = {name: np.asarray(value) for name, value in metrics.items() if np.ndim(value)}
    if arrays:
        info["measured"] = arrays
    return {
        "kind": "round",
        "seed": seed,
        "round": number,
        "acquired": indices,
        "scores": scores,
        "valid": valid,
        "labels": np.asarray(y),
        "metrics": {name: np.asarray(value)[()] for name, value in metrics.items() if name not in arrays},
        "counts": {
            "acquired": training - num_start,
            "training": training,
            "start": num_start,
            "validation": 0,
        },
        "seconds": None,
        "info": info,
        **told,
    }


def measured(event: dict) -> dict:
    """All metrics of a round: numbers, and arrays, which stand under "info"."""
    return event["metrics"] | event.get("info", {}).get("measured", {})


def check_measured(events: list[dict], metrics: dict) -> None:
    """Rounds on record hold all metrics that are measured now.

    Raises:
      ValueError: one that is not there.
    """
    for event in events:
        missing = sorted(metrics.keys() - measured(event).keys())
        if missing:
            raise ValueError(
                f"round {event['round']} of the record has no metric {', '.join(missing)}, but "
                f"{', '.join(measured(event)) or 'none'}: resume with the evaluate of the record, or start a record "
                "of its own"
            )


def log_events(log: Log, seed: int, known: Known | None = None) -> list[dict]:
    """The events of one seed's log (an unbatched `Log`)."""
    log = jax.tree.map(np.asarray, log)
    num_start, num_first = int(log.num_training[0]), len(log.start)
    rows = None if known is None else known.rows(np.concatenate([log.start, log.indices.ravel()]))
    events = []
    for number, training in enumerate(log.num_training):
        if number == 0:
            picks, y, place = given_start(log.start), log.y_start, slice(0, num_first)
        else:
            one = lambda leaf, number=number: leaf[number - 1]
            log_q = None if log.log_q is None else one(log.log_q)
            picks = Selection(one(log.indices), one(log.scores), one(log.valid), log_q, jax.tree.map(one, log.info))
            y, size = one(log.y), log.indices.shape[1]
            place = slice(num_first + (number - 1) * size, num_first + number * size)
        metrics = {name: values[number] for name, values in log.metrics.items()}
        own = None if rows is None else rows[place]
        events.append(round_event(seed, number, picks, y, metrics, training, num_start, known, own))
    return events


def events_log(events: list[dict], y_like: Any, picks_like: Selection, metrics_like: dict) -> Log:
    """Stack the events of all rounds: entry r + 1 holds the picks of round r.

    Shapes and dtypes are those of one round's labels, picks and metrics, also where there are no rounds to stack. Reals
    in `info` that a round on record lacks are NaN.
    """
    start, *rest = events
    dtype_of = lambda like: like.dtype if hasattr(like, "dtype") else np.asarray(like).dtype
    stack = lambda values, like: jax.device_put(np.array(values, like.dtype).reshape(len(rest), *like.shape))
    pick = lambda name, like: stack([event[name] for event in rest], like)
    unknown = lambda like: np.full(like.shape, np.nan) if np.issubdtype(like.dtype, np.floating) else None
    told = {}
    for name, like in picks_like.info.items():  # rounds on record may be of an earlier version
        values = [event["info"].get(name, unknown(like)) for event in rest]
        if all(value is not None for value in values):
            told[name] = stack(values, like)
    log_q, size = picks_like.log_q, picks_like.indices.shape
    return Log(
        start=jax.device_put(np.asarray(start["acquired"], np.int32)),
        y_start=jax.device_put(np.asarray(start["labels"], y_like.dtype)),
        indices=pick("acquired", picks_like.indices),
        scores=pick("scores", picks_like.scores),
        valid=pick("valid", picks_like.valid),
        y=stack([event["labels"] for event in rest], jax.ShapeDtypeStruct((*size, *y_like.shape[1:]), y_like.dtype)),
        log_q=None if log_q is None else stack([_log_q(event) for event in rest], log_q),
        info=told,
        metrics={
            name: jax.device_put(np.array([measured(event)[name] for event in events], dtype_of(like)))
            for name, like in metrics_like.items()
        },
        num_training=jax.device_put(np.array([event["counts"]["training"] for event in events], np.int32)),
    )


def _log_q(event: dict) -> Any:
    """Where schemas 1 and 2 have it, or where schema 3 has."""
    return event["log_q"] if "log_q" in event else event["info"]["log_q"]
