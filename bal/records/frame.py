"""Many records as one frame: a line for each row that was picked or labeled, with all that is known of its round."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bal.records.campaigns import lines
from bal.records.tables import RUN, Columns, columns_of, flat, records, round_columns, run_of
from bal.records.timings import timings

_PICKS = (*RUN, "seed", "round", "row", "score", "label", "state")
_OF_A_PICK = ("log_q", "annotator", "cost")


def load(root: str | Path) -> Columns:
    """Every row that was picked or labeled in any record under `root`: columns of one length, one entry a row.

    Columns: ``name, sha, fingerprint, done, config.*`` (nested keys joined by dots) say of which run;
    ``seed, round, row, score, label, state``, ``log_q, annotator, cost`` and ``info.*`` are of the pick;
    ``metrics.*, counts.*, seconds`` and what else is told of a round are the same in all its lines: the metrics are
    those of the model that had learned the pick. So are ``times.*`` and ``memory`` (`timings`) of the round, or
    ``call.*`` of the program that ran ``call.seeds`` seeds together: to be counted once a round or a call. Rows of the
    start set are in round 0, without a score. Rows of campaigns have the columns of `answers`, with ``state``; a row of
    an experiment is "answered". ``info.predicted`` (and ``info.predicted_variance``) are what the model that asked for
    the pick predicted of it, where that is on record. A round that picked nothing has one line all the same, of row -1
    and state "nothing", so that no metric is lost; a pick that was not valid is left out.

    This is the door to all records; `table` has a line an event instead, for what happened rather than for what is
    known of rows: also the rows that were added to a campaign.

    Ready for ``polars.DataFrame(load(root))`` or pandas, and for `write_parquet`. What a line lacks is NaN in a column
    of numbers and "" in a column of text; a column of mixed kinds or of lists holds their JSON as text. Sorted by name,
    sha, then as logged.

    Args:
      root: the folder that was given to `open_record` or `bal.study`.

    Returns:
      Columns by name.

    Raises:
      FileNotFoundError: `root` is no folder. A record that cannot be read is left out with a warning; a torn tail is
        passed over with one.

    >>> import tempfile
    >>> from bal.records import open_record
    >>> root = tempfile.mkdtemp()
    >>> with open_record(root, "campaign", {}) as record:
    ...     record.append([{"kind": "ask", "rows": [7, 4], "scores": [0.9, 0.5], "queries": 1}])
    ...     record.append([{"kind": "tell", "rows": [4], "labels": [1]}])
    >>> found = load(root)
    >>> found["row"].tolist(), found["score"].tolist(), found["state"].tolist()
    ([7, 4], [0.9, 0.5], ['pending', 'answered'])
    """
    rows: list[dict[str, Any]] = []
    for path, contents in records(root):
        run = run_of(path, contents)
        took = _took(path)
        for event in contents.events:
            if event["kind"] == "round":
                seed, number = event["seed"], event["round"]
                measured = took.get((seed, None), {}) | took.get((seed, number), {})
                rows += [run | pick | measured for pick in _picked(event)]
        rows += [run | _present(line) for line in lines(contents.events, str(path))]
    return columns_of(rows, _PICKS)


def _took(path: Path) -> dict[tuple[int, int | None], dict[str, Any]]:
    """What is on record of times and memory, by seed and round; of seeds that were run together no round is known."""
    found: dict[tuple[int, int | None], dict[str, Any]] = {}
    for entry in timings(path):
        memory = {} if entry.get("memory") is None else {"memory": float(entry["memory"])}
        if "round" in entry:
            found[entry["seed"], entry["round"]] = dict(flat(entry["times"], "times")) | memory
        for seed in entry.get("seeds", ()):
            found[seed, None] = dict(flat(entry["times"], "call")) | {"call.seeds": len(entry["seeds"])} | memory
    return found


def _picked(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One entry for each valid pick of a round, or one that says that there was none."""
    event = event | {"info": {name: value for name, value in event.get("info", {}).items() if name != "measured"}}
    number, info = len(event["acquired"]), dict(flat(event["info"], "info"))
    each = {name: value for name, value in info.items() if isinstance(value, list) and len(value) == number}
    if "info.log_q" in each:  # where it was before schema 3
        each["log_q"] = each.pop("info.log_q")
    each |= {name: event[name] for name in _OF_A_PICK if name in event}
    each |= {"label": event["labels"]} if "labels" in event else {}
    shared = {name: value for name, value in round_columns(event).items() if name not in (*_NOT_SHARED, *each)}
    valid = [place for place in range(number) if event["valid"][place]]
    for place in valid:
        pick = {"row": event["acquired"][place], "score": float(event["scores"][place]), "state": "answered"}
        yield shared | pick | {name: values[place] for name, values in each.items() if values[place] is not None}
    if not valid:
        yield shared | {"row": -1, "state": "nothing"}


_NOT_SHARED = ("kind", "rows", "scores", "labels", "info.log_q", *_OF_A_PICK)


def _present(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if value is not None}
