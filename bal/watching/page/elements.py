"""Tables, charts and lists of the page, drawn anew only where they differ."""

from collections.abc import Sequence
from typing import Any

from bal.pages import nicegui, rewrite, write

Cell = Any
"""What stands in a table: a text, or a tuple of a text, its classes, and the address of a picture in place of it."""


class Table:
    """A table with a caption, in a box that can be scrolled sideways."""

    def __init__(self, caption: str):
        self.caption, self.shown = caption, None
        self.box = write("div", classes="bal-wide", tabindex="0", role="region", aria_label=caption)

    def draw(self, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """These rows; the first cell of each is its heading. Without rows there is no table."""
        told = (tuple(header), tuple(map(tuple, rows)))
        if told == self.shown:
            return
        self.shown = told
        self.box.clear()
        self.box.set_visibility(bool(rows))
        with self.box, write("table"):
            write("caption", self.caption, "bal-unseen")
            with write("thead"), write("tr"):
                for name in header:
                    write("th", name, scope="col")
            with write("tbody"):
                for row in rows:
                    with write("tr"):
                        for place, cell in enumerate(row):
                            self._cell(place, *(cell if isinstance(cell, tuple) else (cell,)))

    def _cell(self, place: int, text: str, classes: str = "", picture: str | None = None) -> None:
        with write("td" if place else "th", None if picture else text, classes, scope=None if place else "row"):
            if picture:
                write("img", classes="watch-pixels", src=picture, alt=text)


class Chart:
    """A chart of ECharts, with words for those who cannot see it, and for those who can below it."""

    def __init__(self, name: str, tall: str = ""):
        self.name, self.element, self.tall = name, None, tall
        with write("figure", classes="watch-figure") as self.figure:
            self.place = write("div")
            self.note = write("figcaption", "", "bal-note")

    def draw(self, options: dict[str, Any] | None, words: str, note: str = "") -> None:
        """These options; None = there is nothing to draw, and `note` says why."""
        rewrite(self.note, note)
        if options is None:
            self.place.clear()
            self.element = None
            return
        if self.element is None:
            with self.place:
                self.element = nicegui().ui.echart({}).classes(f"watch-chart {self.tall}")
                self.element.props["role"] = "img"
                self.element.props["data-chart"] = self.name
        self.element.props["aria-label"] = words
        if self.element.options != options:
            self.element.options.clear()
            self.element.options.update(options)
            self.element.update()


class Lines:
    """A list of texts."""

    def __init__(self, classes: str = ""):
        self.shown: list[str] = []
        self.list = write("ul", classes=f"watch-lines {classes}".strip())
        self.list.set_visibility(False)

    def draw(self, texts: Sequence[str]) -> None:
        """These texts."""
        if list(texts) == self.shown:
            return
        self.shown = list(texts)
        self.list.clear()
        self.list.set_visibility(bool(texts))
        with self.list:
            for text in texts:
                write("li", text)
