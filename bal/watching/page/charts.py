"""Charts as data, for ECharts: no text of a record is ever read as markup or as code."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from bal.evaluation import strategy_styles
from bal.evaluation.plots import BLUE, COLORS
from bal.evaluation.tables import decimals
from bal.watching.curves import Curve, Row
from bal.watching.page.colors import Scheme, readable
from bal.watching.people import People
from bal.watching.reliability import Reliability

SAID = "(all) => (Array.isArray(all) ? all : [all]).map((one) => one.data.said).filter(Boolean).join('\\n')"
"""What a tooltip says: text that was made here, as text (``richText``); constant code."""
DASHES: dict[str, Any] = {"dashdot": [8, 3, 2, 3]}
SYMBOLS = {
    **{"o": ("circle", 0), "s": ("rect", 0), "D": ("diamond", 0), "p": ("roundRect", 0), "P": ("arrow", 0)},
    **{"^": ("triangle", 0), "<": ("triangle", 90), "v": ("triangle", 180), ">": ("triangle", 270)},
}
"""Markers of matplotlib, as shapes and degrees."""
MOST_DRAWN = 2_000
"""Rows of the pool in a map; picks are always drawn."""


def frame(scheme: Scheme, across: str, **options: Any) -> dict[str, Any]:
    """What all charts share: axes, legend, tooltip."""
    text = {"color": scheme.ink, "fontFamily": "system-ui, sans-serif", "fontSize": 13}
    quiet = {**text, "color": scheme.quiet}
    axis = {
        "nameTextStyle": quiet,
        "axisLabel": {**quiet, "hideOverlap": True},
        "axisLine": {"show": True, "onZero": False, "lineStyle": {"color": scheme.quiet}},
        "splitLine": {"lineStyle": {"color": scheme.line}},
        "nameLocation": "middle",
        "scale": True,
    }
    tooltip = {"renderMode": "richText", ":formatter": SAID, "confine": True, "borderColor": scheme.quiet}
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": text,
        "legend": {"type": "scroll", "top": 0, "textStyle": text, "pageTextStyle": text, "itemWidth": 34},
        "grid": {"left": 8, "right": 16, "top": 36, "bottom": 24, "containLabel": True},
        "tooltip": {"trigger": "axis", **tooltip, "backgroundColor": scheme.card, "textStyle": text},
        "xAxis": {"type": "value", "name": across, "nameGap": 26, **axis},
        "yAxis": {"type": "value", **axis},
        **options,
    }


def curves_chart(curves: Mapping[str, Curve], scheme: Scheme) -> dict[str, Any]:
    """Mean curves with their intervals; thin: seeds that have not come as far."""
    styles, series = strategy_styles(curves), []
    for name, found in curves.items():
        color = readable(styles[name]["color"], scheme)
        digits = decimals(*np.abs(found.mean).tolist())
        interval = [
            f" [{low:.{digits}f}, {high:.{digits}f}]" * bool(low <= high) for low, high in zip(found.low, found.high)
        ]
        said = [
            f"{name}: {mean:.{digits}f}{ends} at {labels} labels, {seeds(len(found.seeds))}"
            for labels, mean, ends in zip(found.labels.tolist(), found.mean.tolist(), interval)
        ]
        series.append(line(name, found.labels, found.mean, color, styles[name], said))
        series += band(name, found.labels, found.low, found.high, color)
        for values in found.behind.values():
            series.append(line(name, *values, color, styles[name], [], width=1.0))
    return frame(scheme, "labels", series=series)


def difference_chart(rows: Mapping[str, Row], baseline: str, scheme: Scheme) -> dict[str, Any]:
    """Mean differences to the baseline at each number of labels, with bands for whole curves."""
    styles, series = strategy_styles(rows), []
    for name, row in rows.items():
        if row.comparison is None:
            continue
        color = readable(styles[name]["color"], scheme)
        digits = decimals(*np.abs(row.difference).tolist())
        low, high = (row.band.low, row.band.high) if row.band else 2 * [np.full(len(row.labels), np.nan)]
        interval = [f" [{a:+.{digits}f}, {b:+.{digits}f}]" * bool(a <= b) for a, b in zip(low, high)]
        said = [
            f"{name} minus {baseline}: {mean:+.{digits}f}{ends} at {labels} labels, {seeds(row.seeds)}"
            for labels, mean, ends in zip(row.labels.tolist(), row.difference.tolist(), interval)
        ]
        series.append(line(name, row.labels, row.difference, color, styles[name], said))
        series += band(name, row.labels, low, high, color)
    zero = {"symbol": "none", "silent": True, "label": {"show": False}, "data": [{"yAxis": 0}]}
    for one in series[:1]:
        one["markLine"] = {**zero, "lineStyle": {"color": scheme.ink, "type": "solid", "width": 1}}
    return frame(scheme, "labels", series=series)


def line(
    name: str,
    across: Int[np.ndarray, "E"] | Float[np.ndarray, "E"],
    up: Float[np.ndarray, "E"],
    color: str,
    style: Mapping[str, Any],
    said: Sequence[str],
    width: float = 2.0,
) -> dict[str, Any]:
    """A line, with what is said of its points."""
    words = said or [""] * len(across)
    points = [{"value": [x, y], "said": told} for x, y, told in zip(across.tolist(), up.tolist(), words)]
    kind = DASHES.get(style["linestyle"], style["linestyle"])
    shape, turned = SYMBOLS.get(style["marker"], ("emptyCircle", 0)) if said else ("none", 0)
    return {
        "type": "line",
        "name": name,
        "data": points,
        "symbol": shape,
        "symbolRotate": turned,
        "symbolSize": 7,
        "lineStyle": {"color": color, "width": width, "type": kind},
        "itemStyle": {"color": color},
        "emphasis": {"disabled": True},
        "z": 3,
    }


def band(
    name: str, across: Int[np.ndarray, "E"], low: Float[np.ndarray, "E"], high: Float[np.ndarray, "E"], color: str
) -> list[dict[str, Any]]:
    """A band, as two lines of which the second stands on the first; none where there is no interval."""
    if not (low <= high).all():
        return []
    found = []
    for values, opacity in ((low, 0.0), (high - low, 0.16)):
        found.append(
            {
                "type": "line",
                "name": name,
                "stack": name,
                "stackStrategy": "all",
                "symbol": "none",
                "silent": True,
                "data": [{"value": [x, y], "said": ""} for x, y in zip(across.tolist(), values.tolist())],
                "lineStyle": {"opacity": 0},
                "areaStyle": {"color": color, "opacity": opacity},
                "itemStyle": {"color": color},
                "emphasis": {"disabled": True},
            }
        )
    return found


def reliability_chart(found: Mapping[str, Reliability], scheme: Scheme) -> dict[str, Any]:
    """Share of foreseen answers over mean confidence, a point a bin, beside the diagonal."""
    styles, series = strategy_styles(found), []
    for name, (number, sure, right) in found.items():
        there = number > 0
        told = zip(number[there].tolist(), sure[there].tolist(), right[there].tolist())
        said = [f"{name}: {share:.0%} of {count} picks foreseen, {mean:.0%} sure" for count, mean, share in told]
        color = readable(styles[name]["color"], scheme)
        series.append(line(name, sure[there], right[there], color, styles[name], said))
    diagonal = {"symbol": "none", "silent": True, "label": {"show": False}, "lineStyle": {"color": scheme.quiet}}
    for one in series[:1]:
        one["markLine"] = {**diagonal, "data": [[{"coord": [0, 0]}, {"coord": [1, 1]}]]}
    options = frame(scheme, "mean confidence", series=series)
    options["tooltip"]["trigger"] = "item"
    for axis in ("xAxis", "yAxis"):
        options[axis] |= {"min": 0, "max": 1}
    return options


def times_chart(times: Mapping[str, Mapping[str, float]], scheme: Scheme) -> dict[str, Any]:
    """Seconds of each part, stacked, a bar a strategy."""
    parts = dict.fromkeys(part for found in times.values() for part in found)
    series = []
    for place, part in enumerate(parts):
        data = [
            {"value": found.get(part, 0.0), "said": f"{name}: {part} {found[part]:.3g} s" if part in found else ""}
            for name, found in times.items()
        ]
        color = readable(COLORS[place % len(COLORS)], scheme)
        look = {"color": color, "borderColor": scheme.card, "borderWidth": 1}
        series.append({"type": "bar", "name": part, "stack": "all", "data": data, "itemStyle": look})
    options = frame(scheme, "seconds", series=series)
    options["yAxis"] |= {"type": "category", "data": list(times), "inverse": True, "splitLine": {"show": False}}
    return options


def people_chart(found: People, scheme: Scheme) -> dict[str, Any]:
    """Answers over time."""
    data = [
        {"value": [1000 * at, number], "said": f"{number} answers"}
        for at, number in zip(found.at.tolist(), found.answers.tolist())
    ]
    color = readable(BLUE, scheme)
    look = {"lineStyle": {"color": color}, "itemStyle": {"color": color}}
    series = [{"type": "line", "step": "end", "name": "answers", "symbol": "none", "data": data, **look}]
    options = frame(scheme, "", series=series, legend={"show": False})
    options["xAxis"] |= {"type": "time"}
    return options


def seeds(number: int) -> str:
    """So many seeds."""
    return f"{number} seed{'s' * (number != 1)}"
