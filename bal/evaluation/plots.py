"""Learning curves as a figure, drawn without pyplot: nothing global is changed, and no display is needed.

matplotlib and tueplots are imported where they draw: metrics and statistics do without.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Real

from bal.evaluation.curves import support
from bal.evaluation.references import peeks
from bal.evaluation.statistics import Bounds, mean_interval

# Seven colors and four line styles have no common divisor: 28 curves before a pair comes back.
# Paul Tol's vibrant palette, and indigo.
BLUE, CYAN, TEAL, ORANGE, RED, MAGENTA = "#0077BB", "#33BBEE", "#009988", "#EE7733", "#CC3311", "#EE3377"
COLORS = [BLUE, ORANGE, TEAL, RED, MAGENTA, CYAN, "#332288"]
LINE_STYLES = ("solid", "dashed", "dotted", "dashdot")
MARKERS = "os^Dv<>pP"  # nine: those of one color differ
MOST = len(COLORS) * len(LINE_STYLES)
UNBOUNDED: Bounds = (-np.inf, np.inf)

# The place of a strategy here is its look, in every picture; random is black. Those that meet in a picture are less
# than 28 places apart.
PALETTE = (
    "bald", "epig", "batchbald", "entropy", "power-bald", "margin", "max-det", "alc", "badge", "bait", "k-center",
    "variation-ratio", "mean-std", "softmax-bald", "softrank-bald", "gaussian-batch", "epig-batch", "acs-fw",
    "sparse-greedy", "sparse-iht", "kmeans-pp", "lcmd", "k-medoids", "typiclust", "probcover", "cluster-margin",
    "confident-coreset", "ranked-batch", "houlsby", "variance", "mutual-information", "lcmd-all-layers",
    "remembered-bald",
)  # fmt: skip


def strategy_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Color, line style and marker of every strategy: one look in all pictures, no look twice in a picture.

    Random is always black, references that peek (`bal.evaluation.references`) are gray, the strategies of this package
    have looks of their own, and any other name gets one from its letters, the next free one should it be taken, in a
    color of its own while there are such. Order and case do not matter.
    Raises ValueError for more than 28 names beside random.

    >>> strategy_styles(["random", "BALD"])["BALD"] == strategy_styles(["epig", "bald"])["bald"]
    True
    >>> strategy_styles(["random"])["random"]["color"]
    'black'
    """
    plain = {name: name.lower().replace(" ", "-") for name in names}
    rank = {
        name: PALETTE.index(name) if name in PALETTE else MOST + zlib.crc32(name.encode()) for name in plain.values()
    }
    known_first = sorted(
        (name for name in plain if plain[name] != "random" and not peeks(name)),
        key=lambda name: (rank[plain[name]], name),
    )
    if len(known_first) > MOST:
        raise ValueError(f"expected at most {MOST} strategies beside random, got {len(known_first)}; draw several")
    styles = {name: {"color": "black", "linestyle": "solid", "marker": "o"} for name in plain}
    taken: set[int] = set()
    for name in known_first:
        around = (i % MOST for i in range(rank[plain[name]], rank[plain[name]] + MOST))
        free = [place for place in around if place not in taken]
        colors = {place % len(COLORS) for place in taken}
        own = free if rank[plain[name]] < MOST else [place for place in free if place % len(COLORS) not in colors]
        place = (own or free)[0]
        taken.add(place)
        styles[name] = {key: of[place % len(of)] for key, of in _LOOKS.items()}
    for place, name in enumerate(sorted(filter(peeks, plain))):
        styles[name] = {"color": "gray", "linestyle": LINE_STYLES[(place + 1) % 4], "marker": "x"}
    return styles


_LOOKS = {"color": COLORS, "linestyle": LINE_STYLES, "marker": MARKERS}


def figure_settings(num_panels: int = 1, height_to_width_ratio: float = 0.5) -> Any:
    """Settings of matplotlib for a figure of a paper: its width and fonts, the latter embedded as TrueType.

    Publishers refuse the Type 3 fonts that matplotlib embeds by default.

    >>> figure_settings()["pdf.fonttype"]
    42
    """
    from tueplots import axes, figsizes, fontsizes

    size = figsizes.neurips2024(nrows=1, ncols=num_panels, rel_width=1.0, height_to_width_ratio=height_to_width_ratio)
    fonts = {**fontsizes.neurips2024(), "font.family": "DejaVu Sans", "pdf.fonttype": 42, "ps.fonttype": 42}
    return {**size, **fonts, **axes.lines(), **axes.grid()}


