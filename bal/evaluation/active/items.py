"""Tests of few questions: the two-parameter item-response model, and the question that tells most about ability.

A model (or a pupil) of ability t answers item j rightly with chance ``1 / (1 + exp(-a_j (t - b_j)))``: a_j is how
sharply the item tells abilities apart, b_j how hard it is. Abilities have a standard normal prior; a grid does the
integrals, exact to six digits.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.special
from jaxtyping import Float, Int, Shaped

ABILITIES = np.linspace(-6, 6, 121)
_LOG_PRIOR = -(ABILITIES**2) / 2


class Items(NamedTuple):
    """J items: discrimination a > 0 and difficulty b, on the scale of abilities with mean 0 and variance 1."""

    discrimination: Float[np.ndarray, "J"]
    difficulty: Float[np.ndarray, "J"]


def fit_items(answers: Float[Any, "H J"], num_steps: int = 60) -> Items:
    """Items from the answers of H models to all of them: the marginal likelihood's maximum, by EM.

    The E-step spreads each model over the grid of abilities, the M-step is a weighted logistic regression an item, one
    Newton step at a time. Weak priors, ``log a ~ N(0, 0.5²)`` and ``b ~ N(0, 2²)``, keep items that all answer alike
    finite.

    Use it once on models that answered everything; then `next_item` tests a new one with few questions.

    Args:
      answers: 1 right, 0 wrong, NaN not asked.
      num_steps: of EM.

    Raises:
      ValueError: answers that are neither, or fewer than 2 models.

    >>> answers = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 0.0]])
    >>> fit_items(answers).difficulty.argsort().tolist()
    [0, 1, 2]

    Bock and Aitkin 1981, "Marginal maximum likelihood estimation of item parameters: Application of an EM algorithm".
    """
    answers = np.asarray(answers, np.float64)
    asked = ~np.isnan(answers)
    if len(answers) < 2 or not np.isin(answers[asked], (0, 1)).all():
        raise ValueError("expected answers [models, items] of 2 models at least: 1 right, 0 wrong, NaN not asked")
    right, seen = np.where(asked, answers, 0.0), asked.astype(float)
    log_a, b = np.zeros(answers.shape[1]), np.zeros(answers.shape[1])
    for _ in range(num_steps):
        weight = _posterior(right, seen, Items(np.exp(log_a), b))  # [H, P]
        count, hits = seen.T @ weight, right.T @ weight  # [J, P]
        a = np.exp(log_a)[:, None]
        apart = ABILITIES - b[:, None]
        chance = scipy.special.expit(a * apart)
        left, spread = hits - count * chance, count * chance * (1 - chance)
        slope = np.stack([(left * a * apart).sum(-1) - log_a / 0.25, -(left * a).sum(-1) - b / 4], -1)
        cross = -(spread * a**2 * apart).sum(-1)
        curve = np.array(
            [[(spread * (a * apart) ** 2).sum(-1) + 1 / 0.25, cross], [cross, (spread * a**2).sum(-1) + 1 / 4]]
        ).transpose(2, 0, 1)  # Fisher scoring: positive definite
        step = np.clip(np.linalg.solve(curve, slope[..., None])[..., 0], -0.5, 0.5)
        log_a, b = log_a + step[:, 0], b + step[:, 1]
    return Items(np.exp(log_a), b)


def item_information(ability: Float[Any, "*R"], items: Items) -> Float[np.ndarray, "*R J"]:
    """Fisher information of each item about the ability of each: ``a² p (1 - p)``, most where ``b`` is the ability.

    >>> item_information(np.array([0.0]), Items(np.array([2.0, 1.0]), np.array([0.0, 0.0]))).tolist()
    [[1.0, 0.25]]
    """
    a = items.discrimination
    chance = scipy.special.expit(a * (np.asarray(ability)[..., None] - items.difficulty))
    return a**2 * chance * (1 - chance)


def ability(answers: Shaped[Any, "*R J"], items: Items) -> tuple[Float[Any, "*R"], Float[Any, "*R"]]:
    """Posterior mean and standard deviation of the ability of each, from the items it answered; (0, 1) without any.

    Args:
      answers: 1 right, 0 wrong, NaN not asked.
      items: of `fit_items`.

    Returns:
      Mean and standard deviation.

    >>> mean, deviation = ability(np.array([[1.0, np.nan], [np.nan, np.nan]]), Items(np.ones(2), np.zeros(2)))
    >>> abs(mean).round(2).tolist(), deviation.round(2).tolist()
    ([0.41, 0.0], [0.91, 1.0])

    Bock and Mislevy 1982, "Adaptive EAP Estimation of Ability in a Microcomputer Environment".
    """
    answers = np.asarray(answers, np.float64)
    asked = ~np.isnan(answers)
    weight = _posterior(np.where(asked, answers, 0.0), asked.astype(float), items)
    mean = weight @ ABILITIES
    variance = (weight * (ABILITIES - mean[..., None]) ** 2).sum(-1)
    return mean, np.sqrt(variance)


def next_item(answers: Shaped[Any, "*R J"], items: Items) -> Int[np.ndarray, "*R"]:
    """The item not asked yet that tells most about the ability as it is known: largest `item_information`.

    Use it in a loop with `ability`, until its standard deviation is small enough.

    Args:
      answers: so far; NaN not asked.
      items: of `fit_items`.

    Raises:
      ValueError: all items were asked.

    >>> int(next_item(np.array([np.nan, np.nan, 1.0]), Items(np.ones(3), np.array([2.0, 0.4, 0.3]))))
    1

    Lord 1980, "Applications of Item Response Theory to Practical Testing Problems".
    """
    asked = ~np.isnan(np.asarray(answers, np.float64))
    if asked.all(-1).any():
        raise ValueError("expected an item that was not asked, NaN in answers, and there is none left")
    mean, _ = ability(answers, items)
    return np.asarray(np.where(asked, -np.inf, item_information(mean, items)).argmax(-1))


def expected_accuracy(abilities: Float[Any, "*R"], items: Items) -> Float[np.ndarray, "*R"]:
    """Share of all items that one of this ability answers rightly, by the model: back on the scale of a benchmark.

    >>> expected_accuracy(np.array([0.0]), Items(np.ones(2), np.array([-1.0, 1.0]))).tolist()
    [0.5]
    """
    a = items.discrimination
    return scipy.special.expit(a * (np.asarray(abilities)[..., None] - items.difficulty)).mean(-1)


def _posterior(right: np.ndarray, seen: np.ndarray, items: Items) -> np.ndarray:
    """Weights of the grid of abilities for each row of answers: ``[..., P]``, adding up to 1."""
    logit = items.discrimination[:, None] * (ABILITIES - items.difficulty[:, None])  # [J, P]
    log_weight = right @ scipy.special.log_expit(logit) + (seen - right) @ scipy.special.log_expit(-logit) + _LOG_PRIOR
    return scipy.special.softmax(log_weight, -1)
