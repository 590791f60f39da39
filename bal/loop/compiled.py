"""`run`: a whole experiment as one program."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.loop.round import Carry, acquire, begin, capacity_of, first_rows, fit, measure, record_answers, reveal
from bal.loop.shown import log_in_markup, log_in_words
from bal.pool.labeled import num_answered
from bal.typing import Posterior, PRNGKey, PyTree, Setup, Task


class Log(NamedTuple):
    """What a run did: R rounds of B picks, and R + 1 evaluations.

    start, y_start: pool rows of the start set and their labels.
    indices, scores, valid, y: the picks and the labels revealed for them; log_q: None for deterministic selectors.
    info: further arrays of the selector, one entry a round; `predicted` (and `predicted_variance`) are what the model
    that asked for the picks predicted of them, averaged over draws (`bal.loop.foreseen`).
    metrics: what `evaluate` returned, before each round and after the last; num_training: labels in the training set
    at each of these evaluations.
    """

    start: Int[Array, "S"]
    y_start: PyTree
    indices: Int[Array, "R B"]
    scores: Float[Array, "R B"]
    valid: Bool[Array, "R B"]
    y: PyTree
    log_q: Float[Array, "R B"] | None
    info: dict[str, Array]
    metrics: dict[str, Array]
    num_training: Int[Array, "E"]

    def __repr__(self) -> str:
        return log_in_words(self)

    def _repr_html_(self) -> str:
        return log_in_markup(self)


def run(key: PRNGKey, task: Task, setup: Setup) -> Log:
    """A whole simulated experiment as a pure function of its arrays.

    Use it to jit or vmap over something of your own; `run_seeds` is this over many seeds, with checks.

    Args:
      key: key of this seed.
      task: the data; an argument, never closed over, or the pool becomes a constant of the program. Of the labels only
        those of acquired rows are ever read. An oracle that is a function is traced; its key is that of the round, so
        that noise of its own for each row hangs on ``jax.random.fold_in(key, index)``.
      setup: all that is static.

    Returns:
      The `Log`.

    Raises:
      ValueError: neither `task.start` nor `setup.num_initial`. `bal.loop.run_seeds` and `bal.loop.run_eager` check the
        rest.
    """
    ask = lambda key_round, number, task, carry: acquire(key_round, setup, task.pool, carry)
    return run_asking(key, task, setup, ask)


def run_asking(key: PRNGKey, task: Task, setup: Setup, ask: Callable) -> Log:
    """`run` whose picks and next memory are those of ``ask(key_round, number, task, carry)``."""
    oracle = task.oracle if callable(task.oracle) else jax.tree.map(jnp.asarray, task.oracle)
    task = task._replace(pool=jax.tree.map(jnp.asarray, task.pool), oracle=oracle)
    learner, pool, num_rounds = setup.learner, task.pool, setup.num_rounds
    first = first_rows(key, task, setup)
    y_start = reveal(key, 0, task, first)
    carry = begin(key, learner, setup.query, pool, y_start, capacity_of(first, setup))
    carry = carry._replace(labeled=record_answers(carry.labeled, pool, first, y_start, 0))

    def one_round(carry: Carry, number: Array) -> tuple[Carry, tuple]:
        key_round = jax.random.fold_in(key, number)
        carry = carry._replace(state=fit(key_round, learner, pool, carry.labeled, carry.state))
        metrics = measure(setup, Posterior(carry.state, learner), task.test)
        num_training = num_answered(carry.labeled)

        def query_and_answer() -> tuple[Carry, tuple]:
            selection, memory = ask(key_round, number, task, carry)
            y = reveal(key, number + 1, task, selection)
            labeled = record_answers(carry.labeled, pool, selection, y, number + 1)
            return Carry(labeled, carry.state, memory), (selection, y)

        def nothing() -> tuple[Carry, tuple]:
            _, picks = jax.eval_shape(query_and_answer)
            return carry, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), picks)

        carry, (selection, y) = jax.lax.cond(number < num_rounds, query_and_answer, nothing)
        return carry, (selection, y, metrics, num_training)

    _, (selection, y, metrics, num_training) = jax.lax.scan(one_round, carry, jnp.arange(num_rounds + 1))
    selection, y = jax.tree.map(lambda leaf: leaf[:num_rounds], (selection, y))
    return Log(
        start=first.indices,
        y_start=y_start,
        indices=selection.indices,
        scores=selection.scores,
        valid=selection.valid,
        y=y,
        log_q=selection.log_q,
        info=selection.info,
        metrics=metrics,
        num_training=num_training,
    )
