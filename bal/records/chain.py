"""A chain of digests over the events of a log: what was changed, dropped, moved or added behind its back is noticed.

A checksum tells that a line is as it was written, not that it belongs where it stands. From schema 3 on each line
therefore carries the digest of itself and of all before it, which begins with the digest of ``config.json``. Whoever
mends one line has to write all later ones anew, and ends with another last digest than the one that was published.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from bal.records.errors import CorruptRecordError
from bal.records.log import Line

CHAINED = 3
"""The schema from which on lines carry their digest."""


def link(previous: str, body: bytes) -> str:
    """The digest of an event, as its JSON, and of all before it."""
    return hashlib.sha256(previous.encode("ascii") + body).hexdigest()


def check_chain(path: Path, first: str, lines: Sequence[Line], schema: int) -> str:
    """The last digest; raises CorruptRecordError, by event and round, where a line does not follow from those before.

    >>> lines = [Line({"kind": "note"}, b"{}", link("", b"{}"))]
    >>> check_chain(Path("log"), "", lines, 3) == lines[0].chain
    True
    """
    digest = first
    for number, line in enumerate(lines):
        digest = link(digest, line.body)
        if line.chain != (digest if schema >= CHAINED else None):
            event = line.event
            what = f"round {event.get('round')} of seed {event.get('seed')}" if event["kind"] == "round" else "an event"
            raise CorruptRecordError(
                f"{path} does not hang together at event {number} ({what}, kind {event['kind']!r}): this event was "
                "changed, or one before it was changed, dropped, moved or added; restore the record from a copy"
            )
    return digest
