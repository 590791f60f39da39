"""What an event of kind "round" must hold, and in which order rounds may come.

Every seed counts its rounds 0, 1, 2, ... without gaps, and no pool row is acquired twice by one seed.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

_COUNTS = ("acquired", "training", "start", "validation")
_BOUND = 2**63  # what a column of integers holds


class Progress(NamedTuple):
    """How far one seed has come: the round it expects next, and the pool rows it has acquired."""

    next_round: int
    ids: set[int]


def _is_int(value: Any) -> bool:
    return type(value) is int


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _BOUND


def is_number(value: Any) -> bool:
    """A float, or an integer that a column holds."""
    return type(value) is float or (type(value) is int and -_BOUND <= value < _BOUND)


def _is_list(of: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(of, value))


def _are_metrics(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_number, value.values()))


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == set(_COUNTS) and all(map(_is_count, value.values()))


def _are_diagnostics(value: Any) -> bool:
    inner = lambda part: isinstance(part, dict) and all(map(_is_count, part.values()))
    return isinstance(value, dict) and all(is_number(part) or inner(part) for part in value.values())


_REQUIRED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "kind": ("'round'", lambda value: value == "round"),
    "seed": ("an integer", _is_int),
    "round": ("an integer >= 0, below 2^63", _is_count),
    "acquired": ("a list of pool ids, integers >= 0 below 2^63", _is_list(_is_count)),
    "scores": ("a list of numbers (integers within 64 bits), NaN where a pick has none", _is_list(is_number)),
    "valid": ("a list of booleans", _is_list(lambda value: type(value) is bool)),
    "metrics": ("a dict from names to numbers (integers within 64 bits)", _are_metrics),
    "counts": (f"a dict of integers >= 0, below 2^63, with the keys {', '.join(_COUNTS)}", _are_counts),
    "seconds": ("a number (integers within 64 bits) or None", lambda value: value is None or is_number(value)),
}
_OPTIONAL: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "labels": ("a list", _is_list(lambda value: True)),
    "info": ("a dict", lambda value: isinstance(value, dict)),
    "log_q": ("a list of numbers", _is_list(is_number)),
    "annotator": (
        "a list of names, None where nobody is named",
        _is_list(lambda name: name is None or type(name) is str),
    ),
    "cost": ("a list of numbers of at least 0", _is_list(lambda value: is_number(value) and value >= 0)),
    "scored": ("an integer >= 0, below 2^63", _is_count),
    "diagnostics": ("a dict from names to numbers, or to dicts of counts", _are_diagnostics),
}
_FIELDS = _REQUIRED | _OPTIONAL
_LISTS = ("acquired", "scores", "valid", "labels", "log_q", "annotator", "cost")


def valid_ids(event: dict[str, Any]) -> list[int]:
    """Pool rows that a round acquired, in order: entries with ``valid`` False were never picked."""
    return [row for row, valid in zip(event["acquired"], event["valid"]) if valid]


def _check_fields(event: dict[str, Any], where: str) -> None:
    missing, unknown = sorted(_REQUIRED.keys() - event.keys()), sorted(event.keys() - _FIELDS.keys())
    if missing:
        raise ValueError(f"{where}: a round needs the keys {', '.join(_REQUIRED)}; {', '.join(missing)} missing")
    if unknown:
        raise ValueError(f"{where}: a round has no key {', '.join(unknown)}; put what is extra under 'info'")
    for name, value in event.items():
        expected, holds = _FIELDS[name]
        if not holds(value):
            raise TypeError(f"{where}.{name}: expected {expected}, got {value!r}")
    lengths = {name: len(event[name]) for name in _LISTS if name in event}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{where}: expected one entry a pick in each list, got the lengths {lengths}")


def _check_order(event: dict[str, Any], where: str, earlier: Progress, newer: Progress) -> None:
    seed, number, expected = event["seed"], event["round"], newer.next_round
    if number != expected:
        state = "is already in the record" if number < expected else "came too early"
        raise ValueError(f"{where}: round {number} of seed {seed} {state}; the next one must be round {expected}")
    ids = valid_ids(event)
    seen: set[int] = set()
    for row in ids:
        if row in earlier.ids or row in newer.ids or row in seen:
            raise ValueError(
                f"{where}: pool id {row} is acquired twice by seed {seed}; leave out what is labeled, "
                "or mark the entry as not valid"
            )
        seen.add(row)


def check_events(events: Iterable[dict[str, Any]], progress: dict[int, Progress]) -> dict[int, Progress]:
    """What the events add to `progress`, seed by seed; `progress` itself is left as it was.

    Raises TypeError or ValueError at the first event that may not follow: a field missing, unknown or
    ill-typed, a round out of order, a pool id acquired before. Events of other kinds need nothing but the
    text ``kind``.

    >>> start = {"kind": "round", "seed": 0, "round": 0, "acquired": [7], "scores": [0.1], "valid": [True],
    ...          "metrics": {}, "counts": dict.fromkeys(_COUNTS, 1), "seconds": None}
    >>> check_events([start], {})
    {0: Progress(next_round=1, ids={7})}
    """
    added: dict[int, Progress] = {}
    for i, event in enumerate(events):
        where = f"events[{i}]"
        if not isinstance(event, dict) or not isinstance(event.get("kind"), str):
            raise TypeError(
                f"{where}: expected a dict with the text 'kind', got {event!r}; append takes a list of dicts"
            )
        if event["kind"] != "round":
            continue
        _check_fields(event, where)
        earlier = progress.get(event["seed"], Progress(0, set()))
        newer = added.get(event["seed"], Progress(earlier.next_round, set()))
        _check_order(event, where, earlier, newer)
        newer.ids.update(valid_ids(event))
        added[event["seed"]] = Progress(newer.next_round + 1, newer.ids)
    return added


def advance(progress: dict[int, Progress], added: dict[int, Progress]) -> None:
    """Take into `progress`, in place, what `check_events` returned."""
    for seed, (next_round, ids) in added.items():
        known = progress[seed].ids if seed in progress else set[int]()
        known.update(ids)
        progress[seed] = Progress(next_round, known)
