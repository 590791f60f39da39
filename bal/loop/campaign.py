"""Ask / tell / skip: active learning where people or laboratories give the labels. The only stateful object here."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.learners.convergence import unconverged
from bal.learners.settings import check_count
from bal.loop.checkpoint import pack_parts, restore
from bal.loop.checks import (
    check_key,
    check_kind,
    check_labels,
    check_predictions,
    check_record,
    check_row_ids,
    check_rows,
)
from bal.loop.doors import CHECKED_ROWS, check_setup, predicted, warn_of_oddities
from bal.loop.eager import run_parts
from bal.loop.fingerprint import row_digests, rows_digest
from bal.loop.growing import grown, open_pool
from bal.loop.opening import open_event, reopen
from bal.loop.round import Carry, begin, draw_start
from bal.pool.arrays import as_rows
from bal.pool.asked import advance, is_answered, is_pending
from bal.pool.over import dense, num_rows, take
from bal.typing import Labeled, Learner, Over, Pool, Posterior, PRNGKey, PyTree, Query, Selection, Values

_draw_start = jax.jit(draw_start, static_argnums=2)


class _Now(NamedTuple):
    """All that a campaign knows; each call makes the next one, and puts it in place at its very end.

    log: in numpy, see `bal.pool.asked`; num_queries: asks that fitted the learner.
    """

    pool: Pool
    num_rows: int
    log: Labeled
    state: PyTree
    memory: PyTree
    num_queries: int
    selection: Selection | None


class Campaign:
    """One pool, one learner, one query, and labels that arrive when they arrive.

    Calls from several threads are done one after the other.

    >>> from bal.acquisition import bald
    >>> from bal.learners import ensemble, mlp
    >>> from bal.query import by_score
    >>> from bal.selection import best
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> learner = ensemble(mlp((8,), num_outputs=2), num_members=3, num_steps=10)
    >>> campaign = Campaign(jax.random.key(0), learner, by_score(bald, best), x, capacity=8, num_classes=2)
    >>> rows = campaign.ask(4)  # nothing is labeled yet: a random start set
    >>> campaign.tell(rows, x[rows, 0] > 0)
    >>> rows = campaign.ask(2)
    >>> campaign.skip(rows[:1])
    >>> campaign.tell(rows[1:], [1])
    >>> campaign.num_labeled, campaign.pending.tolist()
    (5, [])
    """

    def __init__(
        self,
        key: PRNGKey,
        learner: Learner,
        query: Query,
        x: PyTree,
        *,
        capacity: int,
        num_classes: int | None = None,
        num_outputs: int | None = None,
        cost: Values | None = None,
        pool_capacity: int | None = None,
        over: Over = dense,
        record: Any = None,
    ):
        """Open a campaign over the rows of `x`; nothing is fitted yet.

        Args:
          key: all randomness of the campaign hangs on it.
          learner, query, over: as in `bal.loop.run`.
          x: pool inputs, a tree of arrays that lead with the rows.
          capacity: how many rows may ever be asked for or told; fixes the shapes, so all rounds share one program.
          num_classes: labels are integers in [0, num_classes); None = real numbers.
          num_outputs: a label is an array of as many real numbers; None = one number, without an axis.
          cost: price of every row's label.
          pool_capacity: rows that the pool may grow to through `add`; by default it does not grow.
          record: an open `bal.records.Record`: every event is on disk before a call returns, and opening a campaign
            with the record of an earlier one continues it. Hand in all rows then, those added later included, in
            their order; new ones may follow, and capacities may grow. Another learner or query is named in a warning
            and goes on from the labels. A learner whose state is not made of arrays (``over=host()``) is fitted anew
            from the labels, which is all the same where `fit` starts cold.

        Raises:
          ValueError: rows that are not finite or do not share their leading axis, a capacity below 1, both classes and
            outputs; labels of another kind than the learner predicts; a record of other rows, key or labels.
          TypeError: a learner, query, `over` or record that is something else.
        """
        check_key(key)
        check_setup(learner, query, over)
        x = as_rows(x)
        check_rows(x)
        check_count("capacity", capacity)
        for name, number in (("num_classes", num_classes), ("num_outputs", num_outputs)):
            if number is not None:
                check_count(name, number)
        if num_classes is not None and num_outputs is not None:
            raise ValueError(f"expected num_classes or num_outputs, got {num_classes} and {num_outputs}; leave one out")
        n = num_rows(x)
        grow = 0 if pool_capacity is None else check_count("pool_capacity", pool_capacity) - n
        if grow < 0:
            raise ValueError(f"pool_capacity {pool_capacity} is smaller than the {n} rows given")
        check_record(record)
        y_like = jnp.zeros(
            (1,) if num_outputs is None else (1, num_outputs), float if num_classes is None else jnp.int32
        )
        if over.place != "host":
            check_kind(predicted(learner, x, y_like)[1], num_classes, num_outputs)
        pool = open_pool(x, cost, grow, over)
        self._key, self._num_classes, self._num_outputs, self._record = key, num_classes, num_outputs, record
        self._parts = run_parts(learner, query, Posterior.predict, over)
        carry = begin(key, learner._replace(init=self._parts.init), query, pool, y_like, capacity)
        log = jax.tree.map(np.asarray, carry.labeled)
        self._now = _Now(pool, n, log, carry.state, carry.memory, 0, None)
        self._lock, self._is_behind = threading.RLock(), False
        if record is not None:
            opened = open_event(key, learner, query, pool, n, capacity, num_classes, num_outputs)
            self._now = _resume(self._now, record, opened)

    @property
    def num_labeled(self) -> int:
        """Rows with an answer."""
        return int(is_answered(self._now.log).sum())

    @property
    def indices(self) -> np.ndarray:
        """Rows with an answer, in the order in which they were asked for."""
        log = self._now.log
        return np.asarray(log.indices)[is_answered(log)]

    @property
    def labels(self) -> np.ndarray:
        """The answers, aligned with `indices`."""
        log = self._now.log
        return np.asarray(log.y)[is_answered(log)]

    @property
    def pending(self) -> np.ndarray:
        """Rows asked for and neither answered nor skipped."""
        log = self._now.log
        return np.asarray(log.indices)[is_pending(log)]

    @property
    def last_selection(self) -> Selection | None:
        """Scores and counts of the last `ask`; None before the first."""
        return self._now.selection

    def ask(self, batch_size: int = 1) -> np.ndarray:
        """Fit to all answers so far and return the rows to label next, best first.

        While nothing is labeled the rows are drawn at random. Pending and skipped rows are not asked for again.
        `last_selection` keeps scores and counts.

        Raises:
          ValueError: a batch below 1 or larger than what is left of the pool or of the capacity, or predictions that
            are not finite, not normalised or of the wrong shape. The campaign is then as it was before the call.
        """
        check_count("batch_size", batch_size)
        with self._alone() as now:
            left = now.num_rows - int(now.log.count)
            if batch_size > left:
                raise ValueError(
                    f"the pool has {left} rows left, fewer than batch_size={batch_size}; ask for fewer or add rows"
                )
            _check_room(now.log, batch_size)
            after = self._query(now, batch_size) if self.num_labeled else self._draw(now, batch_size)
            picked: Any = after.selection
            valid = np.asarray(picked.valid)
            if not valid.all():
                raise ValueError(
                    f"only {valid.sum()} of {batch_size} rows could be picked: the scores of the others are not "
                    "numbers; check the predictions"
                )
            warn_of_oddities(picked.info, valid)
            rows = np.asarray(picked.indices)
            scores = np.asarray(picked.scores)
            event = {"kind": "ask", "rows": rows, "scores": scores, "queries": after.num_queries, **self._signed(rows)}
            after = after._replace(log=advance(now.log, [event]))
            if self._record is not None:
                parts = {"state": (now.state, after.state), "memory": (now.memory, after.memory)}
                self._record.save_state(after.num_queries, pack_parts(parts))
            self._put(event, after)
        return rows

    def tell(self, indices: Values, labels: Values) -> None:
        """Give labels of rows: pending ones, or any other present row that has no label yet.

        Raises:
          ValueError: a row outside the pool, named twice or labeled before; labels of another number, not finite, not
            integers or out of range; no room in the capacity. Nothing is stored then.
        """
        with self._alone() as now:
            rows = check_row_ids(indices, now.num_rows)
            if not len(rows) and not np.size(labels):
                return
            y = check_labels(labels, len(rows), self._num_classes, self._num_outputs, rows)
            known = rows[np.isin(rows, self.indices)]
            if len(known):
                raise ValueError(f"row {known[0]} has a label already; labels are not overwritten")
            _check_room(now.log, len(np.setdiff1d(rows, now.log.indices)))
            event = {"kind": "tell", "rows": rows, "labels": y, **self._signed(rows)}
            self._put(event, now._replace(log=advance(now.log, [event])))

    def skip(self, indices: Values) -> None:
        """Give up on pending rows: they are not asked for again and training never sees them.

        Raises:
          ValueError: a row that is not pending. Nothing is changed then.
        """
        with self._alone() as now:
            rows = check_row_ids(indices, now.num_rows)
            strangers = rows[~np.isin(rows, self.pending)]
            if len(strangers):
                raise ValueError(
                    f"row {strangers[0]} is not pending, so it cannot be skipped; pending are {self.pending}"
                )
            event = {"kind": "skip", "rows": rows}
            if len(rows):
                self._put(event, now._replace(log=advance(now.log, [event])))

    def add(self, x: PyTree, cost: Values | None = None) -> np.ndarray:
        """Let new rows join the pool; returns their ids.

        Raises:
          ValueError: more rows than `pool_capacity` leaves room for, other shapes than the pool's, not finite.
        """
        with self._alone() as now:
            pool, new = grown(now.pool, now.num_rows, x, cost)
            ids = np.arange(now.num_rows, now.num_rows + len(new.present))
            event = {"kind": "add", "rows": ids}
            if self._record is not None:
                event |= {"pool": rows_digest(new.x), "cost": rows_digest(new.cost)}
            self._put(event, now._replace(pool=pool, num_rows=now.num_rows + len(ids)))
        return ids

    def predict(self, x: PyTree) -> PyTree:
        """Predictions for any rows under a fit to all answers so far (the fit that the next `ask` would use)."""
        with self._alone() as now:
            if self.num_labeled == 0:
                raise ValueError("nothing is labeled yet, so there is no posterior; tell some labels first")
            x = as_rows(x)
            check_rows(x, like=now.pool.x)
            state = self._fit(now).state
            early = unconverged(state)
            if early is not None:
                warnings.warn(early, stacklevel=2)
            return self._parts.evaluate(state, x)

    @contextmanager
    def _alone(self) -> Iterator[_Now]:
        """One call at a time, and none after one that was cut off between the record and the object."""
        with self._lock:
            if self._is_behind:
                raise RuntimeError(
                    "an earlier call ended while its event was being written, so that record and campaign may differ; "
                    "open the record and the campaign again"
                )
            yield self._now

    def _put(self, event: dict, after: _Now) -> None:
        if self._record is not None:
            self._is_behind = True
            self._record.append([event])
        self._now = after
        self._is_behind = False

    def _signed(self, rows: np.ndarray) -> dict:
        """Digests of rows, for a record."""
        return {} if self._record is None else {"digests": row_digests(self._now.pool.x, rows)}

    def _round_key(self, now: _Now) -> PRNGKey:
        return jax.random.fold_in(self._key, now.num_queries)

    def _draw(self, now: _Now, batch_size: int) -> _Now:
        eligible = np.array(now.pool.present)
        eligible[now.log.indices[: int(now.log.count)]] = False
        return now._replace(selection=_draw_start(self._key, now.pool._replace(present=eligible), batch_size))

    def _fit(self, now: _Now) -> Carry:
        labeled = jax.tree.map(jnp.asarray, now.log)
        return Carry(labeled, self._parts.fit(self._round_key(now), now.pool, labeled, now.state), now.memory)

    def _query(self, now: _Now, batch_size: int) -> _Now:
        carry = self._fit(now)
        some = take(now.pool.x, np.arange(min(now.num_rows, CHECKED_ROWS)))
        check_predictions(self._parts.evaluate(carry.state, some), num_rows(some), self._num_classes)
        selection, memory = self._parts.acquire(self._round_key(now), now.pool, carry, batch_size)
        return now._replace(state=carry.state, memory=memory, num_queries=now.num_queries + 1, selection=selection)


def _resume(now: _Now, record: Any, opened: dict) -> _Now:
    """Where the events on record lead from a fresh start; how it was opened is written down where that is new."""
    events = record.events
    news = reopen(events, opened, now.pool)
    number = max((event["queries"] for event in events if event["kind"] == "ask"), default=0)
    now = now._replace(log=advance(now.log, events), num_queries=number)
    state, memory = restore(record.load_state(), number, now.state, now.memory, news)
    if not record.done:  # a finished record can still be looked at
        record.append([opened] if news else [])
    return now._replace(state=state, memory=memory)


def _check_room(log: Labeled, num_new: int) -> None:
    room = len(log.indices) - int(log.count)
    if num_new > room:
        raise ValueError(f"the capacity leaves room for {room} more rows, got {num_new}; open with a larger capacity")
