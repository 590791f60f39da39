"""Colors of charts, readable on the page in light and in dark; a strategy has the hue that it has in all pictures."""

from typing import NamedTuple


class Scheme(NamedTuple):
    """Colors of a chart: of the card behind it, of text, of quiet text, and of lines of the grid."""

    card: str
    ink: str
    quiet: str
    line: str


LIGHT = Scheme("#ffffff", "#1d2129", "#565d69", "#d5d3cd")
DARK = Scheme("#1e2229", "#e8e9ec", "#a9b0bc", "#363c46")
"""As in `look.css` of `bal.pages`."""
NAMED = {"black": "#000000", "gray": "#808080"}


def luminance(color: str) -> float:
    """Relative luminance of WCAG 2 of a color ``#rrggbb``.

    >>> luminance("#ffffff"), luminance("#000000")
    (1.0, 0.0)
    """
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2, from 1 to 21.

    >>> contrast("#ffffff", "#000000")
    21.0
    """
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def readable(color: str, scheme: Scheme, least: float = 3.0) -> str:
    """The color, mixed with that of the text until it stands out from the card.

    >>> readable("black", DARK) == DARK.ink, readable("#0077BB", LIGHT)
    (True, '#0077bb')
    """
    color = NAMED.get(color, color).lower()
    if color == NAMED["black"]:
        return scheme.ink
    for tenths in range(11):
        mixed = "#" + "".join(
            f"{round(int(color[i : i + 2], 16) * (1 - tenths / 10) + int(scheme.ink[i : i + 2], 16) * tenths / 10):02x}"
            for i in (1, 3, 5)
        )
        if contrast(mixed, scheme.card) >= least:
            return mixed
    return scheme.ink
