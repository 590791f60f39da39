"""What a query promises, checked on anybody's: in a small experiment, compiled and step by step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.learners import ensemble, mlp
from bal.loop import run, run_eager
from bal.pool import make_pool
from bal.testing.faults import check_handed, check_value, expect, name_of, traced
from bal.testing.inputs import normal
from bal.typing import Learner, Query, Setup, Task

ROWS, CLASSES, START, BATCH, ROUNDS = 60, 3, 6, 3, 3


def example_task() -> Task:
    """Sixty rows of two features, three classes."""
    y = (np.arange(ROWS, dtype=np.int32) * 7) % CLASSES
    x = 2 * normal(0, CLASSES, 2)[y] + normal(1, ROWS, 2)
    return Task(make_pool(jnp.asarray(x)), jnp.asarray(y), start=jnp.arange(START, dtype=jnp.int32))


def check_query(query: Query | Callable[[Task], Query], learner: Learner | None = None) -> None:
    """A query keeps its contract: three rounds of three, compiled and eager, ask alike, and nothing peeks.

    Rows asked for are distinct and were not labeled; the same key asks for the same rows; `run` and `run_eager` agree;
    labels that nobody has given change nothing: the same run where all labels that were not asked for are others.

    Args:
      query: what is checked; or a function that makes it of a task, which also shows a query that keeps labels to
        itself, and one that is another value every time it is made.
      learner: whose posterior it asks by; an ensemble of three classes unless given.

    Raises:
      Fault: in one sentence, the promise that does not hold, where, and how to mend it.
      TypeError: neither a `Query` nor a function that returns one.

    >>> from bal import strategies
    >>> check_query(strategies.margin())
    """
    task, key = example_task(), jax.random.key(3)
    learner = learner or ensemble(mlp((8,), num_outputs=CLASSES), 3, num_steps=15, minibatch_size=8)
    make = (lambda task: query) if isinstance(query, Query) else query
    example = "bal.strategies.margin()"
    check_handed(query, None if not isinstance(query, Query) else Query, "a Query, or a function of a task", example)
    check_handed(make(task), Query, "a Query from the function of a task", example)
    name = name_of(make(task))
    if not isinstance(query, Query):
        check_value(lambda: make(task))
    setup = Setup(learner, make(task), BATCH, ROUNDS)
    compiled = jax.jit(lambda key, task: run(key, task, setup).indices)
    asked = np.asarray(traced(compiled, key, task, what=name))
    rows = asked.reshape(-1)
    expect(
        len(set(rows.tolist())) == BATCH * ROUNDS and not np.isin(rows, np.arange(START)).any(),
        f"expected {BATCH * ROUNDS} rows asked for once each, none of the {START} of the start set, got "
        f"{asked.tolist()} from {name}; select among candidates.eligible",
    )
    expect(
        (np.asarray(compiled(key, task)) == asked).all(),
        f"expected the same key to ask for the same rows, got others than {asked.tolist()} from {name}; take "
        "randomness from the keys that are handed in",
    )
    eager = np.asarray(run_eager(key, task, setup).indices)
    expect(
        (eager == asked).all(),
        f"expected the compiled run and the eager one to ask alike, got {asked.tolist()} and {eager.tolist()} from "
        f"{name}; nothing may hang on Python's state, on the clock or on how often a function is traced",
    )
    known = np.concatenate([np.arange(START), rows])
    other = np.array((np.asarray(task.oracle) + 1) % CLASSES)
    other[known] = np.asarray(task.oracle)[known]
    _check_peeking(name, make, learner, key, task._replace(oracle=jnp.asarray(other, jnp.int32)), asked)


def _check_peeking(name: str, make: Callable, learner: Learner, key: Any, other: Task, asked: np.ndarray) -> None:
    setup = Setup(learner, make(other), BATCH, ROUNDS)
    found = np.asarray(jax.jit(lambda key, task: run(key, task, setup).indices)(key, other))
    expect(
        (found == asked).all(),
        f"expected labels that were not asked for to change nothing, got {found.tolist()} in place of {asked.tolist()} "
        f"from {name} when they changed; a query may read round.labeled, where their weight is positive, and no other "
        "labels",
    )
