"""The event log: one line an event, each behind its own checksum, and a reader that believes nothing else.

A line is the CRC-32 of what follows as eight lower-case hexadecimal digits, a space, from schema 3 on the digest of
the chain so far (`bal.records.chain`) and a space, the JSON in ASCII, a newline. A line without its newline does not
count: the append that wrote it never returned.
"""

import zlib
from pathlib import Path
from typing import Any, NamedTuple

from bal.records.encoding import decode

LOG = "events.jsonl"


class Line(NamedTuple):
    """One intact line: its event, the JSON of it, and the digest of the chain that it carries, if it does."""

    event: dict[str, Any]
    body: bytes
    chain: str | None


class LogReport(NamedTuple):
    """How much of a log could be believed.

    valid_bytes: length of the longest prefix of intact lines.
    dropped_bytes: everything after it; 0 for a log that ends cleanly.
    intact_after: intact lines among what was dropped.
    damaged_lines: lines among what was dropped that end in a newline and do not hold what was written. A kill leaves
      none: the newline is written last, so a torn tail has 0. Otherwise the log was damaged.
    """

    valid_bytes: int
    dropped_bytes: int
    intact_after: int
    damaged_lines: int


def encode_line(body: bytes, chain: str | None = None) -> bytes:
    """One line of the log, from the JSON of an event."""
    whole = body if chain is None else b"%s %s" % (chain.encode("ascii"), body)
    return b"%08x %s\n" % (zlib.crc32(whole), whole)


def _decode_line(line: bytes) -> Line | None:
    checksum, _, body = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    chain = None
    if not body.startswith(b"{"):
        digest, _, body = body.partition(b" ")
        chain = digest.decode("ascii", "replace")
    try:
        event = decode(body)
    except ValueError:
        return None
    return Line(event, body, chain) if isinstance(event, dict) and isinstance(event.get("kind"), str) else None


def parse(data: bytes) -> tuple[list[Line], LogReport]:
    """The longest prefix of intact lines, and what came after it."""
    *lines, _ = data.split(b"\n")
    found, valid, intact_after, damaged = [], 0, 0, 0
    for n, line in enumerate(lines):
        decoded = _decode_line(line)
        if decoded is None:
            intact_after = sum(_decode_line(later) is not None for later in lines[n + 1 :])
            damaged = len(lines) - n - intact_after
            break
        found.append(decoded)
        valid += len(line) + 1
    return found, LogReport(valid, len(data) - valid, intact_after, damaged)


def read_events(path: str | Path) -> tuple[list[dict[str, Any]], LogReport]:
    """The events of the record in folder `path` that can be believed, and a `LogReport` on the rest.

    Whatever the log holds, this keeps its longest prefix of intact lines and never raises; only a log that is
    not there is an error (FileNotFoundError). Nothing on disk is changed. `open_record` and `table` judge the
    report: a torn tail is cut or passed over, damage is a `CorruptRecordError`.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "events.jsonl").write_bytes(encode_line(b'{"kind":"note","text":"hello"}') + b"torn")
    >>> read_events(folder)
    ([{'kind': 'note', 'text': 'hello'}], LogReport(valid_bytes=40, dropped_bytes=4, intact_after=0, damaged_lines=0))
    """
    lines, report = parse((Path(path) / LOG).read_bytes())
    return [line.event for line in lines], report
