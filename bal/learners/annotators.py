"""What several annotators, who err, say together: a label for every row from all of its answers, and who errs how.

The confusion ``[A, C, C]`` of A annotators holds, for each true class, the probabilities of the answers they give.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bal.learners.settings import check_count
from bal.method import method
from bal.typing import PADDING, Values

TINY = 1e-30  # of a probability: an answer that cannot be, of one who cannot err


class Answers(NamedTuple):
    """L answers: about which row, by whom, which class, and how much it counts; weight 0 is none."""

    row: Int[Array, "L"]
    annotator: Int[Array, "L"]
    y: Int[Array, "L"]
    weight: Float[Array, "L"]


class Consensus(NamedTuple):
    """labels: probabilities of the true class of the row that an answer is about; evidence: what the answers alone say
    of it, ``∝ labels / prior``; confusion: of A annotators, a row for each true class; prior: of the classes."""

    labels: Float[Array, "L C"]
    evidence: Float[Array, "L C"]
    confusion: Float[Array, "A C C"]
    prior: Float[Array, "C"]


@method
def majority_vote(num_classes: int, num_annotators: int) -> Callable[[Answers], Consensus]:
    """The class that most answers about a row name, by weight; classes that tie share it equally.

    ``labels_lc ∝ [votes_c = max votes]`` with ``votes_c = Σ w [y = c]`` over all answers about the row of answer l. The
    confusion counts answers against the vote, ``(n_ack + 1/C) / (n_ac + 1)``, the prior is the share of each class.

    Use it when annotators are equally good and a row has several answers; where they differ use `dawid_skene`.

    In a campaign annotator 0 is whoever was not named: three names need num_annotators=4. A number without a place
    makes the confusion NaN.

    Raises ValueError for fewer than one class or annotator.

    >>> answers = Answers(*map(jnp.array, ([3, 7, 3, 3], [0, 0, 1, 2], [1, 0, 1, 0], [1.0, 1.0, 1.0, 1.0])))
    >>> jax.jit(majority_vote(2, 3))(answers).labels.tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    """
    check_count("num_classes", num_classes)
    check_count("num_annotators", num_annotators)

    def consensus(answers: Answers) -> Consensus:
        _, weight, item, first = grouped(answers)
        votes = _votes(answers, num_classes)
        labels = _shares((votes == votes.max(1, keepdims=True)).astype(votes.dtype))[item]
        even = jnp.full((num_annotators, num_classes, num_classes), 1 / num_classes, weight.dtype)
        return Consensus(labels, labels, _confusion(answers, labels, even, 1.0), _prior(labels, first))

    return consensus


@method
def dawid_skene(
    confusion: Values, strength: float | Values = 1.0, num_steps: int = 50
) -> Callable[[Answers], Consensus]:
    """Probabilities of the true classes and confusions of the annotators, by expectation maximization in log space.

    ``labels_ic ∝ prior_c Π_l confusion[a_l, c, y_l]^w_l`` over the answers l about row i, and in turn
    ``confusion_ack ∝ Σ_l w_l labels_lc [a_l = a, y_l = k] + strength_a believed_ack``, ``prior_c`` the mean of
    ``labels_ic`` over rows. It starts with labels by what is believed and a uniform prior, and every step raises the
    posterior density. Where no belief is worth anything, `strength` 0, it starts with each row's shares of votes and
    raises the likelihood, to the estimates of 1979. Without any answer the confusion is what is believed.

    Use it when annotators differ and some rows have answers of several of them; where no row has, nothing but the
    belief tells errors from classes.

    Args:
      confusion: what is believed beforehand ``[A, C, C]``, for each annotator and true class the probabilities of
        the answers. In a campaign annotator 0 is whoever was not named: three names need A = 4. Answers of a number
        without a place make everything NaN.
      strength: how many answers about rows of each class the belief is worth, one number or one for each annotator; inf
        = it is known, and stays.
      num_steps: of expectation maximization.

    Raises:
      ValueError: a belief whose rows are not probabilities, a strength that is negative or not one for each annotator,
        fewer than one step.

    >>> believed = [[[0.8, 0.2], [0.2, 0.8]]] * 3
    >>> answers = Answers(*map(jnp.array, ([0, 0, 0, 1], [0, 1, 2, 2], [1, 1, 0, 0], [1.0, 1.0, 1.0, 1.0])))
    >>> found = jax.jit(dawid_skene(believed, strength=np.inf))(answers)
    >>> [round(probability, 2) for probability in found.labels[:, 1].tolist()]
    [0.8, 0.8, 0.8, 0.2]

    Dawid and Skene 1979, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm".
    """
    check_count("num_steps", num_steps)
    believed = check_confusions(confusion)
    worth = np.asarray(strength, float)
    if worth.shape not in ((), believed.shape[:1]) or not (worth >= 0).all():
        raise ValueError(
            f"expected a strength of at least 0, one number or one for each of {len(believed)} annotators, got {worth}"
        )
    worth = np.broadcast_to(worth, believed.shape[:1])
    known, worth = np.isinf(worth)[:, None, None], np.where(np.isinf(worth), 0.0, worth)[:, None, None]

    def consensus(answers: Answers) -> Consensus:
        y, weight, item, first = grouped(answers)
        fixed = jnp.asarray(believed, weight.dtype)

        def expected(confusion: Array, prior: Array) -> Consensus:
            told = jnp.log(jnp.maximum(confusion, TINY))[answers.annotator, :, y]
            told = jnp.where(answers.annotator[:, None] < len(confusion), told, jnp.nan)
            told = jnp.where(weight[:, None] > 0, weight[:, None] * told, 0.0)
            told = jax.ops.segment_sum(told, item, len(item))[item]
            log_prior = jnp.log(jnp.maximum(prior, TINY))
            return Consensus(jax.nn.softmax(told + log_prior[None], -1), jax.nn.softmax(told, -1), confusion, prior)

        def step(carry: Consensus, _: None) -> tuple[Consensus, None]:
            confusion = _confusion(answers, carry.labels, fixed, jnp.asarray(worth, weight.dtype))
            return expected(jnp.where(known, fixed, confusion), _prior(carry.labels, first)), None

        num_classes = fixed.shape[1]
        even = jnp.full(num_classes, 1 / num_classes, weight.dtype)
        start = expected(fixed, even)
        if not (known.any() or worth.any()):
            start = start._replace(labels=_shares(_votes(answers, num_classes))[item])
        return jax.lax.scan(step, start, length=num_steps)[0]

    return consensus


def check_confusions(confusion: Any) -> np.ndarray:
    """Confusions ``[A, C, C]`` as float64, whose rows are probabilities."""
    matrix = np.asarray(confusion, np.float64)
    if matrix.ndim != 3 or matrix.shape[1] != matrix.shape[2] or not matrix.size:
        raise ValueError(
            f"expected confusions [annotators, classes, classes], got shape {matrix.shape}; of one add an axis"
        )
    if not (matrix >= 0).all() or not np.allclose(matrix.sum(2), 1, atol=1e-3):
        raise ValueError(
            "expected confusions whose rows are probabilities of answers, got one that sums to "
            f"{matrix.sum(2).flat[np.argmax(abs(matrix.sum(2) - 1))]:.4g} or an entry of {matrix.min():.4g}; divide "
            "each row by its sum"
        )
    return matrix / matrix.sum(2, keepdims=True)


def grouped(answers: Answers) -> tuple[Array, Array, Int[Array, "L"], Bool[Array, "L"]]:
    """Classes and weights; for each answer the number of its row among the rows, and whether it is the first on it."""
    row, _, y, weight = answers
    row = jnp.where(weight > 0, row, PADDING)
    order = jnp.argsort(row, stable=True)
    new = jnp.concatenate([jnp.ones(1, bool), jnp.diff(row[order]) != 0])
    item = jnp.zeros(len(row), jnp.int32).at[order].set((jnp.cumsum(new) - 1).astype(jnp.int32))
    return y, weight, item, jnp.zeros(len(row), bool).at[order].set(new) & (weight > 0)


def _votes(answers: Answers, num_classes: int) -> Float[Array, "L C"]:
    """Weights of the answers about a row by class, in the order of `_grouped`; rows that are not there have none."""
    y, weight, item, _ = grouped(answers)
    return jax.ops.segment_sum(jax.nn.one_hot(y, num_classes, dtype=weight.dtype) * weight[:, None], item, len(item))


def _shares(votes: Float[Array, "L C"]) -> Float[Array, "L C"]:
    total = votes.sum(1, keepdims=True)
    return jnp.where(total > 0, votes / jnp.where(total > 0, total, 1.0), 1 / votes.shape[1])


def _confusion(answers: Answers, labels: Array, believed: Array, strength: Any) -> Float[Array, "A C C"]:
    num_annotators, num_classes, _ = believed.shape
    told = answers.annotator * num_classes + answers.y
    counts = jax.ops.segment_sum(labels * answers.weight[:, None], told, num_annotators * num_classes)
    counts = counts.reshape(num_annotators, num_classes, num_classes).transpose(0, 2, 1) + strength * believed
    unknown = (answers.annotator >= num_annotators) & (answers.weight > 0)
    counts = jnp.where(unknown.any(), jnp.nan, counts)
    total = counts.sum(2, keepdims=True)
    return jnp.where(total == 0, believed, counts / jnp.where(total == 0, 1.0, total))


def _prior(labels: Float[Array, "L C"], first: Bool[Array, "L"]) -> Float[Array, "C"]:
    """The share of each class among rows; even without any."""
    count = first.sum()
    total = jnp.where(first[:, None], labels, 0.0).sum(0)
    return jnp.where(count > 0, total / jnp.maximum(count, 1), 1 / labels.shape[1])
