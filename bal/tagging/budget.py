"""Budgets that count words: how many sentences a round has depends on how long they are."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from bal.learners.settings import check_count
from bal.method import method
from bal.numerics import row_gumbel
from bal.query import score
from bal.selection import best, random_uniform
from bal.selection.kinds import check_scores
from bal.typing import Acquisition, Candidates, PRNGKey, Query, Select, Selection, Stage, Values


@method
def until_spent(select: Select, budget: float) -> Select:
    """Picks of `select` in order until their prices reach the budget, with the one that crosses it.

    A round spends at least `budget` and less than that and the price of its last row; later places of the batch are
    ``valid=False``. The batch size is the most rows that a round may have, see `most_rows`: it must not stop it.
    ``info["spent"]`` is what was spent.

    Use it where a round is so many words to label, as sentences of different length are; `bal.selection.budgeted` never
    crosses its budget and weighs gains by prices.

    Args:
      select: picks row by row, as `best`, `random_uniform` or a greedy rule do.
      budget: in the unit of ``candidates.cost``.

    Raises:
      ValueError: a budget that is not positive and finite.

    >>> from bal.selection import select
    >>> words = select(None, None, until_spent(best, 5.0), 3, scores=[3.0, 2.0, 1.0], cost=[4.0, 3.0, 9.0])
    >>> words.valid.tolist(), words.info["spent"].item()
    ([True, True, False], 7.0)

    Shelmanov et al. 2021, "Active Learning for Sequence Tagging with Deep Pre-trained Models and Bayesian Uncertainty
    Estimates".
    """
    if not 0 < budget < float("inf"):
        raise ValueError(f"expected a budget that is positive and finite, got {budget}")

    def select_until(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        found = select(key, candidates, batch_size)
        price = jnp.where(found.valid, candidates.cost[found.indices], 0.0)
        valid = found.valid & (jnp.cumsum(price) - price < budget)
        info: dict[str, Any] = {**found.info, "spent": jnp.where(valid, price, 0.0).sum()}
        log_q = None if found.log_q is None else jnp.where(valid, found.log_q, -jnp.inf)
        return found._replace(scores=jnp.where(valid, found.scores, -jnp.inf), valid=valid, log_q=log_q, info=info)

    return select_until


@method
def random_first(select: Select = best) -> Select:
    """`select`, and while nothing is labeled the rows that `random_uniform` would pick.

    Use it with ``num_initial=0``, so that the first round is the start set, drawn at random and within the same budget
    as every other; it is that of every set-up with the same key.

    Args:
      select: takes scores, as `best`.

    >>> from bal.selection import select
    >>> select(None, None, random_first(), 1, scores=[3.0, 2.0, 1.0]).indices.shape
    (1,)
    """

    def select_then(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        check_scores("random_first", candidates.rows)
        known = candidates.known_weight
        begun = jnp.zeros((), bool) if known is None else (known > 0).any()
        drawn = row_gumbel(key, candidates.index).astype(candidates.rows.dtype)
        return select(key, candidates._replace(rows=jnp.where(begun, candidates.rows, drawn)), batch_size)

    return select_then


def by_words(acquisition: Acquisition | None, budget: float) -> Query:
    """The query whose rounds are a budget of words: the first at random, later ones by a score of sentences.

    Use it with a pool whose cost is the number of words, ``num_initial=0`` and `most_rows` as the batch size.

    Args:
      acquisition: takes `Tags`, as `mnlp` or ``mean_over_words(bald)``; None = every round is random.
      budget: words of a round; the last sentence crosses it.

    Raises:
      ValueError: a budget that is not positive and finite.

    >>> from bal.tagging import mnlp
    >>> by_words(mnlp, 100.0)
    Query((Stage(score(mnlp), until_spent(random_first(select=best), budget=100.0)),))
    >>> by_words(None, 100.0)
    Query((Stage(None, until_spent(random_uniform, budget=100.0)),))

    Shelmanov et al. 2021, "Active Learning for Sequence Tagging with Deep Pre-trained Models and Bayesian Uncertainty
    Estimates".
    """
    if acquisition is None:
        return Query((Stage(None, until_spent(random_uniform, budget)),))
    return Query((Stage(score(acquisition), until_spent(random_first(best), budget)),))


def most_rows(cost: Values | Float[np.ndarray, "N"], budget: float) -> int:
    """How many of the cheapest rows reach the budget: no batch needs more, whatever is picked.

    Raises:
      ValueError: a budget that all rows together do not reach, costs that are not one number of 0 or more a row.

    >>> most_rows([4.0, 1.0, 2.0], 3.5)
    3
    """
    prices = np.sort(np.asarray(cost, np.float64))
    if prices.ndim != 1:
        raise ValueError(f"expected one cost a row, got shape {prices.shape}")
    wrong = prices[~(prices >= 0)]
    if len(wrong):
        raise ValueError(f"expected costs of 0 or more, got {wrong[0]:g}; leave out rows whose cost is not known")
    reached = np.flatnonzero(np.cumsum(prices) >= budget)
    if not len(reached):
        raise ValueError(f"expected a budget of at most {prices.sum():g}, what all rows cost together, got {budget:g}")
    return check_count("rows of a batch", int(reached[0]) + 1)
