"""The tasks of all seeds as one task with axes, and a digest of it that does not hang on how many seeds there are."""

import hashlib
from typing import Any

import jax
import numpy as np

from bal.loop.doors import arrays_of, check_is_task, seed_axes
from bal.loop.fingerprint import describe, rows_digest
from bal.loop.finished import one_seed
from bal.pool.arrays import as_rows
from bal.typing import Task


def stacked(task_of: Any, num_seeds: int) -> tuple[Task, Task | None]:
    """The task of all seeds and its axes: what differs between them leads with the seed, the rest is kept once."""
    if not callable(task_of):
        check_is_task(task_of)
        return arrays_of(task_of), None
    made: list[Any] = [task_of(number) for number in range(num_seeds)]
    for task in made:
        check_is_task(task)
    leaves, trees = zip(*(jax.tree.flatten(_without_lists(task)) for task in made), strict=True)
    if any(tree != trees[0] for tree in trees):
        raise ValueError("the tasks of all seeds must have one structure: the same parts, with arrays of the same kind")
    arrays, axes = [], []
    for parts in zip(*leaves, strict=True):
        shared = all(_is_same(part, parts[0]) for part in parts)
        axes.append(None if shared else 0)
        arrays.append(parts[0] if shared else _stack(parts))
    return arrays_of(trees[0].unflatten(arrays)), trees[0].unflatten(axes)


def _without_lists(task: Task) -> Task:
    """A list of labels or rows is one array, not a tree."""
    oracle = task.oracle if callable(task.oracle) else as_rows(task.oracle, "labels")
    return task._replace(oracle=oracle, start=as_rows(task.start, "start set"))


def _is_same(one: Any, other: Any) -> bool:
    if one is other or callable(one):
        return one is other or one == other
    return np.shape(one) == np.shape(other) and np.array_equal(np.asarray(one), np.asarray(other))


def _stack(parts: tuple) -> np.ndarray:
    if any(map(callable, parts)):
        raise ValueError(
            "the oracle is another function in every seed; make it once, outside, or give it arrays of its own by "
            "jax.tree_util.Partial(function, arrays)"
        )
    shapes = {np.shape(part) for part in parts}
    if len(shapes) > 1:
        raise ValueError(f"arrays of all seeds must have one shape, got {sorted(shapes)}; draw as many rows for each")
    return np.stack([np.asarray(part) for part in parts])


def task_digest(task: Task, axes: Task | None) -> str:
    """Digest of all that the first seed sees, so that it does not hang on how many seeds there are."""
    first = one_seed(task, seed_axes(axes, task), 0)
    rows = jax.tree.map(lambda leaf: leaf if np.ndim(leaf) else np.reshape(leaf, 1), first)
    oracle = describe(first.oracle).split("\n", 1)[-1] if callable(first.oracle) else ""
    return hashlib.sha256(f"{rows_digest(rows)} {oracle}".encode()).hexdigest()[:16]
