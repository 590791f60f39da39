"""LCMD, largest cluster maximum distance: the farthest row of the cluster that is worst represented."""

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.kernels import linear
from bal.kernels.distance import Nearest, add_center, finite_size, near_origin, nearest_known
from bal.method import method
from bal.numerics import first_argmax
from bal.selection.rules.greedy import Greedy, greedy
from bal.typing import Candidates, KernelOf, PRNGKey, Select


@method
def lcmd(kernel: KernelOf = linear) -> Select:
    """Of the cluster with the largest summed squared distance, pick the row farthest from its center.

    Every row belongs to the cluster of its nearest center (of equally near ones, the earliest): the labeled rows (mode
    TP; mode P is behind `pool_only`), then the picks. The size of a cluster is the sum of d² over its eligible rows;
    of equally large clusters the earliest counts. The score is the squared distance of the pick. While there is no
    center the row of largest ``k(x, x)`` is picked. Ties go to the lowest position. Rows that are not finite are set
    aside, as in `k_center`. Cost: one column a center.

    Published with gradient features sketched to 512: ``transformed(lcmd(), sketch(512))`` on `layer_gradients`.

    >>> from bal.selection import select
    >>> select([[0.0], [1.0], [-1.0], [9.0], [10.0]], None, lcmd(), 2).indices.tolist()
    [4, 2]

    Holzmüller, Zaverkin, Kästner and Steinwart 2023, "A Framework and Benchmark for Deep Batch Active Learning for
    Regression" (JMLR).
    """

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        k = kernel(candidates)
        size = finite_size(k)
        view = near_origin(k, size, candidates.eligible)
        num_centers = batch_size + (0 if k.known_weight is None else k.known_weight.shape[0])
        score = lambda state: jnp.where(state.some, _in_largest(state, candidates.eligible, num_centers), size)
        return Greedy(nearest_known(view), score, partial(add_center, view.kernel))

    return greedy(rule)


def _in_largest(state: Nearest, eligible: Bool[Array, "n"], num_centers: int) -> Float[Array, "n"]:
    """Squared distances within the largest cluster, `-inf` outside; all rows count when every cluster is empty."""
    squared = state.squared
    live = jnp.where(eligible & ~jnp.isnan(squared), squared, 0.0)
    total = jnp.zeros(num_centers, squared.dtype).at[state.center].add(live)
    largest = first_argmax(total)
    member = (state.center == largest) | (total[largest] <= 0) | jnp.isnan(squared)
    return jnp.where(member, squared, -jnp.inf)
