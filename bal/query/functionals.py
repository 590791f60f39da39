"""A stage about linear functionals of a regression's function: differences, effects, integrals over target rows."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal.acquisition.functional import functional_epig, gaussian_functional_epig
from bal.method import method
from bal.pool.over import num_rows
from bal.query.about_targets import check_gaussian, has_covariance, in_blocks, moments
from bal.query.covariance import cross_covariance
from bal.query.rows import predict
from bal.query.targets import Targets, check_targets
from bal.typing import ContextFunction, Over, Posterior, PRNGKey, PyTree, Round, Values


class Functionals(NamedTuple):
    """Q linear functionals ``Σ_m a_m f(z_m)`` of the function at M target rows, with their covariance under a process.

    functional: the weights a, ``[Q, M]``; covariance: ``[M, M]`` of the targets, None where draws join them.
    """

    targets: Targets
    functional: Float[Array, "Q M"]
    covariance: PyTree

    @property
    def x(self) -> PyTree:
        """The target rows."""
        return self.targets.x


@method
def functional_targets(functional: Values, context: ContextFunction) -> ContextFunction:
    """Linear functionals of the function at the targets of another context, for `functional_scores`.

    The weights of the targets play no part: each row of the functional has its own.

    Args:
      functional: ``[Q, M]``, one row a functional: ``[[1.0, -1.0]]`` for the difference of two targets.
      context: makes the M targets, as `bal.query.targets` does.

    Raises:
      ValueError: another number of weights than of targets; weights that are not finite.

    >>> import numpy as np
    >>> from bal.query import targets
    >>> functional_targets([[1.0, -1.0]], targets(np.zeros((2, 3))))
    functional_targets(functional=[[1.0, -1.0]], context=targets(x_target=float64[2,3]))
    """
    given = np.asarray(functional)
    if given.ndim != 2 or not np.isfinite(given).all():
        raise ValueError(f"expected finite weights of functionals [functionals, targets], got shape {given.shape}")

    def functionals(key: PRNGKey, round: Round, over: Over) -> Functionals:
        found, posterior = context(key, round, over), round.posterior
        check_targets(found)
        if given.shape[1] != num_rows(found.x):
            raise ValueError(
                f"expected functionals with a weight for each of the {num_rows(found.x)} targets, got shape "
                f"{given.shape}; a row of zeros and ones picks targets"
            )
        check_gaussian("functional_epig", found.predictions)
        covariance = None
        if has_covariance("functional_epig", posterior, found.predictions):
            targets = posterior.embed(found.x)
            covariance = cross_covariance(posterior, targets, targets)
        return Functionals(found, jnp.asarray(given, found.predictions.mean.dtype), covariance)

    return functionals


def functional_scores(posterior: Posterior, context: PyTree, x: PyTree) -> Float[Array, "n"]:
    """What the label of a row tells about linear functionals of the function, the mean over functionals, in nats.

    The context comes from `functional_targets`. By the learner's covariance where it has one
    (`bal.acquisition.functional_epig`), by several draws otherwise (`bal.acquisition.gaussian_functional_epig`). At
    least 0, at most BALD. The noise of labels plays no part in what is asked: the functional is of the function itself.

    Use it when differences, treatment effects or integrals are what a regression is for.

    Raises:
      ValueError: any other context; a learner with neither several draws nor a covariance.

    Gao, Fawkes and Sejdinovic 2025, "Causal-EPIG".
    """
    if not isinstance(context, Functionals):
        raise ValueError(
            f"functional_scores needs functionals as its context, got {type(context).__name__}; write "
            "Stage(functional_scores, select, functional_targets(functional, targets(x_target)))"
        )
    there = context.targets.predictions
    if context.covariance is None:
        return gaussian_functional_epig(predict(posterior, x), there, context.functional)
    row_bytes = there.mean.shape[0] * there.mean.size * there.mean.dtype.itemsize
    return in_blocks(_block, row_bytes, posterior, context, x)


def _block(posterior: Posterior, context: Functionals, targets: PyTree, x: Any) -> Float[Array, "n"]:
    covariance = context.covariance
    return functional_epig(*moments("functional_epig", posterior, targets, x), covariance, context.functional)
