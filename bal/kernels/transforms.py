"""Transforms: candidates in, candidates with other rows out, before a rule sees them (`bal.selection.transformed`).

A transform is ``key, Candidates -> Candidates``; deterministic ones ignore the key. Sums over the pool run over the
eligible rows that are finite, so that rows which may not be picked change nothing, and a row of NaN spoils no other.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.method import method
from bal.typing import Candidates, PRNGKey, PyTree, Transform


@method
def map_rows(function: Callable[[PyTree], PyTree]) -> Transform:
    """Apply a row-wise function to the rows and to the labeled rows.

    >>> candidates = Candidates(jnp.ones((2, 3)), jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2))
    >>> map_rows(lambda rows: 2 * rows)(jax.random.key(0), candidates).rows[0].tolist()
    [2.0, 2.0, 2.0]
    """

    def transform(key: PRNGKey, candidates: Candidates) -> Candidates:
        del key
        known = None if candidates.known is None else function(candidates.known)
        return candidates._replace(rows=function(candidates.rows), known=known)

    return transform


def pool_only(key: PRNGKey, candidates: Candidates) -> Candidates:
    """Forget the labeled rows: centers are those of the batch alone (mode P of the benchmark paper, not TP).

    >>> one = jnp.ones((1, 1))
    >>> candidates = Candidates(one, jnp.arange(1), jnp.ones(1) > 0, jnp.ones(1), one, jnp.ones(1))
    >>> pool_only(jax.random.key(0), candidates).known is None
    True
    """
    del key
    return candidates._replace(known=None, known_weight=None)


def centered(key: PRNGKey, candidates: Candidates) -> Candidates:
    """Subtract the mean feature of the eligible rows: no distance changes, and distances lose no digits to an offset.

    >>> import numpy as np
    >>> candidates = Candidates(np.array([[1.0], [3.0]]), np.arange(2), np.ones(2) > 0, np.ones(2))
    >>> jax.jit(centered)(jax.random.key(0), candidates).rows.tolist()
    [[-1.0], [1.0]]
    """
    rows = check_features(candidates)
    live = (candidates.eligible & jnp.isfinite(rows).all(1))[:, None]
    mean = jnp.sum(jnp.where(live, rows, 0.0), 0, keepdims=True) / jnp.maximum(live.sum(), 1)
    return map_rows(lambda rows: rows - mean)(key, candidates)


def scaled(key: PRNGKey, candidates: Candidates) -> Candidates:
    """Scale features so that the mean of ``|φ|²`` is 1 over the labeled rows, or over the eligible ones without any.

    The unit in which a noise variance such as that of `given_known` is meant. Rows that are all zero stay so.

    >>> import numpy as np
    >>> candidates = Candidates(np.array([[1.0], [7.0]]), np.arange(2), np.ones(2) > 0, np.ones(2))
    >>> jax.jit(scaled)(jax.random.key(0), candidates).rows.tolist()
    [[0.20000000298023224], [1.399999976158142]]
    """
    rows = check_features(candidates)
    mean = _mean_square(rows, candidates.eligible)
    if candidates.known is not None and candidates.known_weight is not None:
        real = candidates.known_weight > 0
        mean = jnp.where(real.any(), _mean_square(candidates.known, real), mean)
    factor = jax.lax.rsqrt(jnp.where(mean > 0, mean, 1.0))
    return map_rows(lambda rows: rows * factor)(key, candidates)


def check_features(candidates: Candidates) -> Float[Array, "n F"]:
    """The rows, if they are one array of features ``[n, F]``."""
    if getattr(candidates.rows, "ndim", 0) != 2:
        raise ValueError("this transform works on features [n, F]; make them with map_rows or sketch before it")
    return candidates.rows


def _mean_square(rows: Float[Array, "n F"], real: Array) -> Array:
    size = jnp.sum(rows * rows, 1)
    live = real & jnp.isfinite(size)
    return jnp.sum(jnp.where(live, size, 0.0)) / jnp.maximum(live.sum(), 1)
