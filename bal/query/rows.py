"""Row functions: what a stage makes of the rows of the pool, and the contexts that go with them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.kinds import check_log_probs
from bal.method import method
from bal.numerics import dot
from bal.pool.over import num_rows
from bal.selection.cover.ranked_batch import ScoredFeatures
from bal.selection.sparse.features import pseudo_label_gradients
from bal.selection.sparse.rows import SparseRows
from bal.selection.variance.bait import FisherRows, softmax_fisher
from bal.typing import Posterior, PRNGKey, PyTree, Round


def predict(posterior: Posterior, x: PyTree) -> PyTree:
    """What the learner predicts for rows, as JAX arrays that lead with the rows, also where a host model computes it.

    Raises:
      ValueError: predictions for another number of rows.
    """
    found = jax.tree.map(jnp.asarray, posterior.predict(x))
    n = num_rows(x)
    if any(leaf.shape[:1] != (n,) for leaf in jax.tree.leaves(found)):
        raise ValueError(
            f"expected predictions that lead with the {n} rows, got {jax.tree.map(jnp.shape, found)}; `predict` is "
            "row-wise: one prediction for each row of x"
        )
    return found


@method
def score(acquisition: Callable[[PyTree], Float[Array, "n"]]) -> Callable:
    """The row function that predicts and scores: ``acquisition(posterior.predict(x))``.

    >>> from bal.acquisition import bald
    >>> score(bald), score(bald) == score(bald)
    (score(bald), True)
    """

    def score_rows(posterior: Posterior, context: PyTree, x: PyTree) -> Float[Array, "n"]:
        del context
        found = acquisition(predict(posterior, x))
        if jnp.shape(found) != (num_rows(x),):
            raise ValueError(
                f"expected one score per row, [{num_rows(x)}], but {getattr(acquisition, '__name__', 'it')} "
                f"returned {jax.tree.map(jnp.shape, found)}; a function that makes an acquisition must be called first"
            )
        return found

    return score_rows


def predictions(posterior: Posterior, context: PyTree, x: PyTree) -> PyTree:
    """The row function that hands a batch rule the predictions themselves."""
    del context
    return predict(posterior, x)


def embeddings(posterior: Posterior, context: PyTree, x: PyTree) -> PyTree:
    """The row function that hands a batch rule the learner's embeddings."""
    del context
    return posterior.embed(x)


def inputs(posterior: Posterior, context: PyTree, x: Any) -> Float[Array, "n D"]:
    """The row function that hands a batch rule the inputs themselves, flattened."""
    del posterior, context
    return x.reshape(len(x), -1)


def features(posterior: Posterior, context: PyTree, x: PyTree) -> Float[Array, "n F"]:
    """The row function that hands a batch rule one vector a row: the embeddings of all draws, side by side.

    Raises ValueError if the learner embeds rows in other ways than as vectors, as Gaussian processes do.
    """
    del context
    hidden = posterior.embed(x)
    hidden = getattr(hidden, "features", hidden)  # of a linear head, beside the noise of a label
    if not hasattr(hidden, "reshape"):
        raise ValueError(
            f"features needs embeddings that are an array [n, K, F], but this learner gives a {type(hidden).__name__}; "
            "compare the inputs themselves, as Stage(inputs, k_center()) does"
        )
    return hidden.reshape(len(hidden), -1)


@method
def scored_features(acquisition: Callable[[PyTree], Float[Array, "n"]]) -> Callable:
    """The row function of rules that weigh a score against distances: the score beside `features`."""

    def scored(posterior: Posterior, context: PyTree, x: PyTree) -> ScoredFeatures:
        return ScoredFeatures(score(acquisition)(posterior, context, x), features(posterior, context, x))

    return scored


@method
def fisher_rows(num_features: int) -> Callable:
    """The row function of BAIT for classifiers: `softmax_fisher` on features averaged over draws, then projected.

    The projection to `num_features` coordinates, so that P = `num_features` C, is random and the same in every round.
    """

    def fisher(posterior: Posterior, context: PyTree, x: PyTree) -> FisherRows:
        del context
        found = predict(posterior, x)
        check_log_probs("fisher_rows", found)
        mean = posterior.embed(x).mean(1)
        project = jax.random.normal(jax.random.key(0), (mean.shape[1], num_features)) / num_features**0.5
        return softmax_fisher(found, dot(mean, project))

    return fisher


def key_context(key: PRNGKey, round: PyTree, over: PyTree) -> PRNGKey:
    """The context of a stage whose rows are random features: a key of the round, the same for every row.

    >>> bool(key_context(jax.random.key(0), None, None) == jax.random.key(0))
    True
    """
    del round, over
    return key


def posterior_context(key: PRNGKey, round: Round, over: PyTree) -> Posterior:
    """The context of a stage whose kernel is the learner's: the posterior itself."""
    del key, over
    return round.posterior


@method
def sparse_rows(features: Callable[[Any], SparseRows]) -> Callable[[Posterior, PyTree, PyTree], SparseRows]:
    """The row function that predicts and takes features: ``features(posterior.predict(x))``.

    >>> from bal.selection import expected_log_likelihoods
    >>> sparse_rows(expected_log_likelihoods)
    sparse_rows(expected_log_likelihoods)
    """

    def feature_rows(posterior: Posterior, context: PyTree, x: PyTree) -> SparseRows:
        del context
        return features(predict(posterior, x))

    return feature_rows


def gradient_rows(posterior: Posterior, context: PyTree, x: PyTree) -> SparseRows:
    """The row function of `pseudo_label_gradients`, from a learner's predictions and its embedding."""
    del context
    hidden = posterior.embed(x)
    if hidden.ndim != 3 or hidden.shape[1] != 1:
        raise ValueError(f"gradient features need one embedding a row, [n, 1, F], got {hidden.shape}: embed one member")
    return pseudo_label_gradients(predict(posterior, x), hidden[:, 0])
