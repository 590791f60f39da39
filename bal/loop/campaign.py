"""Ask, tell, correct, propose: active learning where people or laboratories give the labels. The only stateful object
here."""

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from bal.evaluation.history import StoppingRule, reason_to_stop
from bal.learners.convergence import unconverged
from bal.learners.settings import check_count
from bal.loop.checkpoint import pack_parts, restore
from bal.loop.checks import check_key, check_kind, check_predictions, check_record, check_row_ids, check_rows
from bal.loop.doors import CHECKED_ROWS, check_metrics, check_setup, predicted, warn_of_oddities
from bal.loop.eager import run_parts
from bal.loop.export import columns, frame, write_csv
from bal.loop.fingerprint import row_digests, rows_digest
from bal.loop.giving import check_answered, check_room, new_places, row_ids, taken_ids, told
from bal.loop.growing import grown, open_pool
from bal.loop.labels import label_kind
from bal.loop.opening import open_event, reopen
from bal.loop.proposing import check_box, propose_batch, scoring_stage
from bal.loop.round import PROPOSE, Carry, begin, draw_start, training_data
from bal.loop.shown import campaign_in_markup
from bal.loop.stopping import Asked, asked, campaign_history, check_rule, last_reason
from bal.pool.arrays import as_rows
from bal.pool.asked import Book, advance
from bal.pool.labeled import holds_row, is_answered, is_pending
from bal.pool.over import dense, num_rows, over_of, take
from bal.query.synthesis import Proposal
from bal.typing import SKIPPED, Learner, MultiLabel, Over, Pool, Posterior, PRNGKey, PyTree, Query, Selection, Values


class _Now(NamedTuple):
    """All that a campaign knows; each call makes the next one, and puts it in place at its very end."""

    pool: Pool
    num_rows: int
    ids: np.ndarray | None
    book: Book
    state: PyTree
    memory: PyTree
    selection: Selection | None
    asks: tuple[Asked, ...] = ()


