"""Copy me: a context function, and a row function that reads it.

1. Both go into a file of bal/query/, their names into `__all__`; a recipe that joins them into bal/strategies/.
2. The rows go into `CONTEXTS` and `ROW_FUNCTIONS` of tests/contracts/test_stage_functions.py. They are then tested for
   chunks, labels and absent rows that change nothing, and for being row-wise.
3. The oracle goes beside the tests of its neighbors.
"""

import jax.numpy as jnp
import numpy as np
from contracts.test_stage_functions import CLASSES, FITTED, KEY, ROUND, X
from jaxtyping import Array, Float

from bal.numerics import mean_log_probs
from bal.pool import dense
from bal.query import Query, Stage, run_query
from bal.query.rows import predict
from bal.selection import best
from bal.typing import Over, Posterior, PRNGKey, PyTree, Round


def pool_shares(key: PRNGKey, round: Round, over: Over) -> Float[Array, "C"]:
    """Share of each class in the pool as it is predicted, ``Σ_n p̄_nc / N``, over the rows that are present.

    Use it when classes are rare, as the context of `rare_class_scores`.

    >>> pool_shares(KEY, ROUND, dense).round(2).tolist()
    [0.2..., 0.28..., 0.2..., 0.2...]
    """
    p = over.map(_probabilities, (round.posterior, None), round.pool.x)  # by chunks where the pool is chunked
    return jnp.sum(jnp.where(round.pool.present[:, None], p, 0.0), 0) / jnp.sum(round.pool.present)


def rare_class_scores(posterior: Posterior, context: Float[Array, "C"], x: PyTree) -> Float[Array, "n"]:
    """Expected rarity of a row's class, ``-Σ_c p̄_c log share_c``, in nats."""
    return -_probabilities(posterior, None, x) @ jnp.log(context)


def rare_classes() -> Query:
    """The recipe: rows that are probably of a class that the pool has few of."""
    return Query((Stage(rare_class_scores, best, pool_shares),))


def _probabilities(posterior: Posterior, context: PyTree, x: PyTree) -> Float[Array, "n C"]:
    return jnp.exp(mean_log_probs(predict(posterior, x)))


CONTEXT = (pool_shares, ROUND)
ROW_FUNCTION = (rare_class_scores, pool_shares)


def test_scores_by_loops():
    p = np.exp(np.asarray(FITTED.predict(X), np.float64)).mean(1)
    present = [n for n in range(len(p)) if ROUND.pool.present[n]]
    shares = [sum(p[n, c] for n in present) / len(present) for c in range(CLASSES)]
    expected = [-sum(p[n, c] * np.log(shares[c]) for c in range(CLASSES)) for n in range(len(p))]
    scores = rare_class_scores(FITTED, pool_shares(KEY, ROUND, dense), X)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_the_recipe_picks_the_highest():
    picks, _ = run_query(KEY, rare_classes(), ROUND, 1)
    scores = np.asarray(rare_class_scores(FITTED, pool_shares(KEY, ROUND, dense), X))
    assert picks.indices.tolist() == [max(range(len(X)), key=lambda n: scores[n] if n not in (1, 4, 5) else -1.0)]
