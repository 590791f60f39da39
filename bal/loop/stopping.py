"""A stopping rule in the drivers: the log so far from events, and where a run on record stops."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from bal.evaluation.history import History, StoppingRule, history, reason_to_stop
from bal.loop.events import measured
from bal.pool.asked import Book
from bal.records import Record


def check_rule(stop: Any) -> None:
    """It is a function, or None."""
    if stop is not None and not callable(stop):
        raise TypeError(
            f"expected stop as a rule of bal.evaluation, as label_budget(100), got {type(stop).__name__}; a rule is a "
            "function of the log so far"
        )


def reason_after(stop: StoppingRule | None, events: list[dict], picks: Any, cost: Any) -> str | None:
    """What the rule says after the rounds of one seed and the picks that await their labels.

    `picks` are a `Selection`, or an event that tells of them.
    """
    if stop is None:
        return None
    return reason_to_stop(stop, history(_log(events, picks), len(events) - 1, np.asarray(cost)))


def stop_event(seed: int, number: int, reason: str, picks: Any) -> dict[str, Any]:
    """The event of a run that stopped after evaluation `number`, with the picks that nobody was asked to label."""
    return {"kind": "stop", "seed": seed, "round": number, "reason": reason, **_told(picks)}


def where_stopped(
    stop: StoppingRule | None, record: Record | None, seed: int, num_rounds: int, cost: Any
) -> dict[str, Any] | None:
    """The first round on record after which the rule stops, as a `stop_event`; None where it lets all of them pass."""
    if stop is None or record is None:
        return None
    events = record.rounds(seed)[: num_rounds + 1]
    ends = [event for event in record.events if event["kind"] == "stop" and event.get("seed") == seed]
    end = next((event for event in ends if event["round"] == len(events) - 1), None)
    log = _log(events, end) if events else None
    for number in range(0 if log is None else min(len(log.indices), num_rounds)):
        reason = reason_to_stop(stop, history(log, number, np.asarray(cost)))
        if reason is not None:
            return stop_event(seed, number, reason, [*events[1:], end][number])
    return None


def note_stop(record: Record | None, event: dict[str, Any] | None) -> None:
    """On record once, however often the run is called again."""
    if record is None or event is None or record.done:
        return
    if not any(_same(event, known) for known in record.events):
        record.append([event])


def last_reason(events: list[dict[str, Any]]) -> str | None:
    """Why the last ask of a campaign on record handed out no rows; None where it did."""
    last = next((event for event in reversed(events) if event["kind"] in ("ask", "stop")), None)
    return last["reason"] if last is not None and last["kind"] == "stop" else None


class Asked(NamedTuple):
    """An ask of a campaign that fitted the learner: what it picked, and what was known then."""

    rows: np.ndarray
    scores: np.ndarray
    log_q: np.ndarray | None
    labels: np.ndarray
    spent: np.ndarray
    metrics: dict[str, np.ndarray]


def asked(event: dict[str, Any]) -> Asked:
    """From its event, now or on record."""
    told, rows = event["told"], np.asarray(event["rows"], int)
    numbers = lambda values: np.asarray(values, np.float64)
    log_q = None if told["log_q"] is None else numbers(told["log_q"])
    metrics = {name: np.asarray(value) for name, value in told["metrics"].items()}
    return Asked(rows, numbers(event["scores"]), log_q, np.asarray(told["labels"]), numbers(told["spent"]), metrics)


def campaign_history(asks: tuple[Asked, ...], book: Book, price: float) -> History:
    """The log of a campaign that has asked, the last time for rows that nobody has seen yet."""
    log = book.log
    standing = {int(log.indices[place]): place for place in np.flatnonzero(np.asarray(log.weight) > 0).tolist()}
    picked = {}
    for number, ask in enumerate(asks):
        log_q = np.full(len(ask.rows), np.nan) if ask.log_q is None else ask.log_q
        picked |= {row: (number, *more) for row, *more in zip(ask.rows.tolist(), ask.scores, log_q, strict=True)}
    rows = list(dict.fromkeys([*np.asarray(log.indices)[: int(log.count)].tolist(), *asks[-1].rows.tolist()]))
    query, scores, log_q = zip(*(picked.get(row, (-1, np.nan, np.nan)) for row in rows), strict=True)
    names = set.intersection(*(set(ask.metrics) for ask in asks))
    return History(
        labels=np.array([ask.labels for ask in asks]),
        spent=np.array([ask.spent for ask in asks]),
        metrics={name: np.array([ask.metrics[name] for ask in asks]) for name in sorted(names)},
        rows=np.array(rows),
        query=np.array(query),
        scores=np.array(scores),
        log_q=np.array(log_q),
        y=np.array([log.y[standing[row]] if row in standing else np.zeros_like(log.y[0]) for row in rows]),
        answered=np.isin(rows, list(standing)),
        price=price,
    )


def _log(events: list[dict], picks: Any) -> SimpleNamespace:
    """The rounds of one seed, and picks that await their labels if there are any, as `history` takes them."""
    start, *rounds = events
    asked = rounds if picks is None else [*rounds, _told(picks)]
    size = len(_told(asked[0])["acquired"]) if asked else 0
    stack = lambda name, kind: np.array([event[name] for event in asked], kind).reshape(len(asked), size)
    y_start = np.asarray(start["labels"])
    y = np.array([event["labels"] for event in rounds]) if rounds else np.zeros((0, size, *y_start.shape[1:]))
    drawn = bool(asked) and _log_q(asked[-1]) is not None
    return SimpleNamespace(
        start=np.asarray(start["acquired"], int),
        y_start=y_start,
        indices=stack("acquired", int),
        scores=stack("scores", float),
        valid=stack("valid", bool),
        log_q=np.array([_log_q(event) for event in asked], float) if drawn else None,
        y=y if rounds else y.astype(y_start.dtype),
        metrics={name: np.array([measured(event)[name] for event in events]) for name in measured(start)},
        num_training=np.array([event["counts"]["training"] for event in events]),
    )


def _told(picks: Any) -> dict[str, Any]:
    """What an event tells of picks, which may be one."""
    if isinstance(picks, dict):
        return {**{name: picks[name] for name in ("acquired", "scores", "valid")}, "log_q": _log_q(picks)}
    named = {"acquired": picks.indices, "scores": picks.scores, "valid": picks.valid, "log_q": picks.log_q}
    return {name: None if value is None else np.asarray(value) for name, value in named.items()}


def _log_q(event: dict[str, Any]) -> Any:
    """Of the picks of an event, wherever its schema keeps it; None where they were not drawn."""
    return event["log_q"] if "log_q" in event else event.get("info", {}).get("log_q")


def _same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return all(one[name] == two.get(name) for name in ("kind", "seed", "round", "reason"))
