"""One value a task, strategy and seed, checked: what statistics over several data sets take."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

Results = Mapping[str, Mapping[str, Float[np.ndarray, "_"]]]
"""``{task: {strategy: [S]}}``: an area, a final accuracy; row s of all strategies of a task belongs to one seed."""


def stacked_results(results: Results, same_seeds: bool = True) -> dict[str, Any]:
    """Values by strategy: ``[S, T]`` over T tasks, or a list of ``[S]`` where tasks may differ in their seeds.

    Raises ValueError for no tasks, other strategies in some task, seeds that are not paired, or values that are not
    finite.

    >>> stacked_results({"wine": {"bald": np.array([0.8, 0.9])}, "digits": {"bald": np.array([0.6, 0.7])}})["bald"]
    array([[0.8, 0.6],
           [0.9, 0.7]])
    """
    if not results:
        raise ValueError("expected at least one task, got none; hand {task: {strategy: values}}")
    names = list(next(iter(results.values())))
    for task, of in results.items():
        if set(of) != set(names) or not names:
            raise ValueError(
                f"expected the same strategies in every task, got {', '.join(names)} and in {task} {', '.join(of)}; "
                "leave out what was not run everywhere"
            )
        if len({len(of[name]) for name in names}) > 1 or len(of[names[0]]) == 0:
            found = {name: len(of[name]) for name in names}
            raise ValueError(f"expected the same seeds for all strategies in {task}, got {found}; run what is missing")
        if not all(np.isfinite(of[name]).all() for name in names):
            raise ValueError(f"values in {task} must be finite; drop no seed: find out why they are missing")
    seeds = {task: len(of[names[0]]) for task, of in results.items()}
    columns = {name: [np.asarray(of[name], np.float64) for of in results.values()] for name in names}
    if not same_seeds:
        return columns
    if len(set(seeds.values())) > 1:
        raise ValueError(f"expected one number of seeds in all tasks, got {seeds}; a task with more would count more")
    return {name: np.stack(of, axis=1) for name, of in columns.items()}
