"""Row functions about targets: EPIG by posterior draws, ALC and EPIG by a posterior covariance.

Where a covariance joins rows and targets, the learner's embedded rows must carry the noise of a label,
``noise [n, K]``, as `bal.learners.gp.GPRows` do. The context is a `Targets`, made by `targets` and its kin:

>>> from bal.query import Query, Stage, targets
>>> from bal.selection import best
>>> query = Query((Stage(alc_scores, best, context=targets(jnp.zeros((4, 2)))),))
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.covariance import alc, covariance_epig
from bal.acquisition.epig import epig, gaussian_epig, jepig
from bal.acquisition.gaussian import epistemic_variance
from bal.acquisition.probit import probit_epig
from bal.numerics.divergence import JOINT_BYTES
from bal.pool.over import chunked
from bal.query.covariance import cross_covariance, posterior_variance
from bal.query.targets import Targets, check_targets
from bal.typing import Gaussian, Latent, Posterior, PyTree


def alc_scores(posterior: Posterior, context: Targets, x: PyTree) -> Float[Array, "n"]:
    """The row function of `bal.acquisition.alc`: what a label takes off the mean posterior variance at the targets.

    Exact for a Gaussian process with one draw of hyper-parameters; with several the covariance is that of the mixture
    (`bal.acquisition.epistemic_variance`), and the score the drop for a normal of the same moments. Costs
    O(n (L² + M L)) for M targets.

    Raises:
      ValueError: a learner without `embed` or `kernel`, or whose predictions are not `Gaussian`.

    Cohn, Ghahramani and Jordan 1996, "Active Learning with Statistical Models".
    """
    check_targets(context)
    return _in_blocks(_alc_block, posterior, context, x)


def covariance_epig_scores(posterior: Posterior, context: Targets, x: PyTree) -> Float[Array, "n"]:
    """The row function of `bal.acquisition.covariance_epig`: what a label tells about the label of a target.

    Exact for a Gaussian process with one draw of hyper-parameters, whose covariances `bal.query.epig_scores` does not
    see. With several draws the information of normals that have the moments of the mixture.

    Raises:
      ValueError: a learner without `embed` or `kernel`, or whose predictions are not `Gaussian`.

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning", its regression form.
    """
    check_targets(context)
    return _in_blocks(_epig_block, posterior, context, x)


def _alc_block(posterior: Posterior, context: Targets, targets: PyTree, x: PyTree) -> Float[Array, "n"]:
    covariance, variance, noise = _moments(posterior, targets, x)
    return alc(covariance, variance, noise, context.weight)


def _epig_block(posterior: Posterior, context: Targets, targets: PyTree, x: PyTree) -> Float[Array, "n"]:
    covariance, variance, noise = _moments(posterior, targets, x)
    there = context.predictions
    return covariance_epig(covariance, variance, noise, epistemic_variance(there), there.noise.mean(-1), context.weight)


def _moments(posterior: Posterior, targets: PyTree, x: PyTree) -> tuple[Array, Array, Array]:
    rows = posterior.embed(x)  # once: `predict` would whiten them again
    return cross_covariance(posterior, rows, targets), posterior_variance(posterior, rows), rows.noise.mean(-1)


def _in_blocks(block: Callable, posterior: Posterior, context: Targets, x: PyTree) -> Float[Array, "n"]:
    there = context.predictions
    if not isinstance(there, Gaussian):
        got = type(there).__name__
        raise ValueError(f"expected a learner whose predictions are Gaussian, got {got}; use a regression process")
    num_rows = max(JOINT_BYTES // (there.mean.size * there.mean.dtype.itemsize), 1)
    return chunked(num_rows).map(block, (posterior, context, posterior.embed(context.x)), x)


def epig_scores(posterior: Posterior, context: Targets, x: PyTree) -> Float[Array, "n"]:
    """The row function of EPIG: `epig` or `gaussian_epig` of rows about the targets in the context, in nats.

    Rows and targets are joined by the posterior draws of a network or an ensemble. A Gaussian process joins them by
    its covariance, which marginal predictions do not show: use `bal.query.covariance_epig_scores` or
    `bal.query.probit_epig_scores`.

    Raises:
      ValueError: a learner with a covariance of its own, predictions of one draw, or a context without targets: every
        score would be 0.

    >>> from bal.query import Stage
    >>> from bal.selection import best
    >>> Stage(epig_scores, best, context=pool_targets(256)).rows.__name__
    'epig_scores'

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning".
    """
    check_targets(context)
    found = posterior.predict(x)
    if isinstance(found, Latent) or posterior.learner.kernel is not None:
        better = "bal.query.probit_epig_scores" if isinstance(found, Latent) else ("bal.query.covariance_epig_scores")
        raise ValueError(
            "epig_scores joins rows and targets by posterior draws, but this learner joins them by a covariance, which "
            f"its {type(found).__name__} predictions do not hold; use {better}"
        )
    num_draws = jax.tree.leaves(found)[0].shape[1]
    if num_draws < 2:
        raise ValueError(
            f"epig_scores joins rows and targets by posterior draws, but this learner has {num_draws} of them: every "
            "score would be 0; use an ensemble or Monte-Carlo dropout of several draws"
        )
    if isinstance(found, Gaussian):
        return gaussian_epig(found, context.predictions, context.weight)
    return epig(found, context.predictions, context.weight)


def jepig_scores(posterior: Posterior, context: Float[Array, "S K"], x: PyTree) -> Float[Array, "n"]:
    """The row function of joint EPIG, whose context comes from `joint_targets`.

    Raises:
      ValueError: any other context, or draws of which there is but one.
    """
    if not isinstance(context, jax.Array) or context.ndim != 2 or context.shape[1] < 2:
        raise ValueError(
            "jepig_scores needs log draw weights [labelings, draws] of several draws as its context, got "
            f"{getattr(context, 'shape', type(context).__name__)}; use joint_targets(targets(x_target))"
        )
    return jepig(posterior.predict(x), context)


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
