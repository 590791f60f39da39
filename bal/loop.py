"""Whole active-learning experiments: the parts of a round, and `run`, which is all rounds in one program.

`run` is a pure function, one `lax.scan`, to be jitted and vmapped over seeds and hyper-parameters. `run_seeds`
compiles it once for many seeds and spreads them over the devices; `bal.eager.run_eager` is a Python loop over the same
parts, for streamed pools, host models and records; `bal.campaign.Campaign` lets people give the labels.

Round r fits the labels of L_r, evaluates, and asks for B more. After `num_rounds` rounds a last fit is evaluated, so
there are ``num_rounds + 1`` evaluations, the first on the start set.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.labeled import answer, ask, empty_log, num_answered, training_set
from bal.query import Query, run_query
from bal.rows import Over, dense, take
from bal.selection import random_uniform
from bal.typing import Candidates, Labeled, Learner, Pool, Posterior, PRNGKey, PyTree, Round, Selection

START, FIT, QUERY, INIT = 0, 1, 2, 3

NO_START = (
    "nothing would be labeled before the first query; give num_initial=10 for a random start set, or start, or "
    "num_initial=0 where the learner's prior is to choose"
)


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


class Carry(NamedTuple):
    """What one round hands to the next."""

    labeled: Labeled
    state: PyTree
    memory: PyTree


def round_key(key: PRNGKey, number: Any, purpose: int) -> PRNGKey:
    """The key of a round and a purpose: folded, never split, so that adding a metric changes no other number."""
    return jax.random.fold_in(jax.random.fold_in(key, number), purpose)


def seed_keys(seed: int, num_seeds: int) -> Array:
    """One key a seed, folded from a root: seed s is the same whatever the number of seeds.

    >>> bool(seed_keys(0, 3)[1] == seed_keys(0, 2)[1])
    True
    """
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), jnp.arange(num_seeds))


def step(
    key: PRNGKey,
    learner: Learner,
    query: Query,
    pool: Pool,
    labeled: Labeled,
    state: PyTree,
    memory: PyTree,
    batch_size: int,
    over: Over = dense,
) -> tuple[PyTree, PyTree, Selection]:
    """Fit, then query: a round up to the point where labels are asked for. `key` is ``fold_in(key, round)``."""
    state = fit(key, learner, pool, labeled, state)
    selection, memory = acquire(key, learner, query, pool, Carry(labeled, state, memory), batch_size, over)
    return state, memory, selection


def fit(key: PRNGKey, learner: Learner, pool: Pool, labeled: Labeled, state: PyTree) -> PyTree:
    """The first half of a `step`."""
    return learner.fit(jax.random.fold_in(key, FIT), state, training_set(labeled, pool))


def acquire(
    key: PRNGKey,
    learner: Learner,
    query: Query,
    pool: Pool,
    carry: Carry,
    batch_size: int,
    over: Over = dense,
) -> tuple[Selection, PyTree]:
    """The second half of a `step`: picks and the next memory."""
    round = Round(Posterior(carry.state, learner), pool, carry.labeled, carry.memory)
    return run_query(jax.random.fold_in(key, QUERY), query, round, batch_size, over)


def draw_start(key: PRNGKey, pool: Pool, num_initial: int) -> Selection:
    """A uniformly random start set among the rows that are present."""
    n = len(pool.present)
    candidates = Candidates(None, jnp.arange(n, dtype=jnp.int32), pool.present, pool.cost)
    drawn = random_uniform(round_key(key, 0, START), candidates, num_initial)
    return Selection(drawn.indices, jnp.full(num_initial, jnp.nan), drawn.valid)


def first_rows(key: PRNGKey, pool: Pool, start: Any, num_initial: int | None) -> Selection:
    """The start set: that of the caller, or one drawn at random."""
    if start is not None:
        return given_start(jnp.asarray(start, jnp.int32))
    if num_initial is None:
        raise ValueError(NO_START)
    return draw_start(key, pool, num_initial)


def given_start(indices: Int[Array, "S"]) -> Selection:
    """A start set chosen by the caller."""
    return Selection(indices, jnp.full(len(indices), jnp.nan), jnp.ones(len(indices), bool))


def begin(key: PRNGKey, learner: Learner, query: Query, pool: Pool, y_like: PyTree, capacity: int) -> Carry:
    """The carry before anything is labeled. `y_like` holds labels of any rows, for shape and type only."""
    labeled = empty_log(capacity, y_like)
    state = learner.init(round_key(key, 0, INIT), training_set(labeled, pool))
    return Carry(labeled, state, None if query.memory is None else query.memory(pool))


def record_answers(labeled: Labeled, selection: Selection, y: PyTree) -> Labeled:
    """Append a selection and its labels to the acquisition log."""
    places = labeled.count + jnp.arange(len(selection.indices))
    labeled = ask(labeled, selection.indices, selection.valid)
    return answer(labeled, places, y, selection.valid.astype(jnp.float32))


def no_metrics(posterior: Posterior, test: PyTree) -> dict[str, Array]:
    """Evaluate nothing."""
    del posterior, test
    return {}


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
      ValueError: neither `start` nor `num_initial`. `bal.seeds.run_seeds` and `bal.eager.run_eager` check the rest.
    """
    first = first_rows(key, pool, start, num_initial)
    capacity = len(first.indices) + num_rounds * batch_size
    carry = begin(key, learner, query, pool, oracle, capacity)
    y_start = take(oracle, first.indices)
    carry = carry._replace(labeled=record_answers(carry.labeled, first, y_start))

    def one_round(carry: Carry, number: Array) -> tuple[Carry, tuple]:
        key_round = jax.random.fold_in(key, number)
        carry = carry._replace(state=fit(key_round, learner, pool, carry.labeled, carry.state))
        metrics = evaluate(Posterior(carry.state, learner), test)
        num_training = num_answered(carry.labeled)

        def query_and_answer() -> tuple[Carry, tuple]:
            selection, memory = acquire(key_round, learner, query, pool, carry, batch_size, over)
            y = take(oracle, selection.indices)  # the only line in which labels are revealed
            return Carry(record_answers(carry.labeled, selection, y), carry.state, memory), (selection, y)

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
