"""Query synthesis: the input of a whole box that scores highest, found by gradient, where no pool limits the choice.

The score is the row function of a pool's first stage, so a laboratory that can set its inputs shares all acquisitions
with one that must choose from a list.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.numerics import first_argmax, mask_scores
from bal.typing import Posterior, PRNGKey, PyTree, Values


class Proposal(NamedTuple):
    """The input to label next.

    x: the best point found; score: its score.
    num_improved: ascents that ended higher than they started; num_finite: ascents that have a score at all.
    all_equal: all samples of the box have one score, so that x is where chance put the first of them.
    """

    x: Float[Array, "D"]
    score: Float[Array, ""]
    num_improved: Int[Array, ""]
    num_finite: Int[Array, ""]
    all_equal: Bool[Array, ""]


def propose(
    key: PRNGKey,
    posterior: Posterior,
    rows: Callable[[Posterior, PyTree, PyTree], Float[Array, "n"]],
    context: PyTree,
    low: Values,
    high: Values,
    *,
    num_restarts: int = 16,
    num_steps: int = 100,
    num_samples: int = 1024,
) -> Proposal:
    """Maximize ``rows(posterior, context, x)`` over the box ``low <= x <= high``, by its gradient from many starts.

    `num_samples` points, uniform over the box, are scored. The best of them that are apart, so that one broad maximum
    does not take all, start `num_restarts` ascents of `num_steps` steps in angles,
    ``x = (low + high)/2 + (high - low)/2 · sin(angle)``: every angle is in the box, and a maximum on its border is an
    ordinary, smooth maximum of the angle. All ascents are one call of `rows` a step, by the signs of the slopes
    (iRprop-), so that the units of score and inputs do not matter. The best point seen anywhere is returned, so it is
    never worse than the best sample. A pure function: compile it with `rows` closed over or static.

    Args:
      posterior, context: handed to `rows`; for targets the context that their stage would have, as
        ``bal.query.Targets(posterior.predict(z), weight, z)``.
      rows: the row function of a stage that scores, differentiable in x: ``score(epistemic_variance)``,
        ``score(gaussian_bald)``, `alc_scores`, `epig_scores`.
      low, high: corners of the box ``[D]``; equal ones hold an input fixed. Their dtype is that of x.
      num_restarts, num_steps, num_samples: ascents, their length, points scored to choose their starts.

    Returns:
      A `Proposal`. Where no sample has a finite score `num_finite` is 0, the score `-inf`, and x means nothing.

    Raises:
      ValueError: corners that are not two vectors of one length; a number below 1, or fewer samples than restarts.

    >>> from bal.query import score
    >>> from bal.typing import Learner
    >>> parabola = score(lambda x: 1.0 - jnp.sum((x - 0.25) ** 2, -1))
    >>> posterior = Posterior(None, Learner(None, None, lambda state, x: x))
    >>> found = jax.jit(lambda key: propose(key, posterior, parabola, None, low=[0, 0], high=[1, 1]))(jax.random.key(0))
    >>> [round(x, 3) for x in found.x.tolist()], round(float(found.score), 3)
    ([0.25, 0.25], 1.0)

    Igel and Hüsken 2003, "Empirical Evaluation of the Improved Rprop Learning Algorithms".
    """
    low, high = _box(low, high)
    _check(num_restarts, num_steps, num_samples)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)

    def place(angles: Float[Array, "n D"]) -> Float[Array, "n D"]:
        return jnp.clip(middle[None] + half[None] * jnp.sin(angles), low[None], high[None])

    value = lambda angles: rows(posterior, context, place(angles))
    uniform = jax.random.uniform(key, (num_samples, len(low)), low.dtype, -1.0, 1.0)
    angles = jnp.arcsin(uniform)
    scores = value(angles)
    scores = mask_scores(scores, jnp.isfinite(scores))
    starts = _starts(scores, uniform, num_restarts)
    top, finite = scores[starts], ~jnp.isneginf(scores)
    flat = (scores.max() <= jnp.min(jnp.where(finite, scores, jnp.inf))) & finite.any() & jnp.any(low < high)
    found, ends = _climb(value, angles[starts], top, num_steps)
    best = first_argmax(ends)
    num_improved, num_finite = jnp.sum(ends > top), jnp.sum(jnp.isfinite(ends))
    return Proposal(place(found[best][None])[0], ends[best], num_improved, num_finite, flat)


def _starts(scores: Float[Array, "n"], uniform: Float[Array, "n D"], num_restarts: int) -> Int[Array, "R"]:
    """The best samples, each outside the cubes around the earlier ones, which fill half of the box at most."""
    radius = (0.5 / num_restarts) ** (1 / max(uniform.shape[1], 1))

    def pick(left: tuple, _: None) -> tuple[tuple, Int[Array, ""]]:
        untaken, apart = left
        some = jnp.where(jnp.any(apart & ~jnp.isneginf(scores)), apart, untaken)
        best = first_argmax(jnp.where(some, scores, -jnp.inf))
        away = jnp.abs(uniform - uniform[best][None]).max(1) >= radius
        return (untaken.at[best].set(False), apart & away), best

    everything = jnp.ones(len(scores), bool)
    return jax.lax.scan(pick, (everything, everything), None, length=num_restarts)[1]


def _climb(
    value: Callable[[Float[Array, "R D"]], Float[Array, "R"]],
    start: Float[Array, "R D"],
    height: Float[Array, "R"],
    num_steps: int,
) -> tuple[Float[Array, "R D"], Float[Array, "R"]]:
    """The best points that as many ascents have seen, and their values: `height` at the start.

    A coordinate moves by a step of its own, longer while its slope keeps its sign, half of it once the sign changes.
    """

    def slopes(angles: Float[Array, "R D"]) -> tuple[Float[Array, "R"], Float[Array, "R D"]]:
        values, back = jax.vjp(value, angles)  # row-wise, so that the slope of the sum is that of each
        return values, back(jnp.ones_like(values))[0]

    def step(_: Array, at: tuple) -> tuple:
        angles, size, before, best, height = at
        values, slope = slopes(angles)
        better = jnp.isfinite(values) & (values > height)
        best, height = jnp.where(better[:, None], angles, best), jnp.where(better, values, height)
        sign = jnp.sign(jnp.where(jnp.isfinite(slope), slope, 0.0))
        turn = sign * before
        size = jnp.clip(size * jnp.where(turn > 0, _LONGER, jnp.where(turn < 0, _SHORTER, 1.0)), 0.0, _LONGEST)
        sign = jnp.where(turn < 0, 0.0, sign)
        return angles + size * sign, size, sign, best, height

    first = (start, jnp.full_like(start, _FIRST), jnp.zeros_like(start), start, height)
    return jax.lax.fori_loop(0, num_steps + 1, step, first)[3:]


_FIRST, _LONGEST, _LONGER, _SHORTER = 0.05, 0.5, 1.2, 0.5  # steps in angles


def _box(low: Values, high: Values) -> tuple[Float[Array, "D"], Float[Array, "D"]]:
    low, high = jnp.asarray(low), jnp.asarray(high)
    if low.ndim != 1 or low.shape != high.shape:
        raise ValueError(f"expected the corners low [D] and high [D] of a box, got shapes {low.shape} and {high.shape}")
    dtype = jnp.result_type(low, high, float)
    return jnp.minimum(low, high).astype(dtype), jnp.maximum(low, high).astype(dtype)


def _check(num_restarts: int, num_steps: int, num_samples: int) -> None:
    if min(num_restarts, num_steps) < 1 or num_samples < num_restarts:
        raise ValueError(
            "expected at least 1 restart and 1 step, and as many samples as restarts, "
            f"got num_restarts={num_restarts}, num_steps={num_steps}, num_samples={num_samples}"
        )
