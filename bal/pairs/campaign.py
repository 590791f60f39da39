"""Ask and tell about pairs: people compare two items, as many as they like, in any order."""

import threading
import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.learners.settings import check_count
from bal.loop.checkpoint import pack_parts, restore
from bal.loop.checks import check_key, check_record
from bal.loop.round import FIT, INIT, QUERY, round_key
from bal.loop.shown import campaign_in_markup
from bal.pairs.comparison import Comparison, bradley_terry, check_comparison
from bal.pairs.doors import check_campaign, check_pair_ids
from bal.pairs.events import ASK, TELL, opened, reopened
from bal.pairs.nouns import Items, PairLog, PairQuery, PairRound, num_items, training_pairs
from bal.pairs.rewards import rewards
from bal.typing import PADDING, Learner, Posterior, PRNGKey, PyTree

SAME = 1e-3
"""Differences of rewards that are none."""


class PairCampaign:
    """Items, a learner of pairs, a query, and answers that arrive when they arrive.

    A pair that was asked is not asked again, answered or not; one that is told twice counts twice, as a second opinion.
    Calls from several threads are done one after the other.

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
        record: Any = None,
    ):
        """Open a campaign; nothing is fitted yet.

        Args:
          key: all randomness of the campaign hangs on it.
          learner, query: as in a `PairSetup`.
          items: what is compared.
          capacity: places for answers and for pairs that wait for one; all fits share one program.
          comparison: that of the learner.
          record: an open `bal.records.Record`: every pair that is asked and every answer is on disk before a call
            returns, and opening a campaign with the record of an earlier one goes on behind it, to the same bits; the
            capacity may be larger then.

        Raises:
          ValueError: fewer than two items or items that are not finite, a group that has no prompt, a capacity below 1;
            a record of something else, of other items, key or methods, or of more pairs than there is room for.
          TypeError: items, a learner, query, comparison or record that are none.
        """
        check_key(key)
        check_count("capacity", capacity)
        check_comparison(comparison)
        check_campaign(learner, query, items)
        check_record(record)
        self._items = jax.tree.map(jnp.asarray, items)
        if num_items(self._items) < 2:
            raise ValueError(f"expected at least 2 items to compare, got {num_items(self._items)}")
        self._key, self._learner, self._query, self._comparison = key, learner, query, comparison
        self._pairs = np.full((capacity, 2), PADDING, np.int32)
        self._y, self._weight = np.zeros(capacity, np.int32), np.zeros(capacity, np.float32)
        self._count, self._asks, self._state, self._is_looked_at = 0, 0, None, False
        self._lock, self._record = threading.RLock(), record
        if record is not None:
            methods = {"learner": learner, "query": query, "comparison": comparison}
            opening = opened(key, self._items, **methods)
            past = reopened(record.events, opening, tuple(methods))
            if not record.events:
                record.append([opening])
            for event in past:
                self._take(event)
            loaded = record.load_state()
            if loaded is not None:
                self._state, _ = restore(loaded, self._asks, self._begun(self._log()), None, set())

    def __repr__(self) -> str:
        return (
            f"PairCampaign of {num_items(self._items)} items: {self.num_answers} answers, {len(self.pending)} pairs "
            f"pending; {self._count} of {len(self._y)} places taken\n"
            f"  learner: {self._learner!r}\n  query: {self._query!r}"
        )

    def _repr_html_(self) -> str:
        pairs, y = self.answers
        preferred = np.where(y == 1, pairs[:, 0], pairs[:, 1])
        return campaign_in_markup(self, {"pair": pairs.tolist(), "preferred": preferred.tolist()})

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
        check_count("batch_size", batch_size)
        with self._lock:
            self._check_room(batch_size)
            log = self._log()
            before = self._state = self._begun(log)
            state = self._fitted(log)
            key = round_key(self._key, self._asks, QUERY)
            found = _ask(self._learner, self._query, batch_size, key, state, self._items, log)
            valid = np.asarray(found.valid)
            pairs, scores = np.asarray(found.pairs)[valid], np.asarray(found.scores)[valid]
            if self._record is not None:
                self._record.save_state(self._asks + 1, pack_parts({"state": (before, state), "memory": (None, None)}))
            self._put({"kind": ASK, "pairs": pairs.tolist(), "scores": scores.tolist()})
            self._state = state
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
        with self._lock:
            self._check_room(self._places(pairs)[1] - self._count)
            self._put({"kind": TELL, "pairs": pairs.tolist(), "answers": y.tolist()})

    def rewards(self) -> np.ndarray:
        """Posterior mean reward of every item ``[N]``, up to a constant, under the answers told so far."""
        with self._lock:
            log = self._log()
            self._state = self._begun(log)
            return np.asarray(_rewards(self._learner, self._comparison, self._fitted(log), self._items))

    def _begun(self, log: PairLog) -> PyTree:
        """The state before the next fit."""
        if self._state is not None:
            return self._state
        return _init(self._learner, round_key(self._key, 0, INIT), self._items, log)

    def _fitted(self, log: PairLog) -> PyTree:
        """The state after a fit to the log; the first time it is looked whether the learner is one of differences."""
        state = _fit(self._learner, round_key(self._key, self._asks, FIT), self._state, self._items, log)
        # the reward of the first item is its difference from itself
        if not self._is_looked_at and abs(_rewards(self._learner, self._comparison, state, self._items)[0]) > SAME:
            raise ValueError(
                "this learner prefers an item to itself, so it is none of differences; use linear_reward, gp_reward, "
                "or reward_network(...) in a learner of networks"
            )
        self._is_looked_at = True
        return state

    def _put(self, event: dict[str, Any]) -> None:
        if self._record is not None:
            self._record.append([event | {"at": round(time.time(), 3)}])
        self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        """What an event makes of the log: a pair that is asked takes a place, one that is told that of its question."""
        pairs = np.asarray(event["pairs"], np.int32).reshape(-1, 2)
        if event["kind"] == ASK:
            self._check_room(len(pairs))
            self._pairs[self._count : self._count + len(pairs)] = pairs
            self._count, self._asks = self._count + len(pairs), self._asks + 1
            return
        places, count = self._places(pairs)
        self._check_room(count - self._count)
        y = np.asarray(event["answers"], np.int32)
        self._pairs[places], self._weight[places] = np.sort(pairs, 1), 1.0
        self._y[places], self._count = np.where(pairs[:, 0] < pairs[:, 1], y, 1 - y), count

    def _places(self, pairs: np.ndarray) -> tuple[list[int], int]:
        """Where answers to pairs go: the place that waits, or a new one; and how many places are taken then."""
        places, count = [], self._count
        for pair in np.sort(pairs, 1):
            waits = (self._pairs[: self._count] == pair).all(1) & (self._weight[: self._count] == 0)
            open_places = [place for place in np.flatnonzero(waits).tolist() if place not in places]
            places.append(open_places[0] if open_places else count)
            count += not open_places
        return places, count

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
