"""Rules that want the label of a row whose score is above a threshold: fixed, moved by each row, or a quantile."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.acquisition import least_confidence
from bal.learners.settings import check_count, check_factor
from bal.method import method
from bal.stream.method import Outcome
from bal.stream.rule import Rule, Scoring, Wish, score_of, targets_of, unchanged
from bal.stream.settings import check_number, check_scoring, check_share
from bal.typing import PRNGKey


def minus_confidence(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """Minus the marginal probability of the likeliest class, ``-max_c p̄_c``; between -1 and ``-1/C``.

    `least_confidence` less 1, so that a threshold ``-θ`` of the score is the threshold θ of confidence in the papers on
    streams, and moves by the same factors.

    >>> round(minus_confidence(jnp.log(jnp.array([[[0.8, 0.2]]]))).item(), 4)
    -0.8

    Zliobaite, Bifet, Pfahringer and Holmes 2014, "Active Learning With Drifting Streaming Data".
    """
    return least_confidence(log_probs) - 1.0


@method
def threshold(scoring: Scoring, above: float) -> Rule:
    """Wants the label where the score is above a number that never moves.

    ``threshold(minus_confidence, -0.9)`` is the fixed uncertainty of the papers, ``threshold(margin, -0.2)`` margin
    sampling, ``threshold(vote_entropy, 0.0)`` wants what any member of a committee votes otherwise about.

    Use it when the scale of the score is known and the stream does not drift: once the model is sure it never asks.

    Args:
      scoring: an acquisition, or `recent_epig`.
      above: the threshold.

    Raises:
      ValueError: a threshold that is NaN. TypeError: what is no acquisition, or no number.

    >>> from bal.acquisition import margin
    >>> threshold(margin, -0.3)
    threshold(margin, above=-0.3)

    Zliobaite et al. 2014, "Active Learning With Drifting Streaming Data", section IV-B.
    """
    check_scoring(scoring)
    check_number("above", above)

    def decide(key: PRNGKey, state: tuple, predictions: Array, time: Int[Array, ""] | int) -> Wish:
        score = score_of(scoring, predictions)
        return Wish(score > above, score, jnp.full((), above))

    return Rule(tuple, decide, unchanged, targets_of(scoring))


@method
def variable_threshold(scoring: Scoring, start: float, step: float = 0.01, spread: float = 0.0) -> Rule:
    """A threshold that rises by ``step · |θ|`` with each row that is above it and falls by as much with each that is
    not; rows that come when the budget is spent, and scores that are NaN, move nothing.

    With `minus_confidence` and ``start=-1`` it is the variable uncertainty of the paper, with `spread` the randomized
    one: each row is compared with ``η θ``, η drawn from a normal of mean 1, so that no region is never asked.

    Use it when the scale of scores is unknown or moves: at the rate of half the rows, or what the budget leaves.

    Args:
      scoring: an acquisition, or `recent_epig`.
      start: the first θ; its sign stays, so that 0 would never move.
      step: by which share of it θ moves.
      spread: standard deviation of η.

    Raises:
      ValueError: a start of 0 or not finite, a step outside (0, 1), a spread that is negative.

    >>> variable_threshold(minus_confidence, -1.0).init().item()
    -1.0

    Zliobaite et al. 2014, "Active Learning With Drifting Streaming Data", section IV-C and D.
    """
    check_scoring(scoring)
    check_number("start", start)
    check_factor("spread", spread)
    if start == 0 or math.isinf(start):
        raise ValueError(f"expected a finite start other than 0, got {start}: a threshold moves by a share of itself")
    if not 0 < step < 1:
        raise ValueError(f"expected a step in (0, 1), got {step}; 0.01 is usual")

    def decide(key: PRNGKey, theta: Float[Array, ""], predictions: Array, time: Int[Array, ""] | int) -> Wish:
        score = score_of(scoring, predictions)
        compared = theta * (1.0 + spread * jax.random.normal(key)) if spread else theta
        return Wish(score > compared, score, compared)

    def update(theta: Float[Array, ""], outcome: Outcome, time: Int[Array, ""] | int) -> Float[Array, ""]:
        above = outcome.decision.score > outcome.decision.threshold
        moved = theta + jnp.where(above, step, -step) * jnp.abs(theta)
        return jnp.where(outcome.allowed & ~jnp.isnan(outcome.decision.score), moved, theta)

    return Rule(lambda: jnp.full((), start), decide, update, targets_of(scoring))


class Scores(NamedTuple):
    """The latest scores in a ring, how many there were, and labels asked."""

    latest: Float[Array, "W"]
    count: Int[Array, ""]
    asked: Int[Array, ""]


@method
def quantile(scoring: Scoring, share: float, window: int = 100, tolerance: float = 50.0) -> Rule:
    """The balanced incremental quantile filter: wants the highest `share` of the latest scores, whatever their scale.

    The threshold is the quantile ``1 - share`` of the latest scores, the present one included, less
    ``(max - min) · (share · t - asked) / tolerance``: lower while fewer rows were asked than the share of t rows,
    higher while more were. ``tolerance=inf`` is the filter without the balance. Scores that are not numbers are passed
    over.

    Use it when acquisitions are compared at equal numbers of labels, or nothing is known of their scale.

    Args:
      scoring: an acquisition, or `recent_epig`.
      share: of rows to ask, in (0, 1].
      window: latest scores that are kept.
      tolerance: rows of imbalance that move the threshold by the whole range of scores.

    Raises:
      ValueError: a share outside (0, 1], a window below 1, a tolerance that is not positive.

    >>> from bal.acquisition import bald
    >>> quantile(bald, 0.1)
    quantile(bald, share=0.1, window=100, tolerance=50.0)

    Kottke, Krempl and Spiliopoulou 2015, "Probabilistic Active Learning in Datastreams".
    """
    check_scoring(scoring)
    check_share("share", share, above_zero=True)
    check_count("window", window)
    check_number("tolerance", tolerance)
    if not tolerance > 0:
        raise ValueError(f"expected a positive tolerance, got {tolerance}; 50 is usual")

    def kept(state: Scores, score: Float[Array, ""]) -> Float[Array, "W"]:
        place = state.count % window
        return state.latest.at[place].set(jnp.where(jnp.isfinite(score), score, state.latest[place]))

    def decide(key: PRNGKey, state: Scores, predictions: Array, time: Int[Array, ""] | int) -> Wish:
        score = score_of(scoring, predictions)
        ordered = jnp.sort(kept(state, score))  # what is still empty is last
        last = jnp.clip(state.count + 1, 1, window) - 1
        position = (1.0 - share) * last
        below = jnp.floor(position).astype(jnp.int32)
        low, high = ordered[below], ordered[jnp.minimum(below + 1, last)]
        balance = (ordered[last] - ordered[0]) * ((share * (state.count + 1) - state.asked) / tolerance)
        compared = low + (position - below) * (high - low) - balance
        return Wish(score >= compared, score, compared)

    def update(state: Scores, outcome: Outcome, time: Int[Array, ""] | int) -> Scores:
        score = outcome.decision.score
        return Scores(kept(state, score), state.count + jnp.isfinite(score), state.asked + outcome.asked)

    begin = lambda: Scores(jnp.full(window, jnp.inf), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))
    return Rule(begin, decide, update, targets_of(scoring))
