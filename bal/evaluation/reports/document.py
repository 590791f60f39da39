"""What a page is made of, whatever it is written as: headings, words, points, tables, pictures."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Heading(NamedTuple):
    """Level 1 is the title."""

    text: str
    level: int = 2


class Words(NamedTuple):
    """A paragraph."""

    text: str


class Points(NamedTuple):
    """A list; each item begins with what it is about, which may be empty."""

    items: tuple[tuple[str, str], ...]


class Grid(NamedTuple):
    """A table; the first column is of names, all others are numbers or words; a cell may have several lines."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Picture(NamedTuple):
    """What draws a figure of matplotlib, the name of its file, and what it shows, for those who do not see it."""

    name: str
    draw: Callable[[], Any]
    words: str


Block = Heading | Words | Points | Grid | Picture


class Report(NamedTuple):
    """A page of `bal.evaluation.report`: printed, by rich in colors, and written by `write_report`."""

    title: str
    blocks: tuple[Block, ...]

    def __str__(self) -> str:
        """The page as text of 80 columns."""
        from bal.evaluation.reports.render import to_text

        return to_text(self)

    def __rich__(self) -> Any:
        """The page for a terminal."""
        from bal.evaluation.reports.render import to_rich

        return to_rich(self)
