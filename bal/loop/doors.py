"""What `run_seeds`, `run_eager` and `Campaign` check alike before an experiment is compiled, and warn of after.

Values are read once; shapes come from tracing; one small prediction is computed, of the untrained learner.
"""

import inspect
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array

from bal.learners.convergence import ADVICE
from bal.learners.networks import Network
from bal.learners.settings import check_count
from bal.loop.checks import (
    check_budget,
    check_distributions,
    check_label_sets,
    check_labels,
    check_predictions,
    check_rows,
    check_tags,
    kind_of,
)
from bal.loop.round import NO_START, measure
from bal.pool.arrays import as_rows
from bal.pool.labeled import has_answer
from bal.pool.over import dense, num_rows, over_of, take
from bal.typing import Data, Latent, Learner, MultiLabel, Over, Pool, Posterior, PyTree, Query, Setup, Stage, Tags, Task

_FEW = 8
_OWN_START = "; in run_seeds axes=Task(None, None, start=0) gives every seed its own"

CHECKED_ROWS = 1000
"""Rows whose predictions are looked at where they are made anyway."""


def check_setup(learner: Any, query: Any, over: Any) -> None:
    """A learner, a query and an `Over`, and selectors that can be called as such.

    Raises:
      TypeError: one of them is something else, or a selector is the factory that makes it.
    """
    if not isinstance(learner, Learner):
        raise TypeError(f"expected a Learner, got {_named(learner)}; {_as_learner(learner)}")
    if not isinstance(query, Query):
        raise TypeError(
            f"expected a Query, got {_named(query)}; use bal.by_score(acquisition, select) or call a recipe, as "
            "bal.strategies.bald()"
        )
    if not isinstance(over, Over):
        raise TypeError(f"expected an Over such as bal.dense or bal.chunked(), got {_named(over)}")
    if not query.stages:
        raise ValueError("a query needs at least one stage, got none; see bal.by_score")
    for stage in query.stages:
        if not isinstance(stage, Stage) or not callable(stage.select):
            raise TypeError(f"a query is made of stages, got {_named(stage)}; write Query((Stage(rows, select),))")
        _check_select(stage.select)


def _as_learner(value: Any) -> str:
    """How to make a learner of what came instead of one."""
    if isinstance(value, Network):
        return "write ensemble(network, num_members=10) or mc_dropout(network, num_draws=50)"
    if hasattr(value, "fit") and hasattr(value, "predict"):
        return "write bal.learners.from_sklearn(estimator, num_classes=C)"
    if any(base.__module__.startswith("flax.") for base in (value if isinstance(value, type) else type(value)).__mro__):
        return "write ensemble(bal.learners.network(module), num_members=10)"
    return "make one, for instance ensemble(mlp(), num_members=10)"


def check_is_task(task: Any) -> None:
    """A `Task`."""
    if not isinstance(task, Task):
        how = "call it with a seed, or hand it to study" if callable(task) else "make one: Task(make_pool(x), y)"
        raise TypeError(f"expected a Task, got {_named(task)}; {how}")


def check_is_setup(setup: Any) -> None:
    """A `Setup`, its sizes whole numbers."""
    if not isinstance(setup, Setup):
        raise TypeError(
            f"expected a Setup, got {_named(setup)}; make one: Setup(learner, query, batch_size, num_rounds)"
        )
    check_count("batch_size", setup.batch_size)
    check_count("num_rounds", setup.num_rounds, 0)
    if setup.num_initial is not None:
        check_count("num_initial", setup.num_initial, 0)


