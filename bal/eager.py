"""An experiment as a Python loop over the same jitted pieces as `bal.loop.run`: same picks, any pool, any learner.

For pools that are streamed from disk, models that JAX cannot trace (``over=host()``), labels that come from a
function, and runs that must survive being killed.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bal.checkpoint import pack, rebuild
from bal.checks import check_budget
from bal.events import events_log, round_event
from bal.labeled import num_answered
from bal.loop import Carry, Log, acquire, begin, draw_start, fit, given_start, no_metrics, record_answers
from bal.query import Query
from bal.rows import Over, dense, take
from bal.typing import Labeled, Learner, Pool, Posterior, PRNGKey, PyTree, Selection


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
    num_initial: int = 0,
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
      ValueError: the start set and the rounds ask for more rows than are present, the start set repeats a row or
        leaves the pool, or the record was made by a run that differs.
    """
    first = draw_start(key, pool, num_initial) if start is None else given_start(jnp.asarray(start, jnp.int32))
    check_budget(pool.present, np.asarray(first.indices), num_rounds * batch_size)
    parts = run_parts(learner, query, evaluate, over)
    events = [] if record is None else record.rounds(seed)
    y = _reveal(oracle, first, events, 0)
    carry = begin(key, learner._replace(init=parts.init), query, pool, y, len(first.indices) + num_rounds * batch_size)
    carry, picks, next_round = rebuild(record, seed, events, carry, y) or (carry, first, 0)
    for number in range(next_round, num_rounds + 1):
        y = y if number == 0 else _reveal(oracle, picks, events, number)
        key_round = jax.random.fold_in(key, number)
        labeled = record_answers(carry.labeled, picks, y)
        state = parts.fit(key_round, pool, labeled, carry.state)
        metrics = parts.evaluate(state, test)
        event = round_event(seed, number, picks, y, metrics, num_answered(labeled), len(first.indices))
        carry = Carry(labeled, state, carry.memory)
        if number < num_rounds:
            picks, memory = parts.acquire(key_round, pool, carry, batch_size)
            carry = carry._replace(memory=memory)
        _keep(events, event, record)
        if record is not None and number < num_rounds:
            record.save_state(number, pack(carry, picks, seed))
        if on_round is not None:
            on_round(event)
    return events_log(events, y)


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


def _reveal(oracle: PyTree | Callable, picks: Selection, events: list[dict], number: int) -> Array:
    """Labels of the picks: from the record if it has them, so that nobody is asked twice, else from the oracle."""
    if number < len(events):
        return jnp.asarray(np.asarray(events[number]["labels"]))
    if not callable(oracle):
        return take(oracle, picks.indices)
    y = jnp.asarray(oracle(np.asarray(picks.indices)))
    if len(y) != len(picks.indices):
        raise ValueError(f"the oracle was asked for {len(picks.indices)} labels and returned {len(y)}")
    return y


def _keep(events: list[dict], event: dict, record: Any) -> None:
    """Append the event, or check that it repeats what the record already holds."""
    number = event["round"]
    if number >= len(events):
        events.append(event)
        if record is not None:
            record.append([event])
    elif list(events[number]["acquired"]) != event["acquired"].tolist():
        raise ValueError(
            f"round {number} of the record acquired {events[number]['acquired']}, but this run acquires "
            f"{event['acquired'].tolist()}: resume with the configuration, versions and threads of the record"
        )
