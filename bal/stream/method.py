"""What a method for streams is: decide about one row, then be told what became of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.method import brief_repr
from bal.typing import PyTree

NO_CLASS = -1
"""The prediction of a model that says NaN: never right, and no lesson."""


class Decision(NamedTuple):
    """What a method makes of one row.

    query: True = its label is wanted; a budget may still say no.
    prediction: the class that is predicted, whether or not the label is wanted; `NO_CLASS` where there is none.
    score: higher = wanted more; threshold: what the score was compared with, NaN where there is none.
    info: further arrays that `update` needs, or that are worth looking at; of one structure for all rows.
    """

    query: Bool[Array, ""]
    prediction: Int[Array, ""]
    score: Float[Array, ""]
    threshold: Float[Array, ""]
    info: Any = ()


class Outcome(NamedTuple):
    """What became of a row.

    y: its label where it was asked, else the method's own prediction: a label that was not asked is never seen.
    asked: the label was wanted and within the budget; allowed: the budget would have paid for it.
    """

    decision: Decision
    y: Int[Array, ""]
    asked: Bool[Array, ""]
    allowed: Bool[Array, ""]


class StreamMethod(NamedTuple):
    """A method for streams as pure functions; settings are held by closure.

    init: ``key, x -> state`` from one row ``x``, read for its shape only.
    decide: ``key, state, x, time -> Decision`` for one row; `time` counts the rows before it.
    update: ``key, state, x, outcome, time -> state``, of the same structure and dtypes.
    num_classes: labels and predictions lie in [0, num_classes).
    """

    init: Callable[..., PyTree]
    decide: Callable[..., Decision]
    update: Callable[..., PyTree]
    num_classes: int

    __repr__ = brief_repr


def class_said(best: Int[Array, ""], scores: Float[Array, "..."]) -> Int[Array, ""]:
    """The class of the best score; `NO_CLASS` where a score is NaN.

    >>> [class_said(jnp.int32(1), jnp.array([low, 0.8])).item() for low in (0.2, jnp.nan)]
    [1, -1]
    """
    return jnp.where(jnp.isnan(scores).any(), NO_CLASS, best).astype(jnp.int32)
