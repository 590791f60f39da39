"""What strategies ask for in common."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

PADDING = 2**31 - 1  # that of `bal.typing`, which imports JAX


class Overlap(NamedTuple):
    """Shares of rows that pairs of strategies have in common, and what two random choices would have (NaN: unknown)."""

    strategies: tuple[str, ...]
    shares: Float[np.ndarray, "A A"]
    by_chance: float


def query_overlap(acquired: Mapping[str, Int[np.ndarray, "S R B"]], num_rows: int | None = None) -> Overlap:
    """Share of the rows one strategy acquired that another acquired as well, after all rounds, mean over seeds.

    ``|A ∩ B| / |A|`` for the picks of R rounds of a seed, start sets left out: 1 where they asked for the same rows, in
    whatever order. Strategies share start set and seed, so they begin alike; once a pick differs so do their models.
    Two random choices of n among the N rows left by the start set have ``n / N`` in common.

    Rows PADDING, of places where nothing was picked, do not count.

    Use it when two strategies are suspected to be one, and always beside a comparison of their curves.

    Args:
      acquired: rows of the pool by strategy, as `bal.loop.study` returns them.
      num_rows: N, rows of the pool without the start set.

    Raises:
      ValueError: no strategies, numbers of picks that differ, or a row picked twice by a seed.

    >>> found = query_overlap({"a": np.array([[[1, 2]]]), "b": np.array([[[2, 5]]])}, num_rows=10)
    >>> found.shares.tolist(), found.by_chance
    ([[1.0, 0.5], [0.5, 1.0]], 0.2)
    """
    names = tuple(acquired)
    if not names or len({acquired[name].shape for name in names}) > 1:
        found = {name: acquired[name].shape for name in names} or "none"
        raise ValueError(f"expected picks [seeds, rounds, batch] of one shape for all strategies, got {found}")
    rows = np.stack([acquired[name].reshape(len(acquired[name]), -1) for name in names])
    picked = [[seed[seed != PADDING] for seed in of] for of in rows]
    if any(len(np.unique(seed)) < len(seed) for of in picked for seed in of):
        raise ValueError("a seed acquired a row twice; leave out picks that are not valid")
    both = lambda a, b: np.isin(a, b).mean() if len(a) else 0.0
    shares = np.array([[np.mean([both(*seeds) for seeds in zip(a, b)]) for b in picked] for a in picked])
    by_chance = np.nan if num_rows is None else rows.shape[2] / num_rows
    return Overlap(names, shares, by_chance)
