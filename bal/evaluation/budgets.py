"""Curves over what was spent: cost and seconds differ from seed to seed, so values are read at common budgets."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Real


def common_budgets(spent: Mapping[str, Real[np.ndarray, "_ _"]], num_budgets: int = 50) -> Float[np.ndarray, "G"]:
    """Evenly spaced budgets that every seed of every strategy covers: from the last to begin to the first to end.

    Nothing is extrapolated: what one strategy spent beyond the others cannot be compared.
    Raises ValueError if there is no such range, fewer than two budgets, or amounts that are not finite.

    >>> spent = {"random": np.array([[0.0, 5.0, 10.0]]), "bald": np.array([[1.0, 9.0, 20.0]])}
    >>> common_budgets(spent, 4).tolist()
    [1.0, 4.0, 7.0, 10.0]
    """
    if not spent or num_budgets < 2:
        raise ValueError(f"expected at least one strategy and 2 budgets, got {len(spent)} and {num_budgets}")
    for name, amounts in spent.items():
        _check_amounts(name, amounts)
    low = max(float(amounts[:, 0].max()) for amounts in spent.values())
    high = min(float(amounts[:, -1].min()) for amounts in spent.values())
    if not low < high:
        raise ValueError(f"the curves share no range: the last begins at {low:g}, the first ends at {high:g}")
    return np.linspace(low, high, num_budgets)


def values_at(
    spent: Real[np.ndarray, "S E"], values: Float[np.ndarray, "S E"], budgets: Real[np.ndarray, "G"]
) -> Float[np.ndarray, "S G"]:
    """What each seed has in hand at each budget: its last evaluation that was paid for by then.

    A step function, not a line: between two evaluations the better model is not there yet. What comes out are curves
    over one common axis, ``[S, G]`` at ``[G]``, for `area_under_curve`, `labels_to_target` (then: cost to target),
    `comparison_table` and `learning_curves`.

    Use it when strategies differ in what a round takes: costs of rows, seconds of a slow score.

    Args:
      spent: cost or seconds up to each evaluation of each seed; for an axis on a log scale, its logarithm.
      values: of the evaluations.
      budgets: see `common_budgets`.

    Raises:
      ValueError: budgets that do not increase, or at which some seed has no evaluation yet or ended before; amounts
        that decrease or are not finite; values that are NaN.

    >>> values_at(np.array([[0.0, 4.0, 9.0]]), np.array([[0.1, 0.5, 0.8]]), np.array([3.0, 4.0, 8.0])).tolist()
    [[0.1, 0.5, 0.5]]
    """
    if spent.shape != values.shape or spent.ndim != 2:
        raise ValueError(f"expected one amount a value, [S, E] for both, got {spent.shape} and {values.shape}")
    _check_amounts("spent", spent)
    if np.isnan(values).any():
        raise ValueError(f"{int(np.isnan(values).sum())} values are NaN; drop no seed: find out why they are missing")
    if not (np.diff(budgets) > 0).all():
        raise ValueError(f"budgets must increase, got {budgets.tolist()}")
    low, high = float(spent[:, 0].max()), float(spent[:, -1].min())
    if not (budgets[0] >= low and budgets[-1] <= high):
        raise ValueError(
            f"all seeds cover {low:g} .. {high:g}, got budgets {budgets[0]:g} .. {budgets[-1]:g}; use common_budgets"
        )
    last = [np.searchsorted(row, budgets, side="right") - 1 for row in spent]
    return np.take_along_axis(values, np.array(last), axis=1)


def _check_amounts(name: str, amounts: np.ndarray) -> None:
    if amounts.ndim != 2 or amounts.size == 0 or not np.isfinite(amounts).all():
        raise ValueError(f"{name}: expected finite amounts [S, E], one row a seed, got shape {amounts.shape}")
    if (np.diff(amounts, axis=1) < 0).any():
        raise ValueError(f"{name}: what was spent cannot decrease along a run; add up the amounts of the rounds")
