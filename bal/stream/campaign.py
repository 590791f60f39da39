"""Streams where people give the labels: see a row, ask for its label or go on with the prediction."""

import threading
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.loop.checks import check_key, check_record, check_rows
from bal.loop.labels import label_kind
from bal.stream.budget import Budget, unlimited
from bal.stream.events import opened, reopened, row_as_list, row_of
from bal.stream.method import Decision, Outcome, StreamMethod
from bal.stream.run import check_method
from bal.typing import PRNGKey, PyTree, Values


class Seen(NamedTuple):
    """What was made of a row: its number, whether its label is asked for, the predicted class (None where the model
    says NaN), and the score."""

    row: int
    ask: bool
    prediction: Any
    score: float


class _Now(NamedTuple):
    """All that a campaign knows: states, rows so far, labels told, and the row that waits for its label."""

    state: PyTree
    money: PyTree
    num_rows: int = 0
    num_told: int = 0
    waiting: tuple[PyTree, Decision] | None = None


class StreamCampaign:
    """One stream, one method, one budget: each row is seen once, and asked or predicted at once.

    With the same key, rows and labels it does what `run_stream` does. Calls from several threads are done one after the
    other.

    >>> from bal.acquisition import bald
    >>> from bal.learners import linear
    >>> from bal.stream import committee, from_learner, quantile, share_of_rows
    >>> method = from_learner(committee(linear(2), 3), quantile(bald, 0.5), num_classes=2)
    >>> campaign = StreamCampaign(jax.random.key(0), method, np.zeros(2), share_of_rows(0.5), classes=["ham", "spam"])
    >>> seen = [campaign.see(np.ones(2))]
    >>> seen.append(campaign.see(np.ones(2)))
    >>> campaign.tell("spam")
    >>> [one.ask for one in seen], campaign
    ([False, True], StreamCampaign: 2 rows seen, 1 label told)
    """

    def __init__(
        self,
        key: PRNGKey,
        method: StreamMethod,
        like: PyTree,
        budget: Budget | None = None,
        *,
        classes: Values | None = None,
        record: Any = None,
    ):
        """Open a campaign; nothing is known yet.

        Args:
          key: all randomness hangs on it.
          method, budget: as in `run_stream`.
          like: a row, read for its type and shape. Here and in `see` a list of numbers is an array.
          classes: names of the classes, told and read back in place of numbers.
          record: an open `bal.records.Record`: every event is on disk before a call returns, rows included, and opening
            a campaign with the record of an earlier one plays it back and goes on behind it. What was asked and told
            reads as that of a `Campaign`, ``bal.records.answers(path)``.

        Raises:
          ValueError: a row that is not finite, classes that are not as many as the method's; a record of something
            else, of other rows, key, method or budget, or of decisions that this machine does not repeat.
          TypeError: a method, budget or record that is something else.
        """
        check_key(key)
        check_method(method, budget)
        check_record(record)
        self._kind = label_kind(method.num_classes, None, classes, False)
        self._like = _row(like)
        check_rows(_one_row(self._like))
        self._budget = unlimited() if budget is None else budget
        key_init, self._key = jax.random.split(key)
        self._decide, self._update = jax.jit(method.decide), jax.jit(method.update)
        self._now = _Now(jax.jit(method.init)(key_init, self._like), self._budget.init())
        self._lock, self._record = threading.RLock(), record
        if record is not None:
            opening = opened(key, method, self._budget, self._like, self._kind.classes)
            past = reopened(record.events, opening)
            if not record.events:
                record.append([opening])
            for event in past:
                self._now = self._played(self._now, event)

    def __repr__(self) -> str:
        seen, told = self._now.num_rows, self._now.num_told
        waits = f", row {seen - 1} waits for its label" if self._now.waiting is not None else ""
        many = lambda count, what: f"{count} {what}{'' if count == 1 else 's'}"
        return f"StreamCampaign: {many(seen, 'row')} seen, {many(told, 'label')} told{waits}"

    @property
    def num_rows(self) -> int:
        """Rows seen so far."""
        return self._now.num_rows

    @property
    def num_told(self) -> int:
        """Labels told so far."""
        return self._now.num_told

    @property
    def waiting(self) -> int | None:
        """The row that waits for its label; None if there is none."""
        return None if self._now.waiting is None else self._now.num_rows - 1

    @property
    def spent(self) -> float:
        """What the budget says is spent, by its own measure."""
        return float(self._budget.spent(self._now.money))

    def see(self, x: PyTree) -> Seen:
        """The next row: predicted, and asked if the method wants its label and the budget pays.

        Where it is asked, `tell` its label (or `skip` it) before the next row.

        Raises:
          ValueError: a row of another type or shape or not finite, or an earlier one that waits for its label.
            Nothing is changed.
        """
        with self._lock:
            now = self._now
            if now.waiting is not None:
                raise ValueError(f"row {now.num_rows - 1} waits for its label; tell or skip it before the next row")
            x = _row(x)
            check_rows(_one_row(x), like=_one_row(self._like))
            x = jax.tree.map(_of_its_type, x, self._like)
            after, seen = self._looked(now, x)
            event = {"kind": "see", "row": seen.row, "x": row_as_list(x), **seen._asdict()}
            asks = {"kind": "ask", "rows": [seen.row], "scores": [seen.score], "queries": now.num_told}
            self._put([event | {"prediction": int(seen.prediction)}, *([asks] if seen.ask else [])], after)
            if seen.prediction < 0:
                return seen._replace(prediction=None)
            return seen._replace(prediction=self._kind.named(np.array([seen.prediction]))[0].item())

    def tell(self, label: Any) -> None:
        """The label of the row that waits.

        Raises:
          ValueError: no row waits, or the label is none of the classes. Nothing is changed.
        """
        with self._lock:
            row = self._waiting_row("told")
            y = self._kind.stored([label], np.array([row]))
            self._note({"kind": "tell", "rows": [row], "labels": y.tolist()})

    def skip(self) -> None:
        """Give up on the label of the row that waits: it is predicted, and nothing is spent.

        Raises:
          ValueError: no row waits.
        """
        with self._lock:
            self._note({"kind": "skip", "rows": [self._waiting_row("skipped")]})

    def _waiting_row(self, what: str) -> int:
        if self._now.waiting is None:
            raise ValueError(f"no row waits for its label, so none can be {what}; see the next row first")
        return self._now.num_rows - 1

    def _keys(self, row: int) -> tuple[PRNGKey, PRNGKey]:
        key_decide, key_update = jax.random.split(jax.random.fold_in(self._key, row))
        return key_decide, key_update

    def _looked(self, now: _Now, x: PyTree) -> tuple[_Now, Seen]:
        row = now.num_rows
        decision = self._decide(self._keys(row)[0], now.state, x, jnp.int32(row))
        asked = bool(decision.query & self._budget.allows(now.money))
        after = now._replace(num_rows=row + 1, waiting=(x, decision))
        if not asked:
            after = self._settled(after, None)
        return after, Seen(row, asked, int(decision.prediction), float(decision.score))

    def _settled(self, now: _Now, label: int | None) -> _Now:
        """The row that waits has its label, or goes without."""
        assert now.waiting is not None
        (x, decision), asked = now.waiting, jnp.asarray(label is not None)
        y = decision.prediction if label is None else jnp.asarray(label, decision.prediction.dtype)
        outcome = Outcome(decision, y, asked, jnp.asarray(self._budget.allows(now.money)))
        row = now.num_rows - 1
        state = self._update(self._keys(row)[1], now.state, x, outcome, jnp.int32(row))
        money = self._budget.update(now.money, asked)
        return _Now(state, money, now.num_rows, now.num_told + (label is not None))

    def _note(self, event: dict[str, Any]) -> None:
        self._put([event], self._settled(self._now, event.get("labels", [None])[0]))

    def _put(self, events: list[dict[str, Any]], after: _Now) -> None:
        if self._record is not None:
            self._record.append([event | {"at": round(time.time(), 3)} for event in events])
        self._now = after

    def _played(self, now: _Now, event: dict[str, Any]) -> _Now:
        """Where an event on record leads."""
        if event["kind"] == "see":
            after, seen = self._looked(now, row_of(event["x"], self._like))
            if (seen.row, seen.ask, seen.prediction) != (event["row"], event["ask"], event["prediction"]):
                raise ValueError(
                    f"row {event['row']} was decided about otherwise when the record was written, so that it cannot be "
                    "gone on with here; go on where it was written, or open another record"
                )
            return after
        return self._settled(now, event.get("labels", [None])[0]) if event["kind"] in ("tell", "skip") else now


def _as_stored(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf)
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype)) if array.dtype != object else array


def _row(x: PyTree) -> PyTree:
    return jax.tree.map(_as_stored, np.asarray(x) if isinstance(x, list) else x)


def _of_its_type(leaf: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The leaf as it is stored; whole numbers are not made of others."""
    stored = leaf.astype(like.dtype)
    if like.dtype.kind in "biu" and (stored != leaf).any():
        raise ValueError(
            f"expected rows of {like.dtype}, as that it was opened with, got {leaf.dtype}; open it with a row of floats"
        )
    return stored


def _one_row(x: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[None], x)
