"""Which subsets of a pool to train on, to see whether what strategies choose by matters."""

import numpy as np
from jaxtyping import Float, Int, Real


def random_subsets(num_rows: int, size: int, num_subsets: int, seed: int = 0) -> Int[np.ndarray, "n size"]:
    """Rows of subsets drawn uniformly, without replacement within each.

    The mean of a score over a subset varies ``√size`` times less than the score itself, so that this design shows
    effects over a small part of their range only: the honest picture of what choosing at random leaves open, and a
    weak test. Use `window_subsets` beside it.

    >>> random_subsets(10, 4, 3).shape
    (3, 4)
    """
    _check(num_rows, size, num_subsets)
    rng = np.random.default_rng(seed)
    return np.argsort(rng.random((num_subsets, num_rows)), 1)[:, :size]


def window_subsets(scores: Real[np.ndarray, "N"], size: int, num_subsets: int) -> Int[np.ndarray, "n size"]:
    """Rows of windows of the pool sorted by a score, from the lowest to the highest, evenly spaced.

    The whole range of the score is used, and every window holds rows of one kind, which no strategy would choose: a
    strong test, whose effect is larger than any that a strategy can have. Equal scores keep their order.

    Raises:
      ValueError: windows that overlap, whose results would not be independent: fewer or smaller ones are needed.

    >>> window_subsets(np.array([0.3, 0.1, 0.2, 0.9, 0.5, 0.7]), size=2, num_subsets=3).tolist()
    [[1, 2], [0, 4], [5, 3]]
    """
    _check(len(scores), size, num_subsets)
    if size * num_subsets > len(scores):
        raise ValueError(
            f"{num_subsets} windows of {size} overlap among {len(scores)} rows, so that results would not be "
            f"independent; take at most {len(scores) // size}"
        )
    if np.isnan(np.asarray(scores, float)).any():
        raise ValueError("expected scores that are numbers, got NaN; leave those rows out")
    first = np.round(np.linspace(0, len(scores) - size, num_subsets)).astype(int)
    return np.argsort(scores, kind="stable")[first[:, None] + np.arange(size)]


def subset_means(values: Real[np.ndarray, "N"], subsets: Int[np.ndarray, "n size"]) -> Float[np.ndarray, "n"]:
    """The mean of a value of rows over each subset: a feature of subsets, as `assumption_check` takes it.

    >>> subset_means(np.array([1.0, 2.0, 6.0]), np.array([[0, 1], [1, 2]])).tolist()
    [1.5, 4.0]
    """
    return np.asarray(values, np.float64)[subsets].mean(1)


def _check(num_rows: int, size: int, num_subsets: int) -> None:
    if not 1 <= size <= num_rows or num_subsets < 1:
        raise ValueError(
            f"expected at least one subset of 1 to {num_rows} rows, got {num_subsets} of {size}; change size or number"
        )
