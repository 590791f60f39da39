"""Errors of a surrogate of several outputs: of all solutions together, of a typical one, of a bad one."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.typing import Gaussian, Posterior, PyTree


def solution_errors(posterior: Posterior, test: tuple[PyTree, Float[Array, "M P"]]) -> dict[str, Array]:
    """An `evaluate` for labels of several outputs: errors of the mean over draws, in the unit of the labels.

    With ``e_m² = mean_p (f_mp - y_mp)²``: rmse, ``√ mean_m e_m²``; mean_rmse, ``mean_m e_m``; high_rmse, the 99 %
    quantile of e_m. All at least 0.

    Use it when labels are solutions or curves, ``Setup(..., evaluate=solution_errors)``; the first counts hard
    problems most, the second all alike.

    Args:
      posterior: of a learner that predicts a `Gaussian` ``[M, K, P]``.
      test: ``(x, y)``.

    Raises:
      ValueError: labels of another shape than the predictions, predictions of another kind.

    >>> from bal.typing import Gaussian, Learner
    >>> one = jnp.ones((2, 3, 4))
    >>> learner = Learner(None, None, lambda state, x: Gaussian(one, 0 * one, one))
    >>> found = solution_errors(Posterior(None, learner), (None, jnp.array([[1.0] * 4, [3.0] * 4])))
    >>> [round(float(error), 3) for error in found.values()]
    [1.414, 1.0, 1.98]

    Musekamp et al. 2025, "Active Learning for Neural PDE Solvers", who average e_m and tell its quantiles.
    """
    x, y = test
    predicted = posterior.predict(x)
    if not (isinstance(predicted, Gaussian) and predicted.mean.ndim == 3):
        raise ValueError(
            "solution_errors is for a Gaussian of several outputs, [M, K, P]; of one output and of classes take "
            "bal.evaluation.regression() and classification()"
        )
    mean = predicted.mean.mean(1)
    if mean.shape != y.shape:
        raise ValueError(f"expected labels of shape {mean.shape}, one for each output, got {y.shape}")
    squared = jnp.mean((mean - y) ** 2, 1)
    each = jnp.sqrt(squared)
    return {"rmse": jnp.sqrt(squared.mean()), "mean_rmse": each.mean(), "high_rmse": jnp.quantile(each, 0.99)}
