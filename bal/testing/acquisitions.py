"""What an acquisition function promises, checked on anybody's."""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np

from bal.testing.faults import check_handed, check_lowers, differ, expect, name_of, rows_of, traced
from bal.testing.inputs import PREDICTIONS, ROWS, Predictions, chosen
from bal.typing import Acquisition, PyTree

LARGE = 10_000
"""Rows beside which XLA compiles other loops, and treats NaN differently."""
TWINS = (1, 20, 498, 501, 1_003, 8_191, 8_192, 9_999)


def check_acquisition(
    acquisition: Acquisition,
    predictions: str | Predictions = "log_probs",
    *,
    lower: float | None = None,
    upper: float | None = None,
    any_order: bool = True,
) -> None:
    """An acquisition function keeps its contract, as the functions of `bal.acquisition` do.

    One number a row, of the predictions' type; of that row alone; the same every time, in whatever order the draws
    come; finite at probability zero, within its bounds; NaN where a prediction is NaN or infinite and nowhere else,
    in few and in many rows; equal for equal rows wherever they stand; traced once for all predictions of a shape;
    float32 close to float64; with a translation for CPU, CUDA and TPU. It takes a few seconds.

    Args:
      acquisition: ``predictions -> scores [n]``.
      predictions: "log_probs", "gaussian" or "latent", or a function ``rows, seed -> predictions``.
      lower, upper: bounds of the scores for these predictions (5 draws of 4 classes).
      any_order: False for a function to which the draws are not alike.

    Raises:
      Fault: in one sentence, the promise that does not hold, where, and how to mend it.
      TypeError: no function.

    >>> from bal.acquisition import bald
    >>> check_acquisition(bald, lower=0.0, upper=np.log(4))
    """
    check_handed(acquisition, None, "an acquisition, predictions -> scores", "bal.acquisition.bald")
    make, name = chosen("predictions", PREDICTIONS, predictions), name_of(acquisition)
    traces: list[int] = []

    @jax.jit
    def score(inputs: PyTree) -> jax.Array:
        traces.append(1)
        return acquisition(inputs)

    few = make(ROWS, 0)
    scores = np.asarray(traced(score, few, what=name))
    _check_shape(name, scores, few)
    again = np.asarray(score(few))
    expect(
        not len(differ(again, scores, 0.0)),
        f"expected {name} to give the same scores twice, got others for row {_first(differ(again, scores, 0.0))}; take "
        "randomness from a key that is an argument, never from a generator of its own",
    )
    score(make(ROWS, 1))
    expect(
        len(traces) == 1,
        f"expected {name} to be traced once for predictions of one shape, got {len(traces)} times; keep shapes and "
        "Python values out of what depends on the numbers",
    )
    _check_rows(name, score, few, scores)
    if any_order:
        order = np.array([3, 1, 4, 0, 2])
        turned = np.asarray(score(jax.tree.map(lambda leaf: np.asarray(leaf)[:, order[: leaf.shape[1]]], few)))
        expect(
            not len(differ(turned, scores)),
            f"expected {name} not to depend on the order of the posterior draws, got another score for row "
            f"{_first(differ(turned, scores))}; treat all draws alike, or say any_order=False",
        )
    _check_bounds(name, scores, lower, upper)
    _check_many(name, acquisition, make)
    _check_precision(name, acquisition, few, scores)
    check_lowers(acquisition, (few,), name)


def _first(rows: np.ndarray) -> str:
    return str(rows[0]) if len(rows) else "none"


def _check_shape(name: str, scores: np.ndarray, inputs: PyTree) -> None:
    rows, kind = jax.tree.leaves(inputs)[0].shape[0], jax.tree.leaves(inputs)[0].dtype
    expect(
        scores.shape == (rows,),
        f"expected {name} to give one score a row, shape ({rows},), got shape {scores.shape}; sum or average over "
        "draws and classes",
    )
    expect(
        scores.dtype == kind,
        f"expected {name} to give scores of its predictions' type {kind}, got {scores.dtype}; make constants of that "
        "type, or leave them Python numbers",
    )


