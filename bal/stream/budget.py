"""How many labels a stream may cost: kept apart from the rules that want them."""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.learners.settings import check_count
from bal.method import brief_repr, method
from bal.stream.settings import check_share
from bal.typing import PyTree

MOST_CREDIT = 2**30


class Budget(NamedTuple):
    """A controller of spending as pure functions.

    init: ``() -> state``; allows: ``state -> bool``, may the label of the next row be bought;
    update: ``state, asked -> state`` after each row; spent: ``state -> number``, what the controller compares.
    """

    init: Callable[[], PyTree]
    allows: Callable[[PyTree], Bool[Array, ""]]
    update: Callable[[PyTree, Bool[Array, ""]], PyTree]
    spent: Callable[[PyTree], Float[Array, ""]]

    __repr__ = brief_repr


class Count(NamedTuple):
    """Rows seen, labels asked, and credit in units of which a label costs many."""

    seen: Int[Array, ""]
    asked: Int[Array, ""]
    credit: Int[Array, ""]


def _begin() -> Count:
    return Count(*(jnp.zeros((), jnp.int32) for _ in range(3)))


def _share_of_rows(state: Count) -> Float[Array, ""]:
    return state.asked / jnp.maximum(state.seen, 1)


def _count(state: Count, asked: Bool[Array, ""] | bool, income: int = 0, price: int = 0) -> Count:
    credit = jnp.minimum(state.credit + income, MOST_CREDIT) - price * asked
    return Count(state.seen + 1, state.asked + asked, credit)


@method
def unlimited() -> Budget:
    """Every label that is wanted; `spent` is the share of rows asked.

    >>> bool(unlimited().allows(unlimited().init()))
    True
    """
    return Budget(_begin, lambda state: state.seen >= 0, _count, _share_of_rows)


@method
def share_of_rows(share: float) -> Budget:
    """At most ``⌊share · t⌋`` labels among the first t rows, for every t: what was not spent is saved.

    Exact: counted in whole units of the nearest fraction with a denominator of at most 10,000 that is no larger.
    `spent` is the share of rows asked so far.

    Args:
      share: labels a row, in (0, 1].

    Raises:
      ValueError: a share outside (0, 1], or below 1 in 10,000.

    >>> budget = share_of_rows(0.5)
    >>> budget.allows(budget.init()).item()
    False
    """
    check_share("share", share, above_zero=True)
    part = Fraction(share).limit_denominator(10_000)
    if part > share * (1 + 1e-9):  # a decimal such as 0.1 is a rounding away from its fraction
        part = Fraction(int(share * 10_000), 10_000)
    income, price = part.numerator, part.denominator
    if not income:
        raise ValueError(f"expected a share of at least 1 in 10,000 rows, got {share:g}; use total(...) for few labels")
    allows = lambda state: state.credit + income >= price
    return Budget(_begin, allows, lambda state, asked: _count(state, asked, income, price), _share_of_rows)


@method
def windowed(share: float, window: int = 100) -> Budget:
    """Spending of late, forgotten exponentially: ``û ← (1 - 1/w) û + asked``, allowed while ``û / w < share``.

    What was not spent long ago cannot be spent now, as drift asks for. `spent` is ``û / w``. In the long run at most
    ``share + 1/w`` of the rows are asked.

    Args:
      share: labels a row, in (0, 1].
      window: w, rows over which spending is estimated.

    Raises:
      ValueError: a share outside (0, 1], a window below 1.

    >>> budget = windowed(0.3, 10)
    >>> state, asked = budget.init(), []
    >>> for _ in range(8):
    ...     asked.append(bool(budget.allows(state)))
    ...     state = budget.update(state, asked[-1])
    >>> asked
    [True, True, True, True, False, False, True, False]

    Zliobaite, Bifet, Pfahringer and Holmes 2014, "Active Learning With Drifting Streaming Data", section IV.
    """
    check_share("share", share, above_zero=True)
    check_count("window", window)
    kept = 1.0 - 1.0 / window
    return Budget(
        lambda: jnp.zeros(()),
        lambda spending: spending / window < share,
        lambda spending, asked: kept * spending + asked,
        lambda spending: spending / window,
    )


@method
def total(num_labels: int) -> Budget:
    """A number of labels, whenever they are wanted; `spent` is the part of them that is gone.

    Args:
      num_labels: at least 1.

    Raises:
      ValueError: less than one label.

    >>> budget = total(2)
    >>> budget.spent(budget.update(budget.init(), True)).item()
    0.5
    """
    check_count("num_labels", num_labels)
    return Budget(_begin, lambda state: state.asked < num_labels, _count, lambda state: state.asked / num_labels)
