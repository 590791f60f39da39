"""The rows that are labeled before the first query."""

import numpy as np
from jaxtyping import Int


def start_set(y: Int[np.ndarray, "N"], size: int, seed: int = 0) -> Int[np.ndarray, "size"]:
    """Indices ``[size]`` of a balanced random start set: class counts differ by at most one.

    With C classes and ``size = 2 C`` every class has two rows, as in Gal et al. (2017). Where `size` is no
    multiple of C, the classes that get one row more are drawn at random. Equal seeds give equal rows; the
    order is random. Such a start uses labels of the whole pool to choose rows: say so where results are
    reported.

    Raises ValueError if y is not a vector of integer classes, or if a class has too few rows.

    >>> import numpy as np
    >>> y = np.arange(30) % 3
    >>> np.bincount(y[start_set(y, 6)]).tolist()
    [2, 2, 2]
    """
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"start_set balances integer classes [N], got {y.dtype} {y.shape}; draw other sets uniformly")
    if not 0 < size <= len(y):
        raise ValueError(f"size must lie in 1 .. {len(y)} (the rows there are), got {size}")
    random = np.random.default_rng(seed)
    classes = random.permutation(np.unique(y))
    wanted = size // len(classes) + (np.arange(len(classes)) < size % len(classes))
    picks = []
    for label, count in zip(classes, wanted):
        rows = np.flatnonzero(y == label)
        if len(rows) < count:
            raise ValueError(
                f"a balanced start set of {size} needs {count} rows of class {label}, which has {len(rows)}; "
                "ask for a smaller size"
            )
        picks.append(random.choice(rows, count, replace=False))
    return random.permutation(np.concatenate(picks))
