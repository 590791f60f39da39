"""Learners that are taught by annotators who err: by what they say together, or through their errors.

Who answered is read from inputs that are `Asked`, as in a pool of `bal.query.questions`; otherwise from the acquisition
log, ``data.row`` and ``data.annotator``, as a campaign keeps it that is told ``annotator=...``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.learners.annotators import TINY, Answers, Consensus, grouped
from bal.learners.likelihood import Likelihood, categorical
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree


class Asked(NamedTuple):
    """Rows of a pool of questions, see `bal.query.questions`: what is asked about, and who would be asked.

    x: inputs, leading with n. row: which row of the data that is. annotator: by number.
    """

    x: PyTree
    row: Int[Array, "n"]
    annotator: Int[Array, "n"]


class Believed(NamedTuple):
    """State of `by_consensus` and `by_evidence`: that of the learner, and what is thought of the annotators."""

    state: PyTree
    confusion: Float[Array, "A C C"]
    prior: Float[Array, "C"]


@method
def by_consensus(learner: Learner, consensus: Callable[[Answers], Consensus]) -> Learner:
    """A classifier that is taught what annotators say together: one soft label a row, from all of its answers.

    Of the answers that stand, `consensus` makes a distribution over classes for every row; the learner is fitted to
    these, each row once and of the mean weight of its answers, and predicts true classes. `posterior.state.confusion`
    then is what is thought of the annotators, as `bal.query.answer_scores` reads it.

    Use it when most rows have several answers; where most have one, of someone who errs, `by_evidence` learns more.

    Args:
      learner: one that learns from soft labels ``[L, C]``, as those trained by `categorical` do.
      consensus: `dawid_skene`, `majority_vote`, or a function of `Answers` of one's own.

    Raises:
      ValueError: a learner on the host; when fitting, labels that are no class numbers, or data that do not say who
        answered about what.

    >>> from bal.learners import ensemble, linear, majority_vote
    >>> by_consensus(ensemble(linear(3), 2), majority_vote(num_classes=3, num_annotators=2))  # doctest: +ELLIPSIS
    by_consensus(ensemble(linear(num_outputs=3), ...), majority_vote(num_classes=3, num_annotators=2))

    Dawid and Skene 1979.
    """

    def teach(found: Consensus, weight: Array) -> tuple[Array, Array]:
        return found.labels, weight

    return _taught(learner, consensus, teach)


@method
def by_evidence(learner: Learner, consensus: Callable[[Answers], Consensus]) -> Learner:
    """A classifier of true classes that is fitted to answers through the confusion of those who gave them.

    ``p(answers about x) = Σ_c p(c | x) Π_l confusion[a_l, c, y_l]`` is what training makes likely, with the confusion
    that `consensus` finds: the learner is given the evidence ``∝ Π_l confusion[a_l, c, y_l]`` of each row for a soft
    label, whose loss must be that of `evidence`. What others say about similar rows so decides between the classes
    that an annotator confuses, where soft labels would have it learn the confusion.

    Use it when annotators err and most rows have one answer. State and inputs are those of `by_consensus`.

    Args:
      learner: one of ``likelihood=evidence``.
      consensus: `dawid_skene`, most often.

    Raises:
      ValueError: as `by_consensus`.

    >>> from bal.learners import dawid_skene, ensemble, linear
    >>> network = ensemble(linear(2), 2, likelihood=evidence)
    >>> by_evidence(network, dawid_skene([[[0.9, 0.1], [0.3, 0.7]]])).embed is None
    False

    Raykar et al. 2010, "Learning From Crowds"; Patrini et al. 2017, "Making Deep Neural Networks Robust to Label
    Noise: a Loss Correction Approach".
    """

    def teach(found: Consensus, weight: Array) -> tuple[Array, Array]:
        return found.evidence, (weight > 0).astype(weight.dtype)  # weights are in the evidence already

    return _taught(learner, consensus, teach)


def _evidence_loss(outputs: Float[Array, "n C"], y: Array) -> Float[Array, "n"]:
    if y.shape != outputs.shape or not jnp.issubdtype(y.dtype, jnp.floating):
        raise ValueError(
            f"evidence needs labels that are odds of {outputs.shape[1]} classes, got {y.dtype} of shape {y.shape}; "
            "wrap the learner in by_evidence(learner, dawid_skene(confusion)), or give candidate_sets(sets, C)"
        )
    log_odds = jnp.log(jnp.maximum(y.astype(outputs.dtype), TINY))
    return -jax.nn.logsumexp(jax.nn.log_softmax(outputs, -1) + log_odds, -1)


evidence = Likelihood(_evidence_loss, categorical.predictions)
"""Classes known by evidence: labels are odds q ``[n, C]``, of any scale, that the answers about a row give its classes;
the loss is ``-log Σ_c q_c p_c``, least where all of p is on classes of the most evidence. Predictions as `categorical`.
"""


def _taught(learner: Learner, consensus: Callable[[Answers], Consensus], teach: Callable) -> Learner:
    if learner.host:
        raise ValueError(
            "labels of several annotators are made in a compiled program, but this learner is on the host; make them "
            "outside, as majority_vote(...)(answers).labels"
        )

    def taught(data: Data) -> tuple[Data, Consensus]:
        row, annotator = _who(data)
        if jnp.ndim(data.y) != 1 or not jnp.issubdtype(data.y.dtype, jnp.integer):
            raise ValueError(
                f"expected answers that are class numbers [L], got {data.y.dtype} of shape {data.y.shape}; without "
                "annotators to weigh, fit the learner itself"
            )
        answers = Answers(*map(jnp.asarray, (row, annotator, data.y, data.weight)))
        found, (_, weight, item, first) = consensus(answers), grouped(answers)
        count = jnp.maximum(jax.ops.segment_sum((weight > 0).astype(weight.dtype), item, len(item)), 1)
        mean = (jax.ops.segment_sum(weight, item, len(item)) / count)[item]
        given = Data(_inputs(data.x), *teach(found, jnp.where(first, mean, 0.0)), unlabeled=data.unlabeled)
        return given, found

    def init(key: PRNGKey, data: Data) -> Believed:
        data, found = taught(data)
        return Believed(learner.init(key, data), found.confusion, found.prior)

    def fit(key: PRNGKey, state: Believed, data: Data) -> Believed:
        data, found = taught(data)
        return Believed(learner.fit(key, state.state, data), found.confusion, found.prior)

    predict = lambda state, x: learner.predict(state.state, _inputs(x))
    embed, kernel = learner.embed, learner.kernel
    embed_rows = None if embed is None else lambda state, x: embed(state.state, _inputs(x))
    joint = kernel and (lambda state, a, b: kernel(state.state, a, b))
    return Learner(init, fit, predict, embed_rows, joint, unlabeled=learner.unlabeled)


def _who(data: Data) -> tuple[Any, Any]:
    if isinstance(data.x, Asked):
        return data.x.row, data.x.annotator
    if data.row is None or data.annotator is None:
        raise ValueError(
            "expected data that say who answered about which row; run it on a task of bal.query.questions, or give "
            "Data(x, y, weight, annotator, row)"
        )
    return data.row, data.annotator


def _inputs(x: PyTree) -> PyTree:
    return x.x if isinstance(x, Asked) else x
