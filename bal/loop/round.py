"""The parts of a round, of which all drivers are made.

`run` is a pure function, one `lax.scan`, to be jitted and vmapped over seeds and hyper-parameters. `run_seeds`
compiles it once for many seeds and spreads them over the devices; `run_eager` is a Python loop over the same parts, for
streamed pools, host models and records; `Campaign` lets people give the labels.

Round r fits the labels of L_r, evaluates, and asks for B more. After `num_rounds` rounds a last fit is evaluated, so
there are ``num_rounds + 1`` evaluations, the first on the start set.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array

from bal.loop.foreseen import foreseen
from bal.pool.labeled import answer, empty_log, training_set
from bal.pool.over import dense, num_rows, take
from bal.query.funnel import run_query
from bal.selection import random_uniform
from bal.typing import (
    Candidates,
    Data,
    Labeled,
    Learner,
    Pool,
    Posterior,
    PRNGKey,
    PyTree,
    Query,
    Round,
    Selection,
    Setup,
    Task,
)

START, FIT, QUERY, INIT, PROPOSE, LABEL = 0, 1, 2, 3, 4, 5

NO_START = (
    "nothing would be labeled before the first query; give num_initial=10 for a random start set, or start, or "
    "num_initial=0 where the learner's prior is to choose"
)


class Carry(NamedTuple):
    """What one round hands to the next."""

    labeled: Labeled
    state: PyTree
    memory: PyTree


fold = jax.jit(jax.random.fold_in)
"""One program, where a Python loop asks."""


def round_key(key: PRNGKey, number: Any, purpose: int) -> PRNGKey:
    """The key of a round and a purpose: folded, never split, so that adding a metric changes no other number."""
    return fold(fold(key, number), purpose)


def seed_keys(seed: int, num_seeds: int) -> Array:
    """One key a seed, folded from a root: seed s is the same whatever the number of seeds.

    >>> bool(seed_keys(0, 3)[1] == seed_keys(0, 2)[1])
    True
    """
    return _folded(jax.random.key(seed), num_seeds)


@partial(jax.jit, static_argnums=1)
def _folded(key: PRNGKey, number: int) -> Array:
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(number))


def fit(key: PRNGKey, learner: Learner, pool: Pool, labeled: Labeled, state: PyTree) -> PyTree:
    """The first half of a round. `key` is ``fold_in(key, round)``."""
    return learner.fit(fold(key, FIT), state, training_data(learner, labeled, pool))


def training_data(learner: Learner, labeled: Labeled, pool: Pool) -> Data:
    """What `fit` is handed: all answers, and the pool if the learner asks for it."""
    data = training_set(labeled, pool)
    return data._replace(unlabeled=pool) if learner.unlabeled else data


def acquire(key: PRNGKey, setup: Setup, pool: Pool, carry: Carry) -> tuple[Selection, PyTree]:
    """The second half of a round, up to the point where labels are asked for: picks and the next memory.

    What the model predicted of the picks stands in their info, where the query left nothing under that name.
    """
    round = Round(Posterior(carry.state, setup.learner), pool, carry.labeled, carry.memory)
    over = setup.over or dense
    picks, memory = run_query(fold(key, QUERY), setup.query, round, setup.batch_size, over)
    return picks._replace(info=foreseen(round.posterior, pool, picks, over) | picks.info), memory


def reveal(key: PRNGKey, number: Any, task: Task, picks: Selection) -> PyTree:
    """Labels of the picks that enter the training set before evaluation `number`: no others are ever read.

    An oracle that is a function is handed as many rows as were asked for, so that shapes are fixed; what it answers
    in the place of a pick that is not valid is dropped.
    """
    if not callable(task.oracle):
        return take(task.oracle, picks.indices)
    key = round_key(key, number, LABEL)
    rows = jnp.clip(picks.indices, 0, num_rows(task.pool.x) - 1)
    if not len(rows):  # no function has to answer for no rows
        return jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape[1:]), leaf.dtype), label_shapes(task))
    y = jax.tree.map(jnp.asarray, task.oracle(key, rows, take(task.pool.x, rows)))
    keep = lambda leaf: jnp.where(picks.valid.reshape(-1, *(1,) * (leaf.ndim - 1)), leaf, jnp.zeros((), leaf.dtype))
    return jax.tree.map(keep, y)


def label_shapes(task: Task) -> PyTree:
    """Shape and type of one label of an oracle that is a function, ``[1, ...]``; it is traced, not asked."""
    one = lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), jax.dtypes.canonicalize_dtype(leaf.dtype))
    answer = lambda oracle, key, rows, x: jax.tree.map(jnp.asarray, oracle(key, rows, x))
    oracle = task.oracle if isinstance(task.oracle, Partial) else Partial(task.oracle)
    rows = jax.ShapeDtypeStruct((1,), jnp.int32)
    return jax.eval_shape(answer, oracle, jax.random.key(0), rows, jax.tree.map(one, task.pool.x))


def draw_start(key: PRNGKey, pool: Pool, num_initial: int) -> Selection:
    """A uniformly random start set among the rows that are present."""
    return _draw_start(key, pool.present, pool.cost, num_initial)


@partial(jax.jit, static_argnums=3)  # one small program where it is called by itself, as what follows
def _draw_start(key: PRNGKey, present: Array, cost: Array, num_initial: int) -> Selection:
    candidates = Candidates(None, jnp.arange(len(present), dtype=jnp.int32), present, cost)
    drawn = random_uniform(round_key(key, 0, START), candidates, num_initial)
    return Selection(drawn.indices, jnp.full(num_initial, jnp.nan), drawn.valid)


def first_rows(key: PRNGKey, task: Task, setup: Setup) -> Selection:
    """The start set: that of the task, or one drawn at random."""
    if task.start is not None:
        return given_start(jnp.asarray(task.start, jnp.int32))
    if setup.num_initial is None:
        raise ValueError(NO_START)
    return draw_start(key, task.pool, setup.num_initial)


def given_start(indices: Any) -> Selection:
    """A start set ``[S]`` chosen by the caller."""
    unknown: Any = np.full(len(indices), np.nan, jax.dtypes.canonicalize_dtype(float))
    valid: Any = np.ones(len(indices), bool)
    return Selection(indices, unknown, valid)


def capacity_of(first: Selection, setup: Setup) -> int:
    """Places of the log: for one round at least, since the query of a run without rounds is traced for its shapes."""
    return len(first.indices) + max(setup.num_rounds, 1) * setup.batch_size


def begin(key: PRNGKey, learner: Learner, query: Query, pool: Pool, y_like: PyTree, capacity: int) -> Carry:
    """The carry before anything is labeled. `y_like` holds labels of any rows, for shape and type only."""
    labeled = empty_log(capacity, y_like)
    state = learner.init(round_key(key, 0, INIT), training_set(labeled, pool))
    return Carry(labeled, state, None if query.memory is None else query.memory(pool))


def record_answers(labeled: Labeled, pool: Pool, selection: Selection, y: PyTree, time: Array | int) -> Labeled:
    """Append a selection and its labels to the acquisition log; `time` is the number of queries before."""
    return _record(labeled, pool.cost, selection.indices, selection.valid, y, time)


@jax.jit
def _record(labeled: Labeled, cost: Array, indices: Array, valid: Array, y: PyTree, time: Array | int) -> Labeled:
    return answer(labeled, indices, valid, y, take(cost, indices), time)


def measure(setup: Setup, posterior: Posterior, test: PyTree) -> Any:
    """What the set-up measures of a posterior; nothing if it has no `evaluate`."""
    return {} if setup.evaluate is None else setup.evaluate(posterior, test)
