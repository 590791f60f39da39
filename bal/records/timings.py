"""What a run took, beside its log: ``timings.jsonl``, so that logs of equal runs stay equal byte by byte.

One measurement a line, behind its checksum, appended without waiting for the disk. Measurements are no part of the
truth: nothing is resumed from them, no digest covers them, and what a kill tore is passed over.
"""

import warnings
from pathlib import Path
from typing import Any

from bal.records.encoding import encode
from bal.records.log import encode_line, parse

TIMINGS = "timings.jsonl"


def write_timing(path: Path, entry: dict[str, Any]) -> None:
    """Append one measurement."""
    line = encode_line(encode(entry | {"kind": "timing"}))
    with (path / TIMINGS).open("a+b", buffering=0) as file:
        if file.tell() and not _ends_well(path / TIMINGS):
            line = b"\n" + line
        file.write(line)


def _ends_well(file: Path) -> bool:
    with file.open("rb") as opened:
        opened.seek(-1, 2)
        return opened.read() == b"\n"


def timings(path: str | Path) -> list[dict[str, Any]]:
    """What the runs of the record in folder `path` took, as it was measured; an empty list where nothing was.

    An entry of `run_eager` has ``seed, round, times, memory``, one of `run_seeds` and `study` ``seeds, times, memory``
    for the seeds that were run together. ``times`` are seconds: ``compile`` (tracing included), ``fit``, ``evaluate``,
    and ``predict`` and ``select``, or ``query`` for both where one compiled program does both; of seeds in one program
    only ``compile`` and ``run`` can be told. ``memory`` is the peak in bytes so far, of the device where it says so,
    else of the process. A line that is not as it was written is passed over with a warning.

    >>> import tempfile
    >>> from bal.records import open_record
    >>> with open_record(tempfile.mkdtemp(), "demo", {}) as record:
    ...     record.time({"seed": 0, "round": 0, "times": {"fit": 0.5}, "memory": None})
    >>> timings(record.path)
    [{'kind': 'timing', 'memory': None, 'round': 0, 'seed': 0, 'times': {'fit': 0.5}}]
    """
    file = Path(path) / TIMINGS
    if not file.exists():
        return []
    found, lost = [], 0
    for line in file.read_bytes().splitlines(True):
        intact, report = parse(line)
        found += [entry.event for entry in intact]
        lost += report.dropped_bytes > 0
    if lost:
        warnings.warn(f"{file}: passed over {lost} lines that are not as they were written", stacklevel=2)
    return found
