"""How a campaign asks: fit to the answers, query, measure. Functions of a model and of what is known."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from bal.loop.answers import Now, rows_of
from bal.loop.checks import check_predictions
from bal.loop.doors import CHECKED_ROWS, check_metrics
from bal.loop.eager import Parts, run_parts
from bal.loop.foreseen import FORESEEN
from bal.loop.giving import check_room
from bal.loop.round import Carry, draw_start, fold
from bal.pool.labeled import holds_row, is_answered
from bal.pool.over import num_rows, take
from bal.typing import Learner, Over, Posterior, PRNGKey, PyTree, Query, Selection


class Model(NamedTuple):
    """What fits and asks, from the opening of a campaign to its end.

    parts: the compiled pieces, whose `evaluate` predicts; measure: ``state, test -> metrics``, or None.
    """

    key: PRNGKey
    learner: Learner
    query: Query
    over: Over
    num_classes: int | None
    parts: Parts
    measure: Callable | None
    test: PyTree


def model_of(
    key: PRNGKey,
    learner: Learner,
    query: Query,
    over: Over,
    num_classes: int | None,
    evaluate: Callable | None,
    test: PyTree,
) -> Model:
    """The model, its pieces compiled where they can be."""
    parts = run_parts(learner, query, Posterior.predict, over)
    measure = None if evaluate is None else run_parts(learner, query, evaluate, over).evaluate
    return Model(key, learner, query, over, num_classes, parts, measure, test)


def round_key(model: Model, now: Now) -> PRNGKey:
    """One for each fit: it hangs on the number of queries before."""
    return fold(model.key, now.book.num_queries)


def fitted(model: Model, now: Now) -> Carry:
    """The learner fitted to all answers so far."""
    labeled = jax.device_put(now.book.log)
    return Carry(labeled, model.parts.fit(round_key(model, now), now.pool, labeled, now.state), now.memory)


def drawn(model: Model, now: Now, batch_size: int) -> Now:
    """Rows drawn at random, while nothing is labeled."""
    eligible = np.array(now.pool.present)
    eligible[rows_of(now, holds_row)] = False
    return now._replace(selection=draw_start(model.key, now.pool._replace(present=eligible), batch_size))


def queried(model: Model, now: Now, carry: Carry, batch_size: int) -> Now:
    """Rows that the query picks under a fit, whose predictions are looked at first."""
    some = take(now.pool.x, np.arange(min(now.num_rows, CHECKED_ROWS)))
    check_predictions(model.parts.evaluate(carry.state, some), num_rows(some), model.num_classes)
    selection, memory = model.parts.acquire(round_key(model, now), now.pool, carry, batch_size)
    return now._replace(state=carry.state, memory=memory, selection=selection)


def measured(model: Model, now: Now, state: PyTree, picked: Selection) -> dict[str, Any]:
    """What a stopping rule may know of an ask beside its rows and scores, and what was predicted of the rows."""
    metrics = {} if model.measure is None else model.measure(state, model.test)
    check_metrics(metrics)
    log_q = None if picked.log_q is None else np.asarray(picked.log_q)
    num_labeled = len(np.unique(rows_of(now, is_answered)))
    told = {"labels": num_labeled, "spent": float(np.asarray(now.book.log.cost).sum()), "log_q": log_q}
    told |= {name: np.asarray(picked.info[name]) for name in FORESEEN if name in picked.info}
    return {**told, "metrics": {name: np.asarray(value)[()] for name, value in metrics.items()}}


def check_batch(now: Now, batch_size: int) -> None:
    """As many rows are left, in the pool and of the capacity."""
    left = now.num_rows - len(np.unique(rows_of(now, holds_row)))
    if batch_size > left:
        raise ValueError(
            f"the pool has {left} rows left, fewer than batch_size={batch_size}; ask for fewer or add rows"
        )
    check_room(now.book.log, batch_size)


def check_picked(valid: np.ndarray) -> None:
    """Every row was picked by a score that is a number."""
    if not valid.all():
        raise ValueError(
            f"only {valid.sum()} of {len(valid)} rows could be picked: the scores of the others are not "
            "numbers; check the predictions"
        )
