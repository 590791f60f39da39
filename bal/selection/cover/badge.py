"""BADGE: k-means++ on gradients of the loss at the label that the model would give."""

from bal.kernels import gradient, pool_only
from bal.selection.cover.kmeans_pp import kmeans_pp, largest_first
from bal.selection.kinds import selector
from bal.selection.transformed import transformed
from bal.typing import Candidates, PRNGKey, Selection

_select = transformed(kmeans_pp(gradient, largest_first), pool_only)


@selector
def badge(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
    """Seed k-means++ on last-layer gradients ``(p̄ - e_ŷ) ⊗ h``: long where the model is unsure, apart where rows are.

    The rows are those of `bal.query.last_layer_gradients`; they stay factored, which costs O(N (C + F)) a pick. The
    first center is the row of longest gradient, as in the authors' code; the paper's text speaks of plain k-means++,
    which is ``transformed(kmeans_pp(gradient), pool_only)``. Labeled rows are no centers. Scores are the log squared
    distances. `log_q` is None, because the first pick is not random.

    >>> import jax.numpy as jnp
    >>> from bal.kernels import Factors
    >>> from bal.selection import select
    >>> gradients = (Factors(jnp.array([[0.1, -0.1], [0.5, -0.5]]), jnp.ones((2, 3))),)
    >>> select(gradients, None, badge, 2).indices.tolist()
    [1, 0]

    Ash, Zhang, Krishnamurthy, Langford and Agarwal 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient
    Lower Bounds" (ICLR).
    """
    return _select(key, candidates, batch_size)._replace(log_q=None)
