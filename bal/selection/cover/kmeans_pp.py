"""k-means++ seeding as a batch rule: rows drawn by their squared distance to the nearest center."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.kernels import linear
from bal.kernels.distance import add_center, finite_size, near_origin, nearest_known
from bal.method import method
from bal.numerics import first_argmax, mask_scores
from bal.selection.rules.greedy import Greedy, greedy
from bal.typing import Candidates, KernelOf, PRNGKey, Select

FirstCenter = Callable[[Float[Array, "n"]], Float[Array, "n"]]
"""Log weights by which the first center is drawn, from ``k(x, x)``, which is `-inf` where a row may not be picked."""


def uniform_first(size: Float[Array, "n"]) -> Float[Array, "n"]:
    """Any row alike, as in k-means++."""
    return jnp.zeros_like(size)


def largest_first(size: Float[Array, "n"]) -> Float[Array, "n"]:
    """The first row of largest ``k(x, x)``, for certain."""
    largest = jnp.arange(size.shape[0]) == first_argmax(size)
    return jnp.where(largest, jnp.log(size), -jnp.inf)


@method
def kmeans_pp(kernel: KernelOf = linear, first: FirstCenter = uniform_first) -> Select:
    """Draw rows one by one with probability ``d²(x) / Σ d²``, d being the distance to the nearest center.

    The labeled rows are centers, unless behind `pool_only`. While there is no center, `first` gives the log weights
    of the draw: uniform by default, as in the paper. Scores are log weights; `log_q` is the probability of each draw.
    Rows at distance 0 are drawn only when nothing else is left, rows that are not finite never, as in `k_center`. Cost:
    one column a center.

    >>> from bal.selection import select
    >>> 2 in select([[5.0], [5.0], [9.0]], None, kmeans_pp(), 2).indices.tolist()
    True

    Arthur and Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding" (SODA).
    """

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        k = kernel(candidates)
        size = finite_size(k)
        view = near_origin(k, size, candidates.eligible)
        start = first(mask_scores(size, candidates.eligible))
        start = jnp.where(jnp.isnan(size), jnp.nan, start)
        score = lambda state: jnp.where(state.some, jnp.log(state.squared), start)
        return Greedy(nearest_known(view), score, partial(add_center, view.kernel))

    return greedy(rule, draw=True)
