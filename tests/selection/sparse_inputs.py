"""Random vectors for tests of sparse approximations, and one compilation for all trials."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from bal.selection import SparseRows, sum_rows
from bal.typing import Candidates

KEY = jax.random.key(0)
N, J, B, TRIALS = 14, 6, 4, 16
RNG = np.random.RandomState(0)
FEATURES = (RNG.randn(TRIALS, N, J) + 0.5 * RNG.randn(TRIALS, 1, J)).astype(np.float32)
VARIANCE = (0.2 + RNG.rand(TRIALS, N)).astype(np.float32)


def candidates(features, variance=None, eligible=None):
    n = len(features)
    variance = np.zeros(n, np.float32) if variance is None else variance
    rows, one = SparseRows(jnp.asarray(features), jnp.asarray(variance)), jnp.asarray(np.ones(n, np.float32))
    eligible = jnp.asarray(np.ones(n, bool) if eligible is None else eligible)
    return Candidates(rows, jnp.asarray(np.arange(n, dtype=np.int32)), eligible, one, context=_sum_rows(rows, one))


_sum_rows = jax.jit(sum_rows)
compiled = functools.cache(functools.partial(jax.jit, static_argnums=2))


def run(select, some, batch_size):
    """Picks as numpy arrays, of one program for each selector and shape."""
    return jax.device_get(compiled(select)(KEY, some, batch_size))


def run_all(select):
    """One compilation for all trials."""
    return jax.device_get(jax.jit(jax.vmap(lambda phi, s2: select(KEY, candidates(phi, s2), B)))(FEATURES, VARIANCE))
