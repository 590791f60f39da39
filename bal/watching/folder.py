"""A folder of records and of cells, followed: what changed is read again, and nothing is written or locked."""

from collections import Counter
from pathlib import Path
from typing import Any

from bal.records.reading import CONFIG
from bal.sweep.showing import again
from bal.sweep.studies import Group, grouped
from bal.watching.cells import Cells, SeenCell
from bal.watching.logs import Log, subfolders
from bal.watching.reliability import Judged

STATES = ("done", "running", "failed", "missing")


class Folder:
    """All records and cells under a root, as of the last `refresh`.

    `logs` are all records that are there, by path; `version` goes up with each change.

    Use it to follow a sweep without a page, for instance from a script of one's own.

    Args:
      root: the folder of records.

    Raises:
      FileNotFoundError: `root` is no folder.

    >>> import tempfile
    >>> from bal.records import open_record
    >>> root = tempfile.mkdtemp()
    >>> folder = Folder(root)
    >>> folder.refresh(), len(folder.logs)
    (False, 0)
    >>> with open_record(root, "digits", {"strategy": "bald"}) as record:
    ...     record.append([{"kind": "note", "text": "hello"}])
    >>> folder.refresh(), [log.told.run.strategy for log in folder.logs.values()]
    (True, ['bald'])
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"{self.root} is not a folder; pass the folder of records")
        self.logs: dict[Path, Log] = {}
        self._cells = Cells(self.root)
        self.version = 0

    def refresh(self) -> bool:
        """Look again; whether anything changed."""
        logs = {path: self.logs.get(path) or Log(path) for path in self._folders()}
        changed = sum([log.refresh() for log in logs.values()]) > 0
        logs = {path: log for path, log in logs.items() if log.there}
        changed |= logs.keys() != self.logs.keys()
        self.logs = logs
        changed |= self._cells.refresh()
        self.version += changed
        return changed

    def _folders(self) -> list[Path]:
        """Where records can be: ``root/name/digits``, or ``root/digits`` in the folder of one name; nothing hidden."""
        found = [self.root.resolve()] if (self.root / CONFIG).exists() else []
        for path in map(Path, subfolders(self.root)):
            found += [path] if (path / CONFIG).exists() else map(Path, subfolders(path))
        return sorted(found)

    @property
    def cells(self) -> list[SeenCell]:
        """Every cell that a sweep has named; said to be running by its claim, for no lock is touched."""
        return self._cells.seen

    @property
    def damaged(self) -> dict[str, str]:
        """Sentences on records that cannot be read, by name."""
        return {_name(path): log.damage for path, log in self.logs.items() if log.damage}

    @property
    def groups(self) -> list[Group]:
        """The studies, finished or not."""
        runs = [log.told.run for log in self.logs.values() if log.told is not None and not log.damage]
        return sorted(grouped(runs), key=lambda group: group.title)

    def judged(self, group: Group) -> dict[str, list[Judged]]:
        """By strategy of a study, whether the model that asked foresaw the answers; those of which nothing is known are
        left out."""
        known = {id(log.told.run): log.told.judged for log in self.logs.values() if log.told is not None}
        return {name: known[id(run)] for name, run in group.runs.items() if known.get(id(run))}

    @property
    def campaigns(self) -> dict[str, list[dict[str, Any]]]:
        """Events of the records of people's answers, by name."""
        told = {path: log.told for path, log in self.logs.items() if not log.damage}
        return {_name(path): found.answers for path, found in told.items() if found is not None and found.answers}

    def states(self) -> dict[str, dict[str, int]]:
        """How many cells of each function are done, running, failed and missing."""
        counts = Counter((cell.function, cell.outcome.state) for cell in self.cells)
        functions = dict.fromkeys(cell.function for cell in self.cells)
        return {name: {state: counts[name, state] for state in STATES} for name in functions}

    def commands(self) -> list[str]:
        """What to type to run what failed or was stopped, a line a function."""
        left = {cell.function: None for cell in self.cells if cell.outcome.state in ("failed", "missing")}
        return [again(name, self.root) for name in left if name]

    def summary(self) -> str:
        """All of that in a line, for whoever listens rather than looks."""
        seeds = sum(len(log.told.run.rounds) for log in self.logs.values() if log.told is not None)
        counts = Counter(cell.outcome.state for cell in self.cells)
        parts = [_so_many(len(self.logs), "record"), _so_many(seeds, "seed")]
        parts += [f"{_so_many(counts[state], 'cell')} {state}" for state in STATES if counts[state]]
        parts.append(f"{len(self.damaged)} damaged" if self.damaged else "")
        return ", ".join(part for part in parts if part)


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _so_many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}" if number else ""
