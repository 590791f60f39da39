"""Many records as a table with a line for each event; `bal.records.frame` has a line for each pick."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bal import markup
from bal.records.encoding import encode
from bal.records.errors import CorruptRecordError
from bal.records.log import LOG
from bal.records.reading import CAMPAIGN_KINDS, CONFIG, Contents, read_record, warn_of_torn_tail

_MISSING = object()
SHOWN = 8
"""Lines of a frame that a notebook shows."""
RUN = ("name", "sha", "fingerprint", "done")
_EVENTS = (*RUN, "kind", "seed", "round", "rows", "scores", "labels", "seconds")


class Columns(dict[str, np.ndarray]):
    """Columns of one length by name, which print as what they are, and in a notebook as their first lines."""

    def __repr__(self) -> str:
        return f"{self._length()} lines of {len(self)} columns: {', '.join(self)}"

    def _repr_html_(self) -> str:
        same = {name: values[0] for name, values in self.items() if len(values) and len(set(values.tolist())) == 1}
        names = [name for name in self if name not in same]
        lines = zip(*(self[name][:SHOWN].tolist() for name in names))
        said = f"{self._length()} lines" + (f", of which the first {SHOWN}" if self._length() > SHOWN else "")
        return markup.table(names, lines, said) + (markup.facts("the same in all of them", same) if same else "")

    def _length(self) -> int:
        return len(next(iter(self.values()), ()))


def table(root: str | Path) -> Columns:
    """Every event of every record under `root` in long form: columns of one length, one entry an event.

    Columns: ``name, sha, fingerprint, done, config.*`` (nested keys joined by dots), ``kind``: "round", or an event of
    a campaign ("ask", "tell", "correct", "withdraw", "skip", "add"); ``seed, round``; ``rows``, the pool ids acquired,
    asked for or told; ``scores, labels, counts.*, metrics.*, seconds, info.*`` and what else is known of a round; what
    else a campaign wrote: ``annotator, weight, cost``, and ``at``, in seconds of Unix time. Ready for
    ``polars.DataFrame(table(root))`` or pandas. What an event lacks is NaN in a column of numbers and "" in a column of
    text. A column of mixed kinds or of lists holds their JSON as text; `load` has a line for each row instead, and all
    that is here but "add". Sorted by name, sha, then as logged.

    Warns about each record that cannot be read, which is left out, and about each torn tail. Raises FileNotFoundError
    if `root` is not a folder.

    >>> import tempfile
    >>> sorted(table(tempfile.mkdtemp()))
    ['done', 'fingerprint', 'kind', 'labels', 'name', 'round', 'rows', 'scores', 'seconds', 'seed', 'sha']
    """
    rows: list[dict[str, Any]] = []
    for path, contents in records(root):
        run = run_of(path, contents)
        events = (event for event in contents.events if event["kind"] == "round" or event["kind"] in CAMPAIGN_KINDS)
        rows += [run | (round_columns(event) if event["kind"] == "round" else _happened(event)) for event in events]
    return columns_of(rows, _EVENTS)


def records(root: str | Path) -> Iterator[tuple[Path, Contents]]:
    """Every record under a root that can be read; what was set aside is hidden."""
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder; pass the root that was given to open_record")
    found = {file.parent for file in root.glob(f"*/*/{CONFIG}")}
    found |= {file.parent for file in root.glob(f"*/*/{LOG}") if file.stat().st_size}
    for path in sorted(found):
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        try:
            contents = read_record(path)
        except (CorruptRecordError, OSError) as error:
            warnings.warn(f"left out of the table: {error}", stacklevel=3)
            continue
        warn_of_torn_tail(path, contents.report)
        yield path, contents


def run_of(path: Path, contents: Contents) -> dict[str, Any]:
    """What says of which run a line is."""
    run = {"name": path.parent.name, "sha": path.name, "fingerprint": contents.fingerprint}
    return run | {"done": contents.summary is not None} | dict(flat(contents.config, "config"))


def round_columns(event: dict[str, Any]) -> dict[str, Any]:
    """A round as one line."""
    return (
        {"kind": "round", "seed": event["seed"], "round": event["round"], "rows": event["acquired"]}
        | {name: event[name] for name in ("scores", "labels") if name in event}
        | {f"counts.{key}": value for key, value in event["counts"].items()}
        | {f"metrics.{key}": float(value) for key, value in event["metrics"].items()}
        | {name: event[name] for name in ("log_q", "annotator", "cost", "scored") if name in event}
        | dict(flat(event.get("diagnostics", {}), "diagnostics"))
        | {"seconds": np.nan if event["seconds"] is None else float(event["seconds"])}
        | dict(flat(event.get("info", {}), "info"))
    )


def _happened(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in ("digests", "pool")}


def flat(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Nested keys joined by dots."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}.{key}")
        else:
            yield f"{prefix}.{key}", value


def _column(values: list[Any]) -> np.ndarray:
    kinds, complete = {type(value) for value in values if value is not _MISSING}, _MISSING not in values
    try:
        if complete and kinds in ({int}, {bool}):
            return np.array(values, np.int64 if kinds == {int} else np.bool_)
        if kinds <= {int, float} and all(float(value) == value for value in values if type(value) is int):
            return np.array([np.nan if value is _MISSING else value for value in values], np.float64)
    except OverflowError:  # an integer that no dtype holds exactly keeps its digits as text
        pass
    if kinds == {str}:
        return np.array(["" if value is _MISSING else value for value in values], np.str_)
    return np.array(["" if value is _MISSING else encode(value).decode() for value in values], np.str_)


def columns_of(rows: list[dict[str, Any]], first: tuple[str, ...]) -> Columns:
    """Lines as columns of one length, those named `first` in front."""
    names = dict.fromkeys([*first, *(name for row in rows for name in row)])
    return Columns({name: _column([row.get(name, _MISSING) for row in rows]) for name in names})
