"""Figures as cells of a sweep: many of them, by many processes or machines that share a folder.

bal sweep paper_figures.cell:run --grid figure=gp_placement,label_complexity,two_bells --scale cpu
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from paper_figures.claims import Scale
from paper_figures.figure import built, perform


@dataclass(frozen=True)
class Cell:
    """Which figure, and how large."""

    figure: str = "gp_placement"
    """Module of the figure."""
    scale: Scale = "smoke"
    """smoke, cpu or paper."""


def run(config: Cell, root: Path) -> dict[str, int]:
    """Run one figure with its records under `root` and its picture in ``root/figures``; counts its verdicts."""
    figure = import_module(f"paper_figures.{config.figure}").FIGURE
    options = figure.config(scale=config.scale, runs=root, figures=root / "figures")
    words = [verdict.word for verdict in perform(figure, options, built(figure, config.scale))]
    return {word: words.count(word) for word in ("reproduced", "not reproduced", "not testable at this scale")}
