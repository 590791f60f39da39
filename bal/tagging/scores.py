"""Scores of sentences: any score of a word averaged over the words of its sentence, and MNLP.

Every score takes `Tags`, is row-wise in sentences, and higher means: label first. Padding counts for nothing. A mean
compares sentences of all lengths; a sum asks for long ones, and is here for budgets that count sentences, or for what a
sentence has to teach in all.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.kinds import check_log_probs, check_tags
from bal.method import method
from bal.numerics import defined, mean_log_probs
from bal.typing import Acquisition, Tags


@method
def mean_over_words(acquisition: Acquisition) -> Acquisition:
    """The score of a sentence: the mean over its words of a score of their predictions.

    ``u = (1/n) Σ_t acquisition(log_probs_t)``. A sentence without words has 0.

    Use it to bring any acquisition function of `bal.acquisition` that takes log probabilities to sentences, where the
    budget counts words.

    Args:
      acquisition: ``log_probs [N, K, C] -> scores [N]``, handed every word as a row.

    >>> from bal.acquisition import bald
    >>> two = jnp.log(jnp.array([[[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]]))  # one sentence, K = 2, T = 2
    >>> tags = Tags(two, jnp.ones((1, 2), bool), jnp.zeros((1, 2), int))
    >>> round(mean_over_words(bald)(tags).item(), 4)  # log 2 at the first word, 0 at the second
    0.3466

    Shelmanov et al. 2021, "Active Learning for Sequence Tagging with Deep Pre-trained Models and Bayesian Uncertainty
    Estimates".
    """

    def score(predictions: Tags) -> Float[Array, "N"]:
        words = of_words(acquisition, predictions)
        return words.sum(1) / jnp.maximum(predictions.mask.sum(1), 1)

    return score


@method
def sum_over_words(acquisition: Acquisition) -> Acquisition:
    """The score of a sentence: the sum over its words of a score of their predictions; see `mean_over_words`.

    It grows with the length: the longest sentences come first. Divided by the number of words (`bal.selection.per_cost`
    with that as the price) it is the mean.

    Use it where every sentence costs the same.

    Args:
      acquisition: ``log_probs [N, K, C] -> scores [N]``, handed every word as a row.

    >>> from bal.acquisition import bald
    >>> two = jnp.log(jnp.array([[[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]]))
    >>> tags = Tags(two, jnp.ones((1, 2), bool), jnp.zeros((1, 2), int))
    >>> round(sum_over_words(bald)(tags).item(), 4)
    0.6931
    """

    def score(predictions: Tags) -> Float[Array, "N"]:
        return of_words(acquisition, predictions).sum(1)

    return score


def of_words(acquisition: Acquisition, predictions: Tags) -> Float[Array, "N T"]:
    """The score of every word, 0 for padding."""
    check_tags(getattr(acquisition, "__name__", "this score"), predictions)
    log_probs, mask = predictions.log_probs, predictions.mask
    n, k, t, c = log_probs.shape
    words = acquisition(log_probs.transpose(0, 2, 1, 3).reshape(n * t, k, c)).reshape(n, t)
    return jnp.where(mask, words, 0.0)


def mode_surprise(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """``-log max_c p̄_c``: how unlikely the likeliest class is; between 0 and log C, and ranks as least confidence.

    Use it in `mean_over_words` for MNLP without a chain.

    >>> round(mode_surprise(jnp.log(jnp.array([[[0.8, 0.2], [0.2, 0.8]]]))).item(), 4)
    0.6931
    """
    check_log_probs("mode_surprise", log_probs)
    mean = mean_log_probs(log_probs)
    return defined(-mean.max(-1), mean.sum(-1))


def mnlp(predictions: Tags) -> Float[Array, "N"]:
    """Maximum normalized log-probability, negated: ``-(1/n) max_y log p(y | x)`` of the likeliest tags of a sentence.

    Where words are independent it is the mean of ``-log max_c p̄_c`` over words, p̄ the mean over draws; of a chain, the
    score of the likeliest sequence less the log partition, without dropout. At least 0; log C where all is uniform.

    Use it as the deterministic baseline of sequence tagging: it needs no draws.

    >>> tags = Tags(jnp.log(jnp.full((1, 1, 2, 4), 0.25)), jnp.ones((1, 2), bool), jnp.zeros((1, 2), int))
    >>> round(mnlp(tags).item(), 4)  # log 4
    1.3863

    Shen et al. 2018, "Deep Active Learning for Named Entity Recognition".
    """
    check_tags("mnlp", predictions)
    if predictions.log_best is None:
        return _mean_surprise(predictions)
    return -predictions.log_best / jnp.maximum(predictions.mask.sum(1), 1)


def unlikely(predictions: Tags) -> Float[Array, "N"]:
    """``-max_y log p(y | x)``, `mnlp` times the number of words: long sentences first.

    Use it to see what normalizing does, or where every sentence costs the same.

    >>> tags = Tags(jnp.log(jnp.full((1, 1, 2, 4), 0.25)), jnp.ones((1, 2), bool), jnp.zeros((1, 2), int))
    >>> round(unlikely(tags).item(), 4)  # 2 log 4
    2.7726

    Culotta and McCallum 2005, "Reducing Labeling Effort for Structured Prediction Tasks", by ``1 - max_y p(y | x)``.
    """
    return mnlp(predictions) * predictions.mask.sum(1)


_mean_surprise = mean_over_words(mode_surprise)
