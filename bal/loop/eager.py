"""An experiment as a Python loop over the same jitted pieces as `bal.loop.run`: same picks, any pool, any learner.

For pools that are streamed from disk, models that JAX cannot trace (``over=host()``), labels that come from a
function, and runs that must survive being killed.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bal.loop.checkpoint import pack, rebuild
from bal.loop.checks import check_key, check_predictions, check_record
from bal.loop.compiled import Log
from bal.loop.doors import CHECKED_ROWS, check_answers, check_task, predicted, warn_of_oddities
from bal.loop.events import events_log, round_event
from bal.loop.identity import run_identity, same_run
from bal.loop.round import Carry, acquire, begin, first_rows, fit, no_metrics, record_answers
from bal.pool.arrays import as_rows
from bal.pool.labeled import num_answered
from bal.pool.over import dense, num_rows, take
from bal.typing import Labeled, Learner, Over, Pool, Posterior, PRNGKey, PyTree, Query, Selection


class Parts(NamedTuple):
    """The pieces of a run, compiled where they can be.

    init: ``key, data -> state``; fit: ``key, pool, labeled, state -> state``; evaluate: ``state, test -> Any``;
    acquire: ``key, pool, carry, batch_size -> Selection, memory``.
    """

    init: Callable
    fit: Callable
    evaluate: Callable
    acquire: Callable


def run_eager(
    key: PRNGKey,
    pool: Pool,
    oracle: PyTree | Callable,
    test: PyTree = None,
    start: Any = None,
    *,
    learner: Learner,
    query: Query,
    batch_size: int,
    num_rounds: int,
    num_initial: int | None = None,
    evaluate: Callable[[Posterior, PyTree], dict[str, Array]] = no_metrics,
    over: Over = dense,
    on_round: Callable[[dict], None] | None = None,
    record: Any = None,
    seed: int = 0,
) -> Log:
    """Run an experiment round by round. Arguments and result are those of `bal.loop.run`, and:

    Args:
      oracle: labels ``[N]``, or a function from pool rows ``[B]`` to labels ``[B]``.
      on_round: called with the event of every finished round (see `bal.records`).
      record: an open `bal.records.Record`. Each finished round is on disk before the next begins; called again with
        the record of a killed run, this resumes at its last finished round and ends with the same result.
      seed: the number of this run in the record.

    Raises:
      ValueError, TypeError: whatever cannot be right, as in `bal.loop.run_seeds`; labels of an oracle that do not fit
        the predictions; a record made by a run that differs: other key, rows, start set, labels, batch size, learner
        or query. More rounds than on record are added.
    """
    check_key(key)
    check_record(record)
    checked = {"learner": learner, "query": query, "batch_size": batch_size, "num_rounds": num_rounds}
    checked |= {"num_initial": num_initial, "evaluate": evaluate, "over": over}
    pool, oracle, test, start = check_task(pool, oracle, test, start, **checked)
    first = first_rows(key, pool, start, num_initial)
    parts = run_parts(learner, query, evaluate, over)
    events = [] if record is None else record.rounds(seed)
    known = record is not None and same_run(record, seed, run_identity(key, pool, first, learner, query, batch_size))
    shapes = cache(lambda tail, dtype: predicted(learner, pool.x, jax.ShapeDtypeStruct((1, *tail), dtype))[1])
    check = lambda y, rows: y if over.place == "host" else check_answers(shapes(y.shape[1:], y.dtype), y, rows)
    y = _reveal(oracle, check, first, events, 0)
    carry = begin(key, learner._replace(init=parts.init), query, pool, y, len(first.indices) + num_rounds * batch_size)
    resumed = rebuild(record, seed, events, carry, pool, y) if known else None
    carry, picks, next_round = resumed or (carry, first, 0)
    picks_like, metrics = None, {}
    for number in range(next_round, num_rounds + 1):
        y = y if number == 0 else _reveal(oracle, check, picks, events, number)
        key_round = jax.random.fold_in(key, number)
        labeled = record_answers(carry.labeled, pool, picks, y, number)
        state = parts.fit(key_round, pool, labeled, carry.state)
        if over.place == "host":
            given = None if callable(oracle) or number > next_round else oracle
            _check_host(Posterior(state, learner), pool, given, labeled)
        metrics = parts.evaluate(state, test)
        if record is not None and any(np.ndim(value) for value in metrics.values()):
            raise ValueError("a record holds metrics that are numbers, but evaluate returned arrays; run without one")
        event = round_event(seed, number, picks, y, metrics, num_answered(labeled), len(first.indices))
        carry = Carry(labeled, state, carry.memory)
        if number < num_rounds:
            picks, memory = parts.acquire(key_round, pool, carry, batch_size)
            carry, picks_like = carry._replace(memory=memory), picks
        _keep(events, event, record)
        if record is not None and number < num_rounds:
            record.save_state(number, pack(carry, picks, seed))
        if on_round is not None:
            on_round(event)
    if picks_like is None:
        picks_like = picks if num_rounds else _shapes(parts, pool, carry, batch_size, over)
    log = events_log(events[: num_rounds + 1], y, picks_like, metrics)
    if num_rounds:
        warn_of_oddities(log.info, log.valid)
    return log


@lru_cache(maxsize=16)
def run_parts(learner: Learner, query: Query, evaluate: Callable, over: Over) -> Parts:
    """The pieces of a run; kept, so that a second run or ask with the same settings compiles nothing."""

    def fit_part(key: PRNGKey, pool: Pool, labeled: Labeled, state: PyTree) -> PyTree:
        return fit(key, learner, pool, labeled, state)

    def evaluate_part(state: PyTree, test: PyTree) -> Any:
        return evaluate(Posterior(state, learner), test)

    def acquire_part(key: PRNGKey, pool: Pool, carry: Carry, batch_size: int) -> tuple[Selection, PyTree]:
        return acquire(key, learner, query, pool, carry, batch_size, over)

    if over.place == "host":
        return Parts(learner.init, fit_part, evaluate_part, acquire_part)
    init, evaluate_part = jax.jit(learner.init), jax.jit(evaluate_part)
    if over.place == "device":
        return Parts(init, jax.jit(fit_part), evaluate_part, jax.jit(acquire_part, static_argnums=3))
    compiled = learner._replace(fit=jax.jit(learner.fit))  # the pool stays outside of the compiled pieces
    streamed_fit = lambda key, pool, labeled, state: fit(key, compiled, pool, labeled, state)
    return Parts(init, streamed_fit, evaluate_part, acquire_part)


def _reveal(oracle: PyTree | Callable, check: Callable, picks: Selection, events: list[dict], number: int) -> Array:
    """Labels of the picks: from the record if it has them, so that nobody is asked twice, else from the oracle."""
    rows = np.asarray(picks.indices)
    if number < len(events):
        y = jnp.asarray(np.asarray(events[number]["labels"]))
        given = None if callable(oracle) else np.asarray(take(oracle, rows))
        _check_recorded(events[number], np.asarray(y), given, picks)
        return check(y, rows) if given is None else y.astype(given.dtype)
    if not callable(oracle):
        return take(oracle, rows)
    y = jnp.asarray(as_rows(oracle(rows), "labels"))
    if len(y) != len(rows):
        raise ValueError(f"the oracle was asked for {len(rows)} labels and returned {len(y)}")
    return check(y, rows)


def _check_recorded(event: dict, recorded: np.ndarray, given: np.ndarray | None, picks: Selection) -> None:
    """The picks and their labels are those of the record."""
    rows, valid, number = np.asarray(picks.indices), np.asarray(picks.valid), event["round"]
    if list(event["acquired"]) != rows.tolist():
        raise ValueError(
            f"round {number} of the record acquired {list(event['acquired'])}, but this run acquires {rows.tolist()}: "
            "resume with the configuration, versions and threads of the record"
        )
    if given is None:
        return
    differs = recorded != given.astype(recorded.dtype)
    differs = valid & differs.any(tuple(range(1, differs.ndim)))
    if differs.any():
        place = int(differs.argmax())
        raise ValueError(
            f"round {number} of the record has label {recorded[place]} for row {rows[place]}, but the oracle says "
            f"{given[place]}: resume with the labels of the record, or start a record of its own"
        )


def _check_host(posterior: Posterior, pool: Pool, given: PyTree, labeled: Labeled) -> None:
    """What a model that cannot be traced predicts for some rows, and whether labels fit that: those given, of all rows
    that are present, or those answered so far."""
    some = take(pool.x, np.arange(min(num_rows(pool.x), CHECKED_ROWS)))
    predictions = posterior.predict(jax.tree.map(np.asarray, some))
    answered = np.asarray(labeled.weight) > 0
    rows = np.asarray(labeled.indices)[answered] if given is None else np.flatnonzero(np.asarray(pool.present))
    check_answers(predictions, labeled.y[answered] if given is None else take(given, rows), rows)
    check_predictions(predictions, num_rows(some))


def _shapes(parts: Parts, pool: Pool, carry: Carry, batch_size: int, over: Over) -> Selection:
    """The picks of a run without rounds, of which there are none."""
    if over.place == "device":
        key = jax.random.key(0)
        return jax.eval_shape(lambda pool, carry: parts.acquire(key, pool, carry, batch_size)[0], pool, carry)
    zeros = jnp.zeros(batch_size, carry.labeled.weight.dtype)
    return Selection(zeros.astype(jnp.int32), zeros, zeros > 0)


def _keep(events: list[dict], event: dict, record: Any) -> None:
    """Append the event, unless the record holds it already."""
    if event["round"] >= len(events):
        events.append(event)
        if record is not None:
            record.append([event])
