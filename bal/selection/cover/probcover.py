"""ProbCover: greedy maximum coverage of the pool by balls of one radius, and the radius that keeps balls pure."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.method import method
from bal.numerics import in_row_blocks, middle, spread_rows
from bal.selection.cover.distances import nearest_distance, points, rows_a_block, squared_distances
from bal.selection.kinds import check_features
from bal.selection.rules.greedy import Greedy, greedy
from bal.typing import Candidates, PRNGKey, Select

_BLOCK = 64  # newly covered rows compared at once: a pick costs at least this many


class _State(NamedTuple):
    uncovered: Bool[Array, "n"]
    gain: Int[Array, "n"]


@method
def probcover(radius: float | Array) -> Select:
    """Cover as many rows as possible, where ``candidates.rows`` are features ``[n, F]`` and `known` those of labels.

    A row covers all rows within `radius` of it. Each pick covers the most eligible rows that neither labeled rows nor
    earlier picks cover; its score is their number, which falls from pick to pick. Together the picks cover at least
    ``1 - 1/e`` of what the best B rows cover. A score of 0 says that all rows are covered: the radius is too large for
    more labels. Ties go to the lowest position.

    No graph is kept: a newly covered row is compared with all rows once, so that all picks together cost at most
    twice the distances of all pairs, in blocks, plus B blocks of 64 rows against all.

    Args:
      radius: in units of the features; see `purity_radius`. It may be traced, as when it is part of the context.

    Raises:
      ValueError: a radius that is not positive.

    >>> from bal.selection import select
    >>> picks = select([[0.0], [1.0], [2.0], [9.0]], None, probcover(1.0), 2)
    >>> picks.indices.tolist(), picks.scores.tolist()
    ([1, 3], [3.0, 1.0])

    Yehuda, Dekel, Hacohen and Weinshall 2022, "Active Learning Through a Covering Lens".
    """
    if isinstance(radius, float | int) and not radius > 0:
        raise ValueError(f"radius must be positive, got {radius}; purity_radius finds one")

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        check_features("probcover", candidates.rows)
        here = points(candidates, candidates.rows, candidates.known)
        x = here.x

        def score(state: _State) -> Float[Array, "n"]:
            return jnp.where(here.finite, state.gain.astype(x.dtype), jnp.nan)

        def update(state: _State, position: Array) -> _State:
            within = _within(squared_distances(x[position][None, :], x), radius)[0]
            newly = state.uncovered & within.at[position].set(True)
            return _State(state.uncovered & ~newly, state.gain - _num_within(x, newly, radius))

        uncovered = here.usable & ~(nearest_distance(x, here.known, here.labeled) <= radius)
        return Greedy(_State(uncovered, _num_within(x, uncovered, radius)), score, update)

    return greedy(rule)


def _within(squared: Float[Array, "n m"], radius: float | Array) -> Bool[Array, "n m"]:
    return squared <= jnp.square(jnp.asarray(radius, squared.dtype))


def _num_within(x: Float[Array, "n F"], members: Bool[Array, "n"], radius: float | Array) -> Int[Array, "n"]:
    """How many of `members` lie within the radius of each row; the cost grows with their number."""
    n = x.shape[0]
    block = min(_BLOCK, rows_a_block(n))
    place = jnp.cumsum(members) - 1
    ids = (
        jnp.zeros(n + block, jnp.int32)
        .at[jnp.where(members, place, n + block)]
        .set(jnp.arange(n, dtype=jnp.int32), mode="drop")
    )
    count = members.sum()

    def add(carry: tuple) -> tuple:
        start, total = carry
        some = jax.lax.dynamic_slice_in_dim(ids, start, block)
        real = start + jnp.arange(block) < count
        within = _within(squared_distances(x[some], x), radius) & real[:, None]
        return start + block, total + within.sum(0).astype(jnp.int32)

    return jax.lax.while_loop(lambda carry: carry[0] < count, add, (0, jnp.zeros(n, jnp.int32)))[1]


def purity_radius(features: Float[Array, "N F"], labels: Int[Array, "N"], purity: float = 0.95) -> Float[Array, ""]:
    """The largest radius at which a share `purity` of the balls around rows hold rows of one label only.

    A ball is pure while its radius is below the distance to the nearest row of another label, so the answer is just
    below a quantile of these distances. Labels are pseudo-labels where none are known: clusters of
    ``k_means(key, features, weight, num_classes)``. With a single label the radius is the largest finite number.

    Raises:
      ValueError: a purity outside (0, 1].

    >>> import numpy as np
    >>> radius = jax.jit(purity_radius, static_argnames="purity")
    >>> round(float(radius(np.array([[0.0], [1.0], [3.0], [4.0]]), np.array([0, 0, 1, 1]), purity=1.0)), 4)
    2.0

    Yehuda et al. 2022, section 4.3, which searches a grid of radii for the same quantity.
    """
    if not 0 < purity <= 1:
        raise ValueError(f"purity is a share of the rows in (0, 1], got {purity}")
    n = features.shape[0]
    x = features - middle(spread_rows(features, jnp.ones(n, bool)))[None]

    def block(ids: Int[Array, "r"]) -> Float[Array, "r"]:
        squared = squared_distances(x[ids], x)
        enemies = jnp.where(labels[ids][:, None] != labels[None, :], squared, jnp.inf)
        nearest = enemies.argmin(1)
        exact = jnp.sqrt(jnp.square(x[ids] - x[nearest]).sum(1))
        return jnp.where(jnp.isfinite(enemies.min(1)), exact, jnp.inf)

    nearest = jnp.sort(in_row_blocks(block, jnp.arange(n), rows_a_block(n)))
    num_impure = min(int((1 - purity) * n + 1e-6), n - 1)
    return jnp.nextafter(nearest[num_impure], jnp.zeros((), x.dtype))
