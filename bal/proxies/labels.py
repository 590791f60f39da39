"""Features and labels of the labeled rows, checked where they come in."""

from typing import Any

import numpy as np


def check_features(features: Any) -> np.ndarray:
    """Float64 ``[n, D]``.

    >>> check_features([[1.0], [float("inf")]])
    Traceback (most recent call last):
    ValueError: expected finite features [n, D] of at least one row, but row 1 is not finite; look at what made it
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or not features.size:
        raise ValueError(
            f"expected finite features [n, D] of at least one row, got shape {features.shape}; flatten each row"
        )
    spoiled = np.flatnonzero(~np.isfinite(features).all(1))
    if len(spoiled):
        raise ValueError(
            f"expected finite features [n, D] of at least one row, but row {spoiled[0]} is not finite; look at what "
            "made it"
        )
    return features


def class_numbers(y: Any, num_rows: int) -> np.ndarray:
    """Whole numbers from 0 on, one a row.

    >>> class_numbers([0.5, 1.0], 2)
    Traceback (most recent call last):
    ValueError: expected 2 class numbers, one for each row of features, got float64 of shape (2,)
    """
    y = np.asarray(y)
    if y.shape != (num_rows,) or y.dtype.kind not in "iu" or (y < 0).any():
        raise ValueError(
            f"expected {num_rows} class numbers, one for each row of features, got {y.dtype} of shape {y.shape}"
        )
    return y
