"""EPIG of a Gaussian process classifier as the row function of a stage.

>>> from bal.query import Query, Stage
>>> from bal.selection import best
>>> from bal.targets import targets
>>> query = Query((Stage(probit_epig_scores, best, context=targets(jnp.zeros((4, 2)))),))
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.joint import JOINT_BYTES
from bal.acquisition.probit import probit_epig
from bal.kernels import cross_covariance, posterior_variance
from bal.rows import chunked
from bal.targets import Targets, check_targets
from bal.typing import Latent, Posterior, PyTree

_in_float32 = partial(jax.tree.map, lambda leaf: leaf.astype(jnp.float32))


def probit_epig_scores(posterior: Posterior, context: Targets, x: PyTree) -> Float[Array, "n"]:
    """`probit_epig` of rows about the targets in the context, with the learner's own covariance of f, in nats.

    The posterior is in the dtype of x; its moments are then cast, and the integral over every pair of row and target is
    taken in float32, which is faster and within 1e-6 of float64. The learner's embedded rows must carry posterior
    means, ``mean [n, K]``, as `bal.learners.gp.GPRows` do.

    Raises:
      ValueError: a learner without `embed` or `kernel`, or whose predictions are not `Latent`.

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning".
    """
    check_targets(context)
    if not isinstance(context.predictions, Latent):
        got = type(context.predictions).__name__
        raise ValueError(f"expected a learner whose predictions are Latent, got {got}; use gp_classification")
    num_targets = context.weight.shape[0]
    target, weight = _in_float32((context.predictions, context.weight))
    away = posterior.embed(context.x)

    def block(some: PyTree) -> Float[Array, "r"]:
        rows = posterior.embed(some)  # once: `predict` would whiten them again
        mean, variance = rows.mean.mean(-1, keepdims=True), posterior_variance(posterior, rows)[:, None]
        moments, covariance = _in_float32((Latent(mean, variance), cross_covariance(posterior, rows, away)))
        return probit_epig(moments, target, covariance, weight)

    rows = max(JOINT_BYTES // (num_targets * jnp.dtype(jnp.float32).itemsize), 1)
    return chunked(rows).map(block, (), x)
