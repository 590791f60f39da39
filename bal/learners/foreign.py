"""Models of other libraries as learners: scikit-learn's estimators, and any pair of functions (torch, a service).

They are host learners: plain Python on numpy arrays, fitted anew in each round, so that a record needs none of their
state. `run_eager` and `Campaign` take them; selection is compiled all the same.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.learners.estimators import check_estimator, has_members, moments, probabilities
from bal.method import method
from bal.typing import Data, Gaussian, Learner, PRNGKey, PyTree


@method
def from_functions(fit: Callable, predict: Callable, embed: Callable | None = None) -> Learner:
    """A learner of two functions on numpy arrays.

    Args:
      fit: ``x [n, ...], y [n] -> model``, where the rows are those with a label and no others; any object will do. If
        it has arguments `seed` and `sample_weight`, it gets a whole number drawn from the key, and ``[n]`` weights.
      predict: ``model, x [n, ...] -> probabilities [n, C]`` of all C classes, or ``[n, K, C]`` of K posterior draws;
        or a `Gaussian`. Row-wise: a row's result may not depend on the rows beside it.
      embed: ``model, x -> [n, F]``; the inputs themselves if not given.

    Raises:
      ValueError: when fitting, no label at all, or weights that `fit` does not take; when predicting, probabilities of
        another shape, negative, or that do not sum to one.

    >>> fit = lambda x, y: np.bincount(y, minlength=3) / len(y)
    >>> learner = from_functions(fit, lambda shares, x: np.tile(shares, (len(x), 1)))
    >>> data = Data(np.ones((4, 2)), np.array([0, 2, 0, 1]), np.array([1.0, 1.0, 0.0, 0.0]))
    >>> np.exp(learner.predict(learner.fit(jax.random.key(0), None, data), np.ones((1, 2)))).tolist()
    [[[0.5, 0.0, 0.5]]]
    """
    options = {"seed", "sample_weight"} & inspect.signature(fit).parameters.keys()

    def fit_model(key: PRNGKey, state: Any, data: Data) -> Any:
        del state
        x, y, weight = _compact(data)
        given = {"seed": _seed(key), "sample_weight": weight}
        if "sample_weight" not in options and (weight != 1).any():
            raise ValueError(
                "rows have weights other than 1, but `fit` takes no sample_weight; add it to its arguments"
            )
        return fit(x, y, **{name: given[name] for name in options})

    def predict_rows(model: Any, x: PyTree) -> Any:
        found = predict(model, _numpy(x))
        return jax.tree.map(jnp.asarray, found) if isinstance(found, Gaussian) else _log(np.asarray(found), x)

    def embed_rows(model: Any, x: PyTree) -> Any:
        return _features(x if embed is None else embed(model, _numpy(x)))

    return Learner(lambda key, data: None, fit_model, predict_rows, embed_rows, host=True)


@method
def from_sklearn(
    estimator: Any, num_classes: int | None = None, *, by_member: bool | None = None, noise: float | None = None
) -> Learner:
    """A scikit-learn estimator as it is, cloned and fitted to the labeled rows (flattened) in each round.

    A classifier has one posterior draw: entropy and margin make sense, BALD is zero. With `by_member` each tree of a
    forest, or estimator of a bagging or voting ensemble, is a draw. A class that no label has shown yet has probability
    0 (log probability -inf). A regressor gives a `Gaussian`: one draw of its `return_std`, where it has that, or one
    draw per member.

    Settings named ``random_state`` that are None get a number from the key. Weights of rows are passed on as
    `sample_weight` if any of them is not 1.

    Args:
      estimator: anything with `fit` and `predict_proba`, or a regressor with `predict`; pipelines and searches too.
      num_classes: labels are 0 .. C - 1; None for a regressor.
      by_member: one posterior draw per member of an ensemble; by default of regressors only.
      noise: variance of a regressor's labels given the function. Needed where the estimator does not estimate it:
        Gaussian processes (alpha and `WhiteKernel`) and Bayesian linear models do.

    Raises:
      TypeError: no estimator; a classifier without `predict_proba`.
      ValueError: a classifier without `num_classes` or a regressor with it, a regressor without `noise`, `by_member` of
        something whose members are no posterior draws; when fitting, no label at all, labels outside 0 .. C - 1, or
        weights that the estimator does not take.

    >>> from sklearn.ensemble import RandomForestClassifier
    >>> learner = from_sklearn(RandomForestClassifier(3), num_classes=4, by_member=True)
    >>> data = Data(np.arange(8.0).reshape(4, 2), np.array([0, 3, 0, 3]), np.array([1.0, 1.0, 1.0, 0.0]))
    >>> learner.predict(learner.fit(jax.random.key(0), None, data), np.ones((5, 2))).shape
    (5, 3, 4)
    """
    check_estimator(estimator, num_classes, by_member, noise)
    members = num_classes is None and has_members(estimator) if by_member is None else by_member

    def fit(key: PRNGKey, state: Any, data: Data) -> Any:
        from sklearn.base import clone
        from sklearn.utils.validation import has_fit_parameter

        del state
        x, y, weight = _compact(data)
        if num_classes is not None and not np.isin(y, np.arange(num_classes)).all():
            raise ValueError(f"expected labels 0 .. {num_classes - 1} of num_classes={num_classes}, got {np.unique(y)}")
        model: Any = clone(estimator)
        settings = sorted(model.get_params(deep=True).items(), key=lambda setting: setting[0])
        unset = [name for name, value in settings if name.split("__")[-1] == "random_state" and value is None]
        model.set_params(**{name: _seed(jax.random.fold_in(key, number)) for number, name in enumerate(unset)})
        if (weight == 1).all():
            return model.fit(_table(x), y)
        if not has_fit_parameter(model, "sample_weight"):
            raise ValueError(f"rows have weights other than 1, but {type(model).__name__} takes no sample_weight")
        return model.fit(_table(x), y, sample_weight=weight)

    def predict(model: Any, x: PyTree) -> Any:
        if num_classes is not None:
            return _log(probabilities(model, _table(x), num_classes, members), x)
        return Gaussian(*map(jnp.asarray, moments(model, _table(x), members, noise)))

    return Learner(lambda key, data: None, fit, predict, lambda model, x: _features(x), host=True)


def _compact(data: Data) -> tuple[PyTree, np.ndarray, np.ndarray]:
    """Rows of positive weight, their labels and weights."""
    weight = np.asarray(data.weight)
    if not (weight > 0).any():
        raise ValueError(
            "nothing is labeled yet, and a model of another library has no prior to choose by; give num_initial=10, or "
            "a start set"
        )
    some = lambda leaf: np.asarray(leaf)[weight > 0]
    return jax.tree.map(some, data.x), some(data.y), weight[weight > 0]


def _seed(key: PRNGKey) -> int:
    return int(_bits(key)) >> 1


_bits = jax.jit(partial(jax.random.bits, dtype=jnp.uint32))  # scikit-learn takes 32 bits, in double precision too


def _numpy(x: PyTree) -> PyTree:
    return jax.tree.map(np.asarray, x)


def _table(x: Any) -> np.ndarray:
    if not hasattr(x, "shape"):
        raise TypeError(f"scikit-learn takes rows that are one array, got {type(x).__name__}; use from_functions")
    return np.asarray(x).reshape(len(x), -1)


def _features(x: Any) -> jax.Array:
    return jnp.asarray(_table(x))[:, None]


def _log(probs: np.ndarray, x: PyTree) -> jax.Array:
    """Log probabilities ``[n, K, C]`` of probabilities ``[n, C]`` or ``[n, K, C]``."""
    n = len(jax.tree.leaves(x)[0])
    if probs.ndim not in (2, 3) or len(probs) != n:
        raise ValueError(f"expected probabilities [{n}, C] or [{n}, K, C], got an array of shape {probs.shape}")
    if (probs < 0).any() or (np.abs(probs.sum(-1) - 1) > 1e-3).any():
        raise ValueError(
            f"expected probabilities, at least 0 and summing to 1 over the last axis, got numbers down to "
            f"{probs.min():.3g} and sums up to {probs.sum(-1).max():.3g}; return predict_proba, not logits or logs"
        )
    with np.errstate(divide="ignore"):
        logs = np.log(probs)
    return jnp.asarray(logs if probs.ndim == 3 else logs[:, None])
