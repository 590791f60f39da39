"""MaxDet: greedily the batch of largest log-determinant, which is pivoted Cholesky and batch BALD of a GP."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.kernels import Kernel, KernelOf, linear
from bal.selection.greedy import GreedyRule, greedy
from bal.selection.top_k import Select
from bal.typing import Candidates, PRNGKey, Selection


class MaxDetState(NamedTuple):
    """variance: of f given the noisy picks; factor: rows of the Cholesky factor so far, 0 beyond `num_picks`."""

    variance: Float[Array, "n"]
    factor: Float[Array, "B n"]
    num_picks: Int[Array, ""]


def max_det(kernel: KernelOf = linear) -> Select:
    """Greedily maximise ``½ log det(I + K_BB / σ²)``, the information of the batch's noisy labels about f, in nats.

    The score of a pick is its gain ``½ log(1 + v/σ²)``, with v its variance given the earlier picks: they sum to the
    log-determinant. The noise, per row, is the kernel's (`noisy`) and enters the pivot ``v + σ²``, so that a copy of a
    picked row still gains what a second noisy label is worth. Without noise the score is ``½ log v``, the plain
    log-determinant of K_BB, and a row that is a combination of the picks scores `-inf` (it comes last).

    The labeled rows play no part but through the kernel: use `given_known` or `conditioned`. Cost: B columns and
    O(N B²), memory ``[B, N]``. Variances below 1e-6 of the prior's are rounding and count as 0, so noise should not be
    smaller. With noise the objective is monotone and submodular: the greedy value is at least 1 - 1/e of the best.

    Holzmüller, Zaverkin, Kästner and Steinwart 2023, "A Framework and Benchmark for Deep Batch Active Learning for
    Regression" (JMLR); Nemhauser, Wolsey and Fisher 1978 for the guarantee.

    >>> import jax.numpy as jnp
    >>> rows = jnp.array([[2.0, 0.0], [1.9, 0.0], [0.0, 1.0]])
    >>> candidates = Candidates(rows, jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3))
    >>> max_det()(jax.random.key(0), candidates, 2).indices.tolist()
    [0, 2]
    """

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        return greedy(_rule(kernel(candidates), batch_size))(key, candidates, batch_size)

    return select


def _rule(kernel: Kernel, batch_size: int) -> GreedyRule:
    prior = kernel.diag()
    rounding = 8 * jnp.finfo(prior.dtype).eps * prior

    def init(key: PRNGKey, candidates: Candidates) -> MaxDetState:
        factor = jnp.zeros((batch_size, prior.shape[0]), prior.dtype)
        return MaxDetState(prior, factor, jnp.zeros((), jnp.int32))

    def score(state: MaxDetState, candidates: Candidates) -> Float[Array, "n"]:
        quiet = kernel.noise > 0
        ratio = state.variance / jnp.where(quiet, kernel.noise, 1.0)
        return 0.5 * jnp.where(quiet, jnp.log1p(ratio), jnp.log(ratio))

    def update(state: MaxDetState, candidates: Candidates, position: Array) -> MaxDetState:
        explained = jnp.matmul(state.factor[:, position], state.factor, precision="highest")
        covariance = kernel.column(kernel.row(position)) - explained
        pivot = state.variance[position] + kernel.noise[position]
        row = jnp.where(pivot > 0, covariance * jax.lax.rsqrt(jnp.where(pivot > 0, pivot, 1.0)), 0.0)
        variance = state.variance - row * row
        variance = jnp.where(variance <= rounding, 0.0, variance)
        return MaxDetState(variance, state.factor.at[state.num_picks].set(row), state.num_picks + 1)

    return GreedyRule(init, score, update)