class Campaign:
    """One pool, one learner, one query, and labels that arrive when they arrive.

    A row may have several answers: `tell` gives the first, or a second opinion; `correct` replaces one, `withdraw`
    takes one back. All stay on record, and training sees those that stand, each with its weight. Calls from several
    threads are done one after the other, but for answers that come while `ask` fits: they do not wait for it, and the
    next fit sees them.

    >>> from bal.acquisition import bald
    >>> from bal.learners import bayesian_softmax
    >>> from bal.query import by_score
    >>> from bal.selection import best
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> learner = bayesian_softmax(2, num_draws=3, prior=1.0)
    >>> campaign = Campaign(jax.random.key(0), learner, by_score(bald, best), x, capacity=9, classes=["cat", "dog"])
    >>> rows = campaign.ask(4)  # nothing is labeled yet: a random start set
    >>> campaign.tell(rows, ["dog", "dog", "cat", "dog"])
    >>> rows = campaign.ask(2)
    >>> campaign.skip(rows[:1])
    >>> campaign.tell(rows[1:], ["cat"])
    >>> campaign.correct(rows[1:], ["dog"])  # the wrong key
    >>> campaign.num_labeled, campaign.labels.tolist(), campaign.pending.tolist()
    (5, ['dog', 'dog', 'cat', 'dog', 'dog'], [])
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
        classes: Values | None = None,
        soft: bool = False,
        cost: Values | None = None,
        ids: Values | None = None,
        pool_capacity: int | None = None,
        over: Over | None = None,
        record: Any = None,
        evaluate: Callable[[Posterior, PyTree], dict[str, Any]] | None = None,
        test: PyTree = None,
        stop: StoppingRule | None = None,
    ):
        """Open a campaign over the rows of `x`; nothing is fitted yet.

        Args:
          key: all randomness of the campaign hangs on it.
          learner, query, over: as in `bal.loop.run`.
          x: pool inputs, a tree of arrays that lead with the rows.
          capacity: places for answers and pending rows; a correction and a second opinion take one each. It fixes the
            shapes, so all rounds share one program.
          num_classes: labels are integers in [0, num_classes); None = real numbers.
          num_outputs: a label is an array of as many real numbers, or of 0 and 1 where the learner predicts a
            `MultiLabel`; None = one number, without an axis.
          classes: names of the classes, told and read back in place of numbers.
          soft: a label may be a distribution over the classes, ``[C]``; the learner must take such labels.
          cost: price of every row's label.
          ids: names of the rows in the user's own table, kept on record and in exports; by default the index of a
            data frame, where it has one of its own.
          pool_capacity: rows that the pool may grow to through `add`; by default it does not grow.
          record: an open `bal.records.Record`: every event is on disk before a call returns, and opening a campaign
            with the record of an earlier one continues it. Hand in all rows then, those added later included, in
            their order; new ones may follow, and capacities may grow. Another learner or query is named in a warning
            and goes on from the labels. A host learner is fitted anew from the labels, as is one whose state is not
            made of arrays, which is all the same where `fit` starts cold.
          evaluate, test: what is measured at each `ask`, and on what, as in a `Setup` and a `Task`; kept on record.
          stop: a rule of `bal.evaluation`, as ``label_budget(200)``: where it says stop, `ask` hands out no rows and
            `stopped` says why. Open the campaign without it, or with another, to go on.

        Raises:
          ValueError: rows that are not finite or do not share their leading axis, a capacity below 1, both classes and
            outputs; labels of another kind than the learner predicts; a record of other rows, key or labels.
          TypeError: a learner, query, `over` or record that is something else.
        """
        check_key(key)
        check_setup(learner, query, dense if over is None else over)
        over = over_of(learner, over)
        given, x = x, as_rows(x)
        check_rows(x)
        check_count("capacity", capacity)
        kind = label_kind(num_classes, num_outputs, classes, soft)
        n = num_rows(x)
        own = row_ids(given, ids, n)
        grow = 0 if pool_capacity is None else check_count("pool_capacity", pool_capacity) - n
        if grow < 0:
            raise ValueError(f"pool_capacity {pool_capacity} is smaller than the {n} rows given")
        check_record(record)
        check_rule(stop)
        if over.place != "host":
            found = predicted(learner, x, kind.like())[1]
            check_kind(found, kind.num_classes, num_outputs)
            kind = kind._replace(sets=isinstance(found, MultiLabel))
        pool = open_pool(x, cost, grow, over)
        self._key, self._kind, self._record = key, kind, record
        self._learner, self._query_of, self._over = learner, query, over
        self._parts = run_parts(learner, query, Posterior.predict, over)
        self._measure = None if evaluate is None else run_parts(learner, query, evaluate, over).evaluate
        self._test, self._stop, self._stopped = test, stop, None
        carry = begin(key, learner._replace(init=self._parts.init), query, pool, kind.like(), capacity)
        if soft and over.place != "host":  # a likelihood of class numbers says so here, not at the first fit
            jax.eval_shape(learner.fit, key, carry.state, training_data(learner, carry.labeled, pool))
        book = Book(jax.tree.map(np.asarray, carry.labeled))
        self._now = _Now(pool, n, own, book, carry.state, carry.memory, None)
        self._fitted: tuple[_Now, Carry] | None = None
        self._lock, self._is_behind = threading.RLock(), False
        self._asking, self._late = threading.RLock(), 0
        if record is not None:
            self._now = _resume(self._now, record, open_event(key, learner, query, pool, n, capacity, kind))
            self._stopped = last_reason(record.events)

    def __repr__(self) -> str:
        now, log = self._now, self._now.book.log
        skipped, capacity = len(self.skipped), len(log.indices)
        return (
            f"Campaign of {now.num_rows} rows: {self.num_labeled} labeled, {len(self.pending)} pending, {skipped} "
            f"skipped; {int(log.count)} of {capacity} places taken\n"
            f"{f'  stopped: {self._stopped}' + chr(10) if self._stopped else ''}"
            f"  learner: {self._learner!r}\n  query: {self._query_of!r}"
        )

    def _repr_html_(self) -> str:
        return campaign_in_markup(self, self._columns())

    @property
    def num_labeled(self) -> int:
        """Rows with an answer that stands."""
        return len(np.unique(self.indices))

    @property
    def indices(self) -> np.ndarray:
        """Rows of the answers that stand, in the order in which they were asked for: one entry an answer."""
        return self._rows(is_answered)

    @property
    def labels(self) -> np.ndarray:
        """The answers that stand, aligned with `indices`; by name where the classes have names."""
        log = self._now.book.log
        return self._kind.named(np.asarray(log.y)[is_answered(log)])

    @property
    def pending(self) -> np.ndarray:
        """Rows asked for and neither answered nor skipped."""
        return self._rows(is_pending)

    @property
    def skipped(self) -> np.ndarray:
        """Rows given up."""
        return self._rows(lambda log: log.status == SKIPPED)

    @property
    def room(self) -> int:
        """Places that are left for answers and pending rows."""
        log = self._now.book.log
        return len(log.indices) - int(log.count)

    @property
    def ids(self) -> np.ndarray:
        """The user's own names of the rows, ``[N]``: row numbers where none were given."""
        now = self._now
        return np.arange(now.num_rows) if now.ids is None else now.ids

    @property
    def stopped(self) -> str | None:
        """Why the last `ask` handed out no rows; None where it did."""
        return self._stopped

    @property
    def last_selection(self) -> Selection | None:
        """Scores and counts of the last `ask`; None before the first."""
        return self._now.selection

    @property
    def last_posterior(self) -> Posterior | None:
        """The learner as fitted by the last `ask`: what its rows were picked by; None where no ask has fitted it."""
        now = self._now
        return Posterior(now.state, self._learner) if now.book.num_queries else None

    @property
    def posterior(self) -> Posterior:
        """The learner fitted to all answers so far (the fit that the next `ask` would use)."""
        with self._alone() as now:
            return self._posterior(now)

    def ask(self, batch_size: int = 1) -> np.ndarray:
        """Fit to all answers so far and return the rows to label next, best first.

        While nothing is labeled the rows are drawn at random. Pending and skipped rows are not asked for again.
        `last_selection` keeps scores and counts. None are returned, and nothing changes, where the rule says stop.

        Raises:
          ValueError: a batch below 1 or larger than what is left of the pool or of the capacity, or predictions that
            are not finite, not normalised or of the wrong shape. The campaign is then as it was before the call.
        """
        check_count("batch_size", batch_size)
        with self._asking:
            while (rows := self._try(batch_size)) is None:
                pass  # a row that was picked has been answered meanwhile
        return rows

    def tell(
        self,
        indices: Values,
        labels: Values,
        *,
        annotator: Any = None,
        weight: Values | None = None,
        cost: Values | None = None,
        again: bool = False,
        seconds: float | int | None = None,
    ) -> None:
        """Give labels of rows: pending ones, or any other present row that has no label yet.

        Args:
          indices, labels: rows of the pool, each once, and one label for each.
          annotator: who answers, a name, or one for each row. An answer of somebody new to a row that has one already
            is a second opinion, and both stand.
          weight: how much the answers count in training, a number or one for each row; 1 by default.
          cost: what they cost; that of the pool by default.
          again: a further answer of the same annotator stands beside the first, as a measurement that is repeated.
          seconds: how long each of them took; kept on record, no more.

        Raises:
          ValueError: a row outside the pool, named twice, or labeled before by the same annotator; labels of another
            number, not finite, not of the classes or out of range; weights or costs that are not positive; no room in
            the capacity. Nothing is stored then.
        """
        with self._alone() as now:
            rows = check_row_ids(indices, now.num_rows)
            if not len(rows) and not np.size(labels):
                return
            event = {"kind": "tell", "rows": rows, "labels": self._kind.stored(labels, rows)}
            event |= told(now.book, rows, annotator, weight, cost, again) | _taken(seconds)
            check_room(now.book.log, new_places(now.book.log, rows))
            self._note(now, event)

    def correct(self, indices: Values, labels: Values, *, annotator: str | None = None) -> None:
        """Replace wrong answers. The old ones stay on record with weight 0; training is as if the new had come at once.

        Args:
          indices, labels: rows with an answer, and the right one for each, of the weight of the old one.
          annotator: whose answers are replaced; needed where several people answered a row.

        Raises:
          ValueError: a row without an answer, or with answers of several people; labels as in `tell`; no room in the
            capacity. Nothing is changed then.
        """
        with self._alone() as now:
            rows = check_row_ids(indices, now.num_rows)
            check_answered(now.book, rows, annotator, "corrected", alone=True)
            event = {"kind": "correct", "rows": rows, "labels": self._kind.stored(labels, rows)}
            check_room(now.book.log, len(rows))
            if len(rows):
                self._note(now, event | ({} if annotator is None else {"annotator": annotator}))

    def withdraw(self, indices: Values, *, annotator: str | None = None) -> None:
        """Take answers back, of everybody or of one annotator: they stay on record with weight 0.

        A row without another answer is as it was before it was asked for: `ask` may pick it again, `tell` may answer
        it. To be rid of it, skip it when it comes.

        Raises:
          ValueError: a row that has no such answer. Nothing is changed then.
        """
        with self._alone() as now:
            rows = check_row_ids(indices, now.num_rows)
            check_answered(now.book, rows, annotator, "withdrawn", alone=False)
            if len(rows):
                event = {"kind": "withdraw", "rows": rows}
                self._note(now, event | ({} if annotator is None else {"annotator": annotator}))

    def skip(self, indices: Values, *, annotator: str | None = None, seconds: float | int | None = None) -> None:
        """Give up on pending rows: they are not asked for again and training never sees them.

        Args:
          indices: pending rows.
          annotator, seconds: who cannot tell, and how long that took; kept on record, no more.

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
            if len(rows):
                who = {} if annotator is None else {"annotator": annotator}
                self._note(now, {"kind": "skip", "rows": rows} | who | _taken(seconds))

    def add(self, x: PyTree, cost: Values | None = None, ids: Values | None = None) -> np.ndarray:
        """Let new rows join the pool; returns their numbers.

        Raises:
          ValueError: more rows than `pool_capacity` leaves room for, other shapes than the pool's, not finite.
        """
        with self._alone() as now:
            pool, new = grown(now.pool, now.num_rows, x, cost)
            rows = np.arange(now.num_rows, now.num_rows + len(new.present))
            own = taken_ids(now.ids, row_ids(x, ids, len(rows)), now.num_rows, len(rows))
            event = {"kind": "add", "rows": rows}
            if self._record is not None:
                event |= {"pool": rows_digest(new.x), "cost": rows_digest(new.cost)}
            self._put(event, now._replace(pool=pool, num_rows=now.num_rows + len(rows), ids=own))
        return rows

    def predict(self, x: PyTree) -> PyTree:
        """Predictions for any rows under a fit to all answers so far (the fit that the next `ask` would use)."""
        with self._alone() as now:
            posterior = self._posterior(now)
            x = as_rows(x)
            check_rows(x, like=now.pool.x)
            return self._parts.evaluate(posterior.state, x)

    def propose(self, low: Values, high: Values, batch_size: int = 1, *, query: Query | None = None) -> Proposal:
        """New inputs from the box ``low <= x <= high``: where the scores of the query's first stage are highest.

        Scores are climbed by their gradient, see `bal.query.propose`; a batch is chosen one by one, as if the earlier
        inputs had been answered as the posterior expects. A process keeps its hyper-parameters meanwhile; other
        learners are fitted again for each. For `strategies.batch_alc` the score is that of its rule, `strategies.alc`.
        Where the noise of a label is large against what is unknown, the best batch holds nearly the same input several
        times: repeated measurements. Nothing joins the pool: `add` what was measured, then `tell`. Compiled once for
        all batches of a campaign.

        Args:
          low, high: corners of the box ``[D]``.
          batch_size: B.
          query: another query, whose scores are climbed in place of the campaign's own.

        Returns:
          A `bal.query.Proposal` with a leading axis of batch_size: `x` is ``[B, D]``.

        Raises:
          ValueError: nothing is labeled yet; corners that are not those of a box of pool rows; a query that does not
            score; no room in the capacity; scores that are finite nowhere. TypeError: a model that JAX cannot trace.
        """
        check_count("batch_size", batch_size)
        with self._alone() as now:
            stage = scoring_stage(self._query_of if query is None else query, self._over)
            low, high = check_box(low, high, now.pool.x)
            check_room(now.book.log, batch_size)
            self._posterior(now)
            key, carry = jax.random.fold_in(self._round_key(now), PROPOSE), self._fit(now)
            size, over = batch_size, self._over
            found = propose_batch(key, self._learner, stage, over, now.pool, carry, low, high, size)
        if not np.asarray(found.num_finite).all():
            raise ValueError("the scores of this query are finite nowhere in the box; check the predictions there")
        flat = np.asarray(found.all_equal)
        if flat.any():
            warnings.warn(
                f"for {int(flat.sum())} of {batch_size} inputs all scores in the box were equal, so that chance chose "
                "them; has the fit gone wrong (a length scale far below the distance of the rows)?",
                stacklevel=2,
            )
        return found

    def to_frame(self) -> Any:
        """All answers as a data frame of polars, or pandas: those that stand, were corrected or withdrawn, and rows
        pending or skipped; one line each, named by ``state``.

        Raises:
          ImportError: neither library is installed.
        """
        return frame(self._columns())

    def to_csv(self, path: str | Path) -> None:
        """All answers as a file of comma-separated values: the lines of `to_frame`."""
        write_csv(path, self._columns())

    def _columns(self) -> dict[str, list[Any]]:
        now = self._now
        return columns(now.book, self._kind, now.ids)

    def _rows(self, where: Any) -> np.ndarray:
        return _rows_of(self._now, where)

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

    def _try(self, batch_size: int) -> np.ndarray | None:
        """`ask`, with a fit that answers need not wait for; None where one of them took a row that was picked."""
        with self._alone() as now:
            self._late = 0
        held, known = _rows_of(now, holds_row), len(_rows_of(now, is_answered)) > 0
        left = now.num_rows - len(np.unique(held))
        if batch_size > left:
            raise ValueError(
                f"the pool has {left} rows left, fewer than batch_size={batch_size}; ask for fewer or add rows"
            )
        check_room(now.book.log, batch_size)
        after = self._query(now, batch_size) if known else self._draw(now, batch_size)
        number = now.book.num_queries + known
        picked: Any = after.selection
        valid = np.asarray(picked.valid)
        if not valid.all():
            raise ValueError(
                f"only {valid.sum()} of {batch_size} rows could be picked: the scores of the others are not "
                "numbers; check the predictions"
            )
        warn_of_oddities(picked.info, valid)
        rows = np.asarray(picked.indices)
        event = {"kind": "ask", "rows": rows, "scores": np.asarray(picked.scores), "queries": number}
        event |= self._signed(now, rows)
        if known:
            event["told"] = self._measured(now, picked)
        with self._alone() as latest:
            if np.isin(rows, _rows_of(latest, holds_row)).any():
                return None
            if self._late:
                event["late"] = self._late
            if known and self._reason(latest, event) is not None:
                return rows[:0]
            asks = (*latest.asks, asked(event)) if known else latest.asks
            after = latest._replace(state=after.state, memory=after.memory, selection=picked, asks=asks)
            after = after._replace(book=self._told(latest, event))
            if self._record is not None:
                states = (None, None) if self._learner.host else (now.state, after.state)
                parts = {"state": states, "memory": (now.memory, after.memory)}
                self._record.save_state(number, pack_parts(parts))
            self._put(event, after)
        return rows

    def _told(self, now: _Now, event: dict) -> Book:
        return advance(now.book, [event], np.asarray(now.pool.cost))

    def _note(self, now: _Now, event: dict) -> None:
        """Take an event about rows into the log, and put it in place."""
        event |= self._signed(now, event["rows"])
        self._put(event, now._replace(book=self._told(now, event)))

    def _put(self, event: dict, after: _Now) -> None:
        if self._record is not None:
            event = event | {"at": round(time.time(), 3)}
            self._is_behind = True
            self._record.append([event])
        self._now = after
        self._late += 1
        self._is_behind = False

    def _signed(self, now: _Now, rows: np.ndarray) -> dict:
        """Digests of rows and their own names, for a record."""
        if self._record is None:
            return {}
        names = {} if now.ids is None else {"ids": now.ids[rows].tolist()}
        return {"digests": row_digests(now.pool.x, rows), **names}

    def _measured(self, now: _Now, picked: Selection) -> dict[str, Any]:
        """What a stopping rule may know of an ask beside its rows and scores."""
        metrics = {} if self._measure is None else self._measure(self._fit(now).state, self._test)
        check_metrics(metrics)
        log_q = None if picked.log_q is None else np.asarray(picked.log_q)
        num_labeled = len(np.unique(_rows_of(now, is_answered)))
        told = {"labels": num_labeled, "spent": float(np.asarray(now.book.log.cost).sum()), "log_q": log_q}
        return {**told, "metrics": {name: np.asarray(value)[()] for name, value in metrics.items()}}

    def _reason(self, now: _Now, event: dict) -> str | None:
        """Why labeling stops before the rows of an ask are handed out, which is put on record; None if it goes on."""
        self._stopped = None
        if self._stop is not None:
            price = float(np.asarray(now.pool.cost)[event["rows"]].sum())
            self._stopped = reason_to_stop(self._stop, campaign_history((*now.asks, asked(event)), now.book, price))
        if self._stopped and self._record is not None and last_reason(self._record.events) != self._stopped:
            self._put({"kind": "stop", "reason": self._stopped, "rows": event["rows"]}, now)
        return self._stopped

    def _round_key(self, now: _Now) -> PRNGKey:
        return jax.random.fold_in(self._key, now.book.num_queries)

    def _draw(self, now: _Now, batch_size: int) -> _Now:
        eligible = np.array(now.pool.present)
        eligible[_rows_of(now, holds_row)] = False
        return now._replace(selection=draw_start(self._key, now.pool._replace(present=eligible), batch_size))

    def _fit(self, now: _Now) -> Carry:
        """The fit to all answers so far, made once between two events."""
        if self._fitted is None or self._fitted[0] is not now:
            labeled = jax.device_put(now.book.log)
            state = self._parts.fit(self._round_key(now), now.pool, labeled, now.state)
            self._fitted = (now, Carry(labeled, state, now.memory))
        return self._fitted[1]

    def _posterior(self, now: _Now) -> Posterior:
        if self.num_labeled == 0:
            raise ValueError("nothing is labeled yet, so there is no posterior; tell some labels first")
        state = self._fit(now).state
        early = unconverged(state)
        if early is not None:
            warnings.warn(early, stacklevel=3)
        return Posterior(state, self._learner)

    def _query(self, now: _Now, batch_size: int) -> _Now:
        carry = self._fit(now)
        some = take(now.pool.x, np.arange(min(now.num_rows, CHECKED_ROWS)))
        check_predictions(self._parts.evaluate(carry.state, some), num_rows(some), self._kind.num_classes)
        selection, memory = self._parts.acquire(self._round_key(now), now.pool, carry, batch_size)
        return now._replace(state=carry.state, memory=memory, selection=selection)


def _rows_of(now: _Now, where: Any) -> np.ndarray:
    """Rows in those places of the log that a predicate of `bal.pool.labeled` is true of."""
    return np.asarray(now.book.log.indices)[where(now.book.log)]


def _taken(seconds: float | int | None) -> dict[str, float]:
    """How long it took, where that is known."""
    if seconds is None:
        return {}
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"expected seconds as a number of at least 0, got {seconds}; leave it out")
    return {"seconds": float(seconds)}


def _resume(now: _Now, record: Any, opened: dict) -> _Now:
    """Where the events on record lead from a fresh start; how it was opened is written down where that is new."""
    events = record.events
    news = reopen(events, opened, now.pool)
    book = advance(now.book, events, np.asarray(now.pool.cost))
    state, memory = restore(record.load_state(), book.num_queries, now.state, now.memory, news)
    if not record.done:  # a finished record can still be looked at
        record.append([opened] if news else [])
    asks = tuple(asked(event) for event in events if event["kind"] == "ask" and "told" in event)
    return now._replace(book=book, state=state, memory=memory, asks=asks)
