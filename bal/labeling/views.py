"""What is shown of a row: data, never markup, so that whoever shows it has to escape it."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

MOST_TEXT, MOST_CELLS, MOST_PIXELS, MOST_POINTS = 100_000, 1_000, 4_000_000, 20_000
"""Letters, lines of a table, pixels, and points of a series that one view may hold."""

Kind = Literal["image", "text", "table", "series", "scatter"]


class View(NamedTuple):
    """One row as people see it.

    kind, content: an "image" has pixels ``[H, W]`` or ``[H, W, 3]`` in uint8; "text" a text; a "table" pairs of texts;
    a "series" and a "scatter" a dict of the arrays ``x`` and ``y``, each ``[n]``.
    alt: the same in words, for those who cannot see it.
    """

    kind: Kind
    content: Any
    alt: str


def image(pixels: Any, alt: str | None = None) -> View:
    """A picture of pixels ``[H, W]`` or ``[H, W, 3]``: bytes as they are, other numbers from their least to their most.

    Raises:
      ValueError: another shape, more than 4 million pixels, numbers that are not finite.

    >>> view = image(np.array([[0.0, 0.5], [1.0, 0.25]]))
    >>> view.content.tolist(), view.alt
    ([[0, 128], [255, 64]], 'picture of 2 by 2 pixels')
    """
    found = np.asarray(pixels)
    if found.ndim == 3 and found.shape[-1] == 1:
        found = found[..., 0]
    shaped = found.ndim == 2 or (found.ndim == 3 and found.shape[-1] == 3)
    if not shaped or found.dtype.kind not in "biuf" or not 0 < found.shape[0] * found.shape[1] <= MOST_PIXELS:
        raise ValueError(
            f"expected pixels [H, W] or [H, W, 3], at most {MOST_PIXELS}, got {found.dtype} of shape {found.shape}; "
            "reshape the row"
        )
    if found.dtype != np.uint8:
        found = found.astype(np.float64)
        if not np.isfinite(found).all():
            raise ValueError("expected pixels that are finite numbers, got NaN or infinity; drop or mend the row")
        low, high = found.min(), found.max()
        found = np.round((found - low) / (high - low if high > low else 1.0) * 255).astype(np.uint8)
    return View("image", found, alt or f"picture of {found.shape[1]} by {found.shape[0]} pixels")


def text(words: str, alt: str | None = None) -> View:
    """A text, shown as it is, with its own line breaks.

    Raises:
      ValueError: no text, or one of more than 100,000 letters.

    >>> text("Dear Sir or Madam").content
    'Dear Sir or Madam'
    """
    if not isinstance(words, str) or len(words) > MOST_TEXT:
        got = f"{len(words)} letters" if isinstance(words, str) else type(words).__name__
        raise ValueError(f"expected a text of at most {MOST_TEXT} letters, got {got}; shorten it or use str")
    return View("text", words, alt or "text")


def table(values: Mapping[str, Any], alt: str | None = None) -> View:
    """Names and values, a line each; numbers with four digits, what is missing as a dash.

    Raises:
      ValueError: no mapping, or one of more than 1,000 entries.

    >>> table({"size": 1.23456, "color": "red", "age": None}).content
    (('size', '1.235'), ('color', 'red'), ('age', '–'))
    """
    if not isinstance(values, Mapping) or not 0 < len(values) <= MOST_CELLS:
        got = f"{len(values)} entries" if isinstance(values, Mapping) else type(values).__name__
        raise ValueError(f"expected a mapping of names to values, at most {MOST_CELLS}, got {got}; use dict")
    lines = tuple((str(name), _cell(value)) for name, value in values.items())
    return View("table", lines, alt or ", ".join(f"{name} {cell}" for name, cell in lines))


def series(y: Any, x: Any = None, alt: str | None = None) -> View:
    """A line through points: y ``[n]`` over x ``[n]``, or over 0 .. n - 1.

    Raises:
      ValueError: other shapes, more than 20,000 points, numbers that are not finite.

    >>> series([3.0, 1.0]).content["x"].tolist()
    [0.0, 1.0]
    """
    return View("series", _points(x, y), alt or _range("series", y))


def scatter(x: Any, y: Any, alt: str | None = None) -> View:
    """Points in the plane, without a line: x ``[n]`` and y ``[n]``.

    Raises:
      ValueError: as of `series`.

    >>> scatter([1, 2], [3, 4]).kind
    'scatter'
    """
    return View("scatter", _points(x, y), alt or _range("scatter", y))


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "–"
    words = f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
    return text(words).content


def _points(x: Any, y: Any) -> dict[str, np.ndarray]:
    y = np.asarray(y, np.float64)
    x = np.arange(len(y), dtype=np.float64) if x is None and y.ndim == 1 else np.asarray(x, np.float64)
    if y.ndim != 1 or x.shape != y.shape or not 0 < len(y) <= MOST_POINTS or not np.isfinite([x, y]).all():
        raise ValueError(
            f"expected up to {MOST_POINTS} points of finite numbers, x [n] and y [n], got shapes {x.shape} and "
            f"{y.shape}; flatten or thin them"
        )
    return {"x": x, "y": y}


def _range(what: str, y: Any) -> str:
    y = np.asarray(y, np.float64)
    return f"{what} of {len(y)} points from {y.min():.4g} to {y.max():.4g}"
