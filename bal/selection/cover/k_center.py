"""K-center greedy, also core-set or MaxDist: always the row that is farthest from every center."""

from functools import partial

import jax.numpy as jnp

from bal.kernels import linear
from bal.kernels.distance import add_center, finite_size, near_origin, nearest_known
from bal.method import method
from bal.selection.rules.greedy import Greedy, greedy
from bal.typing import Candidates, KernelOf, PRNGKey, Select


@method
def k_center(kernel: KernelOf = linear) -> Select:
    """Pick the row of largest squared distance to the nearest center, the labeled rows and the picks being centers.

    The score is that squared distance. Behind `pool_only` the labeled rows are no centers. While there is no center
    the row of largest ``k(x, x)`` is picked, and scored by it. Ties go to the lowest position. A row whose ``k(x, x)``
    is not finite has no distance: it is never picked, counts in ``info["num_nan"]``, and is no center where it is
    labeled. The picks cover the rows within at most twice the best possible radius. Cost: one column a center.

    >>> from bal.selection import select
    >>> select([[5.0], [6.0], [9.0]], None, k_center(), 2).indices.tolist()
    [2, 0]

    Sener and Savarese 2018, "Active Learning for Convolutional Neural Networks: A Core-Set Approach" (ICLR);
    Gonzalez 1985, "Clustering to Minimize the Maximum Intercluster Distance".
    """

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        k = kernel(candidates)
        size = finite_size(k)
        view = near_origin(k, size, candidates.eligible)
        score = lambda state: jnp.where(state.some, state.squared, size)
        return Greedy(nearest_known(view), score, partial(add_center, view.kernel))

    return greedy(rule)