def check_task(task: Any, setup: Any, axes: Any = None) -> Task:
    """A simulated experiment makes sense; returns the task as arrays, its oracle as a tree if it is a function.

    Labels that are given are read here, those of rows that are present, and nowhere else before they are acquired. An
    oracle that is a function is traced, unless the learner is on the host.

    Raises:
      ValueError, TypeError: named in one sentence: what was expected, what came, what to do.
    """
    check_is_task(task)
    check_is_setup(setup)
    if axes is not None and not isinstance(axes, Task):
        raise TypeError(f"axes are a Task of 0 (leads with the seeds) and None (shared), got {_named(axes)}")
    over = dense if setup.over is None else setup.over
    check_setup(setup.learner, setup.query, over)
    over = over_of(setup.learner, setup.over)
    if task.start is None and setup.num_initial is None:
        raise ValueError(NO_START)
    num_start = (setup.num_initial or 0) if task.start is None else 0
    if not (setup.evaluate is None or callable(setup.evaluate)):
        raise TypeError(f"evaluate is called with a posterior and the test set, got {_named(setup.evaluate)}")
    task = arrays_of(task, over)
    per_seed = seed_axes(axes, task)
    if task.start is not None and np.ndim(task.start) != 1 + bool(per_seed.start):
        shape, way = ("[seeds, rows], or axes that share it,", "") if per_seed.start else ("[rows]", _OWN_START)
        raise ValueError(f"expected a start set of row ids {shape} got shape {np.shape(task.start)}{way}")
    _check_test(task.test)
    predictions = None
    for number, seen in enumerate(views(task, per_seed)):
        if number == 0 or any(jax.tree.leaves(per_seed.pool.x)):
            _check_pool(seen.pool)
        if not callable(seen.oracle):
            _check_length(seen.oracle, num_rows(seen.pool.x))
        if callable(seen.oracle) or over.place == "host":
            continue  # labels are checked as they come, and what a host model predicts once it is fitted
        if number == 0:
            predictions = check_first(seen, seen.oracle, setup)
        rows = np.flatnonzero(np.asarray(seen.pool.present))
        given = jax.tree.map(lambda leaf, rows=rows: np.asarray(leaf)[rows], seen.oracle)
        checked = check_answers(predictions, given, rows)
        if hasattr(task.oracle, "astype"):
            task = task._replace(oracle=task.oracle.astype(jax.dtypes.canonicalize_dtype(checked.dtype)))
    chosen = np.zeros((1, 0), np.int32) if task.start is None else np.asarray(task.start)
    check_budget(task.pool.present, chosen, setup.num_rounds * setup.batch_size + num_start, num_start)
    return task


def arrays_of(task: Task, over: Over = dense) -> Task:
    """The parts of a task as arrays, and an oracle that is a function as a tree, for maps over seeds."""
    pool, oracle, test = task.pool, task.oracle, task.test
    if not isinstance(pool, Pool):
        raise TypeError(f"expected a Pool, got {_named(pool)}; use bal.make_pool(x)")
    pool = Pool(as_rows(pool.x), as_rows(pool.present), as_rows(pool.cost))
    if not callable(oracle):
        oracle = as_rows(oracle, "labels")
    else:
        _check_oracle(oracle)
        oracle = Partial(oracle) if jax.tree_util.all_leaves([oracle]) else oracle
    if over.place != "host":
        test = jax.tree.map(lambda leaf: as_rows(leaf, "test set"), test)  # here a list is a tree
    if any(0 in np.shape(leaf)[:1] for leaf in jax.tree.leaves(test)):
        raise ValueError("the test set is empty: expected at least 1 row to evaluate on, or test=None without evaluate")
    return Task(pool, oracle, test, as_rows(task.start, "start set"))


def seed_axes(axes: Any, args: Any) -> Any:
    """For every leaf of `args` whether it leads with the seeds, from a prefix tree of 0 and None."""
    is_axis = lambda axis: axis is None or axis == 0
    for axis in jax.tree.leaves(axes):
        if axis != 0:
            raise ValueError(f"axes are 0 (leads with the seeds) or None (shared), got {axis!r}; move the axis first")
    spread = lambda axis, part: jax.tree.map(lambda leaf: axis == 0, part)
    return jax.tree.map(spread, axes, args, is_leaf=is_axis)


def predicted(learner: Learner, x: PyTree, y: PyTree) -> tuple[PyTree, PyTree]:
    """Shapes of the state and of the predictions of two rows, from shapes of inputs and labels; nothing is computed."""
    like = lambda size: (
        lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), jax.dtypes.canonicalize_dtype(leaf.dtype))
    )
    who = jnp.zeros(1), jnp.zeros(1, jnp.int32), jnp.zeros(1, jnp.int32)
    data = Data(jax.tree.map(like(1), x), jax.tree.map(like(1), y), *who)
    state = jax.eval_shape(learner.init, jax.random.key(0), data)
    return state, jax.eval_shape(learner.predict, state, jax.tree.map(like(2), x))


