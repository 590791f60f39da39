"""Random vectors for tests of sparse approximations, and one compilation for all trials."""

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
    variance = jnp.zeros(len(features)) if variance is None else variance
    rows, one = SparseRows(jnp.asarray(features), jnp.asarray(variance)), jnp.ones(len(features))
    eligible = one > 0 if eligible is None else jnp.asarray(eligible)
    return Candidates(rows, jnp.arange(len(features)), eligible, one, context=sum_rows(rows, one))


def run_all(select):
    """One compilation for all trials."""
    return jax.jit(jax.vmap(lambda phi, s2: select(KEY, candidates(phi, s2), B)))(FEATURES, VARIANCE)
