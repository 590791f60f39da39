"""What a rule is: predictions of a row in, a wish for its label out; and the rule that looks at nothing."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.acquisition import epig
from bal.learners.settings import check_count
from bal.method import brief_repr, method
from bal.stream.method import Outcome
from bal.stream.settings import check_share
from bal.typing import PRNGKey, PyTree


class Wish(NamedTuple):
    """ask: the label is wanted; score, threshold: what was compared; info: what `update` needs."""

    ask: Bool[Array, ""]
    score: Float[Array, ""]
    threshold: Float[Array, ""]
    info: Any = ()


class Rule(NamedTuple):
    """When to want a label, as pure functions.

    init: ``() -> state``.
    decide: ``key, state, predictions, time -> Wish``; ``predictions [1 + num_targets, K, C]`` are those of the row in
        question and of the latest rows before it.
    update: ``state, outcome, time -> state``; ``outcome.decision.info`` is that of the wish.
    num_targets: how many of the latest rows `decide` looks at.
    forget: ``state -> time``: labels from before are of no use, and when it grows the learner starts anew; None =
        nothing is ever forgotten.
    """

    init: Callable[[], PyTree]
    decide: Callable[..., Wish]
    update: Callable[..., PyTree]
    num_targets: int = 0
    forget: Callable[[PyTree], Int[Array, ""]] | None = None

    __repr__ = brief_repr


class AboutRecent(NamedTuple):
    """An acquisition that looks at `num_targets` of the latest rows too: ``predictions, targets -> scores``."""

    score: Callable[..., Array]
    num_targets: int

    __repr__ = brief_repr


Scoring = Callable[..., Array] | AboutRecent
"""What rules of thresholds take: an acquisition such as `bald`, or one about the latest rows."""


@method
def recent_epig(num_targets: int = 64) -> AboutRecent:
    """`epig` with the latest rows of the stream as its targets, unlabeled as they come: what the label of a row tells
    about labels that are wanted now. As the stream drifts, the targets do.

    Raises ValueError for less than one target.

    >>> recent_epig(32)
    recent_epig(num_targets=32)

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning"; the targets are ours.
    """
    check_count("num_targets", num_targets)
    return AboutRecent(lambda predictions, targets: epig(predictions, targets), num_targets)


def score_of(scoring: Scoring, predictions: Float[Array, "m K C"]) -> Float[Array, ""]:
    """The score of the row in question, the first."""
    if isinstance(scoring, AboutRecent):
        return scoring.score(predictions[:1], predictions[1:])[0]
    return scoring(predictions[:1])[0]


def targets_of(scoring: Scoring) -> int:
    """How many of the latest rows are looked at."""
    return scoring.num_targets if isinstance(scoring, AboutRecent) else 0


@method
def at_random(share: float) -> Rule:
    """Each row with probability `share`, whatever is predicted.

    Raises ValueError for a share outside [0, 1].

    >>> at_random(1.0).decide(jax.random.key(0), (), None, 0).ask.item()
    True

    Zliobaite, Bifet, Pfahringer and Holmes 2014, "Active Learning With Drifting Streaming Data".
    """
    check_share("share", share)

    def decide(key: PRNGKey, state: tuple, predictions: PyTree, time: Int[Array, ""] | int) -> Wish:
        chance = jax.random.uniform(key)
        return Wish(chance < share, -chance, jnp.full((), -share))

    return Rule(tuple, decide, unchanged)


def unchanged(state: PyTree, outcome: Outcome, time: Int[Array, ""]) -> PyTree:
    """The `update` of a rule that learns nothing."""
    del outcome, time
    return state
