"""Greedy mutual information between the picked and the other candidates: sensor placement by Krause et al."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.kernels import linear
from bal.method import method
from bal.numerics import in_float64, in_single
from bal.selection.rules.greedy import Greedy, pick_greedily
from bal.typing import Candidates, KernelOf, PRNGKey, Select, Selection


class MutualInformationState(NamedTuple):
    """covariance: of the labels given the picks; precision: inverse covariance of the labels that are not picked."""

    covariance: Float[Array, "n n"]
    precision: Float[Array, "n n"]


@method
def mutual_information(kernel: KernelOf = linear) -> Select:
    """Greedily maximize ``I(y_B; y_rest)``, what the labels of the batch tell about the labels of the other candidates.

    The gain of a row is ``½ log[Var(y | picks) / Var(y | all others not picked)]``, in nats, with the noise of a label
    in both (`noisy`): the rise of ``½ (log det C_B + log det C_rest - log det C)``, C being the covariance of the
    labels. Unlike `max_det` it prefers rows in the middle of others to rows at the border. The gains sum to the
    information of the batch.

    *The candidates handed in that are eligible are the whole world* (a pool of a few hundred, or a shortlist of it):
    rows that may not be picked, and rows whose variance is not finite, are no part of "the rest". The labeled rows play
    no part but through the kernel: with the posterior's (`learner_covariance`, `conditioned`) the information is that
    given the labels. Keep B well below n/2, beyond which the gains turn negative; up to that the greedy value is nearly
    at least 1 - 1/e of the best.

    Costs O(n³) once for the inverse and O(n²) a pick, in float64, and two ``[n, n]`` matrices. Without noise, rows that
    determine one another make C singular: their scores are NaN or infinite.

    >>> from bal.kernels import noisy
    >>> from bal.selection import select
    >>> x = [[0.0, 3.0], [2.0, 0.0], [1.5, 0.1], [1.6, 0.0]]
    >>> select(x, None, mutual_information(noisy(linear, 0.5)), 1).indices.tolist()
    [1]

    Krause, Singh and Guestrin 2008, "Near-Optimal Sensor Placements in Gaussian Processes: Theory, Efficient Algorithms
    and Empirical Studies" (JMLR).
    """

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        k = kernel(candidates)
        gram, noise = k.block(k.rows), jnp.broadcast_to(k.noise, candidates.index.shape)

        def solve(eligible: Array, gram: Array, noise: Array) -> Selection:
            finite = jnp.isfinite(jnp.diagonal(gram)) & jnp.isfinite(noise)
            rule = _rule(gram, noise, finite, eligible & finite)
            return in_single(pick_greedily(rule, eligible, batch_size)[0], {}, gram.dtype)

        return in_float64(solve)(candidates.eligible, gram, noise)

    return select


def _rule(
    gram: Float[Array, "n n"], noise: Float[Array, "n"], finite: Bool[Array, "n"], world: Bool[Array, "n"]
) -> Greedy:
    covariance = jnp.where(world[:, None] & world[None], gram, 0.0).astype(jnp.float64)
    covariance = covariance + jnp.eye(len(noise), dtype=jnp.float64) * jnp.where(world, noise, 1.0)[:, None]

    def score(state: MutualInformationState) -> Float[Array, "n"]:
        ratio = jnp.diagonal(state.covariance) * jnp.diagonal(state.precision)
        gain = (0.5 * jnp.log(ratio)).astype(gram.dtype)  # rounding of the inverse must not decide between equal rows
        return jnp.where(finite, gain, jnp.nan)

    def update(state: MutualInformationState, position: Int[Array, ""]) -> MutualInformationState:
        return MutualInformationState(*(_removed(matrix, position) for matrix in state))

    return Greedy(MutualInformationState(covariance, jnp.linalg.inv(covariance)), score, update)


def _removed(matrix: Float[Array, "n n"], position: Int[Array, ""]) -> Float[Array, "n n"]:
    """Conditioning a covariance on a variable and marginalizing a precision over it are the same step."""
    column = matrix[:, position]
    return matrix - column[:, None] * (column / column[position])[None]
