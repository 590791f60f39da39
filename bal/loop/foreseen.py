"""What the model that asked for rows predicted of them: a few numbers a pick, kept beside its score."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from bal.pool.over import take
from bal.query.rows import predict
from bal.typing import Gaussian, Latent, MultiLabel, Over, Pool, Posterior, PyTree, Selection

FORESEEN = ("predicted", "predicted_variance")
"""Names under which they stand in the `info` of a selection and on record."""

MOST_CLASSES = 100
"""Of predictions of more classes nothing is kept: a record is to stay small."""


def foreseen(posterior: Posterior, pool: Pool, picks: Selection, over: Over) -> dict[str, Array]:
    """Predictions of the picked rows alone, averaged over draws, see `averaged`."""
    return over.map(_of_rows, (posterior,), take(pool.x, picks.indices))


def _of_rows(posterior: Posterior, x: PyTree) -> dict[str, Array]:
    return averaged(predict(posterior, x))


@jax.jit  # one program where a Python loop asks
def averaged(predictions: PyTree) -> dict[str, Array]:
    """Predictions averaged over draws.

    predicted: class probabilities ``[n, C]``, those of a `Latent` for classes 0 and 1; of a `MultiLabel` the
    probability of each label ``[n, G]``; of a `Gaussian` the mean ``[n]`` or ``[n, P]``, with its
    predicted_variance, that of an answer: noise and disagreement of the draws included.

    >>> found = averaged(Gaussian(jnp.array([[1.0, 3.0]]), jnp.array([[2.0, 2.0]]), jnp.ones((1, 2))))
    >>> {name: values.tolist() for name, values in found.items()}
    {'predicted': [2.0], 'predicted_variance': [4.0]}
    """
    if isinstance(predictions, Gaussian):
        mean, variance, noise = predictions
        return {"predicted": mean.mean(1), "predicted_variance": (variance + noise).mean(1) + mean.var(1)}
    if isinstance(predictions, MultiLabel):
        return {"predicted": jax.nn.sigmoid(predictions.log_odds).mean(1)}
    if isinstance(predictions, Latent):
        first = jax.scipy.stats.norm.cdf(predictions.mean / jnp.sqrt(1 + predictions.variance)).mean(1)
        return {"predicted": jnp.stack([1 - first, first], 1)}
    return {"predicted": jnp.exp(predictions).mean(1)} if _is_kept(predictions) else {}


def _is_kept(predictions: Any) -> bool:
    return getattr(predictions, "ndim", 0) == 3 and predictions.shape[2] <= MOST_CLASSES
