"""What metrics take, and what they have in common: arrays of numpy or of JAX, through their own namespace."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

Probs = Float[Any, "M C"]
Labels = Int[Any, "M"]
Scalar = Float[Any, ""]


def log_mean_exp(xp: Any, values: Float[Any, "M K"]) -> Float[Any, "M"]:
    """``log mean_k exp`` of each row; `-inf` where all are."""
    top = xp.max(values, axis=1)
    shift = xp.where(xp.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return shift + xp.log(xp.mean(xp.exp(values - shift[:, None]), axis=1))


def one_hot(probs: Probs, labels: Labels) -> Any:
    """Whether each class is the label."""
    return labels[:, None] == np.arange(probs.shape[1])[None, :]


def where_valid(xp: Any, value: Scalar, predictions: Any, labels: Labels) -> Scalar:
    """The value, or NaN where a prediction is NaN or a label is none of the classes: `argmax` takes NaN for class 0."""
    outside = xp.any((labels < 0) | (labels >= predictions.shape[-1]))
    return xp.where(outside | xp.any(xp.isnan(predictions)), np.nan, value)[()]


def check_classification(probs: Any, labels: Any) -> Any:
    """The namespace of probabilities, which are refused where they or the labels are none."""
    xp = namespace(probs, 2, "probabilities [M, C]")
    if not xp.isdtype(probs.dtype, "real floating"):
        raise TypeError(f"probabilities must be floating, got dtype {probs.dtype}; convert them first")
    if not xp.isdtype(labels.dtype, "integral"):
        raise TypeError(f"labels must be integer classes, got dtype {labels.dtype}; convert them first")
    check_rows(probs, labels, "labels")
    if isinstance(labels, np.ndarray) and ((labels < 0) | (labels >= probs.shape[1])).any():
        found = f"{labels.min()} .. {labels.max()}"
        raise ValueError(f"labels must be classes 0 .. {probs.shape[1] - 1}, got {found}; encode them first")
    if isinstance(probs, np.ndarray) and ((total := probs.sum(axis=1)) < 0.99).any() | (total > 1.01).any():
        worst = total[np.argmax(np.abs(total - 1))]
        raise ValueError(f"probabilities must sum to 1 in every row, got {worst:.4g}; apply a softmax")
    return xp


def namespace(x: Any, ndim: int, what: str) -> Any:
    """Where the array takes its operations from; refuses what is no array of that rank, or has no rows."""
    if not hasattr(x, "__array_namespace__"):
        raise TypeError(f"expected a numpy or JAX array of {what}, got {type(x).__name__}; convert it with asarray")
    if x.ndim != ndim or x.shape[0] == 0:
        raise ValueError(f"expected {what} with at least one row, got shape {x.shape}")
    return x.__array_namespace__()


def check_rows(x: Any, y: Any, what: str) -> None:
    """Refuse what is not one entry a row."""
    if y.shape != x.shape[:1]:
        raise ValueError(f"{what} must have shape {x.shape[:1]}, one entry a row, got {y.shape}")
