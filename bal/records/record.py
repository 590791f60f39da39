"""One run on disk: appended to round by round, finished once, reopened to grow."""

import hashlib
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from bal.records import files, lock
from bal.records.chain import CHAINED, link
from bal.records.encoding import encode, plain, seal
from bal.records.environment import environment
from bal.records.errors import CorruptRecordError
from bal.records.log import LOG, encode_line
from bal.records.reading import DONE, Contents
from bal.records.recovery import STATE, recover
from bal.records.rounds import advance, check_events
from bal.records.state import pack, unpack
from bal.records.timings import write_timing
from bal.records.trackers import Watched
from bal.records.writers import changes, load_writers, sign, sign_state, written_by


class Record:
    """A run's record, as `open_record` returns it; a context manager that lets go of the lock.

    path: its folder.
    done, summary: whether `finish` was called, and with what (None before).
    events: every event so far, as it reads back from disk.
    written_by, changes: whose it is, and how the present code and settings differ ("source", "script", "packages.jax").

    Its methods may be called from several threads.
    """

    def __init__(self, path: Path, contents: Contents, held: Any):
        self.path = path
        self._mutex = threading.RLock()
        self._config, self._watched = contents.config, Watched()
        self._take(contents, held)

    def _take(self, contents: Contents, held: Any) -> None:
        self._writers = self._found = load_writers(self.path)
        self.summary = contents.summary
        self._events = contents.events
        self._progress = contents.progress
        self._size = contents.report.valid_bytes
        self._chain, self._chained = contents.chain, contents.schema >= CHAINED
        self._digest = hashlib.sha256(contents.log[: self._size])
        self._lock = held
        if held is not None and not self.done and contents.events and self.changes:
            warnings.warn(
                f"{self.path} was recorded by {self.written_by}; going on with {written_by([self._now])}; different: "
                f"{', '.join(self.changes)}; fresh=True (of a script, --fresh) starts over",
                stacklevel=4,
            )

    @property
    def done(self) -> bool:
        """Whether the run has finished; a finished record is read only."""
        return self.summary is not None

    @property
    def written_by(self) -> str:
        """The versions and commits that wrote what was there when the record was opened, in words."""
        return written_by(self._found)

    @property
    def changes(self) -> list[str]:
        """Names of what differs between those and the present environment; empty = the same code and settings."""
        return changes(self._found, self._now) if self._found else ["source"]

    @cached_property
    def _now(self) -> dict[str, Any]:
        return environment()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every event so far, in order."""
        with self._mutex:
            return list(self._events)

    def rounds(self, seed: int = 0) -> list[dict[str, Any]]:
        """The round events of one seed, in order: entry r is round r."""
        return [event for event in self.events if event["kind"] == "round" and event["seed"] == seed]

    def append(self, events: Sequence[dict[str, Any]]) -> None:
        """Add events to the log; on return all of them are on disk, if this raises none of them is.

        Events of kind "round" are held to the schema of this package, others need only the text ``kind``.
        Raises TypeError or ValueError at an event that may not follow, RuntimeError on a finished or closed
        record, and OSError naming the file when the disk refuses, which closes the record: open it again to
        continue. So does an interrupt from the keyboard, whether or not the events have reached the disk by then.
        """
        with self._mutex:
            self._check_writable()
            taken = [plain(event, f"events[{i}]") for i, event in enumerate(events)]
            added = check_events(taken, self._progress)
            lines, chain = [], self._chain
            for body in map(encode, taken):
                chain = link(chain, body)
                lines.append(encode_line(body, chain if self._chained else None))
            data = b"".join(lines)
            with self._writing():
                files.append(self.path / LOG, data, self._size)
                self._size += len(data)
                self._digest.update(data)
                self._chain = chain
                self._events += taken
                advance(self._progress, added)
            for event in taken:
                if event["kind"] == "round":
                    self._watched.told("on_round", event)

    def track(self, tracker: Any) -> None:
        """Tell a `bal.records.Tracker` too: what the record stands for now, each round from now on as
        soon as it is on disk, and the summary. A tracker that fails is warned of, once; the record goes on without it.

        Raises:
          TypeError: what lacks one of the three methods.

        >>> import tempfile
        >>> from bal.records import open_record
        >>> class Printed:
        ...     def on_start(self, config): print(config)
        ...     def on_round(self, event): print(event["metrics"])
        ...     def on_end(self, summary): print(summary)
        >>> with open_record(tempfile.mkdtemp(), "demo", {"batch_size": 3}) as record:
        ...     record.track(Printed())
        ...     record.finish({"accuracy": 0.9})
        {'batch_size': 3}
        {'accuracy': 0.9}
        """
        with self._mutex:
            self._watched.add(tracker, self._config)

    def time(self, entry: dict[str, Any]) -> None:
        """Note what something took, in a file beside the log (see `bal.records.timings`); never read to go on."""
        with self._mutex:
            self._check_writable()
            write_timing(self.path, plain(entry, "entry"))

    def save_state(self, round: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the arrays kept beside the log; the old ones stay until the new ones are whole.

        The log is the truth: append the round first, and trust a loaded state only if its round is in the
        log. The length of the log at this moment is saved too: a log that later holds less is refused.
        """
        with self._mutex:
            self._check_writable()
            data = pack(round, arrays, self._size, self._digest.hexdigest())
            with self._writing():
                files.replace(self.path / STATE, data)
                self._writers = sign_state(self.path, self._writers)

    def load_state(self) -> tuple[int, dict[str, np.ndarray]] | None:
        """Round and arrays last saved, or None; raises CorruptRecordError if a bit has changed."""
        with self._mutex:
            file = self.path / STATE
            return unpack(file.read_bytes(), str(file))[:2] if file.exists() else None

    def finish(self, summary: dict[str, Any]) -> None:
        """Declare the run finished, with a free-form summary; from here on the record is read only.

        Raises CorruptRecordError if the log is not, bit for bit, what was written to it.
        """
        with self._mutex:
            self._check_writable()
            if not isinstance(summary, dict):
                raise TypeError(f"summary: expected a dict, got {type(summary).__name__}; use dataclasses.asdict")
            summary = plain(summary, "summary")
            found = hashlib.sha256((self.path / LOG).read_bytes()).hexdigest()
            if found != self._digest.hexdigest():
                raise CorruptRecordError(f"{self.path / LOG} has changed under its writer; open the record again")
            with self._writing():
                files.replace(self.path / DONE, seal({"log_sha256": found, "summary": summary}))
                self.summary = summary
            self._watched.told("on_end", summary)

    def reopen(self) -> None:
        """Make a finished record grow: everything is verified and kept, and the record is unfinished again.

        A study of 10 seeds becomes one of 20 by reopening, appending the rounds of the new seeds and calling `finish`
        anew. `close` lets go of the lock, as does leaving the ``with`` block. Killed in between, the record is one
        that may be opened and continued.

        Raises RuntimeError if it is not finished, RecordLockedError if another writer has it open, CorruptRecordError
        if a file was changed.

        >>> import tempfile
        >>> from bal.records import open_record
        >>> root = tempfile.mkdtemp()
        >>> with open_record(root, "study", {}) as record:
        ...     record.append([{"kind": "note", "seeds": 10}])
        ...     record.finish({"seeds": 10})
        >>> with open_record(root, "study", {}) as record:
        ...     record.reopen()
        ...     record.append([{"kind": "note", "seeds": 20}])
        ...     record.finish({"seeds": 20})
        >>> record.summary, len(record.events)
        ({'seeds': 20}, 2)
        """
        with self._mutex:
            if not self.done:
                raise RuntimeError(f"{self.path} is not finished; append to it as it is")
            held = self._lock or lock.acquire(self.path)
            self._lock = held
            with self._writing():
                contents = recover(self.path, load_writers(self.path))
                if contents.summary is not None:  # another writer may have reopened it before this one
                    files.remove(self.path / DONE)
                self._take(contents._replace(summary=None), held)

    def close(self) -> None:
        """Let go of the lock; an unfinished record may be opened again and continued."""
        with self._mutex:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Change files and what is known of them together; closed if anything comes between."""
        try:
            if not self.done:
                self._writers = sign(self.path, self._writers, self._now, len(self._events))
            yield
        except BaseException:
            self.close()
            raise

    def _check_writable(self) -> None:
        if self.done:
            raise RuntimeError(
                f"{self.path} is finished and read only; reopen() it to add to it, "
                "or start a run with another config or name"
            )
        if self._lock is None:
            raise RuntimeError(f"{self.path} is closed; open the record again to continue it")
