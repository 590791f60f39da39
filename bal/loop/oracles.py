"""What `run_seeds` asks of an oracle that is a function, before it is compiled and of what it told."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.loop.doors import check_answers, check_first, predicted, seed_axes, views
from bal.loop.round import label_shapes
from bal.typing import PyTree, Setup, Task


def check_traced(task: Task, setup: Setup, axes: Any) -> PyTree:
    """An oracle that is a function can be compiled and answers as the learner needs it; returns the types that its
    labels are to be stored in, see `stored_as`.

    Raises:
      ValueError, TypeError: it cannot be traced, or its labels have another shape or type than the predictions ask for.
    """
    seen = views(task, seed_axes(axes, task))[0]
    try:
        like = label_shapes(seen)
    except jax.errors.JAXTypeError as error:
        raise TypeError(
            f"this oracle cannot be compiled ({type(error).__name__}); write it with jax.numpy, or use run_eager, "
            "which asks any Python"
        ) from None
    some = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
    stored = check_answers(check_first(seen, like, setup), some, [0])
    return jax.tree.map(lambda leaf: jax.dtypes.canonicalize_dtype(leaf.dtype), stored)


def stored_as(dtypes: PyTree, task: Task) -> Task:
    """The task with an oracle whose labels have these types: truth values are class numbers, for one."""
    cast = lambda *asked: jax.tree.map(lambda dtype, leaf: jnp.asarray(leaf, dtype), dtypes, task.oracle(*asked))
    return task._replace(oracle=cast)


def check_told(log: Any, task: Task, setup: Setup, axes: Any) -> None:
    """What an oracle that is a function told in a compiled run (a `Log` of several seeds) fits the predictions."""
    seen = views(task, seed_axes(axes, task))[0]
    predictions = predicted(setup.learner, seen.pool.x, label_shapes(seen))[1]
    valid = np.asarray(log.valid)
    answered = lambda leaf: np.asarray(leaf)[valid]
    check_answers(predictions, jax.tree.map(answered, log.y), answered(log.indices))
    rows = lambda leaf: np.asarray(leaf).reshape(-1, *leaf.shape[2:])
    check_answers(predictions, jax.tree.map(rows, log.y_start), rows(log.start))