def check_first_prediction(learner: Learner, x: PyTree, y: PyTree) -> None:
    """What the untrained learner predicts for a few rows is normalised, where it is a number at all."""
    some = take(x, np.arange(min(num_rows(x), _FEW)))
    zeros = lambda leaf: np.zeros((1, *leaf.shape[1:]), jax.dtypes.canonicalize_dtype(leaf.dtype))
    who = jnp.zeros(1), jnp.zeros(1, jnp.int32), jnp.zeros(1, jnp.int32)
    blank = Data(jax.tree.map(zeros, x), jax.tree.map(zeros, y), *who)
    try:
        predict = _untrained(learner)
    except TypeError:  # made of functions that cannot be hashed
        predict = _untrained.__wrapped__(learner)
    found = predict(jax.random.key(0), blank, some)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(found)]
    real = np.all([~np.isnan(leaf).reshape(len(leaf), -1).any(-1) for leaf in leaves], 0)
    if real.any():
        check_predictions(jax.tree.map(lambda leaf: np.asarray(leaf)[real], found), int(real.sum()))


def check_answers(predictions: Any, y: PyTree, rows: Any) -> PyTree:
    """Labels of rows fit the predictions: class numbers in range, distributions over classes, or finite reals.

    Returns them as they are to be stored: truth values as class numbers, whole numbers as reals where the learner
    predicts reals. Labels that are a tree are checked for their length alone.
    """
    kind = kind_of(predictions)
    if not hasattr(y, "shape"):
        return y
    values = np.asarray(y)
    told = has_answer(values)
    values, rows = values[told], np.asarray(rows)[told] if len(rows) == len(told) else rows
    if isinstance(predictions, Latent) and values.dtype.kind == "f" and np.isin(values, (0.0, 1.0)).all():
        check_labels(values, len(values), None, None, rows)  # 0.0 and 1.0 serve as the two classes
        return y
    if isinstance(predictions, MultiLabel):
        check_label_sets(values, len(values), kind.num_outputs or 0, rows)
        return y if values.dtype.kind == "f" else y.astype(float)
    if isinstance(predictions, Tags):
        check_tags(values, predictions, rows)
        return y
    soft = kind.num_classes is not None and values.ndim == 2 and values.shape[1] > 1 and values.dtype.kind == "f"
    if soft and not isinstance(predictions, Latent):
        check_distributions(values, len(values), kind.num_classes, rows)
        return y
    check_labels(values, len(values), *kind, rows)
    if kind.num_classes is None:
        return y if values.dtype.kind == "f" else y.astype(float)
    return y.astype(jnp.int32) if values.dtype == bool or not values.size else y


def warn_of_oddities(info: dict[str, Array], valid: Any) -> None:
    """Say once what a selection, or the selections of a whole run, reported: it must not pass for an ordinary result.

    `info` and `valid` are those of `bal.typing.Selection`, or of a log, stacked.
    """
    count = lambda name: np.asarray(info[name]) if name in info else np.zeros(1, int)
    equal, unusable = count("all_equal"), ~np.asarray(valid).all(-1)
    early = ~np.asarray(info.get("converged", True))
    if early.any():
        warnings.warn(f"in {early.sum()} of {early.size} queries the fit had not converged: {ADVICE}", stacklevel=3)
    if equal.any():
        warnings.warn(
            f"in {int(equal.sum())} of {equal.size} queries all scores were equal, so that they chose nothing: rows "
            "were taken by their place in the pool, or at random; do the posterior draws differ (dropout, members, "
            "more than one draw), and does the acquisition suit the predictions?",
            stacklevel=3,
        )
    if unusable.any() and "spent" not in info:  # a budget leaves places empty
        warnings.warn(
            f"in {int(unusable.sum())} of {unusable.size} queries fewer rows could be picked than asked for: the "
            "scores of the others are not numbers, or the pool is exhausted; see `valid` and info['num_nan']",
            stacklevel=3,
        )
    elif count("num_nan").any():
        most = int(count("num_nan").max())
        warnings.warn(f"some scores were NaN ({most} at most in a query); such rows are never picked", stacklevel=3)


