"""Greedy batches that leave the least mean posterior variance at target rows: ALC, one pick after another."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.kernels import linear
from bal.kernels.distance import finite_size
from bal.method import method
from bal.numerics import dot, normalized, rounding_error
from bal.selection.rules.greedy import Greedy, greedy
from bal.selection.variance.pivoted_cholesky import Cholesky, add_row, next_row, no_picks
from bal.typing import Candidates, KernelOf, PRNGKey, PyTree, Select


class TargetRows(NamedTuple):
    """The context of the rule: target rows as the kernel compares them, importance, and the kernel's own context."""

    rows: PyTree
    weight: Float[Array, "M"]
    context: PyTree = None


class IntegratedVarianceState(NamedTuple):
    """Given the picks so far: covariances with the targets, and variances."""

    covariance: Float[Array, "M n"]
    given: Cholesky


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

    >>> from bal.selection import select
    >>> x, targets = [[1.0, 0.0], [0.9, 0.0], [0.0, 0.5]], TargetRows(jnp.eye(2), jnp.ones(2))
    >>> select(x, None, integrated_variance(), 2, context=targets).indices.tolist()
    [0, 2]

    Cohn, Ghahramani and Jordan 1996, "Active Learning with Statistical Models"; its batch form is the greedy one.
    """

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        targets = candidates.context
        if not isinstance(targets, TargetRows):
            raise ValueError(
                "integrated_variance needs TargetRows as the stage's context: bal.query.target_rows"
                "(bal.query.targets(x_target)) makes them"
            )
        k = kernel(candidates._replace(context=targets.context))
        prior = finite_size(k)
        rounding = rounding_error(prior)
        weight = normalized(targets.weight).astype(prior.dtype)

        def score(state: IntegratedVarianceState) -> Float[Array, "n"]:
            drop = dot(weight, state.covariance**2)
            label = state.given.variance + k.noise
            return jnp.where(label == 0, 0.0, drop / jnp.where(label == 0, 1.0, label))

        def update(state: IntegratedVarianceState, position: Int[Array, ""]) -> IntegratedVarianceState:
            row, scale = next_row(k, state.given, position)
            covariance = state.covariance - (state.covariance[:, position] * scale)[:, None] * row[None]
            return IntegratedVarianceState(covariance, add_row(state.given, row, rounding))

        return Greedy(IntegratedVarianceState(k.block(targets.rows), no_picks(prior, batch_size)), score, update)

    return greedy(rule)
