"""An experiment as a Python loop over the same jitted pieces as `bal.loop.run`: same picks, any pool, any learner.

For pools that are streamed from disk, host learners (`bal.learners.from_sklearn`), labels that come from any Python
function, and runs that must survive being killed.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bal.evaluation.history import StoppingRule
from bal.loop.checkpoint import pack, rebuild
from bal.loop.checks import check_key, check_predictions, check_record
from bal.loop.clock import Clock, call, peak_memory, timed
from bal.loop.compiled import Log
from bal.loop.constants import jitted
from bal.loop.doors import CHECKED_ROWS, check_answers, check_metrics, check_task, predicted, warn_of_oddities
from bal.loop.events import check_measured, events_log, known_of, num_draws_of, round_event
from bal.loop.identity import check_recorded, run_identity, same_run
from bal.loop.round import LABEL, Carry, acquire, begin, capacity_of, first_rows, fit, fold, record_answers, round_key
from bal.loop.stopping import check_rule, note_stop, reason_after, stop_event, where_stopped
from bal.pool.arrays import as_rows
from bal.pool.over import num_rows, over_of, take
from bal.records import Record
from bal.typing import Labeled, Learner, Over, Pool, Posterior, PRNGKey, PyTree, Query, Selection, Setup, Task


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
    task: Task,
    setup: Setup,
    record: Record | None = None,
    seed: int = 0,
    *,
    on_round: Callable[[dict], None] | None = None,
    stop: StoppingRule | None = None,
) -> Log:
    """Run an experiment round by round: the picks and the result of `bal.loop.run`, for any pool, learner and oracle.

    Args:
      key: key of this seed.
      task: the data. An oracle that is a function may be any Python; it is asked for the rows that were picked and no
        others, ``oracle(key, indices, x) -> y``.
      setup: how it is learned, `over` on the device or outside of it.
      record: an open `bal.records.Record`. Each finished round is on disk before the next begins; called again with
        the record of a killed run, this resumes at its last finished round and ends with the same result.
      seed: the number of this run in the record.
      on_round: called with the event of every finished round (see `bal.records`).
      stop: a rule of `bal.evaluation`, as ``label_budget(200)``, asked once a round has picked its rows: where it says
        stop nobody labels them, and the log ends with that round's evaluation. The reason is on record, and
        ``stopped_at`` of a longer log says the same. Called again without it, the run goes on.

    Raises:
      ValueError, TypeError: whatever cannot be right, as in `bal.loop.run_seeds`; labels of an oracle that do not fit
        the predictions; a record made by a run that differs: other key, rows, start set, labels, test set, batch
        size, learner, query or evaluate. More rounds than on record are added; fewer are its first.
    """
    check_key(key)
    check_record(record)
    check_rule(stop)
    task = check_task(task, setup)
    pool, learner, num_rounds, batch_size = task.pool, setup.learner, setup.num_rounds, setup.batch_size
    over = over_of(learner, setup.over)
    first = first_rows(key, task, setup)
    parts = run_parts(learner, setup.query, setup.evaluate or nothing, over)
    events = [] if record is None else record.rounds(seed)
    known = record is not None and same_run(record, seed, run_identity(key, task, first, setup))
    shapes = cache(lambda tail, dtype: predicted(learner, pool.x, jax.ShapeDtypeStruct((1, *tail), dtype))[1])
    check = lambda y, rows: y if over.place == "host" else check_answers(shapes(y.shape[1:], y.dtype), y, rows)
    y = _reveal(key, task, setup, check, first, events, 0, None)
    carry = begin(key, learner._replace(init=parts.init), setup.query, pool, y, capacity_of(first, setup))
    ended = where_stopped(stop, record, seed, num_rounds, pool.cost)
    resume = lambda end: rebuild(record, seed, events[:end], _lasting(carry, learner), pool, y) if known else None
    resumed = resume(num_rounds if ended is None else ended["round"])
    if resumed and ended is None:  # the picks that the state awaits labels for
        reason = reason_after(stop, events[: resumed[2]], resumed[1], pool.cost)
        if reason is not None:
            ended, resumed = stop_event(seed, resumed[2] - 1, reason, resumed[1]), None
    num_rounds = num_rounds if ended is None else ended["round"]
    carry, picks, next_round = resumed or (carry, first, 0)
    picks_like, metrics, clock = None, {}, Clock()
    part, acquiring = call if record is None else clock.part, "query" if over.place == "device" else "select"
    known = None if record is None and on_round is None else known_of(task, setup, num_draws_of(task, setup, y))
    for number in range(next_round, num_rounds + 1):
        y = y if number == 0 else _reveal(key, task, setup, check, picks, events, number, y)
        key_round = fold(key, number)
        labeled = record_answers(carry.labeled, pool, picks, y, number)
        state = part("fit", parts.fit, key_round, pool, labeled, carry.state)
        if over.place == "host":
            given = None if callable(task.oracle) or number > next_round else task.oracle
            _check_host(Posterior(state, learner), pool, given, labeled)
        metrics = part("evaluate", parts.evaluate, state, task.test)
        check_metrics(metrics)
        if number == next_round:
            check_measured(events, metrics)
        training = (np.asarray(labeled.weight) > 0).sum()
        event = round_event(seed, number, picks, y, metrics, training, len(first.indices), known)
        carry = Carry(labeled, state, carry.memory)
        if number < num_rounds:
            picks, memory = part(acquiring, parts.acquire, key_round, pool, carry, batch_size)
            carry, picks_like = carry._replace(memory=memory), picks
            if number >= len(events) - 1:
                reason = reason_after(stop, [*events[:number], event], picks, pool.cost)
                ended = None if reason is None else stop_event(seed, number, reason, picks)
                num_rounds = num_rounds if ended is None else number
        if _keep(events, event, record) and record is not None:
            record.time({"seed": seed, "round": number, "times": clock.read(), "memory": peak_memory()})
        if record is not None and len(events) - 1 <= number < num_rounds:  # never an older state than the one there
            record.save_state(number, pack(_lasting(carry, learner), picks, seed))
        if on_round is not None:
            on_round(event)
        if number == num_rounds:
            break
    note_stop(record, ended)
    if picks_like is None:
        picks_like = picks if num_rounds else _shapes(parts, pool, carry, batch_size, over)
    log = events_log(events[: num_rounds + 1], y, picks_like, metrics)
    if num_rounds:
        warn_of_oddities(log.info, log.valid)
    return log


@lru_cache(maxsize=16)
def run_parts(learner: Learner, query: Query, evaluate: Callable, over: Over) -> Parts:
    """The pieces of a run; kept, so that a second run or ask with the same settings compiles nothing."""

    def fitting(learner: Learner) -> Callable:
        return lambda key, pool, labeled, state: fit(key, learner, pool, labeled, state)

    def evaluating(held: tuple[Learner, Callable]) -> Callable:
        return lambda state, test: held[1](Posterior(state, held[0]), test)

    def acquiring(held: tuple[Learner, Query]) -> Callable:
        def acquire_part(key: PRNGKey, pool: Pool, carry: Carry, batch_size: int) -> tuple[Selection, PyTree]:
            return acquire(key, Setup(held[0], held[1], batch_size, 1, over=mapped), pool, carry)

        return acquire_part

    mapped = over if over.place == "device" else Over(timed("predict", over.map), over.place)
    if over.place == "host":
        parts = fitting(learner), evaluating((learner, evaluate)), acquiring((learner, query))
        return Parts(learner.init, *parts)
    init = jitted(lambda learner: learner.init, learner)
    evaluate_part = jitted(evaluating, (learner, evaluate))
    if over.place == "device":
        return Parts(init, jitted(fitting, learner), evaluate_part, jitted(acquiring, (learner, query), (3,)))
    outside = learner._replace(fit=jitted(lambda learner: learner.fit, learner))  # the pool is no part of the program
    return Parts(init, fitting(outside), evaluate_part, acquiring((learner, query)))


def nothing(posterior: Posterior, test: PyTree) -> dict[str, Array]:
    """Measured where a set-up has no `evaluate`."""
    del posterior, test
    return {}


def _reveal(
    key: PRNGKey,
    task: Task,
    setup: Setup,
    check: Callable,
    picks: Selection,
    events: list[dict],
    number: int,
    before: Array | None,
) -> Array:
    """Labels of the picks: from the record if it has them, so that nobody is asked twice, else from the oracle.

    `before` are labels of an earlier round, for shape and type where no pick is valid, so that nobody is asked, and
    for the shape that all must have.
    """
    rows = np.asarray(picks.indices)
    if number < len(events):
        y = jax.device_put(np.asarray(events[number]["labels"]))
        given = None if callable(task.oracle) else np.asarray(take(task.oracle, rows))
        check_recorded(events[number], rows, np.asarray(picks.valid), given)
        return check(y, rows) if given is None else y.astype(given.dtype)
    if not callable(task.oracle):
        return take(task.oracle, rows)
    asked = rows[np.asarray(picks.valid)]
    if before is not None and not len(asked):
        return jnp.zeros((len(rows), *before.shape[1:]), before.dtype)
    key = round_key(key, number, LABEL)
    kind = np.asarray if over_of(setup.learner, setup.over).place == "host" else jax.device_put
    y = as_rows(task.oracle(key, kind(asked), jax.tree.map(kind, take(task.pool.x, asked))), "labels")
    if len(y) != len(asked):
        raise ValueError(f"the oracle was asked for {len(asked)} labels and returned {len(y)}")
    y = np.asarray(check(np.asarray(y), asked))
    if before is not None and y.shape[1:] != before.shape[1:]:
        raise ValueError(
            f"the oracle answered with a label of shape {y.shape[1:]}, but before with {before.shape[1:]}; return one "
            "array of labels of one shape, also where no row is asked for: an empty start set asks for none"
        )
    placed = np.zeros((len(rows), *y.shape[1:]), y.dtype)
    placed[np.asarray(picks.valid)] = y
    return jax.device_put(placed)


def _check_host(posterior: Posterior, pool: Pool, given: PyTree, labeled: Labeled) -> None:
    """What a model that cannot be traced predicts for some rows, and whether labels fit that: those given, of all rows
    that are present, or those answered so far."""
    some = take(pool.x, np.arange(min(num_rows(pool.x), CHECKED_ROWS)))
    predictions = posterior.predict(jax.tree.map(np.asarray, some))
    answered = np.asarray(labeled.weight) > 0
    rows = np.asarray(labeled.indices)[answered] if given is None else np.flatnonzero(np.asarray(pool.present))
    some_of = lambda leaf: np.asarray(leaf)[answered]  # by JAX each number of answers would be a program of its own
    check_answers(predictions, jax.tree.map(some_of, labeled.y) if given is None else take(given, rows), rows)
    check_predictions(predictions, num_rows(some))


def _lasting(carry: Carry, learner: Learner) -> Carry:
    """What a record keeps: a host learner is fitted anew from the labels."""
    return carry._replace(state=None) if learner.host else carry


def _shapes(parts: Parts, pool: Pool, carry: Carry, batch_size: int, over: Over) -> Selection:
    """The picks of a run without rounds, of which there are none."""
    if over.place == "device":
        key = jax.random.key(0)
        return jax.eval_shape(lambda pool, carry: parts.acquire(key, pool, carry, batch_size)[0], pool, carry)
    zeros = jnp.zeros(batch_size, carry.labeled.weight.dtype)
    return Selection(zeros.astype(jnp.int32), zeros, zeros > 0)


def _keep(events: list[dict], event: dict, record: Record | None) -> bool:
    """Append the event, unless the record holds it already; whether it was new."""
    is_new = event["round"] >= len(events)
    if is_new:
        events.append(event)
        if record is not None:
            record.append([event])
    return is_new