def views(task: Task, per_seed: Any) -> list[Task]:
    """What one seed sees; seeds that share rows and labels are seen as one, with the rows that any of them has."""
    lengths = {leaf.shape[0] for leaf, own in zip(*map(jax.tree.leaves, (task, per_seed)), strict=True) if own}
    if len(lengths) > 1:
        raise ValueError(f"expected one number of seeds in all per-seed arguments, got {sorted(lengths)}")
    own = lambda number: jax.tree.map(lambda leaf, own: leaf[number] if own else leaf, task, per_seed)
    if any(jax.tree.leaves((per_seed.pool.x, per_seed.oracle))):
        return [own(number) for number in range(lengths.pop())]
    view, present = own(0), np.asarray(task.pool.present)
    return [view._replace(pool=view.pool._replace(present=present.any(0) if present.ndim == 2 else present))]


def _check_pool(pool: Pool) -> None:
    check_rows(pool.x)
    n = num_rows(pool.x)
    for name, leaf in (("present", pool.present), ("cost", pool.cost)):
        if np.shape(leaf) != (n,):
            raise ValueError(f"expected {name} of shape ({n},), one for each pool row, got {np.shape(leaf)}")


def _check_test(test: PyTree) -> None:
    """Numbers to measure on are numbers."""
    for leaf in jax.tree.leaves(test):
        if isinstance(leaf, np.ndarray | jax.Array) and jnp.issubdtype(leaf.dtype, np.floating):
            bad = ~np.isfinite(np.asarray(leaf))
            if bad.any():
                row = np.argwhere(np.atleast_1d(bad))[0][0]
                raise ValueError(
                    f"the test set holds NaN or infinity at index {row} of its leading axis; drop such rows"
                )


def _check_length(y: PyTree, n: int) -> None:
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(y)}
    if lengths != {(n,)}:
        got = sorted(length[0] if length else 0 for length in lengths)
        raise ValueError(f"expected one label for each of {n} pool rows, got labels of length {got}")


def check_first(task: Task, y: PyTree, setup: Setup) -> PyTree:
    """Metrics have names, and a first prediction is normalised; returns the shapes of predictions."""
    state, predictions = predicted(setup.learner, task.pool.x, y)
    kind_of(predictions)
    evaluate = lambda state, test: measure(setup, Posterior(state, setup.learner), test)
    metrics = jax.eval_shape(evaluate, state, task.test)
    check_metrics(metrics)
    check_first_prediction(setup.learner, task.pool.x, y)
    return predictions


def check_metrics(metrics: Any) -> None:
    """What `evaluate` returned has names."""
    if not isinstance(metrics, dict):
        raise TypeError(f"evaluate must return a dict of named metrics, got {_named(metrics)}")


@lru_cache(maxsize=64)
def _untrained(learner: Learner) -> Callable:
    return jax.jit(lambda key, data, x: learner.predict(learner.init(key, data), x))


def _check_select(select: Callable) -> None:
    wrong = _misfit(select)
    if wrong:
        raise TypeError(
            f"a selector is called with (key, candidates, batch_size), but {_named(select)} cannot be ({wrong}); a "
            f"factory must be called first: {getattr(select, '__name__', 'it')}()"
        )


def _check_oracle(oracle: Callable) -> None:
    wrong = _misfit(oracle)
    if wrong:
        raise TypeError(
            f"an oracle is called with (key, indices, x), but {_named(oracle)} cannot be ({wrong}); write lambda key, "
            "indices, x: y"
        )


def _misfit(function: Callable) -> str:
    """Why a function cannot be called with three arguments; nothing if it can, or has no signature."""
    try:
        inspect.signature(function).bind(None, None, 1)
    except TypeError as error:
        return str(error)
    except ValueError:
        return ""
    return ""


def _named(value: Any) -> str:
    if callable(value) and hasattr(value, "__name__"):
        return f"the function or class {value.__name__}"
    return repr(value) if isinstance(value, str | int | float) else type(value).__name__
