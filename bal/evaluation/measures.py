"""What to measure of a posterior on a test set: the `evaluate` of a `bal.typing.Setup`, in one word."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from bal.evaluation.calibration import adaptive_ece, classwise_ece, joint_gaussian_nll, joint_nll
from bal.evaluation.densities import crps, interval_coverage
from bal.evaluation.metrics import accuracy, brier, ece, gaussian_nll, mixture_nll, mixture_probabilities, rmse

Evaluate = Callable[[Any, tuple], dict[str, Any]]


@cache
def classification(over: Any = None) -> Evaluate:
    """``evaluate(posterior, test)`` for classifiers: accuracy, nll (nats), brier and ece of the mean over draws.

    Log probabilities ``[M, K, C]`` are taken as they are, a `bal.typing.Latent` as that of a binary probit model. The
    test is ``(x, y)``, or ``(x, y, rows)`` where seeds share `x` and `y` and have rows of their own.

    Use it when labels are class numbers. Two calls with the same arguments return the same function, so that nothing
    is compiled twice.

    Args:
      over: how predictions meet many test rows, as ``chunked(1000)`` of `bal.pool`; all at once by default.

    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> sure = SimpleNamespace(predict=lambda x: np.log(np.tile([[0.2, 0.8]], (len(x), 1, 1))))
    >>> found = classification()(sure, (np.zeros((4, 1)), np.array([1, 1, 1, 0])))
    >>> {name: round(float(value), 3) for name, value in found.items()}
    {'accuracy': 0.75, 'nll': 0.57, 'brier': 0.38, 'ece': 0.05}
    """

    def evaluate(posterior: Any, test: Any) -> dict[str, Any]:
        return _scores(*_log_probs(posterior, test, over))

    return evaluate


@cache
def regression(over: Any = None) -> Evaluate:
    """``evaluate(posterior, test)`` for one real number a row: rmse of the mean over draws, and nll (nats) of a label.

    Both are in the units of the labels. The test and `over` are as in `classification`.

    Use it when the learner predicts a `bal.typing.Gaussian`; nll counts its noise, so it judges the variances too.

    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> gaussian = SimpleNamespace(mean=np.zeros((3, 1)), variance=np.ones((3, 1)), noise=np.zeros((3, 1)))
    >>> posterior, y = SimpleNamespace(predict=lambda x: gaussian), np.array([1.0, -1.0, 1.0])
    >>> found = regression()(posterior, (np.zeros((3, 1)), y))
    >>> {name: round(float(value), 3) for name, value in found.items()}
    {'rmse': 1.0, 'nll': 1.419}
    """

    def evaluate(posterior: Any, test: Any) -> dict[str, Any]:
        found, y = _moments(posterior, test, over)
        return {"rmse": rmse(found.mean.mean(1), y), "nll": gaussian_nll(found.mean, found.variance + found.noise, y)}

    return evaluate


@cache
def classification_report(over: Any = None) -> Evaluate:
    """`classification`, and what tells posteriors apart: joint_nll of 10 rows, adaptive_ece and classwise_ece.

    Rows of the test should stand in random order (`bal.evaluation.joint_nll`), 15 of them at least.

    Use it when posteriors are compared, rather than strategies.

    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> sure = SimpleNamespace(predict=lambda x: np.log(np.tile([[0.2, 0.8]], (len(x), 1, 1))))
    >>> found = classification_report()(sure, (np.zeros((20, 1)), np.arange(20) % 2))
    >>> {name: round(float(value), 3) for name, value in found.items() if name not in ("accuracy", "nll", "brier")}
    {'ece': 0.3, 'joint_nll': 0.916, 'adaptive_ece': 0.4, 'classwise_ece': 0.3}
    """

    def evaluate(posterior: Any, test: Any) -> dict[str, Any]:
        log_probs, y = _log_probs(posterior, test, over)
        probs = mixture_probabilities(log_probs)
        more = {"adaptive_ece": adaptive_ece(probs, y), "classwise_ece": classwise_ece(probs, y)}
        return {**_scores(log_probs, y), "joint_nll": joint_nll(log_probs, y), **more}

    return evaluate


@cache
def regression_report(over: Any = None) -> Evaluate:
    """`regression`, and what tells posteriors apart: joint_nll of 10 rows, crps, and coverage of intervals of 0.9.

    Rows of the test should stand in random order (`bal.evaluation.joint_gaussian_nll`), 10 of them at least.

    Use it when posteriors are compared, rather than strategies.

    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> gaussian = SimpleNamespace(mean=np.zeros((10, 1)), variance=np.ones((10, 1)), noise=np.zeros((10, 1)))
    >>> found = regression_report()(SimpleNamespace(predict=lambda x: gaussian), (np.zeros((10, 1)), np.ones(10)))
    >>> {name: round(float(value), 3) for name, value in found.items()}
    {'rmse': 1.0, 'nll': 1.419, 'joint_nll': 1.419, 'crps': 0.602, 'coverage': 1.0}
    """

    def evaluate(posterior: Any, test: Any) -> dict[str, Any]:
        found, y = _moments(posterior, test, over)
        density = found.mean, found.variance + found.noise, y
        joint = joint_gaussian_nll(*density)
        more = {"joint_nll": joint, "crps": crps(*density), "coverage": interval_coverage(*density)}
        return {"rmse": rmse(found.mean.mean(1), y), "nll": gaussian_nll(*density), **more}

    return evaluate


@cache
def with_predictions(evaluate: Evaluate) -> Evaluate:
    """`evaluate`, and "predicted": the likeliest class of each row of the test ``[M]``, by the mean over draws.

    Use it when a run is to stop once its predictions are stable (`bal.evaluation.stable_predictions`), or for confusion
    matrices. Labels are not read; a record keeps them with each round.

    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> sure = SimpleNamespace(predict=lambda x: np.log(np.tile([[0.2, 0.8]], (len(x), 1, 1))))
    >>> found = with_predictions(classification())(sure, (np.zeros((3, 1)), np.array([1, 1, 0])))
    >>> found["predicted"].tolist(), sorted(found)
    ([1, 1, 1], ['accuracy', 'brier', 'ece', 'nll', 'predicted'])
    """

    def both(posterior: Any, test: Any) -> dict[str, Any]:
        log_probs, _ = _log_probs(posterior, test, None)
        return {**evaluate(posterior, test), "predicted": mixture_probabilities(log_probs).argmax(1)}

    return both


@cache
def remaining_entropy(over: Any = None) -> Evaluate:
    """``evaluate(posterior, test)``: mean entropy (nats) of the predicted label of a test row: what is left to know.

    Between rounds it drops, in expectation, by the EPIG of the labels about these rows (`bal.evaluation.gains`), with
    less noise than the nll of one label a row, and without reading labels. Of a `bal.typing.Gaussian` with several
    draws it is the entropy of the normal of their moments, an upper bound. The test and `over` are as in
    `classification`; labels may be anything.

    Use it when predicted and realized information are to be compared, or a pool's labels are not known.

    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> unsure = SimpleNamespace(predict=lambda x: np.log(np.full((len(x), 1, 2), 0.5)))
    >>> round(float(remaining_entropy()(unsure, (np.zeros((4, 1)), None))["entropy"]), 4)
    0.6931
    """

    def evaluate(posterior: Any, test: Any) -> dict[str, Any]:
        found, _ = _predicted(posterior, test, over)
        if hasattr(found, "noise"):
            xp = found.mean.__array_namespace__()
            variance = xp.mean(found.variance + found.noise, axis=1) + xp.var(found.mean, axis=1)
            return {"entropy": 0.5 * xp.mean(xp.log(2 * np.pi * np.e * variance))}
        probs = mixture_probabilities(
            _of_latent(found) if hasattr(found, "mean") and hasattr(found, "variance") else found
        )
        xp = probs.__array_namespace__()
        return {"entropy": -xp.mean(xp.sum(probs * xp.log(xp.where(probs > 0, probs, 1)), axis=1))}

    return evaluate


def _scores(log_probs: Any, y: Any) -> dict[str, Any]:
    probs = mixture_probabilities(log_probs)
    return {
        "accuracy": accuracy(probs, y),
        "nll": mixture_nll(log_probs, y),
        "brier": brier(probs, y),
        "ece": ece(probs, y),
    }


def _log_probs(posterior: Any, test: Any, over: Any) -> tuple[Any, Any]:
    """Log probabilities ``[M, K, C]`` for the test rows, and their labels."""
    found, y = _predicted(posterior, test, over)
    y = y.astype("int32") if y.dtype == bool else y  # as training takes truth values
    return (_of_latent(found) if hasattr(found, "mean") and hasattr(found, "variance") else found), y


def _predicted(posterior: Any, test: Any, over: Any) -> tuple[Any, Any]:
    """Predictions for the test rows, and their labels."""
    if not isinstance(test, tuple | list) or len(test) not in (2, 3):
        got = "none" if test is None else f"an object of type {type(test).__name__}"
        raise ValueError(f"expected a test set (x, y) to measure on, got {got}; give Task(..., test=(x_test, y_test))")
    x, y, *rows = test
    if rows:
        x, y = x[rows[0]], None if y is None else y[rows[0]]
    try:
        found = posterior.predict(x) if over is None else over.map(_predict, (posterior,), x)
    except (TypeError, ValueError) as error:
        shapes = ", ".join(str(getattr(leaf, "shape", None)) for leaf in (x if isinstance(x, tuple | list) else [x]))
        raise ValueError(
            f"the learner cannot predict the test rows, of shape {shapes}: {error}; give Task(..., test=(x_test, "
            "y_test)) with the features of the pool"
        ) from error
    return found, y


def _moments(posterior: Any, test: Any, over: Any) -> tuple[Any, Any]:
    """Predictions of a regression for the test rows, and their labels."""
    found, y = _predicted(posterior, test, over)
    if not hasattr(found, "noise"):
        what = f"log probabilities {found.shape}" if hasattr(found, "shape") else type(found).__name__
        raise ValueError(
            f"regression() measures means, variances and noises, but the learner predicts {what}; evaluate a "
            "classifier by classification()"
        )
    return found, y


def _predict(posterior: Any, x: Any) -> Any:
    return posterior.predict(x)


def _of_latent(latent: Any) -> Any:
    """Log probabilities ``[M, K, 2]`` of a probit model, ``log Φ(± m / √(1 + s²))``."""
    import jax.numpy as jnp
    from jax.scipy.special import log_ndtr

    standardized = latent.mean / jnp.sqrt(1 + latent.variance)
    return log_ndtr(jnp.stack([-standardized, standardized], -1))
