"""How much of the variance of results is the choice of rows, how much order, initial weights, dropout and chance."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

DRAWS = 10_000


class Component(NamedTuple):
    """One source of variance.

    variance: its component, which is unbiased and so may be negative; share: of the sum of all (an intraclass
    correlation), components below zero counted as zero; low, high: interval of the share.
    omega_squared: the same as a fixed effect. raw_share: of the sum of squares, and null_share: what that is in
    expectation where nothing but chance varies; never report the one without the other.
    """

    variance: float
    share: float
    low: float
    high: float
    omega_squared: float
    raw_share: float
    null_share: float
    degrees: int


RESIDUAL = "residual"


def variance_components(
    scores: Float[np.ndarray, "..."], factors: Sequence[str], confidence: float = 0.95, seed: int = 0
) -> dict[str, Component]:
    """Components of variance of a balanced, crossed design with random levels, with intervals.

    Axes of `scores` are factors whose levels are crossed, each with keys of its own: ``scores[i, j]`` is the result of
    subset i in order j. One more axis behind them holds repetitions, with fresh randomness in every cell. Without it
    the interaction of all factors is what is left over. Mean squares have the expectations
    ``E MS_u = Σ_{v ⊇ u} σ²_v Π_{i ∉ v} n_i``, and that system is solved: components are unbiased.

    ``ω² = (SS - df MS_rest) / (SS_total + MS_rest)``. The share of the sum of squares flatters: without any effect
    each source has ``df / df_total`` of it, .909 for "within" of 10 subsets x 10 repetitions. Intervals are
    generalized ones: mean squares over draws of χ² give draws of the components (normal effects); for one factor it is
    the exact interval of the F distribution.

    Use it when runs differ and somebody has an explanation. Ten levels a factor at least: with fewer, intervals say
    next to nothing.

    Args:
      scores: one axis a factor, two levels each at least, and maybe one of repetitions.
      factors: names of the axes, as ``("subset", "order", "init")``.
      confidence: of the intervals.
      seed: of their draws.

    Returns:
      A `Component` by source: factors, interactions "subset x order", and "residual".

    Raises:
      ValueError: axes that do not fit the names, fewer than two levels, results that are not finite.

    >>> rng = np.random.default_rng(0)
    >>> noise = variance_components(rng.normal(size=(10, 10)), ["subset"])
    >>> round(noise["residual"].null_share, 3), round(noise["residual"].raw_share, 3)
    (0.909, 0.873)
    >>> scores = rng.normal(size=(30, 1, 1)) + rng.normal(size=(30, 20, 3))
    >>> subset = variance_components(scores, ["subset", "order"])["subset"]
    >>> round(subset.share, 2), round(subset.low, 2) < 0.5 < round(subset.high, 2)
    (0.47, True)

    Searle, Casella and McCulloch 1992, "Variance Components"; Weerahandi 1993, "Generalized Confidence Intervals";
    Olejnik and Algina 2003, "Generalized Eta and Omega Squared Statistics".
    """
    scores, factors = np.asarray(scores, np.float64), list(factors)
    _check(scores, factors, confidence)
    k, repeated = len(factors), scores.ndim > len(factors)
    sizes = scores.shape[:k]
    repeats = scores.shape[k] if repeated else 1
    sources = [u for length in range(1, k + 1) for u in combinations(range(k), length)]
    cells = scores.mean(-1) if repeated else scores
    squares = {u: repeats * _sum_of_squares(cells, u) for u in sources}
    degrees = {u: math.prod(sizes[i] - 1 for i in u) for u in sources}
    rest = (*range(k), k)  # above all others: what is left over within cells, or the last interaction
    if repeated:
        squares[rest] = float((_centered(scores, k) ** 2).sum())
        degrees[rest] = math.prod(sizes) * (repeats - 1)
    else:
        whole = sources.pop()
        squares[rest], degrees[rest] = squares.pop(whole), degrees.pop(whole)
    sources.append(rest)
    means = {u: squares[u] / degrees[u] for u in sources}
    counts = (*sizes, repeats)
    estimates = _components(means, sources, counts)
    rng = np.random.default_rng(seed)
    drawn = {u: squares[u] / rng.chisquare(degrees[u], DRAWS) for u in sources}
    low, high = _interval(_components(drawn, sources, counts), sources, confidence)
    shares = _shares(estimates, sources)
    total, free, error = sum(squares.values()), sum(degrees.values()), means[rest]
    named = lambda u: RESIDUAL if u == rest else " x ".join(factors[i] for i in u)
    return {
        named(u): Component(
            variance=float(estimates[u]),
            share=float(shares[u]),
            low=float(low[u]),
            high=float(high[u]),
            omega_squared=float("nan")
            if u == rest or total + error == 0
            else (squares[u] - degrees[u] * error) / (total + error),
            raw_share=squares[u] / total if total > 0 else float("nan"),
            null_share=degrees[u] / free,
            degrees=degrees[u],
        )
        for u in sources
    }


def _centered(values: np.ndarray, axis: int) -> np.ndarray:
    """Less the mean along an axis; exactly 0 where nothing varies along it."""
    values = values - values.take([0], axis)
    return values - values.mean(axis, keepdims=True)


def _sum_of_squares(cells: np.ndarray, source: tuple[int, ...]) -> float:
    effect = cells
    for axis in range(cells.ndim):
        effect = _centered(effect, axis) if axis in source else effect.mean(axis, keepdims=True)
    return float((effect**2).sum()) * math.prod(n for axis, n in enumerate(cells.shape) if axis not in source)


def _components(means: dict, sources: list, counts: tuple[int, ...]) -> dict:
    """The mean squares solved for the components, from the largest source down."""
    found: dict = {}
    for u in reversed(sources):
        above = sum(found[v] * _times(v, counts) for v in found if set(u) < set(v))
        found[u] = (means[u] - above) / _times(u, counts)
    return found


def _times(source: tuple[int, ...], counts: tuple[int, ...]) -> int:
    """How many results share one level of a source."""
    return math.prod(n for axis, n in enumerate(counts) if axis not in source)


def _shares(components: dict, sources: list) -> dict:
    kept = {u: np.maximum(components[u], 0.0) for u in sources}
    total = sum(kept.values())
    with np.errstate(invalid="ignore"):
        return {u: kept[u] / total for u in sources}


def _interval(components: dict, sources: list, confidence: float) -> tuple[dict, dict]:
    shares, tail = _shares(components, sources), (1 - confidence) / 2
    ends = {u: np.quantile(shares[u], [tail, 1 - tail]) for u in sources}
    return {u: ends[u][0] for u in sources}, {u: ends[u][1] for u in sources}


def _check(scores: np.ndarray, factors: list[str], confidence: float) -> None:
    if not factors or scores.ndim not in (len(factors), len(factors) + 1) or min(scores.shape, default=0) < 2:
        raise ValueError(
            f"expected one axis for each of {factors}, of two levels at least, and maybe one of repetitions, got shape "
            f"{scores.shape}; cross the levels, or name other factors"
        )
    if scores.ndim == len(factors) == 1:
        raise ValueError(
            "one factor needs an axis of repetitions behind it, scores [levels, repetitions]; run more seeds"
        )
    if len(set(factors)) < len(factors) or RESIDUAL in factors:
        raise ValueError(f"expected different names, none of them {RESIDUAL!r}, got {factors}")
    if not np.isfinite(scores).all():
        raise ValueError(
            f"expected finite results, got {int((~np.isfinite(scores)).sum())} that are not; run them again"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), for instance 0.95, got {confidence}")
