"""What the members of an ensemble disagree on, as features that a batch rule compares."""

from jaxtyping import Array, Float

from bal.kernels.linear import covariance_features
from bal.query.rows import predict
from bal.typing import Gaussian, Posterior, PyTree


def disagreement(posterior: Posterior, context: PyTree, x: PyTree) -> Float[Array, "n KP"]:
    """The row function of centered means, ``(f_kp(x) - mean_k f_kp(x)) / √(K - 1)`` of K draws and P outputs.

    Inner products are covariances over draws, summed over outputs, so that distances are large between problems of
    which the posterior is uncertain in different ways, and all rows that it knows lie at 0.

    Use it when a batch of many outputs is to be uncertain and diverse:
    ``Query((Stage(disagreement, transformed(lcmd(), sketch(64))),))``.

    Args:
      posterior: of a learner that predicts a `Gaussian` ``[n, K]`` or ``[n, K, P]``.
      context: not read.
      x: rows of the pool.

    Raises:
      ValueError: fewer than two draws, predictions that are no `Gaussian`.

    >>> from bal.typing import Gaussian, Learner
    >>> import jax.numpy as jnp
    >>> mean = jnp.array([[[1.0], [3.0]]])
    >>> learner = Learner(None, None, lambda state, x: Gaussian(mean, 0 * mean, mean))
    >>> disagreement(Posterior(None, learner), None, jnp.ones((1, 1))).tolist()
    [[-1.0, 1.0]]

    Kirsch 2023, "Black-Box Batch Active Learning for Regression", whose kernel this is for one output.
    """
    del context
    predicted = predict(posterior, x)
    if not isinstance(predicted, Gaussian):
        raise ValueError("disagreement is of Gaussian means, got other predictions; of classes take bal.query.features")
    draws = covariance_features(predicted.mean)
    return draws.reshape(len(draws), -1)
