"""Contrast of colors, as the guidelines for accessible pages define it (WCAG 2.1, relative luminance)."""


def contrast(one: str, other: str) -> float:
    """Of two colors, #rrggbb: from 1, the same, to 21, black on white."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
