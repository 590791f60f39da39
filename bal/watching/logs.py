"""One record as it grows: only what was appended is read again, and nothing in its folder is touched."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from bal.records.chain import check_chain
from bal.records.errors import CorruptRecordError
from bal.records.log import LOG, parse
from bal.records.reading import CAMPAIGN_KINDS, CONFIG, DONE, read_record
from bal.records.rounds import Progress, advance, check_events
from bal.sweep.studies import Recorded, add_rounds, recorded
from bal.watching.people import DESK
from bal.watching.reliability import Judged, judged

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of change of each file, by which it is told whether there is anything to read."""


def stamp(path: Path, *names: str) -> Stamp:
    """Of files in a folder; None of one that is not there."""
    found: list[tuple[int, int, int] | None] = []
    for name in names:
        try:
            told = os.stat(path / name)
            found.append((told.st_ino, told.st_size, told.st_mtime_ns))
        except FileNotFoundError:
            found.append(None)
    return tuple(found)


def subfolders(folder: Path) -> list[str]:
    """Paths of the folders in a folder that are not hidden; none where it is not there."""
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []


class Told(NamedTuple):
    """What a record has said so far.

    run: its rounds, as studies are made of them. answers: its events, of a campaign alone. judged: of the picks of all
    rounds, whether their answers were foreseen. done: its summary, or None.
    """

    run: Recorded
    answers: list[dict[str, Any]]
    judged: list[Judged]
    done: dict[str, Any] | None


class Log:
    """The record in a folder, followed.

    Attributes:
      told: what it has said so far; None where it never could be read.
      damage: why it cannot be read, in a sentence; "" where it can.
      there: whether the folder holds a record.
      version: goes up with each change.
      whole: how often all of it was read, rather than what was new.
    """

    def __init__(self, path: Path):
        self.path = path
        self.told: Told | None = None
        self.damage, self.version, self.whole, self.there = "", 0, 0, False
        self._stamp: Stamp = ()
        self._size, self._chain, self._schema, self._progress = 0, "", 0, dict[int, Progress]()

    def refresh(self) -> bool:
        """Read what is new; whether there was anything. A last line that is half written waits for its other half."""
        now = stamp(self.path, CONFIG, LOG, DONE)
        if now == self._stamp:
            return False
        before, self._stamp = self._stamp, now
        config, log, _ = now
        self.there = config is not None or (log is not None and log[1] > 0)
        if not self.there:
            return False
        try:
            grown = self.told is not None and not self.damage and self._only_grew(before, now)
            changed = self._read_on() if grown else self._read()
        except (CorruptRecordError, OSError) as error:
            changed, self.damage = str(error) != self.damage, str(error)
        self.version += changed
        return changed

    def _only_grew(self, before: Stamp, now: Stamp) -> bool:
        """The log alone, and the same file, which is longer: else all of it is read."""
        (config, log, done), (same, grown, still) = before, now
        if log is None or grown is None or done is not None or still is not None:
            return False
        return config == same and log[0] == grown[0] and grown[1] > log[1]

    def _read(self) -> bool:
        self.whole += 1
        found = read_record(self.path)
        self._size, self._chain = found.report.valid_bytes, found.chain
        self._schema, self._progress = found.schema, found.progress
        run = recorded(self.path.parent.name, self.path.name, found.fingerprint, found.config, found.events)
        self.told, self.damage = Told(run, _of_people(found.events), _judged(found.events), found.summary), ""
        return True

    def _read_on(self) -> bool:
        assert self.told is not None
        with (self.path / LOG).open("rb") as file:
            file.seek(self._size)
            lines, report = parse(file.read())
        if report.damaged_lines:
            return self._read()
        if not lines:
            return False
        events = [line.event for line in lines]
        try:
            chain = check_chain(self.path / LOG, self._chain, lines, self._schema)
            advance(self._progress, check_events(events, self._progress))
        except (CorruptRecordError, TypeError, ValueError):  # all of it says where, or that it was started over
            return self._read()
        self._size, self._chain = self._size + report.valid_bytes, chain
        add_rounds(self.told.run, events)
        self.told.answers.extend(_of_people(events))
        self.told.judged.extend(_judged(events))
        return True


def _of_people(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of a campaign; none of an experiment, whose rounds are told as numbers."""
    return [event for event in events if event["kind"] in CAMPAIGN_KINDS | {DESK} or _opens(event)]


def _judged(events: list[dict[str, Any]]) -> list[Judged]:
    return [pick for event in events if event["kind"] == "round" for pick in judged(event)]


def _opens(event: dict[str, Any]) -> bool:
    return event["kind"] == "open" and "seed" not in event
