"""A query asked about a model that another library has fitted, on plain arrays."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.learners import from_functions
from bal.method import brief
from bal.pool.arrays import as_rows
from bal.pool.labeled import empty_log
from bal.pool.over import host
from bal.query.funnel import is_scores, run_query
from bal.typing import ANSWERED, Learner, Pool, Posterior, PRNGKey, PyTree, Query, Round, Selection

_STEPS = 8  # sizes of arrays between two powers of two


class Picked(NamedTuple):
    """indices, scores: of B rows; every: the scores of all n rows, where the query is one stage that scores rows."""

    indices: np.ndarray
    scores: np.ndarray
    every: np.ndarray | None


def check_query(query: Any) -> None:
    """A query that a strategy can ask by.

    Raises:
      TypeError: no query, or one that remembers rounds.
    """
    if not isinstance(query, Query):
        raise TypeError(f"expected a Query, got {brief(query)}; call a recipe, as bal.strategies.bald()")
    if query.memory is not None:
        raise TypeError(f"{query} remembers earlier rounds, which a strategy cannot; use bal.Campaign or bal.run_eager")


def fitted_learner(predict: Any) -> Learner:
    """A learner whose state is a model that others fit: ``predict(model, x)`` as in `bal.learners.from_functions`."""
    return from_functions(_fitted_elsewhere, predict)


def pick(key: PRNGKey, query: Query, posterior: Posterior, x: Any, known: Any, batch_size: int) -> Picked:
    """The picks of a query among rows ``x [n, ...]``, beside labeled rows ``known [L, ...]``; `x` is the pool.

    Arrays are padded to one of a few sizes, so that little is compiled anew while labels come and rows go.

    Raises:
      ValueError: rows that are no arrays of one shape, more picks than rows, scores that are not numbers.
    """
    x, known = _read(x), _read(known)
    if len(known) and known.shape[1:] != x.shape[1:]:
        raise ValueError(f"expected labeled rows of shape {x.shape[1:]} as in the pool, got {known.shape[1:]}")
    n, num_known = len(x), len(known)
    if not 1 <= batch_size <= n:
        raise ValueError(f"expected to pick 1 to {n} rows, as many as there are, got {batch_size}")
    capacity = padded(max(num_known, 1))
    parts = (x, known) if num_known else (x,)
    filling = np.repeat(x[:1], padded(n + capacity) - n - num_known, 0)
    rows = np.concatenate([*parts, filling])
    present = np.arange(len(rows)) < n + num_known
    pool = Pool(rows, jax.device_put(present), jax.device_put(np.ones(len(rows), np.float32)))
    log, taken = empty_log(capacity, np.zeros(1, np.float32)), np.arange(capacity) < num_known
    labeled = log._replace(
        indices=jnp.where(taken, n + np.arange(capacity), log.indices).astype(jnp.int32),
        weight=jax.device_put(taken.astype(np.float32)),
        status=jax.device_put(np.where(taken, ANSWERED, 0).astype(np.int32)),
        count=jnp.asarray(num_known, jnp.int32),
    )
    keep: Any = lambda memory, seen: seen
    asked, round = query._replace(remember=keep), Round(posterior, pool, labeled, None)
    selection, seen = run_query(key, asked, round, batch_size, host())
    return _checked(selection, seen, n)


def padded(size: int) -> int:
    """The least size of at least 16 that is a power of two, or lies an eighth of one, or several, above it.

    >>> [padded(size) for size in (1, 17, 1000, 1025)]
    [16, 18, 1024, 1152]
    """
    step = max(2 ** (max(size - 1, 1).bit_length() - 1) // _STEPS, 1)
    return max(-(-size // step) * step, 16)


def _checked(selection: Selection, seen: PyTree, n: int) -> Picked:
    valid = np.asarray(selection.valid)
    if not valid.all():
        raise ValueError(
            f"only {valid.sum()} of {len(valid)} rows could be picked: the scores of the others are not numbers; check "
            "the predictions"
        )
    rows = seen[0][0].rows
    scored = len(seen) == 1 and isinstance(rows, jax.Array) and is_scores(rows)
    return Picked(np.asarray(selection.indices), np.asarray(selection.scores), np.asarray(rows)[:n] if scored else None)


def _read(x: Any) -> np.ndarray:
    if hasattr(x, "toarray"):
        raise ValueError("expected rows as an array, got a sparse matrix; use x.toarray()")
    return np.asarray(as_rows(x))


def _fitted_elsewhere(x: Any, y: Any) -> Any:
    raise ValueError("this query fits the learner anew, but the model was fitted elsewhere; use bal.Campaign")
