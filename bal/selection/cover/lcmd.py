"""LCMD, largest cluster maximum distance: the farthest row of the cluster that is worst represented."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.kernels import linear
from bal.kernels.distance import Nearest, add_center, finite_size, near_origin, nearest_known
from bal.method import method
from bal.numerics import first_argmax
from bal.selection.rules.greedy import GreedyRule, greedy
from bal.typing import Candidates, KernelOf, PRNGKey, Select, Selection


@method
def lcmd(kernel: KernelOf = linear) -> Select:
    """Of the cluster with the largest summed squared distance, pick the row farthest from its center.

    Every row belongs to the cluster of its nearest center (of equally near ones, the earliest): the labeled rows (mode
    TP; mode P is behind `pool_only`), then the picks. The size of a cluster is the sum of d² over its eligible rows;
    of equally large clusters the earliest counts. The score is the squared distance of the pick. While there is no
    center the row of largest ``k(x, x)`` is picked. Ties go to the lowest position. Rows that are not finite are set
    aside, as in `k_center`. Cost: one column a center.

    Published with gradient features sketched to 512: ``transformed(lcmd(), sketch(512))`` on `layer_gradients`.

    Holzmüller, Zaverkin, Kästner and Steinwart 2023, "A Framework and Benchmark for Deep Batch Active Learning for
    Regression" (JMLR).

    >>> import jax
    >>> rows = jnp.array([[0.0], [1.0], [-1.0], [9.0], [10.0]])
    >>> candidates = Candidates(rows, jnp.arange(5), jnp.ones(5) > 0, jnp.ones(5))
    >>> lcmd()(jax.random.key(0), candidates, 2).indices.tolist()
    [4, 2]
    """

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        k = kernel(candidates)
        size = finite_size(k)
        view = near_origin(k, size, candidates.eligible)
        num_known = 0 if k.known_weight is None else k.known_weight.shape[0]

        def score(state: Nearest, candidates: Candidates) -> Float[Array, "n"]:
            return jnp.where(state.some, _in_largest(state, candidates, num_known + batch_size), size)

        rule = GreedyRule(
            init=lambda key, candidates: nearest_known(view),
            score=score,
            update=lambda state, candidates, position: add_center(view.kernel, state, position),
        )
        return greedy(rule)(key, candidates, batch_size)

    return select


def _in_largest(state: Nearest, candidates: Candidates, num_centers: int) -> Array:
    """Squared distances within the largest cluster, `-inf` outside; all rows count when every cluster is empty."""
    squared = state.squared
    live = jnp.where(candidates.eligible & ~jnp.isnan(squared), squared, 0.0)
    total = jnp.zeros(num_centers, squared.dtype).at[state.center].add(live)
    largest = first_argmax(total)
    member = (state.center == largest) | (total[largest] <= 0) | jnp.isnan(squared)
    return jnp.where(member, squared, -jnp.inf)
