"""Ask, tell, correct, propose: active learning where people or laboratories give the labels. The only stateful object
here."""

import threading
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from bal.evaluation.history import StoppingRule, reason_to_stop
from bal.learners.convergence import unconverged
from bal.learners.settings import check_count
from bal.loop.answers import Answers, Now, rows_of
from bal.loop.asking import check_batch, check_picked, drawn, fitted, measured, model_of, queried, round_key
from bal.loop.checkpoint import pack_parts, restore
from bal.loop.checks import check_key, check_kind, check_record, check_rows
from bal.loop.doors import check_setup, predicted, warn_of_oddities
from bal.loop.fingerprint import rows_digest
from bal.loop.giving import check_room, row_ids, taken_ids
from bal.loop.growing import grown, open_pool
from bal.loop.labels import label_kind
from bal.loop.opening import open_event, reopen
from bal.loop.proposing import check_box, check_proposed, propose_batch, scoring_stage
from bal.loop.round import PROPOSE, Carry, begin, fold, training_data
from bal.loop.shown import campaign_in_markup
from bal.loop.stopping import asked, campaign_history, check_rule, last_reason
from bal.pool.arrays import as_rows
from bal.pool.asked import Book, advance
from bal.pool.labeled import holds_row, is_answered
from bal.pool.over import dense, num_rows, over_of
from bal.query.synthesis import Proposal
from bal.typing import Learner, MultiLabel, Over, Posterior, PRNGKey, PyTree, Query, Selection, Values


class Campaign(Answers):
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
        self._model = model_of(key, learner, query, over, kind.num_classes, evaluate, test)
        self._stop, self._stopped = stop, None
        carry = begin(key, learner._replace(init=self._model.parts.init), query, pool, kind.like(), capacity)
        if soft and over.place != "host":  # a likelihood of class numbers says so here, not at the first fit
            jax.eval_shape(learner.fit, key, carry.state, training_data(learner, carry.labeled, pool))
        book = Book(jax.tree.map(np.asarray, carry.labeled))
        now = Now(pool, n, own, book, carry.state, carry.memory, None)
        if record is not None:
            now = _resume(now, record, open_event(key, learner, query, pool, n, capacity, kind))
            self._stopped = last_reason(record.events)
        super().__init__(kind, record, now)
        self._fitted: tuple[Now, Carry] | None = None
        self._asking = threading.RLock()

    def __repr__(self) -> str:
        now, log = self._now, self._now.book.log
        skipped, capacity = len(self.skipped), len(log.indices)
        return (
            f"Campaign of {now.num_rows} rows: {self.num_labeled} labeled, {len(self.pending)} pending, {skipped} "
            f"skipped; {int(log.count)} of {capacity} places taken\n"
            f"{f'  stopped: {self._stopped}' + chr(10) if self._stopped else ''}"
            f"  learner: {self._model.learner!r}\n  query: {self._model.query!r}"
        )

    def _repr_html_(self) -> str:
        return campaign_in_markup(self, self._columns())

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
        return Posterior(now.state, self._model.learner) if now.book.num_queries else None

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
            return self._model.parts.evaluate(posterior.state, x)

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
            model = self._model
            stage = scoring_stage(model.query if query is None else query, model.over)
            low, high = check_box(low, high, now.pool.x)
            check_room(now.book.log, batch_size)
            self._posterior(now)
            key, carry = fold(round_key(model, now), PROPOSE), self._fit(now)
            size, over = batch_size, model.over
            found = propose_batch(key, model.learner, stage, over, now.pool, carry, low, high, size)
        check_proposed(found)
        return found

    def _try(self, batch_size: int) -> np.ndarray | None:
        """`ask`, with a fit that answers need not wait for; None where one of them took a row that was picked."""
        with self._alone() as now:
            self._late = 0
        check_batch(now, batch_size)
        known = len(rows_of(now, is_answered)) > 0
        after = self._query(now, batch_size) if known else drawn(self._model, now, batch_size)
        number = now.book.num_queries + known
        picked: Any = after.selection
        valid = np.asarray(picked.valid)
        check_picked(valid)
        warn_of_oddities(picked.info, valid)
        rows = np.asarray(picked.indices)
        event = {"kind": "ask", "rows": rows, "scores": np.asarray(picked.scores), "queries": number}
        event |= self._signed(now, rows)
        if known:
            event["told"] = measured(self._model, now, after.state, picked)
        with self._alone() as latest:
            if np.isin(rows, rows_of(latest, holds_row)).any():
                return None
            if self._late:
                event["late"] = self._late
            if known and self._reason(latest, event) is not None:
                return rows[:0]
            asks = (*latest.asks, asked(event)) if known else latest.asks
            after = latest._replace(state=after.state, memory=after.memory, selection=picked, asks=asks)
            after = after._replace(book=self._told(latest, event))
            if self._record is not None:
                states = (None, None) if self._model.learner.host else (now.state, after.state)
                parts = {"state": states, "memory": (now.memory, after.memory)}
                self._record.save_state(number, pack_parts(parts))
            self._put(event, after)
        return rows

    def _reason(self, now: Now, event: dict) -> str | None:
        """Why labeling stops before the rows of an ask are handed out, which is put on record; None if it goes on."""
        self._stopped = None
        if self._stop is not None:
            price = float(np.asarray(now.pool.cost)[event["rows"]].sum())
            self._stopped = reason_to_stop(self._stop, campaign_history((*now.asks, asked(event)), now.book, price))
        if self._stopped and self._record is not None and last_reason(self._record.events) != self._stopped:
            self._put({"kind": "stop", "reason": self._stopped, "rows": event["rows"]}, now)
        return self._stopped

    def _fit(self, now: Now) -> Carry:
        """The fit to all answers so far, made once between two events."""
        if self._fitted is None or self._fitted[0] is not now:
            self._fitted = now, fitted(self._model, now)
        return self._fitted[1]

    def _posterior(self, now: Now) -> Posterior:
        if self.num_labeled == 0:
            raise ValueError("nothing is labeled yet, so there is no posterior; tell some labels first")
        state = self._fit(now).state
        early = unconverged(state)
        if early is not None:
            warnings.warn(early, stacklevel=3)
        return Posterior(state, self._model.learner)

    def _query(self, now: Now, batch_size: int) -> Now:
        return queried(self._model, now, self._fit(now), batch_size)


def _resume(now: Now, record: Any, opened: dict) -> Now:
    """Where the events on record lead from a fresh start; how it was opened is written down where that is new."""
    events = record.events
    news = reopen(events, opened, now.pool)
    book = advance(now.book, events, np.asarray(now.pool.cost))
    saved = record.load_state()
    then = _opened_before(events, ahead=saved is not None and saved[0] > book.num_queries)
    others = {name for name in ("learner", "query") if then.get(name, opened[name]) != opened[name]}
    state, memory = restore(saved, book.num_queries, now.state, now.memory, news | others)
    if not record.done:  # a finished record can still be looked at
        record.append([opened] if news else [])
    asks = tuple(asked(event) for event in events if event["kind"] == "ask" and "told" in event)
    return now._replace(book=book, state=state, memory=memory, asks=asks)


def _opened_before(events: list[dict], ahead: bool) -> dict:
    """The opening under which the saved state was made: that of the last ask, or the last of all if it is ahead."""
    asks = [number for number, event in enumerate(events) if event["kind"] == "ask"]
    until = asks[-1] if asks and not ahead else len(events)
    return next((event for event in reversed(events[:until]) if event["kind"] == "open"), {})
