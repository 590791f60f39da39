"""Selectors that rank rows by one score each: the best, the best per cost, uniformly random, and a shortlist."""

from typing import Any

import jax.numpy as jnp

from bal.method import method
from bal.numerics import mask_scores, row_gumbel, take_best
from bal.selection.kinds import check_scores, selector
from bal.typing import Candidates, PRNGKey, Select, Selection


@selector
def best(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
    """Top-k: the `batch_size` rows of highest score, where ``candidates.rows`` are the scores ``[n]``.

    Ties go to the lowest position; NaN never wins. `info` counts the eligible rows, the NaN among them, and the rows
    left out although their score ties with the last pick.

    >>> from bal.selection import select
    >>> select(None, None, best, 2, scores=[1.0, 3.0, float("nan"), 2.0]).indices.tolist()
    [1, 3]
    """
    del key
    check_scores("best", candidates.rows)
    indices, ranked, valid = take_best(mask_scores(candidates.rows, candidates.eligible), batch_size)
    scores = jnp.where(valid, candidates.rows[indices], -jnp.inf)
    last = jnp.min(jnp.where(valid, ranked, jnp.inf))
    tied = candidates.eligible & (candidates.rows == last)
    num_tied = tied.sum() - (valid & (ranked == last)).sum()
    return Selection(indices, scores, valid, None, {**count_oddities(candidates), "num_tied": num_tied})


@selector
def random_uniform(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
    """A batch drawn uniformly without replacement; needs no rows. Scores are the random sort keys.

    >>> import numpy as np
    >>> from bal.selection import select
    >>> picks = select(np.eye(4), None, random_uniform, 4)
    >>> sorted(picks.indices.tolist()), [round(float(q), 3) for q in np.exp(picks.log_q)]
    ([0, 1, 2, 3], [0.25, 0.333, 0.5, 1.0])
    """
    noise = row_gumbel(key, candidates.index)
    indices, scores, valid = take_best(mask_scores(noise, candidates.eligible), batch_size)
    num_eligible = candidates.eligible.sum()
    remaining = jnp.maximum(num_eligible - jnp.arange(batch_size), 1)
    log_q = jnp.where(valid, -jnp.log(remaining.astype(scores.dtype)), -jnp.inf)
    return Selection(indices, scores, valid, log_q, {"num_eligible": num_eligible})


@method
def per_cost(select: Select) -> Select:
    """Rank by score per unit of cost: `select` sees ``scores / cost``.

    The greedy rule of budgeted experimental design. It needs scores that are not negative (a negative score divided by
    a high cost would look *better*): use it with information quantities and variances, not with `margin`. Negative
    scores are counted in ``info["num_negative"]``.

    >>> from bal.selection import select
    >>> select(None, None, per_cost(best), 1, scores=[2.0, 3.0], cost=[1.0, 3.0]).indices.tolist()
    [0]

    Guillory and Bilmes 2009, "Average-Case Active Learning with Costs".
    """

    def select_per_cost(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        check_scores("per_cost", candidates.rows)
        selection = select(key, candidates._replace(rows=candidates.rows / candidates.cost), batch_size)
        negative = (candidates.eligible & (candidates.rows < 0)).sum()
        return selection._replace(info={**selection.info, "num_negative": negative})

    return select_per_cost


@method
def shortlist(size: int, select: Select = best) -> Select:
    """Let `size` rows through to the next stage of a query, whatever the batch size.

    >>> from bal.selection import select
    >>> select(None, None, shortlist(3), 1, scores=[0.0, 1.0, 2.0, 3.0]).indices.tolist()
    [3, 2, 1]
    """
    if size < 1:
        raise ValueError(f"a shortlist holds at least 1 row, got size={size}")

    def select_shortlist(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        del batch_size
        return select(key, candidates, size)

    return select_shortlist


def count_oddities(candidates: Candidates) -> dict[str, Any]:
    """How many rows were eligible, and how many of those had no score."""
    nan = candidates.eligible & jnp.isnan(candidates.rows)
    return {"num_eligible": candidates.eligible.sum(), "num_nan": nan.sum()}
