"""`run`: a whole experiment as one program."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.loop.round import Carry, acquire, begin, first_rows, fit, no_metrics, record_answers
from bal.pool.labeled import num_answered
from bal.pool.over import dense, take
from bal.typing import Learner, Over, Pool, Posterior, PRNGKey, PyTree, Query


class Log(NamedTuple):
    """What a run did: R rounds of B picks, and R + 1 evaluations.

    start, y_start: pool rows of the start set and their labels.
    indices, scores, valid, y: the picks and the labels revealed for them; log_q: None for deterministic selectors.
    info: further arrays of the selector, one entry a round.
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


def run(
    key: PRNGKey,
    pool: Pool,
    oracle: PyTree,
    test: PyTree = None,
    start: Int[Array, "S"] | None = None,
    *,
    learner: Learner,
    query: Query,
    batch_size: int,
    num_rounds: int,
    num_initial: int | None = None,
    evaluate: Callable[[Posterior, PyTree], dict[str, Array]] = no_metrics,
    over: Over = dense,
) -> Log:
    """A whole simulated experiment as a pure function of its arrays.

    Args:
      key: key of this seed.
      pool: the candidates; an argument, never closed over, or it becomes a constant of the program.
      oracle: labels of all pool rows ``[N]``; only those of acquired rows are ever read.
      test: handed to `evaluate` with the posterior of each round.
      start: pool rows labeled at the beginning; without it `num_initial` rows are drawn at random, 0 where the
        learner's prior is to choose.
      learner, query, batch_size, num_rounds, evaluate, over: static.

    Returns:
      The `Log`.

    Raises:
      ValueError: neither `start` nor `num_initial`. `bal.loop.run_seeds` and `bal.loop.run_eager` check the rest.
    """
    first = first_rows(key, pool, start, num_initial)
    capacity = len(first.indices) + num_rounds * batch_size
    carry = begin(key, learner, query, pool, oracle, capacity)
    y_start = take(oracle, first.indices)
    carry = carry._replace(labeled=record_answers(carry.labeled, pool, first, y_start, 0))

    def one_round(carry: Carry, number: Array) -> tuple[Carry, tuple]:
        key_round = jax.random.fold_in(key, number)
        carry = carry._replace(state=fit(key_round, learner, pool, carry.labeled, carry.state))
        metrics = evaluate(Posterior(carry.state, learner), test)
        num_training = num_answered(carry.labeled)

        def query_and_answer() -> tuple[Carry, tuple]:
            selection, memory = acquire(key_round, learner, query, pool, carry, batch_size, over)
            y = take(oracle, selection.indices)  # the only line in which labels are revealed
            return Carry(record_answers(carry.labeled, pool, selection, y, number + 1), carry.state, memory), (
                selection,
                y,
            )

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
