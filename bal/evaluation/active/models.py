"""Which of H models is best, from labels chosen by a known law: the models that cannot be ruled out."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from bal.evaluation.active.unbiased import lure


class Leaders(NamedTuple):
    """What is known of H models after M labels.

    mean: loss of each over all rows, unbiased. best: the model of least mean.
    contenders: the models not ruled out; the truly best is among them with the confidence asked for.
    """

    mean: Float[np.ndarray, "*R H"]
    best: Int[np.ndarray, "*R"]
    contenders: Bool[np.ndarray, "*R H"]


def leaders(
    log_q: Float[Any, "*R M"] | None, losses: Shaped[Any, "*R M H"], num_rows: int, confidence: float = 0.95
) -> Leaders:
    """Mean loss of each of H models over all rows by `lure`, and the models that may be the best.

    A model is ruled out where the interval of its loss minus another's, row by row, lies above zero. One-sided at
    ``(1 - confidence) / (H - 1)``, so that the best is ruled out with chance ``1 - confidence`` at most, up to the
    normal approximation: the differences share what all models find hard.

    Use it to choose a model, or to see that more labels are needed: as long as there is more than one contender.
    `information_about_best` says which labels, and then there is no law.

    Args:
      log_q, num_rows: as of `lure_weights`.
      losses: of each model on each pick, in order.
      confidence: that the best model is among the contenders.

    Raises:
      ValueError: as `lure`; fewer than 2 models; a confidence outside [0.5, 1).

    >>> uniform = -np.log(np.arange(20, 10, -1.0))
    >>> losses = np.stack([np.arange(10.0) % 3, np.arange(10.0) % 3 + 1, np.arange(10.0) % 2], -1)
    >>> found = leaders(uniform, losses, 20)
    >>> int(found.best), found.contenders.tolist()
    (2, [True, False, True])

    Farquhar, Gal and Rainforth 2021, "On Statistical Bias In Active Learning: How and When to Fix It"; Hsu 1984,
    "Constrained Simultaneous Confidence Intervals for Multiple Comparisons with the Best".
    """
    losses = np.moveaxis(np.asarray(losses, np.float64), -1, 0)
    num_models = len(losses)
    if num_models < 2:
        raise ValueError(f"expected the losses of 2 models at least on the last axis, got {num_models}")
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence must lie in [0.5, 1), for instance 0.95, got {confidence}")
    means = np.stack([lure(log_q, loss, num_rows).mean[..., -1] for loss in losses], -1)
    level = max(1 - 2 * (1 - confidence) / (num_models - 1), 1e-9)  # of the two-sided interval with that lower end
    ruled_out = np.zeros(means.shape, bool)
    for one in range(num_models):
        for other in range(num_models):
            if one != other and (losses[one] != losses[other]).any():
                apart = lure(log_q, losses[one] - losses[other], num_rows, level)
                ruled_out[..., one] |= apart.low[..., -1] > 0
    return Leaders(means, np.asarray(means.argmin(-1)), ~ruled_out)
