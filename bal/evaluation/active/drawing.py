"""Picks with a known law: rows drawn one after the other by weight, and rows drawn each by its own coin."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Draw(NamedTuple):
    """M picks in order and the law that made them.

    indices: positions in the weights. log_q: log P(pick | earlier picks), as estimators need it.
    """

    indices: Int[np.ndarray, "*R M"]
    log_q: Float[np.ndarray, "*R M"]


def draw(weights: Float[Any, "*R N"], num_picks: int, seed: int = 0) -> Draw:
    """Rows drawn one after the other without replacement, each with a chance that is its share of the weight left.

    ``q_m = w_(i_m) / sum of w over the rows not yet picked``, the law of `bal.selection.power` on plain arrays. Rows of
    weight zero are never drawn, and what is estimated then leaves them out; so give every row some weight. The least
    variance is had from weights that are proportional to the size of what is estimated: ``sqrt(E[loss²])``, or
    ``sqrt(p (1 - p))`` for the residuals of an error that a surrogate expects with chance p.

    Use it where one fixed surrogate chooses all the rows of a test set; leading axes are independent repetitions.

    Args:
      weights: at least zero, one a row.
      num_picks: M.
      seed: of the draws.

    Returns:
      The picks with their `log_q`.

    Raises:
      ValueError: weights that are negative or not finite, or fewer positive ones than picks.

    >>> picks = draw(np.array([1.0, 2.0, 5.0]), 3)
    >>> picks.indices.tolist(), np.exp(picks.log_q).round(3).tolist()
    ([2, 1, 0], [0.625, 0.667, 1.0])

    Efraimidis and Spirakis 2006, "Weighted random sampling with a reservoir".
    """
    weights = np.asarray(weights, np.float64)
    if not ((weights >= 0) & np.isfinite(weights)).all() or (weights > 0).sum(-1).min() < num_picks or num_picks < 1:
        raise ValueError(
            f"expected finite weights >= 0, at least num_picks = {num_picks} >= 1 of them positive, got "
            f"{int((weights > 0).sum(-1).min())} positive ones and the least weight {weights.min()}"
        )
    noise = np.random.default_rng(seed).exponential(size=weights.shape)
    with np.errstate(divide="ignore"):
        times = noise / weights  # the first of N exponential clocks rings at row n with chance w_n / sum w
    order = np.argsort(times, axis=-1, kind="stable")
    ordered = np.take_along_axis(weights, order, -1)
    left = np.cumsum(ordered[..., ::-1], -1)[..., ::-1]
    return Draw(order[..., :num_picks], np.log(ordered[..., :num_picks] / left[..., :num_picks]))


def inclusion_probabilities(
    scores: Float[Any, "*R N"], budget: float | int, uniform_share: float | int = 0.1
) -> Float[np.ndarray, "*R N"]:
    """Chances of rows that are labeled each by its own coin: proportional to scores, `budget` labels in expectation.

    ``pi = (1 - t) min(1, c s) + t budget / N`` with c such that the chances add up to `budget`. The share t of uniform
    labels keeps all chances above zero, so that no residual is divided by next to nothing.

    Use it with `active_inference`: ``labeled = rng.random(N) < inclusion_probabilities(uncertainty, budget)``.

    Args:
      scores: at least zero; the best ones are the standard deviations of what the predictions leave over.
      budget: labels in expectation, at most N.
      uniform_share: t.

    Raises:
      ValueError: negative scores, too few positive ones for the budget, a budget beyond N, a share outside (0, 1].

    >>> inclusion_probabilities(np.array([1.0, 1.0, 2.0, 8.0]), 2.0).round(3).tolist()
    [0.275, 0.275, 0.5, 0.95]

    Zrnic and Candès 2024, "Active Statistical Inference".
    """
    scores = np.asarray(scores, np.float64)
    num_rows = scores.shape[-1]
    if not (0 < uniform_share <= 1 and 0 < budget <= num_rows):
        raise ValueError(
            f"expected 0 < uniform_share <= 1 and 0 < budget <= {num_rows} rows, got {uniform_share} and {budget}"
        )
    if not ((scores >= 0) & np.isfinite(scores)).all() or (scores > 0).sum(-1).min() < budget:
        raise ValueError(f"expected finite scores >= 0, of which at least the budget, {budget}, are positive")
    ordered = -np.sort(-scores, axis=-1)
    rest = np.cumsum(ordered[..., ::-1], -1)[..., ::-1]
    certain = np.arange(num_rows)  # with j rows at chance 1, c = (budget - j) / sum of the others
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(rest > 0, (budget - certain) / rest, np.inf)
        fits = (factor * ordered <= 1 + 1e-12) & (certain < budget)
    first = np.where(fits.any(-1), fits.argmax(-1), 0)[..., None]
    chosen = np.where(fits.any(-1, keepdims=True), np.take_along_axis(factor, first, -1), np.inf)
    with np.errstate(invalid="ignore"):
        proportional = np.where(scores > 0, np.minimum(1.0, chosen * scores), 0.0)
    return (1 - uniform_share) * proportional + uniform_share * budget / num_rows
