"""Row functions that join rows and targets by a posterior covariance: ALC and EPIG of Gaussian processes.

The learner's embedded rows must carry the noise of a label, ``noise [n, K]``, as `bal.learners.gp.GPRows` do. The
context is a `bal.targets.Targets`, made by `targets`, `pool_targets` and their kin:

>>> import jax.numpy as jnp
>>> from bal.query import Query, Stage
>>> from bal.selection import best
>>> from bal.targets import targets
>>> query = Query((Stage(alc_scores, best, context=targets(jnp.zeros((4, 2)))),))
"""

from collections.abc import Callable

from jaxtyping import Array, Float

from bal.acquisition.covariance import alc, covariance_epig
from bal.acquisition.gaussian import epistemic_variance
from bal.acquisition.joint import JOINT_BYTES
from bal.kernels import cross_covariance, posterior_variance
from bal.rows import Over, chunked
from bal.selection.integrated_variance import TargetRows
from bal.targets import Context, Targets, check_targets
from bal.typing import Gaussian, Posterior, PRNGKey, PyTree, Round


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

    Exact for a Gaussian process with one draw of hyper-parameters, whose covariances `bal.targets.epig_scores` does not
    see. With several draws the information of normals that have the moments of the mixture.

    Raises:
      ValueError: a learner without `embed` or `kernel`, or whose predictions are not `Gaussian`.

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning", its regression form.
    """
    check_targets(context)
    return _in_blocks(_epig_block, posterior, context, x)


def target_rows(context: Context) -> Context:
    """The context of `bal.selection.integrated_variance`: targets of another context, embedded, and the posterior.

    >>> from bal.kernels import learner_covariance, noisy
    >>> from bal.query import Stage, embeddings
    >>> from bal.selection import integrated_variance
    >>> from bal.targets import pool_targets
    >>> rule = integrated_variance(noisy(learner_covariance, lambda rows: rows.noise.mean(-1)))
    >>> stage = Stage(embeddings, rule, context=target_rows(pool_targets(256)))
    """

    def embedded(key: PRNGKey, round: Round, over: Over) -> TargetRows:
        found = context(key, round, over)
        return TargetRows(round.posterior.embed(found.x), found.weight, round.posterior)

    return embedded


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
