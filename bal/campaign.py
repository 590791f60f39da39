"""Ask / tell / skip: active learning where people or laboratories give the labels. The only stateful object here."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.checkpoint import pack_tree, unpack_tree
from bal.checks import check_labels, check_predictions, check_row_ids, check_rows
from bal.eager import run_parts
from bal.labeled import answer, ask, is_known, is_labeled, make_pool, num_answered, skip
from bal.loop import Carry, begin, draw_start
from bal.query import Query
from bal.rows import Over, dense, num_rows, take
from bal.typing import Learner, Pool, Posterior, PRNGKey, PyTree, Selection, Values

_CHECKED_ROWS = 1000


class Campaign:
    """One pool, one learner, one query, and labels that arrive when they arrive.

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
            with the record of an earlier one continues it. Hand in all rows then, those added later included.

        Raises:
          ValueError: rows that are not finite or do not share their leading axis, a capacity below 1, both classes and
            outputs.
        """
        check_rows(x)
        if num_classes is not None and num_outputs is not None:
            raise ValueError(f"expected num_classes or num_outputs, got {num_classes} and {num_outputs}; leave one out")
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 label, got {capacity}")
        self._key, self._num_classes, self._num_outputs, self._record = key, num_classes, num_outputs, record
        self._num_rows = num_rows(x)
        grow = (pool_capacity or self._num_rows) - self._num_rows
        if grow < 0:
            raise ValueError(f"pool_capacity {pool_capacity} is smaller than the {self._num_rows} rows given")
        if grow or over.place == "device":
            x = jax.tree.map(lambda leaf: _pad(leaf, grow), x)
        present = np.arange(self._num_rows + grow) < self._num_rows
        self._pool = make_pool(x, present, _pad(_costs(cost, self._num_rows), grow, 1.0))
        y_like = jnp.zeros(
            (1,) if num_outputs is None else (1, num_outputs), float if num_classes is None else jnp.int32
        )
        self._parts = run_parts(learner, query, Posterior.predict, over)
        first = learner._replace(init=self._parts.init)
        self._carry: Carry = begin(key, first, query, self._pool, y_like, capacity)
        self._num_queries = 0
        self.last_selection: Selection | None = None
        if record is not None:
            self._replay(record)

    @property
    def num_labeled(self) -> int:
        """Rows with an answer."""
        return int(num_answered(self._carry.labeled))

    @property
    def indices(self) -> np.ndarray:
        """Rows with an answer, in the order in which they were asked for."""
        return self._asked()[np.asarray(self._carry.labeled.weight) > 0]

    @property
    def labels(self) -> np.ndarray:
        """The answers, aligned with `indices`."""
        return np.asarray(self._carry.labeled.y)[np.asarray(self._carry.labeled.weight) > 0]

    @property
    def pending(self) -> np.ndarray:
        """Rows asked for and neither answered nor skipped."""
        labeled = self._carry.labeled
        return self._asked()[np.asarray(is_known(labeled)) & (np.asarray(labeled.weight) == 0)]

    def ask(self, batch_size: int = 1) -> np.ndarray:
        """Fit to all answers so far and return the rows to label next, best first.

        While nothing is labeled the rows are drawn at random. Pending and skipped rows are not asked for again.
        `last_selection` keeps scores and counts.

        Raises:
          ValueError: a batch below 1 or larger than what is left of the pool or of the capacity, or predictions that
            are not finite, not normalised or of the wrong shape. The campaign is then as it was before the call.
        """
        left = self._num_rows - int(self._carry.labeled.count)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if batch_size > left:
            raise ValueError(
                f"the pool has {left} rows left, fewer than batch_size={batch_size}; ask for fewer or add rows"
            )
        self._check_room(batch_size)
        carry, is_query = self._carry, self.num_labeled > 0
        if is_query:
            carry, selection = self._query_round(batch_size)
        else:
            eligible = self._pool.present & ~is_labeled(carry.labeled, len(self._pool.present))
            selection = draw_start(self._key, self._pool._replace(present=eligible), batch_size)
        if not bool(selection.valid.all()):
            raise ValueError(
                f"only {int(selection.valid.sum())} of {batch_size} rows could be picked: the scores of the others "
                "are not numbers; check the predictions"
            )
        rows = np.asarray(selection.indices)
        number = self._num_queries + is_query
        if self._record is not None:
            after_and_before = ((carry.state, carry.memory), (self._carry.state, self._carry.memory))
            self._record.save_state(number, pack_tree(after_and_before))
        self._write({"kind": "ask", "rows": rows, "scores": np.asarray(selection.scores), "queries": number})
        self._carry, self._num_queries, self.last_selection = carry, number, selection
        self._append(rows)
        return rows

    def tell(self, indices: Values, labels: Values) -> None:
        """Give labels of rows: pending ones, or any other present row that has no label yet.

        Raises:
          ValueError: a row outside the pool, named twice or labeled before; labels of another number, not finite, not
            integers or out of range; no room in the capacity. Nothing is stored then.
        """
        rows = check_row_ids(indices, self._num_rows)
        y = check_labels(labels, len(rows), self._num_classes, self._num_outputs)
        known = rows[np.isin(rows, self.indices)]
        if len(known):
            raise ValueError(f"row {known[0]} has a label already; labels are not overwritten")
        self._check_room(len(np.setdiff1d(rows, self._asked())))
        self._write({"kind": "tell", "rows": rows, "labels": y})
        self._answer(rows, y)

    def skip(self, indices: Values) -> None:
        """Give up on pending rows: they are not asked for again and training never sees them.

        Raises:
          ValueError: a row that is not pending. Nothing is changed then.
        """
        rows = check_row_ids(indices, self._num_rows)
        strangers = rows[~np.isin(rows, self.pending)]
        if len(strangers):
            raise ValueError(f"row {strangers[0]} is not pending, so it cannot be skipped; pending are {self.pending}")
        self._write({"kind": "skip", "rows": rows})
        self._skip(rows)

    def add(self, x: PyTree, cost: Values | None = None) -> np.ndarray:
        """Let new rows join the pool; returns their ids.

        Raises:
          ValueError: more rows than `pool_capacity` leaves room for, other shapes than the pool's, not finite.
        """
        check_rows(x, like=self._pool.x)
        n, room = num_rows(x), len(self._pool.present) - self._num_rows
        if n > room:
            raise ValueError(
                f"the pool has room for {room} more rows, got {n}; open the campaign with a larger pool_capacity"
            )
        prices = _costs(cost, n)
        ids = np.arange(self._num_rows, self._num_rows + n)
        self._write({"kind": "add", "rows": ids})
        place = lambda leaf, new: leaf.at[ids].set(jnp.asarray(new, leaf.dtype))
        self._pool = Pool(
            jax.tree.map(place, self._pool.x, x),
            self._pool.present.at[ids].set(True),
            self._pool.cost.at[ids].set(prices),
        )
        self._num_rows += n
        return ids

    def predict(self, x: PyTree) -> PyTree:
        """Predictions for any rows under a fit to all answers so far (the fit that the next `ask` would use)."""
        if self.num_labeled == 0:
            raise ValueError("nothing is labeled yet, so there is no posterior; tell some labels first")
        check_rows(x, like=self._pool.x)
        state = self._parts.fit(self._round_key(), self._pool, self._carry.labeled, self._carry.state)
        return self._parts.evaluate(state, x)

    def _round_key(self) -> PRNGKey:
        return jax.random.fold_in(self._key, self._num_queries)

    def _query_round(self, batch_size: int) -> tuple[Carry, Selection]:
        key, parts, carry = self._round_key(), self._parts, self._carry
        carry = carry._replace(state=parts.fit(key, self._pool, carry.labeled, carry.state))
        some = take(self._pool.x, np.arange(min(self._num_rows, _CHECKED_ROWS)))
        check_predictions(parts.evaluate(carry.state, some), num_rows(some), self._num_classes)
        selection, memory = parts.acquire(key, self._pool, carry, batch_size)
        return carry._replace(memory=memory), selection

    def _asked(self) -> np.ndarray:
        return np.asarray(self._carry.labeled.indices)

    def _check_room(self, num_new: int) -> None:
        room = len(self._asked()) - int(self._carry.labeled.count)
        if num_new > room:
            raise ValueError(
                f"the capacity leaves room for {room} more rows, got {num_new}; open with a larger capacity"
            )

    def _append(self, rows: np.ndarray) -> None:
        labeled = ask(self._carry.labeled, jnp.asarray(rows), jnp.ones(len(rows), bool))
        self._carry = self._carry._replace(labeled=labeled)

    def _answer(self, rows: np.ndarray, y: np.ndarray) -> None:
        self._append(rows[~np.isin(rows, self._asked())])
        labeled = answer(self._carry.labeled, self._places(rows), jnp.asarray(y), jnp.ones(len(rows)))
        self._carry = self._carry._replace(labeled=labeled)

    def _skip(self, rows: np.ndarray) -> None:
        self._carry = self._carry._replace(labeled=skip(self._carry.labeled, self._places(rows)))

    def _places(self, rows: np.ndarray) -> jax.Array:
        asked = self._asked()
        return jnp.asarray([int(np.flatnonzero(asked == row)[0]) for row in rows], jnp.int32)

    def _write(self, event: dict) -> None:
        if self._record is not None:
            self._record.append([event])

    def _replay(self, record: Any) -> None:
        added = sum(len(event["rows"]) for event in record.events if event["kind"] == "add")
        for event in record.events:
            rows = np.asarray(event["rows"], np.int32)
            if len(rows) and rows.max() >= self._num_rows:
                raise ValueError(
                    f"the record speaks of row {rows.max()}, but only {self._num_rows} rows were handed in; "
                    f"hand in all rows, the {added} added later included"
                )
            if event["kind"] == "ask":
                self._append(rows)
                self._num_queries = event["queries"]
            elif event["kind"] == "tell":
                labels = np.asarray(event["labels"])
                self._answer(rows, check_labels(labels, len(rows), self._num_classes, self._num_outputs))
            elif event["kind"] == "skip":
                self._skip(rows)
        loaded = record.load_state()
        if loaded is None:
            return
        one = (self._carry.state, self._carry.memory)
        after, before = unpack_tree(loaded[1], (one, one))
        state, memory = after if loaded[0] == self._num_queries else before  # killed before the ask was written
        self._carry = self._carry._replace(state=state, memory=memory)


def _costs(cost: Values | None, n: int) -> np.ndarray:
    prices = np.ones(n, np.float32) if cost is None else np.asarray(cost, np.float32)
    if prices.shape != (n,) or not (np.isfinite(prices) & (prices > 0)).all():
        raise ValueError(f"expected one positive cost for each of {n} rows, got an array of shape {prices.shape}")
    return prices


def _pad(leaf: Any, grow: int, value: float = 0.0) -> jax.Array:
    return jnp.pad(jnp.asarray(leaf), [(0, grow)] + [(0, 0)] * (np.ndim(leaf) - 1), constant_values=value)
