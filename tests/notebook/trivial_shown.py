"""Cells of a sweep that show how far they are, and note whether they had bars."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bal.progress import progress

OUT = Console(quiet=True)
BARS: list[bool] = []


@dataclass(frozen=True)
class Cell:
    number: int = 0


def run(cell: Cell, root: Path) -> None:
    with progress(OUT) as (update, _, bars):
        update(f"cell {cell.number}", 0, 1, "at work")
        BARS.append(bars)
