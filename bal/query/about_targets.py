"""Row functions about target rows: EPIG and ALC, by whatever joins rows and targets in the learner at hand.

The context is a `Targets`, made by `targets` and its kin. Ready-made queries are `bal.strategies.epig(x_target)` and
`bal.strategies.alc(x_target)`.

>>> from bal.query import Query, Stage, targets
>>> from bal.selection import shortlist
>>> Stage(epig_scores, shortlist(100), context=targets(jnp.zeros((4, 2)))).rows.__name__
'epig_scores'
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.covariance import alc, covariance_epig
from bal.acquisition.epig import epig, gaussian_epig, jepig
from bal.acquisition.gaussian import epistemic_variance
from bal.acquisition.kinds import check_log_probs, check_moments
from bal.acquisition.probit import probit_epig
from bal.method import method
from bal.numerics import centered_draws, dot, rows_per_block
from bal.numerics.divergence import JOINT_BYTES
from bal.pool.over import chunked
from bal.query.covariance import cross_covariance, posterior_variance
from bal.query.rows import predict
from bal.query.targets import Targets, check_targets
from bal.selection.variance.integrated_variance import TargetRows
from bal.typing import Gaussian, Latent, Posterior, PyTree


def epig_scores(posterior: Posterior, context: Targets, x: PyTree) -> Float[Array, "n"]:
    """What the label of a row tells about the label of a target, ``Σ_z w_z I(y; y_z)``, in nats.

    Rows and targets are joined by what the learner gives:

    - log probabilities of several draws (an ensemble, dropout, draws of a process): `bal.acquisition.epig`;
    - a `Gaussian` of several draws, no kernel (an ensemble of regressions): `bal.acquisition.gaussian_epig`;
    - a `Gaussian` and a kernel (a process): `bal.acquisition.covariance_epig`, exact for one draw of hyper-parameters;
      with several the information of normals that have the moments of the mixture;
    - a `Latent` and a kernel (a binary process): `bal.acquisition.probit_epig`, within 1e-6 of float64.

    At least 0, at most BALD. Where a kernel joins, the learner's embedded rows must carry the noise of a label,
    ``noise [n, K]``, or for a `Latent` posterior means, ``mean [n, K]``, as `bal.learners.gp.GPRows` do.

    Use it when some inputs matter more than others: those to be predicted later.

    Raises:
      ValueError: a context without targets; a learner that joins rows and targets neither by several draws nor by a
        covariance, for every score would be 0.

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning".
    """
    check_targets(context)
    there = context.predictions
    if not has_covariance("epig", posterior, there):
        found = predict(posterior, x)
        if isinstance(there, Gaussian):
            return gaussian_epig(found, there, context.weight)
        return epig(found, there, context.weight)
    if isinstance(there, Latent):
        # The posterior is in the dtype of x, the integral over every pair in float32, which is faster.
        there, weight = _in_float32((there, context.weight))
        about = context._replace(predictions=there, weight=weight)
        return in_blocks(_probit_epig_block, weight.size * weight.dtype.itemsize, posterior, about, x)
    check_moments("epig", there, rows="targets")
    return in_blocks(_epig_block, there.mean.size * there.mean.dtype.itemsize, posterior, context, x)


def alc_scores(posterior: Posterior, context: Targets, x: PyTree) -> Float[Array, "n"]:
    """What the label of a row takes off the mean posterior variance at the targets: `bal.acquisition.alc`.

    ``Σ_z w_z Σ_xz² / (Σ_xx + σ_x²)`` in the squared unit of the label, at least 0. Exact for a Gaussian process with
    one draw of hyper-parameters; with several, and for an ensemble of regressions, the covariance is that of the
    mixture (`bal.acquisition.epistemic_variance`), and the score the drop for a normal of the same moments. Costs
    O(n (L² + M L)) for M targets of a process. The embedded rows of a learner with a kernel must carry the noise of a
    label, ``noise [n, K]``, as `bal.learners.gp.GPRows` do.

    Use it when the squared error at the targets is what counts.

    Raises:
      ValueError: a context without targets; a learner whose predictions are not `Gaussian`, or have neither a kernel
        nor several draws.

    Cohn, Ghahramani and Jordan 1996, "Active Learning with Statistical Models".
    """
    check_targets(context)
    there = context.predictions
    check_gaussian("alc", there)
    block = _alc_block if has_covariance("alc", posterior, there) else _alc_block_by_draws
    return in_blocks(block, there.mean.size * there.mean.dtype.itemsize, posterior, context, x)


def variance_drop(posterior: Posterior, context: TargetRows, x: PyTree) -> Float[Array, "n"]:
    """`alc_scores` for the context of `bal.selection.integrated_variance`, whose first pick has the highest of them."""
    return alc(*moments("alc", posterior, context.rows, x), context.weight)


@method
def score_about(acquisition: Callable[..., Float[Array, "n"]]) -> Callable:
    """The row function of scores that compare draws: ``acquisition(predictions, predictions of targets, weight)``.

    For what `epig_scores` is not: `bal.acquisition.expected_error_reduction`, ``value_of_information(utility)``,
    ``annotated_epig(confusion)``, or a function of one's own.

    Raises:
      ValueError: a context without targets.

    >>> from bal.acquisition import expected_error_reduction
    >>> score_about(expected_error_reduction)
    score_about(expected_error_reduction)
    """

    def scores_about(posterior: Posterior, context: Targets, x: PyTree) -> Float[Array, "n"]:
        check_targets(context)
        return acquisition(predict(posterior, x), context.predictions, context.weight)

    return scores_about


def jepig_scores(posterior: Posterior, context: Float[Array, "S K"], x: PyTree) -> Float[Array, "n"]:
    """What the label of a row tells about the labels of all targets jointly: `bal.acquisition.jepig`, in nats.

    The context comes from `joint_targets`. At least EPIG about the same targets, at most BALD.

    Raises:
      ValueError: any other context, or draws of which there is but one.

    Kirsch, Farquhar and Gal 2021, "Test Distribution-Aware Active Learning".
    """
    if not isinstance(context, jax.Array) or context.ndim != 2 or context.shape[1] < 2:
        raise ValueError(
            "jepig_scores needs log draw weights [labelings, draws] of several draws as its context, got "
            f"{getattr(context, 'shape', type(context).__name__)}; use joint_targets(targets(x_target))"
        )
    return jepig(predict(posterior, x), context)


def _epig_block(posterior: Posterior, context: Targets, targets: PyTree, x: PyTree) -> Float[Array, "n"]:
    away = posterior_variance(posterior, targets), _part("epig", targets, "noise").mean(-1)
    return covariance_epig(*moments("epig", posterior, targets, x), *away, context.weight)


def _alc_block(posterior: Posterior, context: Targets, targets: PyTree, x: PyTree) -> Float[Array, "n"]:
    return alc(*moments("alc", posterior, targets, x), context.weight)


def _alc_block_by_draws(posterior: Posterior, context: Targets, targets: PyTree, x: PyTree) -> Float[Array, "n"]:
    found, there = predict(posterior, x), context.predictions
    check_moments("alc", found)
    check_moments("alc", there, rows="targets")
    covariance = dot(centered_draws(found.mean), centered_draws(there.mean).T) / found.mean.shape[1]
    return alc(covariance, epistemic_variance(found), found.noise.mean(-1), context.weight)


def _probit_epig_block(posterior: Posterior, context: Targets, targets: PyTree, x: PyTree) -> Float[Array, "n"]:
    rows = posterior.embed(x)  # once: `predict` would whiten them again
    mean, variance = _part("epig", rows, "mean").mean(-1, keepdims=True), posterior_variance(posterior, rows)[:, None]
    moments, covariance = _in_float32((Latent(mean, variance), cross_covariance(posterior, rows, targets)))
    return probit_epig(moments, context.predictions, covariance, context.weight)


def moments(name: str, posterior: Posterior, targets: PyTree, x: PyTree) -> tuple[Array, Array, Array]:
    """Covariances of embedded targets with rows, variances of rows, and the noise of their labels."""
    rows = posterior.embed(x)  # once: `predict` would whiten them again
    noise = _part(name, rows, "noise").mean(-1)
    return cross_covariance(posterior, rows, targets), posterior_variance(posterior, rows), noise


def in_blocks(block: Callable, row_bytes: int, posterior: Posterior, context: Any, x: PyTree) -> Array:
    """Rows by targets in pieces that fit a cache; `block` gets the targets as the kernel compares them."""
    targets = None if posterior.learner.kernel is None else posterior.embed(context.x)
    return chunked(rows_per_block(row_bytes, JOINT_BYTES)).map(block, (posterior, context, targets), x)


def check_gaussian(name: str, there: PyTree) -> None:
    """Refuse targets whose predictions are not those of a regression."""
    if not isinstance(there, Gaussian):
        raise ValueError(
            f"{name} needs the variances of a regression, but this learner gives {_described(there)}; use a learner "
            "that predicts a Gaussian, or epig, which works for classifiers too"
        )


def has_covariance(name: str, posterior: Posterior, there: PyTree) -> bool:
    """Whether a covariance joins rows and targets; otherwise several draws do.

    Raises:
      ValueError: neither does.
    """
    if not isinstance(there, Gaussian | Latent):
        check_log_probs(name, there, "targets")
    elif posterior.learner.kernel is not None:
        return True
    if isinstance(there, Latent) or jax.tree.leaves(there)[0].shape[1] < 2:
        instead = {Latent: "gp_classification", Gaussian: "gp_regression or an ensemble of several draws"}
        raise ValueError(
            f"{name} needs several draws or a covariance to join rows and targets, but this learner gives "
            f"{_described(there)} and no kernel: every score would be 0; use "
            + instead.get(type(there), "an ensemble or Monte-Carlo dropout of several draws")
        )
    return False


def _part(name: str, rows: PyTree, part: str) -> Array:
    """A field of embedded rows."""
    if not hasattr(rows, part) or callable(getattr(rows, part)):
        got = "one array" if hasattr(rows, "shape") else f"a {type(rows).__name__}"
        raise ValueError(
            f"{name} by a covariance needs {part} [rows, draws] in the learner's embedded rows, but they are {got}; "
            "return a NamedTuple such as bal.learners.gp.GPRows from embed"
        )
    return getattr(rows, part)


def _described(found: Any) -> str:
    num_draws = jnp.shape(jax.tree.leaves(found)[0])[1:2]
    kind = f"a {type(found).__name__}" if isinstance(found, Gaussian | Latent) else "log probabilities"
    return f"{kind} of {'1 draw' if num_draws == (1,) else f'{num_draws[0]} draws'}" if num_draws else kind


_in_float32 = partial(jax.tree.map, lambda leaf: leaf.astype(jnp.float32))
