"""EXP4.P: which of A arms to trust when only the arm that was pulled is rewarded, as pure functions.

Beygelzimer, Langford, Li, Reyzin and Schapire 2011, "Contextual Bandit Algorithms with Supervised Learning Guarantees".
"""

import math
from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from bal.learners.settings import check_count


class Pace(NamedTuple):
    """How fast weights move.

    floor: the least probability of an arm; bonus: what an arm of probability p gains for being uncertain, times 1/p.
    """

    floor: float
    bonus: float


def pace(num_arms: int, num_rounds: int, delta: float = 0.1) -> Pace:
    """The settings that EXP4.P proves its bound for: ``floor = √(ln A / (A T))``, ``bonus = √(ln(A / δ) / (A T))``.

    Regret against the best arm is then at most ``6 √(A T ln(A / δ))`` with probability 1 - δ, for rewards in [0, 1] and
    T of at least some ``A ln A`` rounds. In fewer rounds the floor is 1 / A: all arms alike, nothing is learned.

    Args:
      num_arms, num_rounds: A and T.
      delta: δ, how often the bound may fail.

    Raises:
      ValueError: fewer than two arms, no rounds, a delta outside (0, 1].

    >>> round(pace(4, 100).floor, 4), pace(4, 3).floor
    (0.0589, 0.25)
    """
    check_count("num_arms", num_arms, 2)
    check_count("num_rounds", num_rounds)
    if not 0 < delta <= 1:
        raise ValueError(f"delta must lie in (0, 1], for instance 0.1, got {delta}")
    each = num_arms * num_rounds
    return Pace(min(math.sqrt(math.log(num_arms) / each), 1 / num_arms), math.sqrt(math.log(num_arms / delta) / each))


def law(log_weights: Float[Array, "A"], pace: Pace) -> Float[Array, "A"]:
    """The probability of each arm: ``(1 - A floor) w / Σ w + floor``.

    >>> import jax.numpy as jnp
    >>> law(jnp.zeros(4), Pace(0.1, 0.0)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    return (1 - len(log_weights) * pace.floor) * jax.nn.softmax(log_weights) + pace.floor


def rewarded(
    log_weights: Float[Array, "A"],
    probs: Float[Array, "A"],
    stood: Float[Array, "A"],
    reward: Float[Array, ""],
    pace: Pace,
) -> Float[Array, "A"]:
    """The next log weights: ``+ floor / 2 (reward stood + bonus / probs)``, shifted so that the largest is 0.

    Args:
      log_weights, probs: before the pull, and what `law` made of them.
      stood: how much each arm stood behind what was done, over the probability that it was done: for a pull of arm a,
        ``1 / p_a`` for a and 0 for all others; its expectation is 1 for every arm.
      reward: in [0, 1].

    >>> import jax.numpy as jnp
    >>> rewarded(jnp.zeros(2), jnp.array([0.5, 0.5]), jnp.array([2.0, 0.0]), jnp.float32(1), Pace(0.2, 0.0)).round(3)
    Array([ 0. , -0.2], dtype=float32)
    """
    moved = log_weights + pace.floor / 2 * (reward * stood + pace.bonus / probs)
    return moved - moved.max()
