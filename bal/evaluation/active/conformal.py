"""Sets that hold the true answer as often as promised, though the labels that calibrate them were chosen."""

from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from bal.evaluation.active.unbiased import lure_weights


def conformal_threshold(
    log_q: Float[Any, "*R M"] | None,
    scores: Shaped[Any, "*R M"],
    num_rows: int,
    coverage: float = 0.9,
    target: Float[Any, "*R M"] | None = None,
) -> Float[np.ndarray, "*R"]:
    """Score up to which answers go into a set, for sets that cover a row of the pool with chance `coverage`.

    The score of the first pick, in order of scores, with ``sum of v up to it >= coverage (sum of v + its own v)``, v
    the `lure_weights`; infinity, and so the set of all answers, where there is none. A row the set is for is taken to
    weigh what picks of such scores weigh. Picks of uncertain rows have high scores; counted once each they give sets
    that are too large for the pool, and too small where picks were of certain ones. Weighted by their law they stand
    for the pool, also where that law came from earlier labels. For uniform picks it is split conformal prediction.

    The labels behind the scores must not have trained the model of the scores: set rows aside for calibration before
    the first pick and draw from them by the same law, or the promise is void. With other than uniform picks coverage is
    approximate: a law that hardly ever picks some rows knows little of their scores, which
    ``(sum of v)² / sum of v²``, the number of uniform labels that the picks are worth, says; below 20 use a law with a
    floor.

    Use it on labels that active learning chose, instead of keeping a uniform set of labels for calibration.

    Args:
      log_q, num_rows: as of `lure_weights`, for the picks from the rows that were set aside.
      scores: how little the model thinks of the true answer of each pick, ``1 - p(y | x)`` or ``|y - mean(x)|``.
      coverage: what is promised.
      target: how often rows like each pick come where the sets are to hold, up to a factor: by default as in the pool.
        For the row that is picked next by ``score^beta``, that of the picks under the newest model.

    Returns:
      One threshold a repetition: the set of a row is the answers whose score is at most that.

    Raises:
      ValueError: as `lure_weights`; scores that are NaN or have another shape; negative targets; a coverage outside
        (0, 1).

    >>> uniform = -np.log(np.arange(100, 91, -1.0))
    >>> [float(conformal_threshold(uniform[:m], np.arange(float(m)), 100)) for m in (8, 9)]
    [inf, 8.0]

    Prinster, Stanton, Liu and Saria 2024, "Conformal Validity Guarantees Exist for Any Data Distribution (and How to
    Find Them)"; Tibshirani, Foygel Barber, Candès and Ramdas 2019, "Conformal Prediction Under Covariate Shift".
    """
    weights, scores = lure_weights(log_q, num_rows), np.asarray(scores, np.float64)
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must lie in (0, 1), for instance 0.9, got {coverage}")
    if scores.shape != weights.shape or np.isnan(scores).any():
        raise ValueError(f"expected a score that is a number for each pick, shape {weights.shape}, got {scores.shape}")
    if target is not None:
        target = np.asarray(target, np.float64)
        if target.shape != weights.shape or not ((target >= 0) & np.isfinite(target)).all():
            raise ValueError(f"expected a finite target >= 0 for each pick, shape {weights.shape}, got {target.shape}")
        weights = weights * target
    order = np.argsort(scores, -1, kind="stable")
    ordered, each = np.take_along_axis(scores, order, -1), np.take_along_axis(weights, order, -1)
    total = each.sum(-1, keepdims=True)
    enough = (np.cumsum(each, -1) >= coverage * (total + each) - 1e-9 * total) & (each > 0)
    first = np.take_along_axis(ordered, enough.argmax(-1)[..., None], -1)[..., 0]
    return np.where(enough.any(-1), first, np.inf)
