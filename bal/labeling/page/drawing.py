"""How a view is drawn: elements of a page made from data."""

from functools import lru_cache
from typing import Any

import numpy as np

from bal.labeling.nouns import Item
from bal.labeling.views import View
from bal.pages import png, write

LARGE = 384  # pixels on the screen that small pictures are scaled to, each of their pixels crisp
WIDTH, HEIGHT, LEFT, BELOW, MARGIN = 640, 340, 64, 28, 12
MOST_BINS = 1_200  # of a series: two points a bin are all that a screen can show


def draw(item: Item) -> None:
    """The row of an item, or why it cannot be shown, in the element that is open."""
    if item.view is None:
        write("p", f"This row cannot be shown: {item.error}. Skip it, or answer if you know it otherwise.", "bal-bad")
    else:
        {"image": draw_image, "text": draw_text, "table": draw_table, "series": draw_plot, "scatter": draw_plot}[
            item.view.kind
        ](item.view)


def draw_image(view: View) -> None:
    """A picture, small ones enlarged by a whole number of times."""
    height, width = view.content.shape[:2]
    times = max(1, LARGE // max(height, width))
    shown = write("img", classes="desk-crisp" if times > 1 else "", src=kept(view.content), alt=view.alt)
    shown.style(f"width: {width * times}px")


def warm(item: Any) -> None:
    """Encodes the picture of an item ahead, in the thread that fetched it."""
    if isinstance(item, Item) and item.view is not None and item.view.kind == "image":
        kept(item.view.content)


def kept(pixels: np.ndarray) -> str:
    """The address of a picture; those of the last few are kept."""
    return encoded(pixels.shape, np.ascontiguousarray(pixels).tobytes())


@lru_cache(maxsize=8)
def encoded(shape: tuple[int, ...], content: bytes) -> str:
    """Bytes of pixels as a picture."""
    return png(np.frombuffer(content, np.uint8).reshape(shape))


def draw_text(view: View) -> None:
    """A text with its own line breaks; the keyboard can scroll it."""
    write("p", view.content, "desk-text", tabindex="0", role="group", aria_label="Text")


def draw_table(view: View) -> None:
    """Names and values."""
    with (
        write("div", classes="bal-wide", tabindex="0", role="group", aria_label="Table"),
        write("table"),
        write("tbody"),
    ):
        for name, value in view.content:
            with write("tr"):
                write("th", name, scope="row")
                write("td", value)


def draw_plot(view: View) -> None:
    """A line, or points, over a grid at round numbers."""
    from matplotlib.ticker import MaxNLocator

    x, y = thinned(view) if view.kind == "series" else (view.content["x"], view.content["y"])
    left, right, top, bottom = LEFT, WIDTH - MARGIN, MARGIN, HEIGHT - BELOW
    box = f"0 0 {WIDTH} {HEIGHT}"
    with write("svg", classes="desk-plot", viewBox=box, role="img", aria_label=view.alt, width=WIDTH, height=HEIGHT):
        for values, ends, place in ((x, (left, right), across), (y, (bottom, top), up)):
            low, high = float(values.min()), float(values.max())
            ticks = [tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
            for tick, at in zip(ticks, placed(np.array(ticks), *ends, low, high)):
                place(f"{tick:g}", at)
        points = zip(placed(x, left, right, x.min(), x.max()), placed(y, bottom, top, y.min(), y.max()))
        if view.kind == "series":
            write("polyline", classes="line", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in points))
        else:
            write("path", classes="dots", d="".join(f"M{a:.1f} {b:.1f}h0" for a, b in points))


def across(text: str, at: float) -> None:
    """A line of the grid at an x, with its number below."""
    write("line", classes="grid", x1=f"{at:.1f}", x2=f"{at:.1f}", y1=MARGIN, y2=HEIGHT - BELOW)
    write("text", text, x=f"{at:.1f}", y=HEIGHT - BELOW + 18, text_anchor="middle")


def up(text: str, at: float) -> None:
    """A line of the grid at a y, with its number to the left."""
    write("line", classes="grid", x1=LEFT, x2=WIDTH - MARGIN, y1=f"{at:.1f}", y2=f"{at:.1f}")
    write("text", text, x=LEFT - 8, y=f"{at + 4:.1f}", text_anchor="end")


def thinned(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Of a long series the least and the greatest of every bin, in their order: nothing that sticks out is lost."""
    x, y = view.content["x"], view.content["y"]
    if len(y) <= 2 * MOST_BINS:
        return x, y
    starts = np.linspace(0, len(y), MOST_BINS, endpoint=False).astype(int)
    parts = zip(starts, [*starts[1:], len(y)])
    kept = sorted({int(a + at(y[a:b])) for a, b in parts for at in (np.argmin, np.argmax)})
    return x[kept], y[kept]


def placed(values: np.ndarray, first: int, last: int, low: float, high: float) -> np.ndarray:
    """Numbers from low to high as places from first to last; in the middle where there is one number."""
    return first + (last - first) * ((values - low) / (high - low) if high > low else np.full(len(values), 0.5))
