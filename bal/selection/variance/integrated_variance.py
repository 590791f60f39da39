"""Greedy batches that leave the least mean posterior variance at target rows: ALC, one pick after another."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.kernels import linear
from bal.kernels.distance import finite_size
from bal.method import method
from bal.selection.rules.greedy import GreedyRule, greedy
from bal.typing import Candidates, Kernel, KernelOf, PRNGKey, PyTree, Select, Selection


class TargetRows(NamedTuple):
    """The context of the rule: target rows as the kernel compares them, importance, and the kernel's own context."""

    rows: PyTree
    weight: Float[Array, "M"]
    context: PyTree = None


class IntegratedVarianceState(NamedTuple):
    """Given the picks so far: covariances with the targets, variances, and the rows of the Cholesky factor."""

    covariance: Float[Array, "M n"]
    variance: Float[Array, "n"]
    factor: Float[Array, "B n"]
    num_picks: Int[Array, ""]


@method
def integrated_variance(kernel: KernelOf = linear) -> Select:
    """Greedily minimize the mean variance ``Σ_z w_z Var(f_z | labels of the batch)`` at targets; weights normalized.

    The score of a pick is the drop ``Σ_z w_z Σ_xz² / (Σ_xx + σ_x²)`` given the earlier picks (`bal.acquisition.alc`),
    in the squared unit of the label: they sum to the whole drop. ``candidates.context`` is a `TargetRows`; its own
    `context` is what the kernel reads, the `Posterior` for a Gaussian process (`bal.query.target_rows`),
    None for `linear`. The labeled rows play no part but through the kernel.

    Each pick costs O(n (B + M)), and memory is ``[M, n]``: shortlist a large pool. The objective is monotone but not
    submodular in general, so greedy has no guarantee. A row without variance and noise gains 0.

    Raises:
      ValueError: a stage without targets.

    Cohn, Ghahramani and Jordan 1996, "Active Learning with Statistical Models"; its batch form is the greedy one.

    >>> rows = jnp.array([[1.0, 0.0], [0.9, 0.0], [0.0, 0.5]])
    >>> candidates = Candidates(rows, jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3))
    >>> candidates = candidates._replace(context=TargetRows(jnp.eye(2), jnp.ones(2)))
    >>> integrated_variance()(jax.random.key(0), candidates, 2).indices.tolist()
    [0, 2]
    """

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        targets = candidates.context
        if not isinstance(targets, TargetRows):
            raise ValueError(
                "integrated_variance needs TargetRows as the stage's context: bal.query.target_rows"
                "(bal.query.targets(x_target)) makes them"
            )
        rule = _rule(kernel(candidates._replace(context=targets.context)), targets, batch_size)
        return greedy(rule)(key, candidates, batch_size)

    return select


def _rule(kernel: Kernel, targets: TargetRows, batch_size: int) -> GreedyRule:
    prior = finite_size(kernel)
    rounding = 8 * jnp.finfo(prior.dtype).eps * prior
    weight = (targets.weight / targets.weight.sum()).astype(prior.dtype)

    def init(key: PRNGKey, candidates: Candidates) -> IntegratedVarianceState:
        factor = jnp.zeros((batch_size, prior.shape[0]), prior.dtype)
        return IntegratedVarianceState(kernel.block(targets.rows), prior, factor, jnp.zeros((), jnp.int32))

    def score(state: IntegratedVarianceState, candidates: Candidates) -> Float[Array, "n"]:
        drop = jnp.matmul(weight, state.covariance**2, precision="highest")
        label = state.variance + kernel.noise
        return jnp.where(label == 0, 0.0, drop / jnp.where(label == 0, 1.0, label))

    def update(
        state: IntegratedVarianceState, candidates: Candidates, position: Int[Array, ""]
    ) -> IntegratedVarianceState:
        explained = jnp.matmul(state.factor[:, position], state.factor, precision="highest")
        covariance = kernel.column(kernel.row(position)) - explained
        label = state.variance[position] + kernel.noise[position]
        scale = jnp.where(label > 0, jax.lax.rsqrt(jnp.where(label > 0, label, 1.0)), 0.0)
        row = covariance * scale
        to_targets = state.covariance - (state.covariance[:, position] * scale)[:, None] * row[None]
        variance = state.variance - row * row
        variance = jnp.where(variance <= rounding, 0.0, variance)
        factor = state.factor.at[state.num_picks].set(row)
        return IntegratedVarianceState(to_targets, variance, factor, state.num_picks + 1)

    return GreedyRule(init, score, update)
