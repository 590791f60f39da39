"""Whole experiments on pairs as one program: fit, measure, ask, answer, the pool of pairs never written down."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int

from bal.learners.settings import named
from bal.loop.round import FIT, INIT, LABEL, QUERY, START, round_key
from bal.pairs.comparison import Comparison, bradley_terry, check_comparison
from bal.pairs.doors import check_items, check_pair_ids, check_setup, is_known
from bal.pairs.drawing import draw_pairs
from bal.pairs.nouns import (
    PairLog,
    PairRound,
    PairSelection,
    PairSetup,
    add_answers,
    empty_log,
    num_items,
    pair_inputs,
    training_pairs,
)
from bal.typing import PADDING, Posterior, PRNGKey, PyTree, Task


class PairRun(NamedTuple):
    """What a run did: R rounds of B pairs, and E = R + 1 evaluations, the first on the start set.

    log: all pairs and answers, in order. scores, valid: of the picks. metrics: what `evaluate` returned. num_training:
    answers at each evaluation.
    """

    log: PairLog
    scores: Float[Array, "R B"]
    valid: Bool[Array, "R B"]
    metrics: dict[str, Array]
    num_training: Int[Array, "E"]


def run_pairs(key: PRNGKey, task: Task, setup: PairSetup) -> PairRun:
    """A whole simulated experiment as a pure function of its arrays: jit it, and vmap it over seeds.

    Rounds are those of `bal.loop.run`, with keys folded alike.

    Args:
      key: of this seed.
      task: pool: `Items`. oracle: ``key, pairs [B, 2], x [B, 2, ...] -> y [B]``, 1 where the first item is preferred,
        traced; see `simulated_answers`. test: what `evaluate` gets. start: pairs ``[S, 2]`` or None.
      setup: all that is static.

    Raises:
      ValueError: a start set that is no pairs of items, a size out of range.
      TypeError: items, a set-up or an oracle that are none.

    >>> from bal.pairs import Items, linear_reward, random_pairs
    >>> x = jnp.eye(4)
    >>> task = Task(Items(x), simulated_answers(jnp.array([3.0, 1.0, 0.0, -2.0])))
    >>> setup = PairSetup(linear_reward(2), random_pairs(), batch_size=1, num_rounds=2, num_initial=1)
    >>> found = jax.jit(lambda key: run_pairs(key, task, setup))(jax.random.key(0))
    >>> int(found.log.count), found.num_training.tolist()
    (3, [1, 2, 3])
    """
    check_items(task.pool)
    check_setup(setup)
    if not callable(task.oracle):
        raise TypeError(f"expected a function of pairs, got {named(task.oracle)}; write simulated_answers(rewards)")
    oracle: Any = task.oracle
    simulated = isinstance(oracle, Partial) and getattr(oracle.func, "func", None) is _answer
    if simulated and len(oracle.args[0]) != num_items(task.pool):
        raise ValueError(f"expected a reward of each of {num_items(task.pool)} items, got {len(oracle.args[0])}")
    items, learner = jax.tree.map(jnp.asarray, task.pool), setup.learner
    if task.start is None:
        start = draw_pairs(round_key(key, 0, START), items, empty_log(0).pairs, setup.num_initial)
    else:
        if is_known(task.start):
            check_pair_ids(task.start, num_items(items))
        start = jnp.sort(jnp.asarray(task.start, jnp.int32), 1)
    log = empty_log(len(start) + setup.num_rounds * setup.batch_size)

    def answered(log: PairLog, pairs: Array, number: Array | int) -> PairLog:
        y = task.oracle(round_key(key, number, LABEL), pairs, pair_inputs(items.x, pairs))
        return add_answers(log, pairs, y, pairs[:, 0] != PADDING)

    def one_round(carry: tuple, number: Array) -> tuple:
        log, state = carry
        state = learner.fit(round_key(key, number, FIT), state, training_pairs(log, items))
        posterior = Posterior(state, learner)
        metrics = {} if setup.evaluate is None else setup.evaluate(posterior, task.test)

        def ask() -> tuple[PairLog, PairSelection]:
            round = PairRound(posterior, items, log)
            picked = setup.query(round_key(key, number, QUERY), round, setup.batch_size)
            return answered(log, picked.pairs, number + 1), picked._replace(info={})

        def nothing() -> tuple[PairLog, PairSelection]:
            picked = jax.eval_shape(lambda: ask()[1])
            return log, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), picked)

        new, picked = jax.lax.cond(number < setup.num_rounds, ask, nothing) if setup.num_rounds else (log, None)
        return (new, state), (picked, metrics, log.count)

    if len(start):
        log = answered(log, start, 0)
    state = learner.init(round_key(key, 0, INIT), training_pairs(log, items))
    (log, _), (picked, metrics, count) = jax.lax.scan(one_round, (log, state), jnp.arange(setup.num_rounds + 1))
    if picked is None:
        picked = PairSelection(jnp.zeros((0, 0, 2), jnp.int32), jnp.zeros((0, 0)), jnp.zeros((0, 0), bool))
    return PairRun(log, picked.scores[: setup.num_rounds], picked.valid[: setup.num_rounds], metrics, count)


def simulated_answers(rewards: Float[Array, "N"], comparison: Comparison = bradley_terry) -> Callable:
    """An oracle that prefers by rewards, with the noise of a comparison: answer 1 with probability ``g(r_a - r_b)``.

    The rewards are a leaf of it, so that it may be mapped over seeds.

    Raises ValueError for rewards that are not finite.

    >>> oracle = simulated_answers(jnp.array([50.0, -50.0]))
    >>> oracle(jax.random.key(0), jnp.array([[0, 1], [0, 1]]), None).tolist()
    [1, 1]
    """
    check_comparison(comparison)
    if is_known(rewards) and not np.isfinite(np.asarray(rewards)).all():
        raise ValueError("expected finite rewards, got some that are not; leave out such items")
    return Partial(partial(_answer, comparison), rewards)


def _answer(
    comparison: Comparison, rewards: Float[Array, "N"], key: PRNGKey, pairs: Int[Array, "B 2"], x: PyTree
) -> Array:
    del x
    of = jnp.take(rewards, pairs, mode="clip")
    keys = jax.vmap(lambda pair: jax.random.fold_in(jax.random.fold_in(key, pair[0]), pair[1]))(pairs)
    draw = jax.vmap(jax.random.uniform)(keys)
    return (jnp.log(draw) < comparison(of[:, 0] - of[:, 1])).astype(jnp.int32)
