"""k-medoids: the batch whose rows are closest, in sum, to all candidates."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.method import method
from bal.numerics import first_argmax, in_row_blocks, mask_scores, row_argmin
from bal.selection.cover.distances import (
    Points,
    distances_to,
    nearest_distance,
    points,
    rows_a_block,
    squared_distances,
)
from bal.selection.kinds import check_features
from bal.selection.rules.greedy import Greedy, pick_greedily
from bal.typing import Candidates, PRNGKey, Select, Selection


@method
def k_medoids(num_iterations: int = 10) -> Select:
    """Rows that locally minimize ``Σ_n min_{m in batch and known} ‖x_n - x_m‖`` over the eligible rows n.

    ``candidates.rows`` are features ``[n, F]``, `known` those of labeled rows, which are medoids that stay. BUILD adds
    the row that lowers the cost most, B times; then, as long as anything moves and `num_iterations` times at most,
    rows are assigned to their nearest medoid and each cluster takes its best row as medoid. The cost never rises.
    Scores are how much each pick lowers the cost given those before it, in units of the features, beginning at a cost
    with one imagined medoid that is as far from every row as any row could be. Ties go to the lowest position.
    ``info["cost"]`` is the final cost.

    Each pick and each iteration costs the distances of all pairs of rows, in blocks: put a `shortlist` before it.

    Raises:
      ValueError: a negative number of iterations.

    >>> from bal.selection import select
    >>> picks = select([[0.0], [1.0], [2.0], [9.0], [9.5]], None, k_medoids(), 2)
    >>> sorted(picks.indices.tolist()), float(picks.info["cost"])
    ([1, 3], 2.5)

    Kaufman and Rousseeuw 1990, "Finding Groups in Data" (BUILD); Park and Jun 2009, "A simple and fast algorithm for
    K-medoids clustering".
    """
    if num_iterations < 0:
        raise ValueError(f"num_iterations cannot be negative, got {num_iterations}")

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        check_features("k_medoids", candidates.rows)
        here = points(candidates, candidates.rows, candidates.known)
        built, _ = pick_greedily(_build(here), candidates.eligible, batch_size)
        medoids = _alternate(here, built.indices, built.valid, num_iterations)
        distance, gains = jax.lax.scan(
            lambda distance, medoid: _add(here, distance, *medoid), _reference(here), (medoids, built.valid)
        )
        cost = jnp.where(here.usable, distance, 0.0).sum()
        scores = jnp.where(built.valid, gains, -jnp.inf)
        return built._replace(indices=medoids, scores=scores, info={**built.info, "cost": cost})

    return select


def _reference(here: Points) -> Float[Array, "n"]:
    """Distance of each row to the nearest labeled row, or to an imagined medoid farther than any row can be."""
    mean = jnp.where(here.usable[:, None], here.x, 0.0).sum(0) / jnp.maximum(here.usable.sum(), 1)
    radius = distances_to(here.x, mean)
    farthest = radius + jnp.max(jnp.where(here.usable, radius, 0.0))
    return jnp.minimum(farthest, nearest_distance(here.x, here.known, here.labeled))


def _add(here: Points, distance: Array, medoid: Array, valid: Array) -> tuple[Array, Array]:
    """Distances after one more medoid, and by how much the cost fell."""
    closer = jnp.minimum(distance, jnp.where(valid, distances_to(here.x, here.x[medoid]), jnp.inf))
    return closer, jnp.where(here.usable, distance - closer, 0.0).sum()


def _build(here: Points) -> Greedy:
    """BUILD as a greedy rule whose state is the distance of every row to its nearest medoid."""

    def score(distance: Float[Array, "n"]) -> Float[Array, "n"]:
        def gain(rows: Float[Array, "r F"]) -> Float[Array, "r"]:
            saved = distance[None, :] - jnp.sqrt(squared_distances(rows, here.x))
            return jnp.where(here.usable[None, :], jnp.maximum(saved, 0.0), 0.0).sum(1)

        gains = in_row_blocks(gain, here.x, rows_a_block(len(here.x)))
        return jnp.where(here.finite, gains, jnp.nan)

    def update(distance: Float[Array, "n"], position: Array) -> Float[Array, "n"]:
        return jnp.minimum(distance, distances_to(here.x, here.x[position]))

    return Greedy(_reference(here), score, update)


def _alternate(here: Points, medoids: Int[Array, "B"], valid: Bool[Array, "B"], num_iterations: int) -> Int[Array, "B"]:
    """Assign rows to medoids and move medoids, in turns."""

    def unfinished(carry: tuple) -> Array:
        number, moved, _ = carry
        return moved & (number < num_iterations)

    def iterate(carry: tuple) -> tuple:
        number, _, medoids = carry
        cluster = _assign(here, medoids, valid)
        within = _cost_within(here, cluster)
        better = jax.lax.map(lambda place: _best_of(within, cluster == place), jnp.arange(len(medoids)))
        new = jnp.where(valid & (cluster[better] == jnp.arange(len(medoids))), better, medoids)
        return number + 1, (new != medoids).any(), new

    return jax.lax.while_loop(unfinished, iterate, (0, jnp.array(True), medoids))[2]


def _assign(here: Points, medoids: Int[Array, "B"], valid: Bool[Array, "B"]) -> Int[Array, "n"]:
    """Place of the nearest medoid; B for a row that is nearer to a labeled row or not usable; medoids to themselves."""
    num_medoids = len(medoids)
    centers = here.x[medoids]
    to_known = nearest_distance(here.x, here.known, here.labeled)
    squared = jnp.where(valid[None, :], squared_distances(here.x, centers), jnp.inf)
    nearest = row_argmin(squared)
    distance = jnp.sqrt(jnp.square(here.x - centers[nearest]).sum(1))
    cluster = jnp.where(here.usable & (distance <= to_known), nearest, num_medoids)
    own = jnp.where(valid, medoids, len(here.x))  # copies of one row must not share a cluster
    return cluster.at[own].set(jnp.arange(num_medoids, dtype=cluster.dtype), mode="drop")


def _cost_within(here: Points, cluster: Int[Array, "n"]) -> Float[Array, "n"]:
    """``Σ_m ‖x_n - x_m‖`` over the rows m in the cluster of n."""

    def cost(ids: Int[Array, "r"]) -> Float[Array, "r"]:
        distance = jnp.sqrt(squared_distances(here.x[ids], here.x))
        return jnp.where(cluster[ids][:, None] == cluster[None, :], distance, 0.0).sum(1)

    return in_row_blocks(cost, jnp.arange(len(here.x)), rows_a_block(len(here.x)))


def _best_of(cost: Float[Array, "n"], member: Bool[Array, "n"]) -> Int[Array, ""]:
    return first_argmax(mask_scores(-cost, member))
