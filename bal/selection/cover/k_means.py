"""k-means: Lloyd's iterations from k-means++ centers, over weighted rows, with a static largest number of clusters."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.kernels.distance import offset
from bal.numerics import ROW_BLOCK, dot, draw_position, in_row_blocks, row_argmin
from bal.selection.cover.distances import squared_distances
from bal.typing import PRNGKey


class Clusters(NamedTuple):
    """k centers, and the cluster of every row; centers beyond the number in use mean nothing."""

    centers: Float[Array, "k F"]
    assignment: Int[Array, "n"]


def k_means(
    key: PRNGKey,
    x: Float[Array, "n F"],
    weight: Float[Array, "n"],
    num_clusters: int,
    num_used: Any = None,
    num_iterations: int = 20,
) -> Clusters:
    """Centers that locally minimize ``Σ_n w_n min_k ‖x_n - c_k‖²``, and the nearest center of every row.

    Starts from k-means++ (each next center drawn with probability proportional to ``w d²``) and stops when no center
    moves, after `num_iterations` at the latest. A cluster that loses all rows keeps its center.

    Args:
      key: draws the first centers.
      x: rows, all finite.
      weight: 0 leaves a row out of the fit (it is assigned all the same).
      num_clusters: k, a static number.
      num_used: how many of them to use, at most k; may be traced. All by default.
      num_iterations: most iterations.

    >>> import numpy as np
    >>> x, weight = np.array([[0.0], [0.1], [9.0]]), np.ones(3)
    >>> a, b, c = jax.jit(k_means, static_argnums=3)(jax.random.key(0), x, weight, 2).assignment.tolist()
    >>> a == b, a == c
    (True, False)

    Lloyd 1982, "Least squares quantization in PCM"; Arthur and Vassilvitskii 2007, "k-means++".
    """
    used = jnp.arange(num_clusters) < (num_clusters if num_used is None else num_used)
    middle = offset(x, weight > 0)
    x = x - middle[None]
    first = _plus_plus(key, x, weight, used)

    def unfinished(carry: tuple) -> Array:
        number, moved, _ = carry
        return moved & (number < num_iterations)

    def iterate(carry: tuple) -> tuple:
        number, _, centers = carry
        new = _means(x, weight, centers, used)
        return number + 1, (new != centers).any(), new

    _, _, centers = jax.lax.while_loop(unfinished, iterate, (0, jnp.array(True), first))
    return Clusters(centers + middle[None], in_row_blocks(lambda block: _nearest(block, centers, used), x))


def _nearest(x: Float[Array, "n F"], centers: Float[Array, "k F"], used: Bool[Array, "k"]) -> Int[Array, "n"]:
    return row_argmin(jnp.where(used[None, :], squared_distances(x, centers), jnp.inf))


def _means(
    x: Float[Array, "n F"], weight: Float[Array, "n"], centers: Float[Array, "k F"], used: Bool[Array, "k"]
) -> Float[Array, "k F"]:
    """One iteration. Sums as products with a one-hot matrix: scatters are slow on a CPU."""
    n, num_features = x.shape
    block = min(n, ROW_BLOCK)
    grow = -n % block
    blocks = jnp.pad(x, ((0, grow), (0, 0))).reshape(-1, block, num_features)
    weights = jnp.pad(weight, (0, grow)).reshape(-1, block)
    cluster = jnp.arange(len(centers), dtype=jnp.int32)

    def add(carry: tuple, piece: tuple) -> tuple:
        rows, w = piece
        member = (_nearest(rows, centers, used)[:, None] == cluster[None, :]) * w[:, None]
        return (carry[0] + dot(member.T, rows), carry[1] + member.sum(0)), None

    start = (jnp.zeros_like(centers), jnp.zeros(len(centers), x.dtype))
    (sums, counts), _ = jax.lax.scan(add, start, (blocks, weights))
    return jnp.where(counts[:, None] > 0, sums / jnp.maximum(counts, jnp.finfo(x.dtype).tiny)[:, None], centers)


def _plus_plus(
    key: PRNGKey, x: Float[Array, "n F"], weight: Float[Array, "n"], used: Bool[Array, "k"]
) -> Float[Array, "k F"]:
    """First centers, drawn by ``w d²``; rows of weight 0 do not change what is drawn."""
    norm = jnp.square(x).sum(1)

    def draw(number: Array, carry: tuple) -> tuple:
        centers, squared = carry
        position, _ = draw_position(jax.random.fold_in(key, number), weight * squared)
        center = x[position]
        away = norm + norm[position] - 2 * dot(x, center)
        away = jnp.maximum(away, 0.0).at[position].set(0.0)
        return centers.at[number].set(center), jnp.where(number == 0, away, jnp.minimum(squared, away))

    centers = jnp.zeros((len(used), x.shape[1]), x.dtype)
    return jax.lax.fori_loop(0, used.sum(), draw, (centers, jnp.ones(len(x), x.dtype)))[0]
