"""A query as a strategy of modAL: ``ActiveLearner(estimator, as_modal(bald()), ...)``, also for committees."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.bridges.picking import check_query, fitted_learner, pick
from bal.learners.estimators import check_estimator, member_probabilities, moments
from bal.method import method
from bal.typing import Gaussian, Posterior, Query


@method
def as_modal(
    query: Query, *, by_member: bool = False, noise: float | None = None, seed: int = 0
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """A query strategy of modAL, ``strategy(learner, X_pool, n_instances=1) -> (indices, scores)``.

    The members of a `Committee` are the posterior draws, of a `CommitteeRegressor` too; the estimator of an
    `ActiveLearner` is one draw, or one a member. Rows the learner was taught (`X_training`) are known rows, so that
    core-sets and batch rules keep off them. The scores are those at the moment of picking; modAL returns them where
    ``return_metrics=True``.

    modAL takes a strategy that returns two indices for one that returns indices and scores, and so loses a row of every
    batch of two; this one always returns both.

    modAL 0.4.2.1 itself cannot `teach` where scikit-learn is newer than 1.7, which it hands an option that is gone.

    Use it when a program is written for modAL; a new one takes `bal.Campaign`, which knows corrections and records.

    Args:
      query: as `bal.strategies.bald()`; none that remembers rounds.
      by_member: one draw a member of a forest, or of a bagging or voting ensemble; BALD of one draw is 0.
      noise: variance of a regressor's labels, as in `bal.learners.from_sklearn`.
      seed: of rules that draw. The same learner and pool draw the same rows; the number of labels and of rows left
        changes the draw.

    Raises:
      ValueError: when called, a model that is not fitted yet, more picks than rows, sparse rows.
      TypeError: no query, or one that remembers rounds; when called, a model without probabilities.

    >>> from bal.strategies import bald
    >>> as_modal(bald(), by_member=True)
    as_modal(bald(select=best), by_member=True, seed=0)

    Danka and Horvath 2018, "modAL: A Modular Active Learning Framework for Python".
    """
    check_query(query)
    rows_of = fitted_learner(lambda model, x: _predicted(model, x, by_member, noise))

    def strategy(learner: Any, X_pool: Any, n_instances: int = 1) -> tuple[np.ndarray, np.ndarray]:
        members = getattr(learner, "learner_list", [learner])
        known = members[0].X_training
        if known is None:
            raise ValueError("nothing is fitted yet; give the learner X_training and y_training, or teach it first")
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), len(known)), len(X_pool))
        found = pick(key, query, Posterior(learner, rows_of), X_pool, known, n_instances)
        return found.indices, found.scores

    return strategy


def _predicted(model: Any, x: np.ndarray, by_member: bool, noise: float | None) -> Any:
    """Probabilities ``[n, K, C]`` or ``[n, C]``, or a `Gaussian`, of a learner or committee of modAL."""
    if hasattr(model, "vote_proba"):
        return model.vote_proba(x)
    if hasattr(model, "learner_list"):
        if noise is None:
            raise ValueError("a committee of regressors does not tell the variance of its labels: give noise=0.1, say")
        mean = model.vote(x)
        return Gaussian(mean, np.zeros_like(mean), np.full_like(mean, noise))
    estimator = model.estimator
    if hasattr(estimator, "predict_proba"):
        return member_probabilities(estimator, x) if by_member else estimator.predict_proba(x)
    check_estimator(estimator, None, by_member, noise)
    return Gaussian(*map(jnp.asarray, moments(estimator, x, by_member, noise)))
