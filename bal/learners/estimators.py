"""What scikit-learn's estimators know: probabilities by class and member, moments of regressors, noise."""

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from bal.learners.settings import check_count, named

_BLOCK = 256  # rows of a Gaussian process whose noise is told at a time


def check_estimator(estimator: Any, num_classes: int | None, by_member: bool | None, noise: float | None) -> None:
    """The settings of `bal.learners.from_sklearn` go together; TypeError or ValueError if not."""
    from sklearn.base import is_classifier, is_regressor

    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        raise TypeError(
            f"expected an estimator of scikit-learn, got {named(estimator)}; make one, as LogisticRegression()"
        )
    name = type(estimator).__name__
    if num_classes is None and is_classifier(estimator):
        raise ValueError(f"{name} is a classifier: give num_classes, the number of classes in all")
    if num_classes is not None and is_regressor(estimator):
        raise ValueError(f"{name} is a regressor: leave num_classes out")
    if num_classes is not None:
        check_count("num_classes", num_classes)
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(f"{name} has no predict_proba; wrap it in sklearn.calibration.CalibratedClassifierCV")
    if by_member and not has_members(estimator):
        raise ValueError(
            f"the members of {name} are no posterior draws, so by_member makes no sense; use a forest, or a bagging or "
            "voting ensemble"
        )
    if num_classes is None and noise is None and not _estimates_noise(estimator):
        raise ValueError(
            f"{name} does not estimate the variance of its labels: give noise=0.1, say, or noise=0 where no "
            "acquisition asks for it"
        )


def has_members(estimator: Any) -> bool:
    """Whether it is an ensemble of models fitted alike, each of which predicts the labels."""
    from sklearn import ensemble

    kinds = ("RandomForest", "ExtraTrees", "Bagging", "Voting")
    classes = [getattr(ensemble, kind + task) for kind in kinds for task in ("Classifier", "Regressor")]
    return isinstance(_core(estimator), tuple(classes))


def probabilities(model: Any, x: np.ndarray, num_classes: int, by_member: bool) -> np.ndarray:
    """``[n, K, C]``: the columns of a fitted classifier (or of its members) where its classes belong, 0 elsewhere."""
    found = member_probabilities(model, x) if by_member else model.predict_proba(x)[:, None]
    return _aligned(found, model.classes_, num_classes)


def member_probabilities(model: Any, x: np.ndarray) -> np.ndarray:
    """``[n, K, S]``: of each member of a fitted ensemble, for the S classes that it has seen, in its order."""
    return np.stack(
        [
            _aligned(member.predict_proba(own), member.classes_, len(core.classes_))
            for core, member, own in _members(model, x)  # members know the classes by their place
        ],
        1,
    )


def moments(model: Any, x: np.ndarray, by_member: bool, noise: float | None) -> tuple[np.ndarray, ...]:
    """Mean, variance of the function and noise of a fitted regressor or its members: ``[n, K]`` or ``[n, K, P]``."""
    if by_member:
        mean = np.stack([member.predict(own) for _, member, own in _members(model, x)], 1)
        return mean, np.zeros_like(mean), np.full_like(mean, noise)
    core, rows = _inside(model, x)
    if "return_std" not in inspect.signature(core.predict).parameters:
        mean = core.predict(rows)[:, None]
        return mean, np.zeros_like(mean), np.full_like(mean, noise)
    mean, std = core.predict(rows, return_std=True)
    seen, own = _noise(core, rows)
    wide = lambda values: np.broadcast_to(values, (len(mean), mean.size // len(mean))).reshape(mean.shape)
    variance = np.maximum(std**2 - wide(seen), 0.0)
    return mean[:, None], variance[:, None], wide(own if noise is None else noise)[:, None]


def _aligned(probs: np.ndarray, classes: np.ndarray, num_classes: int) -> np.ndarray:
    full = np.zeros((*probs.shape[:-1], num_classes), probs.dtype)
    full[..., np.asarray(classes, int)] = probs
    return full


def _core(estimator: Any) -> Any:
    """The model at the end of pipelines and inside of searches, fitted or not."""
    if hasattr(estimator, "steps"):
        return _core(estimator.steps[-1][1])
    if hasattr(estimator, "param_distributions") or hasattr(estimator, "param_grid"):
        return _core(getattr(estimator, "best_estimator_", estimator.estimator))
    return estimator


def _inside(model: Any, x: np.ndarray) -> tuple[Any, Any]:
    """The fitted `_core`, and what it is given for rows `x`."""
    if hasattr(model, "steps"):
        return _inside(model.steps[-1][1], model[:-1].transform(x) if len(model.steps) > 1 else x)
    return (model, x) if _core(model) is model else _inside(model.best_estimator_, x)


def _members(model: Any, x: np.ndarray) -> Iterator[tuple[Any, Any, Any]]:
    """The fitted ensemble, each member, and the columns that it was fitted to."""
    core, rows = _inside(model, x)
    columns = getattr(core, "estimators_features_", None)
    for number, member in enumerate(core.estimators_):
        yield core, member, rows if columns is None else rows[:, columns[number]]


def _estimates_noise(estimator: Any) -> bool:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.linear_model import ARDRegression, BayesianRidge

    return isinstance(_core(estimator), GaussianProcessRegressor | BayesianRidge | ARDRegression)


def _noise(model: Any, x: np.ndarray) -> tuple[Any, Any]:
    """Variance of the labels given the function, to be spread over ``[n, P]``: as far as `return_std` counts it in, and
    all of it."""
    if not _estimates_noise(model):
        return 0.0, 0.0
    if not hasattr(model, "kernel_"):
        return 1 / model.alpha_, 1 / model.alpha_
    # a WhiteKernel is on the diagonal of k(x), and not in k(x, x)
    apart = [np.diag(model.kernel_(x[i : i + _BLOCK], x[i : i + _BLOCK])) for i in range(0, len(x), _BLOCK)]
    unit = np.square(np.atleast_2d(model._y_train_std))  # of the labels, where they are normalized
    white = (model.kernel_.diag(x) - np.concatenate(apart))[:, None] * unit
    return white, white + np.mean(model.alpha) * unit