def learning_curves(
    path: str | Path,
    labels: Real[np.ndarray, "R"],
    curves: Mapping[str, Float[np.ndarray, "S R"]],
    ylabel: str,
    title: str | None = None,
    bounds: Bounds = UNBOUNDED,
) -> None:
    """Writes a picture of mean learning curves, one a strategy; the suffix of `path` chooses png, pdf or svg.

    The line is the mean over S seeds, the band its pointwise 95% t interval (`mean_interval`), within the `bounds`
    of the metric: (0, 1) for an accuracy. One or two seeds have no band; two are drawn themselves, as thin lines.
    Bands show each curve by itself: strategies share their seeds, so bands that overlap say nothing about a
    difference, which `bal.evaluation.paired_difference` tests. The legend states what the band is. A strategy
    looks the same in every picture (`strategy_styles`).
    Raises ValueError if there are no curves or more than 28, if values leave the bounds, or if counts and values do
    not fit (see `support`).

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "curves.png"
    ...     learning_curves(path, np.array([10, 20]), {"random": np.array([[0.5, 0.6]])}, "test accuracy")
    ...     path.read_bytes()[1:4]
    b'PNG'
    """
    if not 0 < len(curves) <= MOST:
        raise ValueError(f"expected 1 .. {MOST} curves, got {len(curves)}; draw several figures")
    with canvas() as figure:
        axis = figure.add_subplot(xlabel="labels", ylabel=ylabel, title=title or "")
        styles = strategy_styles(curves)
        for name, values in curves.items():
            draw_curve(axis, support(labels, values), values, name, styles[name], bounds)
        axis.grid(alpha=0.3)
        beside(figure, band_title(curves))
    save(figure, path)


@contextmanager
def canvas(num_panels: int = 1, height_to_width_ratio: float = 0.5) -> Iterator[Any]:
    """An empty figure of matplotlib and, while it is drawn, the settings of `figure_settings`."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(figure_settings(num_panels, height_to_width_ratio)):
        figure = Figure()
        FigureCanvasAgg(figure)
        yield figure


def save(figure: Any, path: str | Path | BytesIO, suffix: str | None = None) -> None:
    """Write a figure; the suffix of the path, or the one given, chooses png, pdf or svg.

    The same figure is the same file, byte by byte, but for the version of matplotlib: no file holds the time.

    >>> with canvas() as figure:
    ...     _ = figure.add_subplot(title="nothing")
    >>> save(figure, file := BytesIO(), "png")
    >>> file.getvalue()[1:4]
    b'PNG'
    """
    import matplotlib

    kind = suffix or Path(str(path)).suffix.removeprefix(".")
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context({**figure_settings(), "svg.hashsalt": "bal"}):
        figure.savefig(path, dpi=200, format=kind or None, metadata=dates.get(kind))


def beside(figure: Any, title: str | None = None) -> None:
    """One legend at the right of all panels; what comes in several panels is listed once."""
    entries: dict[str, Any] = {}
    for axis in figure.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside right center",
        frameon=False,
        title=title,
        title_fontsize="small",
        handlelength=3,
    )


def draw_curve(
    axis: Any,
    labels: Real[np.ndarray, "R"],
    values: Float[np.ndarray, "S R"],
    name: str,
    style: Mapping[str, Any],
    bounds: Bounds = UNBOUNDED,
) -> None:
    """One curve of `learning_curves` on an axis of matplotlib, whose ticks become whole numbers of labels where it is
    linear."""
    from matplotlib.ticker import MaxNLocator

    mean, low, high = mean_interval(values, bounds)
    every = max(1, len(labels) // 10)
    axis.plot(labels, mean, label=name, markersize=2.5, markevery=every, **style)
    if len(values) == 2:
        axis.plot(labels, values.T, color=style["color"], linestyle=style["linestyle"], linewidth=0.3)
    if len(values) > 2:
        axis.fill_between(labels, low, high, color=style["color"], alpha=0.15, linewidth=0)
    if axis.get_xscale() == "linear":
        axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True))


def band_title(curves: Mapping[str, np.ndarray]) -> str:
    """What lines and bands of `draw_curve` are, for a legend.

    >>> band_title({"random": np.zeros((20, 3))}), band_title({"random": np.zeros((1, 3))})
    ('mean of 20 seeds,\\nband: 95% t interval', 'one seed')
    """
    fewest, most = min(map(len, curves.values())), max(map(len, curves.values()))
    if most == 1:
        return "one seed"
    seeds = f"mean of {most} seeds" if fewest == most else f"mean of {fewest} to {most} seeds"
    if most == 2:
        return f"{seeds},\nthin: each of them"
    return f"{seeds},\nband: 95% t interval" + ("\n(from 3 seeds on)" if fewest < 3 else "")
