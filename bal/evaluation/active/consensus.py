"""Which of H classifiers is best, from labels chosen to tell: beliefs about what each confuses, as in CODA.

Reconstructed from the paper and its published code: the prior from the models' consensus (its strength, and 1 and
1 / (C - 1) for right and wrong), the small step of a label, and the chance of being best, taken class by class with
independent Beta beliefs and averaged over how common classes are. What is left out is a shortlist of rows on which
models differ; a row on which all agree has little to tell and is scored like any other.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.special
from jaxtyping import Float

GRID = 256
"""Points on which Beta densities are integrated."""


class Beliefs(NamedTuple):
    """Of H models and C classes: Dirichlet counts of what a model says for each true class, and how it says it.

    counts: row c of model h is about rows of class c. probs: what the models predict for N rows.
    """

    counts: Float[np.ndarray, "H C C"]
    probs: Float[np.ndarray, "H N C"]


def consensus_beliefs(probs: Float[Any, "H N C"], strength: float = 0.1) -> Beliefs:
    """Beliefs before the first label: that models are right more often than not, and their mean prediction often.

    Counts are 1 on the diagonal and ``1 / (C - 1)`` beside it, plus `strength` times the share of each prediction of a
    model among rows that the mean of all models puts in class c.

    Args:
      probs: predictive probabilities of H models for the N rows.
      strength: how much the consensus counts.

    Raises:
      ValueError: probabilities that are not, one model or class alone, a negative strength.

    >>> consensus_beliefs(np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.5, 0.5]]])).counts[0].round(2).tolist()
    [[1.09, 1.01], [1.02, 1.08]]

    Kay et al. 2025, "Consensus-Driven Active Model Selection".
    """
    probs = np.asarray(probs, np.float64)
    num_models, _, num_classes = probs.shape
    if num_models < 2 or num_classes < 2 or not (probs >= 0).all() or not np.allclose(probs.sum(-1), 1, atol=1e-3):
        raise ValueError(f"expected probabilities [models, rows, classes], 2 of each at least, got {probs.shape}")
    if strength < 0:
        raise ValueError(f"strength must not be negative, got {strength}")
    pseudo = np.eye(num_classes)[probs.mean(0).argmax(-1)]
    confusion = np.einsum("nc,hnj->hcj", pseudo, probs)
    confusion /= np.maximum(confusion.sum(-1, keepdims=True), 1e-12)
    base = np.full((num_classes, num_classes), 1 / (num_classes - 1))
    np.fill_diagonal(base, 1.0)
    return Beliefs(base + strength * confusion, probs)


def told(beliefs: Beliefs, row: int, label: int, rate: float = 0.01) -> Beliefs:
    """Beliefs after the label of a row: `rate` more counts for what each model said of that class.

    >>> before = consensus_beliefs(np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.5, 0.5]]]))
    >>> (told(before, 1, 1).counts - before.counts)[:, 1].round(3).tolist()
    [[0.0, 0.01], [0.01, 0.0]]
    """
    counts = beliefs.counts.copy()
    said = beliefs.probs[:, row].argmax(-1)
    counts[np.arange(len(counts)), label, said] += rate
    return beliefs._replace(counts=counts)


def class_beliefs(beliefs: Beliefs) -> Float[np.ndarray, "N C"]:
    """Chance of each class of each row: what the models say, each translated by what it confuses.

    ``sum over h, s of counts_hcs p_hns``, normalised over the classes c.
    """
    chance = np.einsum("hcs,hns->nc", beliefs.counts, beliefs.probs)
    return chance / chance.sum(-1, keepdims=True)


def probability_best(beliefs: Beliefs) -> Float[np.ndarray, "H"]:
    """Chance of each model to be the best: ``sum over c of P(c) P(theta_hcc > theta_jcc for all j)``.

    theta_hcc, how often model h is right about class c, has the Beta belief of the counts; P(c) is the mean of
    `class_beliefs`. It adds up to 1.

    Use it to say which model to take, and how sure that is; `leaders` says it without a prior.

    >>> beliefs = consensus_beliefs(np.array([[[0.9, 0.1], [0.1, 0.9]], [[0.4, 0.6], [0.6, 0.4]]]))
    >>> for row in (0, 1) * 20:
    ...     beliefs = told(beliefs, row, row, rate=0.1)
    >>> probability_best(beliefs).round(2).tolist()
    [0.95, 0.05]

    Kay et al. 2025, "Consensus-Driven Active Model Selection".
    """
    density, log_below, width = _densities(*_right_and_wrong(beliefs.counts))
    return class_beliefs(beliefs).mean(0) @ _best(density, log_below, log_below.sum(0), width).T


def information_about_best(beliefs: Beliefs) -> Float[np.ndarray, "N"]:
    """What a row's label is expected to tell about which model is best, in nats: label the largest.

    ``H[P(best)] - sum over c of P(c | row) H[P(best | told row is c)]``. A label changes, for its class, what each
    model's Beta belief is by one count, right or wrong; so of every model and class there are two, and a row only says
    which. Not negative but for the approximation that P(c) of the rows stays as it is.

    Use it in a loop of ``argmax`` over rows not yet labeled, `told`, `probability_best`. Picks have no law then: do not
    estimate losses from their labels.

    Kay et al. 2025, "Consensus-Driven Active Model Selection".
    """
    right, wrong = _right_and_wrong(beliefs.counts)
    now, log_now, width = _densities(right, wrong)
    prevalence, classes = class_beliefs(beliefs).mean(0), class_beliefs(beliefs)
    best = _best(now, log_now, log_now.sum(0), width)  # [H, C]
    after = [_densities(right + hit, wrong + 1 - hit)[:2] for hit in (0, 1)]
    said = beliefs.probs.argmax(-1)  # [H, N]
    total = prevalence @ best.T
    information = np.full(said.shape[1], _entropy(total))
    for label in range(len(prevalence)):
        hits = (said == label).astype(int)  # [H, N]
        density, log_below = (np.stack([after[hit][part][:, label] for hit in (0, 1)], 1) for part in (0, 1))
        models = np.arange(len(hits))[:, None]
        log_all = log_below[models, hits].sum(0)  # [N, P]
        weights = np.exp(log_all[None, None] - log_below[:, :, None])  # [H, 2, N, P]
        each = np.einsum("hkp,hknp->hkn", density, weights) * width
        chosen = np.take_along_axis(each, hits[:, None], 1)[:, 0]  # [H, N]
        chosen /= chosen.sum(0)
        told_best = total[:, None] + prevalence[label] * (chosen - best[:, label, None])
        information -= classes[:, label] * _entropy(told_best)
    return information


def _right_and_wrong(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    right = np.diagonal(counts, axis1=1, axis2=2)
    return right, counts.sum(-1) - right


def _densities(right: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Beta densities ``[H, C, P]`` at the middles of P equal parts, logs of the distribution functions, a part."""
    middle = (np.arange(GRID) + 0.5) / GRID
    a, b = right[..., None], wrong[..., None]
    edges = scipy.special.betainc(a, b, np.linspace(0, 1, GRID + 1))
    return np.diff(edges) * GRID, np.log(np.maximum(scipy.special.betainc(a, b, middle), 1e-300)), 1 / GRID


def _best(density: np.ndarray, log_below: np.ndarray, log_all: np.ndarray, width: float) -> np.ndarray:
    """``P(h is best of class c)``, ``[H, C]``: the integral of its density times all others' distribution functions."""
    chance = (density * np.exp(log_all[None] - log_below)).sum(-1) * width
    return chance / chance.sum(0)


def _entropy(chance: np.ndarray) -> Any:
    """Over the first axis, in nats."""
    return -scipy.special.xlogy(chance, np.maximum(chance, 1e-300)).sum(0)
