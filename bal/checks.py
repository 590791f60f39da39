"""Checks at the doors: what people hand in and what their models return, each named in one sentence."""

from typing import Any

import jax
import numpy as np

from bal.rows import num_rows
from bal.typing import Gaussian, Latent, PyTree, Values


def check_rows(x: PyTree, like: PyTree = None) -> None:
    """Inputs: arrays that share their leading axis, finite, and shaped and typed like rows of `like` if given."""
    if not jax.tree.leaves(x):
        raise ValueError("expected an array of rows, or a tree of such arrays, got nothing")
    for leaf in jax.tree.leaves(x):
        if getattr(leaf, "ndim", 0) < 1 or leaf.dtype == object:
            raise ValueError(
                f"expected numeric arrays that lead with the rows, got {type(leaf).__name__}; use np.asarray"
            )
    if num_rows(x) == 0:
        raise ValueError("the pool is empty: expected at least 1 row")
    if like is not None:
        got, expected = (jax.tree.map(lambda leaf: leaf.shape[1:], tree) for tree in (x, like))
        if got != expected:
            raise ValueError(f"expected rows of shape {expected} as in the pool, got {got}")
    for leaf in jax.tree.leaves(x):
        if isinstance(leaf, np.ndarray | jax.Array) and not isinstance(leaf, np.memmap):
            _check_finite(leaf)


def check_budget(present: Values, start: Values, num_asked: int) -> None:
    """Start sets ``[..., S]`` and the rows asked for later fit the pools ``[..., N]``, for every seed."""
    present, starts = np.asarray(present), np.atleast_2d(np.asarray(start))
    num_present, num_start = int(present.sum(-1).min()), starts.shape[-1]
    if num_start + num_asked > num_present:
        raise ValueError(
            f"{num_start} start labels and {num_asked} acquisitions need {num_start + num_asked} rows, "
            f"but the pool has {num_present}; lower num_rounds or batch_size"
        )
    for rows in starts:
        check_row_ids(rows, present.shape[-1])


def check_row_ids(indices: Values, num_rows: int) -> np.ndarray:
    """Row ids: integers in the pool, each once."""
    rows = np.atleast_1d(np.asarray(indices))
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise ValueError(f"expected a list of integer row ids, got {rows.dtype} of shape {rows.shape}")
    outside = rows[(rows < 0) | (rows >= num_rows)]
    if len(outside):
        raise ValueError(f"row {outside[0]} is outside the pool: expected ids in [0, {num_rows})")
    ids, counts = np.unique(rows, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"row {ids[counts > 1][0]} is named twice; give each row once")
    return rows.astype(np.int32)


def check_labels(labels: Values, count: int, num_classes: int | None, num_outputs: int | None = None) -> np.ndarray:
    """Labels: one a row, class numbers below `num_classes`, or finite reals, `num_outputs` of them if that is given."""
    y = np.atleast_1d(np.asarray(labels))
    if num_outputs is None and y.shape != (count,):
        raise ValueError(f"expected {count} labels, one for each row, got an array of shape {y.shape}")
    if num_outputs is not None and y.shape != (count, num_outputs):
        raise ValueError(f"expected {count} labels of {num_outputs} outputs each, got an array of shape {y.shape}")
    if num_classes is None:
        if not np.issubdtype(y.dtype, np.number) or not np.isfinite(y).all():
            raise ValueError(f"expected finite real labels, got {y.tolist()}; skip rows that have no label")
        return y.astype(np.float64)
    if y.dtype == bool:
        y = y.astype(np.int32)
    if not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"expected integer class numbers, got {y.dtype}; encode the classes as 0 to {num_classes - 1}")
    outside = y[(y < 0) | (y >= num_classes)]
    if len(outside):
        raise ValueError(f"label {outside[0]} is out of range: expected classes in [0, {num_classes})")
    return y.astype(np.int32)


def check_predictions(predictions: Any, num_rows: int, num_classes: int | None = None) -> None:
    """What `predict` returned for `num_rows` rows: normalised finite ``log_probs [n, K, C]``, or moments."""
    if isinstance(predictions, Gaussian | Latent):
        _check_moments(predictions, num_rows)
        return
    log_probs = np.asarray(predictions)
    if log_probs.ndim != 3 or log_probs.shape[0] != num_rows:
        raise ValueError(
            f"expected log probabilities of shape [{num_rows}, draws, classes], got {log_probs.shape}; "
            "a model without posterior draws has one: add an axis"
        )
    if not np.issubdtype(log_probs.dtype, np.floating):
        raise ValueError(f"expected floating-point log probabilities, got {log_probs.dtype}")
    if num_classes is not None and log_probs.shape[2] != num_classes:
        raise ValueError(f"expected {num_classes} classes on the last axis, got {log_probs.shape[2]}")
    if np.isnan(log_probs).any():
        raise ValueError(
            f"predictions of {np.isnan(log_probs).any((1, 2)).sum()} of {num_rows} rows are NaN; has training diverged?"
        )
    total = np.exp(log_probs.astype(np.float64)).sum(-1)
    worst = total.flat[np.abs(total - 1).argmax()]
    if abs(worst - 1) > 1e-3:
        raise ValueError(
            f"expected log probabilities that are normalised, got a row that sums to {worst:.4g}; "
            "apply jax.nn.log_softmax to logits, or take the log of probabilities"
        )


def _check_moments(prediction: Gaussian | Latent, num_rows: int) -> None:
    for name, leaf in zip(prediction._fields, prediction, strict=True):
        leaf = np.asarray(leaf)
        if leaf.ndim not in (2, 3) or leaf.shape[0] != num_rows:
            raise ValueError(f"expected a {name} of shape [{num_rows}, draws] (or [.., .., outputs]), got {leaf.shape}")
        if not np.isfinite(leaf).all():
            raise ValueError(
                f"the predicted {name} is not finite everywhere: training diverged, or a Gaussian process found the "
                "covariance of its labeled rows singular in this arithmetic; then switch on jax_enable_x64 before "
                "making any array, or use more noise"
            )
        if name != "mean" and (leaf < 0).any():
            raise ValueError(f"the predicted {name} is negative somewhere ({leaf.min():.3g}); variances are at least 0")


def _check_finite(leaf: Any) -> None:
    if np.issubdtype(leaf.dtype, np.floating):
        bad = ~np.isfinite(np.asarray(leaf)).reshape(len(leaf), -1).all(-1)
        if bad.any():
            raise ValueError(
                f"row {int(bad.argmax())} of the inputs holds NaN or infinity; drop or impute such rows first"
            )
