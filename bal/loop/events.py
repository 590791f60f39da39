"""What happened in a run as a list of plain events, the form in which `bal.records` keeps it, and back.

Event r holds the rows that entered the training set before evaluation r (the start set for r = 0, then the picks of
round r - 1), their labels, and the metrics of the posterior fitted to them.
"""

from typing import Any

import jax
import numpy as np

from bal.loop.compiled import Log
from bal.loop.round import given_start
from bal.typing import Selection


def round_event(seed: int, number: int, picks: Selection, y: Any, metrics: dict, training: Any, num_start: int) -> dict:
    """One event of kind "round", from arrays. `y` are labels of any kind that leads with the picks."""
    info = {name: np.asarray(value) for name, value in picks.info.items()}
    if picks.log_q is not None:
        info["log_q"] = np.asarray(picks.log_q)
    training = int(training)
    return {
        "kind": "round",
        "seed": seed,
        "round": number,
        "acquired": np.asarray(picks.indices),
        "scores": np.asarray(picks.scores),
        "valid": np.asarray(picks.valid),
        "labels": np.asarray(y),
        "metrics": {name: np.asarray(value)[()] for name, value in metrics.items()},
        "counts": {
            "acquired": training - num_start,
            "training": training,
            "start": num_start,
            "validation": 0,
        },
        "seconds": None,
        "info": info,
    }


def check_recordable(metrics: dict) -> None:
    """Metrics of one evaluation that a record can hold."""
    if any(np.ndim(value) for value in metrics.values()):
        raise ValueError("a record holds metrics that are numbers, but evaluate returned arrays; run without one")


def check_measured(events: list[dict], metrics: dict) -> None:
    """Rounds on record hold all metrics that are measured now.

    Raises:
      ValueError: one that is not there.
    """
    for event in events:
        missing = sorted(metrics.keys() - event["metrics"].keys())
        if missing:
            raise ValueError(
                f"round {event['round']} of the record has no metric {', '.join(missing)}, but "
                f"{', '.join(event['metrics']) or 'none'}: resume with the evaluate of the record, or start a record "
                "of its own"
            )


def log_events(log: Log, seed: int) -> list[dict]:
    """The events of one seed's log (an unbatched `Log`)."""
    log = jax.tree.map(np.asarray, log)
    num_start = int(log.num_training[0])
    events = []
    for number, training in enumerate(log.num_training):
        if number == 0:
            picks, y = given_start(log.start), log.y_start
        else:
            one = lambda leaf, number=number: leaf[number - 1]
            log_q = None if log.log_q is None else one(log.log_q)
            picks = Selection(one(log.indices), one(log.scores), one(log.valid), log_q, jax.tree.map(one, log.info))
            y = one(log.y)
        metrics = {name: values[number] for name, values in log.metrics.items()}
        events.append(round_event(seed, number, picks, y, metrics, training, num_start))
    return events


def events_log(events: list[dict], y_like: Any, picks_like: Selection, metrics_like: dict) -> Log:
    """Stack the events of all rounds: entry r + 1 holds the picks of round r.

    Shapes and dtypes are those of one round's labels, picks and metrics, also where there are no rounds to stack.
    """
    start, *rest = events
    dtype_of = lambda like: like.dtype if hasattr(like, "dtype") else np.asarray(like).dtype
    stack = lambda values, like: jax.device_put(np.array(values, like.dtype).reshape(len(rest), *like.shape))
    pick = lambda name, like: stack([event[name] for event in rest], like)
    told = {
        name: stack([event["info"][name] for event in rest], like)
        for name, like in picks_like.info.items()
        if all(name in event["info"] for event in rest)  # rounds on record may be of an earlier version
    }
    log_q, size = picks_like.log_q, picks_like.indices.shape
    return Log(
        start=jax.device_put(np.asarray(start["acquired"], np.int32)),
        y_start=jax.device_put(np.asarray(start["labels"], y_like.dtype)),
        indices=pick("acquired", picks_like.indices),
        scores=pick("scores", picks_like.scores),
        valid=pick("valid", picks_like.valid),
        y=stack([event["labels"] for event in rest], jax.ShapeDtypeStruct((*size, *y_like.shape[1:]), y_like.dtype)),
        log_q=None if log_q is None else stack([event["info"]["log_q"] for event in rest], log_q),
        info=told,
        metrics={
            name: jax.device_put(np.array([event["metrics"][name] for event in events], dtype_of(like)))
            for name, like in metrics_like.items()
        },
        num_training=jax.device_put(np.array([event["counts"]["training"] for event in events], np.int32)),
    )
