"""Batches that a budget must buy: rows of different prices, groups of which one row is enough."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bal.method import method
from bal.numerics import first_argmax, mask_scores
from bal.selection.kinds import check_scores
from bal.selection.rules.greedy import Greedy, Rule, pick_greedily
from bal.typing import Candidates, PRNGKey, Select, Selection, Values

_ROUNDING = 1e-5  # of a budget: prices that add up to it in another order


def additive(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
    """The rule whose rows are scores ``[n]`` that add up: the gain of a row is its score, whatever was picked.

    >>> from bal.selection import greedy, select
    >>> select(None, None, greedy(additive), 2, scores=[1.0, 3.0, 2.0]).indices.tolist()
    [1, 2]
    """
    del key, batch_size
    check_scores("additive", candidates.rows)
    return Greedy((), lambda state: candidates.rows, lambda state, position: state)


@method
def one_per_group(rule: Rule, group: Values) -> Rule:
    """The rule that picks at most one row of each group: what else a group holds is not picked after it.

    Use it when rows of one group are worth little beside one another in a batch: frames of a video, sites of a
    patient, one question put to several annotators.

    Args:
      rule: as `greedy` takes it.
      group: the number of the group of every pool row ``[N]``.

    Raises:
      ValueError: groups that are no whole numbers, one a row.

    >>> from bal.selection import greedy, select
    >>> select(None, None, greedy(one_per_group(additive, [0, 1, 1])), 2, scores=[1.0, 3.0, 2.0]).indices.tolist()
    [1, 0]
    """
    number_of = np.asarray(group)
    if number_of.ndim != 1 or number_of.dtype.kind not in "iu":
        raise ValueError(
            f"expected groups that are one whole number for each pool row, got {number_of.dtype} of shape "
            f"{number_of.shape}; use np.unique(names, return_inverse=True)[1]"
        )

    def apart(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        made = rule(key, candidates, batch_size)
        own = jnp.take(jnp.asarray(number_of), candidates.index, mode="clip")

        def update(state: tuple, position: Array) -> tuple:
            return made.update(state[0], position), state[1] & (own != own[position])

        start = (made.state, jnp.ones(own.shape, bool))
        return Greedy(start, lambda state: made.score(state[0]), update, lambda state: state[1] & _allowed(made, state))

    return apart


@method
def budgeted(rule: Rule, budget: float) -> Select:
    """Pick rows whose prices add up to at most `budget`: by gain per price, or the one best row, whichever gains more.

    Greedy by ``gain(n | picked) / cost_n`` among the rows that what is left can pay; then, if one affordable row alone
    gains more than all of these together, that row. For gains of a monotone submodular function, and a batch size that
    does not stop it, at least ``(1 - 1/e) / 2 = 0.316`` of the best set that the budget buys; neither of the two alone
    has any such bound. Where all costs are equal it is `greedy`. Scores are gains; places not bought are
    ``valid=False``. ``info``: `num_negative` counts eligible rows whose gain was negative at the start (a high price
    makes such a ratio better, so that this is not for `margin`), `spent` is the price of the batch.

    Use it when a round has a price rather than a size; `batch_size` is then the most rows it may have.

    Args:
      rule: as `greedy` takes it; `additive` where rows are scores.
      budget: in the unit of ``candidates.cost``.

    Raises:
      ValueError: a budget that is not positive and finite.

    >>> from bal.selection import select
    >>> bought = lambda budget: select(
    ...     None, None, budgeted(additive, budget), 3, scores=[3.0, 3.5, 9.0], cost=[1.0, 2.0, 6.0]
    ... )
    >>> [picks.indices[picks.valid].tolist() for picks in (bought(3.0), bought(6.0))]
    [[0, 1], [2]]

    Leskovec et al. 2007, "Cost-effective Outbreak Detection in Networks"; Khuller, Moss and Naor 1999.
    """
    if not 0 < budget < float("inf"):
        raise ValueError(f"expected a budget that is positive and finite, got {budget}")

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        made, cost = rule(jax.random.split(key)[0], candidates, batch_size), candidates.cost
        first = made.score(made.state)
        limit = budget * (1 + _ROUNDING)

        per_price = lambda state: made.score(state[0]) / cost
        pay = lambda state, position: (made.update(state[0], position), state[1] + cost[position])
        allows = lambda state: (state[1] + cost <= limit) & _allowed(made, state)
        start = (made.state, jnp.zeros((), cost.dtype))
        found, _ = pick_greedily(Greedy(start, per_price, pay, allows), candidates.eligible, batch_size)
        gains = jnp.where(found.valid, found.scores * cost[found.indices], -jnp.inf)
        alone = mask_scores(first, candidates.eligible & allows(start))
        single = first_argmax(alone)
        better = ~jnp.isneginf(alone[single]) & (first[single] > jnp.where(found.valid, gains, 0.0).sum())
        place = jnp.arange(batch_size)
        valid = jnp.where(better, place == 0, found.valid)
        indices = jnp.where(better & (place == 0), single, found.indices).astype(jnp.int32)
        scores = jnp.where(better, jnp.where(place == 0, first[single], -jnp.inf), gains)
        info: dict[str, Any] = {
            **found.info,
            "num_negative": (candidates.eligible & (first < 0)).sum(),
            "spent": jnp.where(valid, cost[indices], 0.0).sum(),
        }
        return Selection(indices, scores, valid, None, info)

    return select


def _allowed(rule: Greedy, state: tuple) -> Any:
    """What the rule inside allows."""
    return True if rule.allows is None else rule.allows(state[0])
