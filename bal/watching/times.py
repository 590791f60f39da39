"""Where the time goes: seconds of each part, by strategy."""

from collections import defaultdict
from pathlib import Path

from bal.evaluation.figures.times import PARTS
from bal.records import timings


def times(paths: dict[str, list[Path]]) -> dict[str, dict[str, float]]:
    """Seconds of each part by strategy, all rounds and seeds on record together.

    Args:
      paths: folders of records by strategy.

    Returns:
      Seconds by strategy and part; strategies without measurements are left out.

    >>> import tempfile
    >>> from bal.records import open_record
    >>> with open_record(tempfile.mkdtemp(), "demo", {}) as record:
    ...     for number in range(2):
    ...         record.time({"seed": 0, "round": number, "times": {"fit": 0.5, "compile": 0.25}, "memory": None})
    >>> times({"bald": [record.path]})
    {'bald': {'compile': 0.5, 'fit': 1.0}}
    """
    found = {}
    for name, folders in paths.items():
        sums: dict[str, float] = defaultdict(float)
        for folder in folders:
            for entry in timings(folder):
                for part, seconds in entry["times"].items():
                    sums[part] += seconds
        order = [part for part in PARTS if part in sums] + sorted(sums.keys() - set(PARTS))
        if sums:
            found[name] = {part: sums[part] for part in order}
    return found
