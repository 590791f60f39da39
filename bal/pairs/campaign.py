"""Ask and tell about pairs: people compare two items, as many as they like, in any order."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.learners.settings import check_count
from bal.loop.checks import check_key
from bal.loop.round import FIT, INIT, QUERY, round_key
from bal.pairs.comparison import Comparison, bradley_terry, check_comparison
from bal.pairs.doors import check_campaign, check_pair_ids
from bal.pairs.nouns import Items, PairLog, PairQuery, PairRound, num_items, training_pairs
from bal.pairs.rewards import rewards
from bal.typing import PADDING, Learner, Posterior, PRNGKey, PyTree

SAME = 1e-3
"""Differences of rewards that are none."""


class PairCampaign:
    """Items, a learner of pairs, a query, and answers that arrive when they arrive.

    A pair that was asked is not asked again, answered or not; one that is told twice counts twice, as a second opinion.

    >>> from bal.pairs import linear_reward, pair_bald
    >>> campaign = PairCampaign(jax.random.key(0), linear_reward(4), pair_bald(), Items(np.eye(3)), capacity=9)
    >>> pairs = campaign.ask(1)
    >>> campaign.tell(pairs, [1])  # the first of the two
    >>> campaign.tell([[2, 0]], [1])  # whatever was asked
    >>> campaign.num_answers, campaign.rewards().shape
    (2, (3,))
    """

    def __init__(
        self,
        key: PRNGKey,
        learner: Learner,
        query: PairQuery,
        items: Items,
        *,
        capacity: int,
        comparison: Comparison = bradley_terry,
    ):
        """Open a campaign; nothing is fitted yet.

        Args:
          key: all randomness of the campaign hangs on it.
          learner, query: as in a `PairSetup`.
          items: what is compared.
          capacity: places for answers and for pairs that wait for one; all fits share one program.
          comparison: that of the learner.

        Raises:
          ValueError: fewer than two items or items that are not finite, a group that has no prompt, a capacity below 1.
          TypeError: items, a learner, query or comparison that are none.
        """
        check_key(key)
        check_count("capacity", capacity)
        check_comparison(comparison)
        check_campaign(learner, query, items)
        self._items = jax.tree.map(jnp.asarray, items)
        if num_items(self._items) < 2:
            raise ValueError(f"expected at least 2 items to compare, got {num_items(self._items)}")
        self._key, self._learner, self._query, self._comparison = key, learner, query, comparison
        self._pairs = np.full((capacity, 2), PADDING, np.int32)
        self._y, self._weight = np.zeros(capacity, np.int32), np.zeros(capacity, np.float32)
        self._count, self._asks, self._state = 0, 0, None

    @property
    def num_answers(self) -> int:
        """Answers so far."""
        return int(self._weight.sum())

    @property
    def answers(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs ``[m, 2]`` and answers ``[m]``, 1 where the first is preferred; tell a new campaign to go on."""
        told = self._weight > 0
        return self._pairs[told], self._y[told]

    @property
    def pending(self) -> np.ndarray:
        """Pairs that were asked and have no answer, ``[m, 2]``."""
        return self._pairs[: self._count][self._weight[: self._count] == 0]

    def ask(self, batch_size: int = 1) -> np.ndarray:
        """Fit to all answers and say which pairs to ask about, ``[m, 2]`` item ids; fewer where fewer are left.

        Raises ValueError where the campaign has no room for them and, the first time, for a learner that prefers an
        item to itself.
        """
        self._check_room(check_count("batch_size", batch_size))
        log = self._log()
        state = self._fitted(log)
        key = round_key(self._key, self._asks, QUERY)
        found = _ask(self._learner, self._query, batch_size, key, state, self._items, log)
        pairs = np.asarray(found.pairs)[np.asarray(found.valid)]
        self._state, self._asks = state, self._asks + 1
        self._pairs[self._count : self._count + len(pairs)] = pairs
        self._count += len(pairs)
        return pairs

    def tell(self, pairs: Any, answers: Any) -> None:
        """Answers to pairs, asked or not: 1 where the first of the two as written is preferred, 0 where the second is.

        Raises ValueError, and takes nothing, for ids that are no two items that may be compared, answers that are
        neither 0 nor 1, or more than there is room for.
        """
        pairs, y = np.asarray(pairs), np.asarray(answers)
        n, group = num_items(self._items), self._items.group
        check_pair_ids(pairs, n)
        if y.shape != pairs.shape[:1] or not np.isin(y, (0, 1)).all():
            raise ValueError(f"expected an answer for each of {len(pairs)} pairs, 1 for the first or 0 for the second")
        if group is not None and (np.asarray(group)[pairs[:, 0]] != np.asarray(group)[pairs[:, 1]]).any():
            raise ValueError("only items of one group may be compared; leave out Items.group to compare all with all")
        places, count = [], self._count
        for pair in np.sort(pairs, 1):
            waits = (self._pairs[: self._count] == pair).all(1) & (self._weight[: self._count] == 0)
            open_places = [place for place in np.flatnonzero(waits) if place not in places]
            places.append(open_places[0] if open_places else count)
            count += not open_places
        self._check_room(count - self._count)
        self._pairs[places], self._weight[places] = np.sort(pairs, 1), 1.0
        self._y[places], self._count = np.where(pairs[:, 0] < pairs[:, 1], y, 1 - y), count

    def rewards(self) -> np.ndarray:
        """Posterior mean reward of every item ``[N]``, up to a constant, under the answers told so far."""
        log = self._log()
        state = self._fitted(log)
        return np.asarray(_rewards(self._learner, self._comparison, state, self._items))

    def _fitted(self, log: PairLog) -> PyTree:
        """The state after a fit to the log; the first time it is looked whether the learner is one of differences."""
        begins = self._state is None
        if begins:
            self._state = _init(self._learner, round_key(self._key, 0, INIT), self._items, log)
        state = _fit(self._learner, round_key(self._key, self._asks, FIT), self._state, self._items, log)
        # the reward of the first item is its difference from itself
        if begins and abs(_rewards(self._learner, self._comparison, state, self._items)[0]) > SAME:
            raise ValueError(
                "this learner prefers an item to itself, so it is none of differences; use linear_reward, gp_reward, "
                "or reward_network(...) in a learner of networks"
            )
        return state

    def _log(self) -> PairLog:
        pairs, y, weight = map(jnp.asarray, (self._pairs, self._y, self._weight))
        return PairLog(pairs, y, weight, jnp.asarray(self._count, jnp.int32))

    def _check_room(self, count: int) -> None:
        room = len(self._y) - self._count
        if count > room:
            raise ValueError(
                f"{count} more pairs need room, but {room} places are left; open it with a larger capacity"
            )


@partial(jax.jit, static_argnums=0)
def _init(learner: Learner, key: PRNGKey, items: Items, log: PairLog) -> PyTree:
    return learner.init(key, training_pairs(log, items))


@partial(jax.jit, static_argnums=0)
def _fit(learner: Learner, key: PRNGKey, state: PyTree, items: Items, log: PairLog) -> PyTree:
    return learner.fit(key, state, training_pairs(log, items))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _ask(
    learner: Learner, query: PairQuery, batch_size: int, key: PRNGKey, state: PyTree, items: Items, log: PairLog
) -> Any:
    return query(key, PairRound(Posterior(state, learner), items, log), batch_size)


@partial(jax.jit, static_argnums=(0, 1))
def _rewards(learner: Learner, comparison: Comparison, state: PyTree, items: Items) -> Any:
    return rewards(Posterior(state, learner), items, comparison).mean
