"""How a view is drawn: elements of a page made from data."""

import base64
import io

import numpy as np

from bal.labeling.nouns import Item
from bal.labeling.views import View
from bal.pages import write

LARGE = 384  # pixels on the screen that small pictures are scaled to, each of their pixels crisp
WIDTH, HEIGHT, MARGIN = 640, 320, 24
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
    shown = write("img", classes="desk-crisp" if times > 1 else "", src=png(view.content), alt=view.alt)
    shown.style(f"width: {width * times}px")


def png(pixels: np.ndarray) -> str:
    """Pixels as the address of a picture that is in the address itself."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def draw_text(view: View) -> None:
    """A text with its own line breaks; the keyboard can scroll it."""
    write("p", view.content, "desk-text", tabindex="0", role="group", aria_label="Text")


def draw_table(view: View) -> None:
    """Names and values."""
    with write("div", classes="bal-wide", tabindex="0", role="group", aria_label="Table"), write("table"):
        with write("tbody"):
            for name, value in view.content:
                with write("tr"):
                    write("th", name, scope="row")
                    write("td", value)


def draw_plot(view: View) -> None:
    """A line, or points, in a frame with the ends of both axes."""
    x, y = thinned(view) if view.kind == "series" else (view.content["x"], view.content["y"])
    across, up = placed(x, MARGIN, WIDTH - MARGIN), placed(y, HEIGHT - MARGIN, MARGIN)
    box = f"0 0 {WIDTH} {HEIGHT}"
    with write("svg", classes="desk-plot", viewBox=box, role="img", aria_label=view.alt, width=WIDTH, height=HEIGHT):
        frame = {"x": MARGIN - 8, "y": MARGIN - 8, "width": WIDTH - 2 * MARGIN + 16, "height": HEIGHT - 2 * MARGIN + 16}
        write("rect", classes="frame", **frame)
        if view.kind == "series":
            points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up))
            write("polyline", points=points, fill="none", stroke="currentColor", stroke_width="2")
        else:
            dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(across, up))
            write("path", d=dots, stroke="currentColor", stroke_width="5", stroke_linecap="round")
        low, high = HEIGHT - 2, 12
        write("text", f"{x.min():.4g}", x=MARGIN - 8, y=low)
        write("text", f"{x.max():.4g}", x=WIDTH - MARGIN + 8, y=low, text_anchor="end")
        write("text", f"{y.min():.4g} to {y.max():.4g}", x=MARGIN - 8, y=high)


def thinned(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Of a long series the least and the greatest of every bin, in their order: nothing that sticks out is lost."""
    x, y = view.content["x"], view.content["y"]
    if len(y) <= 2 * MOST_BINS:
        return x, y
    starts = np.linspace(0, len(y), MOST_BINS, endpoint=False).astype(int)
    parts = zip(starts, [*starts[1:], len(y)])
    kept = sorted({int(a + at(y[a:b])) for a, b in parts for at in (np.argmin, np.argmax)})
    return x[kept], y[kept]


def placed(values: np.ndarray, first: float, last: float) -> np.ndarray:
    """Numbers as places between two; all the same in the middle."""
    low, high = values.min(), values.max()
    return first + (last - first) * ((values - low) / (high - low) if high > low else np.full(len(values), 0.5))
