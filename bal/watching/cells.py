"""The cells of a sweep, followed: by their files alone, since whoever looks on touches no lock."""

from pathlib import Path
from typing import NamedTuple

from bal.records.errors import CorruptRecordError
from bal.sweep import store
from bal.sweep.store import Cell, Outcome
from bal.sweep.sweep import in_words
from bal.watching.logs import Stamp, stamp, subfolders


class SeenCell(NamedTuple):
    """A cell of a sweep: its function, its settings in words, and what is known of it."""

    function: str
    words: str
    outcome: Outcome
    path: Path


class Cells:
    """All cells under a root, as of the last `refresh`; `seen` lists them by function and settings."""

    def __init__(self, root: Path):
        self.folder = root / store.CELLS
        self.seen: list[SeenCell] = []
        self._known: dict[Path, tuple[Stamp, Cell | None, Outcome]] = {}

    def refresh(self) -> bool:
        """Look again; whether anything changed."""
        paths = [Path(path) for path in subfolders(self.folder)]
        known = {path: found for path in paths if (found := self._look(path)) is not None}
        if known == self._known:
            return False
        self._known = known
        cells = store.in_order(cell for _, cell, _ in known.values() if cell is not None)
        self.seen = [SeenCell(cell.function, in_words(cell, cells), known[cell.path][2], cell.path) for cell in cells]
        lost = [(path, outcome) for path, (_, cell, outcome) in known.items() if cell is None]
        self.seen += [SeenCell("", path.name, outcome, path) for path, outcome in sorted(lost)]
        return True

    def _look(self, path: Path) -> tuple[Stamp, Cell | None, Outcome] | None:
        now = stamp(path, store.CELL, store.CLAIM, store.FAILED, store.DONE)
        if now[0] is None:  # not named yet
            return None
        before = self._known.get(path)
        if before is not None and before[0] == now and before[2].state != "running":
            return before
        try:
            cell = before[1] if before is not None and before[1] is not None else store.cell_at(path)
            outcome = store.known(cell, store.seems_run)
        except (CorruptRecordError, OSError) as error:
            return now, None, Outcome("failed", error=str(error))
        return now, cell, outcome._replace(seconds=0.0) if outcome.state == "running" else outcome
