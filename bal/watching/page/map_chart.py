"""The pool as a map, with the picks of a round in it."""

from typing import Any

import numpy as np

from bal.evaluation.plots import BLUE, ORANGE
from bal.watching.page.charts import MOST_DRAWN, frame
from bal.watching.page.colors import Scheme, readable
from bal.watching.picks import Picks
from bal.watching.pool import Projected


def map_chart(projected: Projected, rounds: list[Picks], number: int, scheme: Scheme) -> dict[str, Any]:
    """Where the picks of round `number` are, among what was picked before and the rest of the pool."""
    before = [row for one in rounds if one.number < number for row in one.rows]
    now = [row for one in rounds if one.number == number for row in one.rows]
    rest = np.setdiff1d(drawn(len(projected.points)), before + now)
    blue, orange = readable(BLUE, scheme), readable(ORANGE, scheme)
    groups = [
        scatter("pool", rest.tolist(), projected, {"color": scheme.quiet, "opacity": 0.35}, 4),
        scatter("picked before", before, projected, {"color": blue}, 7),
        scatter(f"round {number}", now, projected, {"color": orange, "borderColor": scheme.ink, "borderWidth": 1}, 12),
    ]
    groups[1]["symbol"], groups[2]["symbol"] = "diamond", "circle"
    for place, point in enumerate(groups[2]["data"], 1):
        point["said"] = f"{place}. pick: {point['said']}"
    first, second = projected.explained
    options = frame(scheme, f"across {first:.0%}, up {second:.0%} of variance", series=groups)
    options["tooltip"]["trigger"] = "item"
    options["dataZoom"] = [{"type": "inside", "xAxisIndex": 0}, {"type": "inside", "yAxisIndex": 0}]
    return options


def drawn(number: int) -> np.ndarray:
    """Rows of the pool that are drawn: all, or as many as stay smooth, the same ones each time."""
    if number <= MOST_DRAWN:
        return np.arange(number)
    return np.sort(np.random.default_rng(0).choice(number, MOST_DRAWN, replace=False))


def scatter(name: str, rows: list[int], projected: Projected, look: dict[str, Any], size: int) -> dict[str, Any]:
    """Rows as points."""
    points = projected.points[rows].tolist()
    data = [{"value": point, "said": f"row {row}"} for row, point in zip(rows, points)]
    return {"type": "scatter", "name": name, "data": data, "itemStyle": look, "symbolSize": size}
