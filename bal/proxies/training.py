"""One training of a learner on rows that somebody else has chosen."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.loop.constants import jitted
from bal.loop.round import FIT, INIT, fold, given_start, measure
from bal.pool.labeled import answer, empty_log, training_set
from bal.pool.over import num_rows
from bal.typing import Data, Learner, Pool, Posterior, PRNGKey, PyTree, Setup, Values


def trained_on(key: PRNGKey, learner: Learner, pool: Pool, rows: Values, y: Any, capacity: int | None = None) -> Any:
    """A learner trained once on some labeled rows of a pool: what a run would have, had it asked for just these.

    Use it for a target after a proxy's run of any kind, at as many budgets as one likes: ``rows[:100]``.

    Args:
      key: of this training.
      learner, pool: the target, and its inputs.
      rows, y: which rows, and their labels.
      capacity: of the buffer, as many as rows by default; one capacity for all budgets compiles once.

    Returns:
      A `Posterior`.

    Raises:
      ValueError: other numbers of labels than of rows, or a capacity below.
    """
    data = answers(pool, np.asarray(rows), y, len(np.asarray(rows)) if capacity is None else capacity)
    return Posterior(fitted(key, learner, data), learner)


def answers(pool: Pool, rows: np.ndarray, y: Any, capacity: int) -> Data:
    """Labeled rows as a training set of fixed capacity."""
    y = jax.tree.map(jnp.asarray, y)
    if num_rows(y) != len(rows) or len(rows) > capacity:
        raise ValueError(f"expected {len(rows)} labels within a capacity of {capacity}, got {num_rows(y)}")
    picked = given_start(np.asarray(rows, np.int32))
    log = answer(empty_log(capacity, y), jnp.asarray(picked.indices), jnp.asarray(picked.valid), y,
                 jnp.zeros(len(rows)), 0)  # fmt: skip
    return training_set(log, pool)


def fitted(key: PRNGKey, learner: Learner, data: Data) -> PyTree:
    """The state of a learner that begins with these data."""
    init, fit = compiled(learner)
    return fit(fold(key, FIT), init(fold(key, INIT), data), data)


@lru_cache(maxsize=16)
def compiled(learner: Learner) -> tuple[Callable, Callable]:
    """`init` and `fit`, compiled where they can be; kept, so that all seeds share them."""
    if learner.host:
        return learner.init, learner.fit
    return jitted(lambda learner: learner.init, learner), jitted(lambda own: own.fit, learner)


def first_state(key: PRNGKey, target: Learner, pool: Pool) -> PyTree:
    """The state of a learner that has seen no label: of a pretrained network, its weights."""
    some = jax.tree.map(lambda leaf: leaf[:1], pool.x)
    return compiled(target)[0](fold(key, INIT), Data(some, jnp.zeros(1, jnp.int32), jnp.zeros(1)))


def measured(setup: Setup, posterior: Posterior, test: PyTree) -> dict[str, Any]:
    """What the set-up's `evaluate` says of a posterior, as numpy."""
    found = _measuring(setup._replace(over=None), posterior.learner)(posterior.state, test)
    return jax.tree.map(np.asarray, found)


@lru_cache(maxsize=16)
def _measuring(setup: Setup, learner: Learner) -> Callable:
    asking = lambda held: lambda state, test: measure(held[0], Posterior(state, held[1]), test)
    return asking((setup, learner)) if learner.host else jitted(asking, (setup, learner))