def _check_rows(name: str, score: Callable, few: PyTree, scores: np.ndarray) -> None:
    lower = np.flatnonzero(scores < scores.max())  # with the best row among them a score over its maximum would pass
    pool = lower if len(lower) else np.arange(len(scores))
    picked = pool[np.array([7, 3, 3, 11, 0, 23, 1, 2] * 3) % len(pool)]
    wrong = differ(np.asarray(score(rows_of(few, picked))), scores[picked], 2e-6)
    expect(
        not len(wrong),
        f"expected the score of a row to depend on that row alone, got another from {name} for row "
        f"{picked[wrong[0]] if len(wrong) else ''} among other rows; what is about the pool (its mean, its maximum, "
        "targets) belongs into the context of a stage",
    )


def _check_bounds(name: str, scores: np.ndarray, lower: float | None, upper: float | None) -> None:
    broken = np.flatnonzero(~np.isfinite(scores))
    expect(
        not len(broken),
        f"expected {name} to be finite where a class has probability zero, got {scores[broken[:1]]} for row "
        f"{_first(broken)}; 0 log 0 is 0 (bal.numerics.xlogx), a maximum comes off before an exponential",
    )
    for bound, outside, word in (
        (lower, scores < (lower or 0) - 1e-6, "least"),
        (upper, scores > (upper or 0) + 1e-6, "most"),
    ):
        expect(
            bound is None or not outside.any(),
            f"expected scores of {name} of at {word} {bound}, got {scores[outside][:1]} for row "
            f"{_first(np.flatnonzero(outside))}; differences of rounded numbers want at_least and at_most of "
            "bal.numerics",
        )


def broken_rows(make: Predictions) -> tuple[PyTree, np.ndarray]:
    """Many rows with NaN and infinities in some, wholly or in one number, and equal rows in others; which are bad."""
    leaves, tree = jax.tree.flatten(jax.tree.map(np.array, make(LARGE, 0)))
    bad, log_zero = [], len(leaves) == 1  # of log probabilities -inf is a number like others
    for row in (2, 1_970, 8_150):
        for value in (np.nan, np.inf, *(() if log_zero else (-np.inf,))):
            for some in (leaves, *([leaf] for leaf in leaves)):
                for leaf in some:
                    leaf[row].flat[slice(None) if some is leaves else row % leaf[row].size] = value
                bad.append(row)
                row += 1
    for leaf in leaves:
        leaf[list(TWINS)] = leaf[1]
    return jax.tree.unflatten(tree, leaves), np.isin(np.arange(LARGE), bad)


def _check_many(name: str, acquisition: Acquisition, make: Predictions) -> None:
    inputs, bad = broken_rows(make)
    for rows in (ROWS, LARGE):
        scores = np.asarray(jax.jit(acquisition)(rows_of(inputs, slice(rows))))
        kept, lost = np.flatnonzero(~np.isnan(scores) & bad[:rows]), np.flatnonzero(~np.isfinite(scores) & ~bad[:rows])
        expect(
            not len(kept),
            f"expected {name} to score NaN where a prediction is NaN or infinite, got {scores[kept[:1]]} for row "
            f"{_first(kept)} of {rows}; maxima drop NaN in large loops: pass through bal.numerics.defined",
        )
        expect(
            not len(lost),
            f"expected NaN in one row to spoil no other, got {scores[lost[:1]]} from {name} for row {_first(lost)} of "
            f"{rows}; keep rows apart",
        )
    twins = scores[list(TWINS)]
    expect(
        (twins == twins[0]).all(),
        f"expected equal rows to tie wherever they stand, got scores {np.unique(twins)} from {name}; reduce over an "
        "axis that does not hold the rows, in blocks of bal.numerics.in_row_blocks",
    )


def _check_precision(name: str, acquisition: Acquisition, few: PyTree, scores: np.ndarray) -> None:
    with jax.enable_x64(True):
        wide = np.asarray(jax.jit(acquisition)(jax.tree.map(partial(np.asarray, dtype=np.float64), few)))
    wrong = differ(scores, wide, 1e-4)
    expect(
        not len(wrong),
        f"expected float32 scores of {name} within 1e-4 of those in float64, got {scores[wrong[:1]]} against "
        f"{wide[wrong[:1]]} for row {_first(wrong)}; center draws before squares (bal.numerics.centered_draws)",
    )
