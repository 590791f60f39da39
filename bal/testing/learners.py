"""What a learner promises, checked on anybody's."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.loop.checks import check_predictions, kind_of
from bal.pool import make_pool
from bal.testing.faults import check_handed, check_lowers, differ, expect, name_of, rows_of, traced
from bal.testing.inputs import CLASSES, labeled_data
from bal.typing import Data, Learner, PyTree


def check_learner(
    learner: Learner, labels: str = "classes", data: Data | None = None, *, keyed: bool = True, draws: bool = True
) -> None:
    """A learner keeps its contract, as those of `bal.learners` do.

    Predictions are sound and row-wise; rows of weight 0 change nothing, whatever they and their labels hold; the same
    key gives the same posterior and another key another; draws differ; `fit` keeps structure, types and shapes of the
    state, so that one program serves all rounds; NaN in training is never silent; a translation for CPU, CUDA and TPU.
    It takes what a few fits take.

    Args:
      learner: what is checked.
      labels: "classes" (4 of them), "binary" or "real"; inputs are three numbers a row.
      data: a labeled buffer of the learner's own kind of inputs, some of its rows of weight 0, in place of that.
      keyed: False for a fit that does not depend on the key.
      draws: False for a posterior of one draw, or of draws that may agree.

    Raises:
      Fault: in one sentence, the promise that does not hold, where, and how to mend it.
      TypeError: no `Learner`.

    >>> from bal.learners import ensemble, mlp
    >>> check_learner(ensemble(mlp((8,), num_outputs=4), num_members=3, num_steps=20))
    """
    check_handed(learner, Learner, "a Learner", "ensemble(mlp((8,), num_outputs=4), num_members=3)")
    own, name = data is not None, name_of(learner.fit)
    data = labeled_data(labels) if data is None else data
    if learner.unlabeled and data.unlabeled is None:
        data = data._replace(unlabeled=make_pool(data.x))
    key, trace = jax.random.key(0), (lambda f: f) if learner.host else jax.jit
    init = trace(learner.init)
    fit, predict = trace(learner.fit), trace(learner.predict)

    def fitted(data: Data, key: Any = key) -> PyTree:
        return traced(fit, key, traced(init, key, data, what=name), data, what=name)

    state = fitted(data)
    found = traced(predict, state, data.x, what=name)
    try:
        num_classes = kind_of(found).num_classes if own else {"real": None, "binary": 2}.get(labels, CLASSES)
        check_predictions(found, data.weight.shape[0], num_classes)
    except ValueError as error:
        expect(False, f"expected sound predictions from {name}: {error}")
    _check_rows(name, predict, state, data, found)
    _check_padding(name, fitted, predict, data, found)
    _check_keys(name, fitted, predict, data, found, keyed)
    if draws:
        some = _numbers(found)
        alike = [draw for draw in range(1, some.shape[1]) if np.allclose(some[:, draw], some[:, 0], atol=1e-6)]
        expect(
            not alike,
            f"expected posterior draws that differ, got draws 0 and {alike[:1]} alike from {name}; split the key: one "
            "for each draw, none used twice",
        )
    if not learner.host:
        _check_state(name, learner, fit, key, state, data)
    _check_nan(name, fitted, predict, data)
    if not learner.host:
        both = lambda key, data: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)
        check_lowers(both, (key, data), name)


def _numbers(predictions: PyTree) -> np.ndarray:
    return np.stack(predictions, -1) if isinstance(predictions, tuple) else np.asarray(predictions)


def _check_rows(name: str, predict: Callable, state: PyTree, data: Data, found: PyTree) -> None:
    count = data.weight.shape[0]
    picked = np.array([4, 1, 1, 9, 8, 7, 3, 1, 0, 4] * count)[:count] % count
    wrong = differ(predict(state, jax.tree.map(jnp.asarray, rows_of(data.x, picked))), rows_of(found, picked))
    expect(
        not len(wrong),
        f"expected the prediction of a row to be its own, got another from {name} for row "
        f"{picked[wrong[0]] if len(wrong) else ''} among other rows; statistics of a batch stay those of training, and "
        "draws are fixed in `fit`",
    )


def _check_padding(name: str, fitted: Callable, predict: Callable, data: Data, found: PyTree) -> None:
    empty = np.asarray(data.weight) == 0
    if not empty.any():
        return

    def garbled(leaf: Any) -> jax.Array:
        leaf = np.array(leaf)
        leaf[empty] = 1e6 if np.issubdtype(leaf.dtype, np.floating) else np.where(leaf[empty] == 0, leaf.max(), 0)
        return jnp.asarray(leaf)

    other = data._replace(x=jax.tree.map(garbled, data.x), y=jax.tree.map(garbled, data.y))
    wrong = differ(predict(fitted(other), data.x), found)
    expect(
        not len(wrong),
        f"expected rows of weight 0 to change nothing, got another posterior from {name} when their inputs and labels "
        "changed (labels nobody has given would be read); multiply losses by data.weight, and mask sums and statistics "
        "by it",
    )


def _check_keys(name: str, fitted: Callable, predict: Callable, data: Data, found: PyTree, keyed: bool) -> None:
    again, other = predict(fitted(data), data.x), predict(fitted(data, jax.random.key(1)), data.x)
    expect(
        not len(differ(again, found, 0.0)),
        f"expected the same key to give the same posterior, got another from {name}; take randomness from the "
        "key alone",
    )
    changed = len(differ(other, found, 1e-4)) > 0
    expect(
        changed == keyed,
        f"expected another key to give {'another' if keyed else 'the same'} posterior, got "
        f"{'another' if changed else 'the same'} from {name}; "
        + ("use the key that is handed to `fit`" if keyed else "say keyed=True, or leave the key alone"),
    )


def _check_state(name: str, learner: Learner, fit: Any, key: Any, state: PyTree, data: Data) -> None:
    before = jax.eval_shape(lambda: learner.init(key, data))
    kinds = lambda tree: [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(tree)]
    expect(
        jax.tree.structure(before) == jax.tree.structure(state) and kinds(before) == kinds(state),
        f"expected `fit` to return a state like that of `init`, {kinds(before)}, got {kinds(state)} from {name}; every "
        "round would be compiled anew, and a compiled run not at all",
    )
    programs = fit._cache_size()
    fit(key, fit(key, state, data), data)
    expect(
        fit._cache_size() == programs,
        f"expected one program for all rounds, got {name} compiled anew for a state of its own; return arrays of the "
        "types of `init` (jnp.asarray, no Python numbers)",
    )


def _check_nan(name: str, fitted: Callable, predict: Callable, data: Data) -> None:
    from bal.learners.convergence import unconverged

    row = int(np.flatnonzero(np.asarray(data.weight) > 0)[-1])

    def spoiled(leaf: Any) -> jax.Array:
        leaf = np.array(leaf)
        if np.issubdtype(leaf.dtype, np.floating):
            leaf[row] = np.nan
        return jnp.asarray(leaf)

    try:
        state = fitted(data._replace(x=jax.tree.map(spoiled, data.x)))
        numbers = _numbers(predict(state, data.x))
    except (ValueError, FloatingPointError):
        return  # refused, which is not silent
    expect(
        np.isnan(numbers).any(-1).all() or bool(unconverged(state)),
        f"expected NaN in a training row to show, got sound predictions from {name}; let it through to the "
        "predictions, or refuse it",
    )
