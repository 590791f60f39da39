"""Query synthesis: the input of a whole box that scores highest, found by gradient, where no pool limits the choice.

The score is the row function of a pool's first stage, so a laboratory that can set its inputs shares all acquisitions
with one that must choose from a list.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from bal.numerics import ascend, first_argmax, mask_scores, take_best
from bal.typing import Posterior, PRNGKey, PyTree, Values


class Proposal(NamedTuple):
    """The input to label next.

    x: the best point found; score: its score.
    num_improved: ascents that ended higher than they started; num_finite: ascents that have a score at all.
    """

    x: Float[Array, "D"]
    score: Float[Array, ""]
    num_improved: Int[Array, ""]
    num_finite: Int[Array, ""]


def propose(
    key: PRNGKey,
    posterior: Posterior,
    rows: Callable[[Posterior, PyTree, PyTree], Float[Array, "n"]],
    context: PyTree,
    low: Values,
    high: Values,
    *,
    num_restarts: int = 16,
    num_steps: int = 50,
    num_samples: int = 1024,
) -> Proposal:
    """Maximize ``rows(posterior, context, x)`` over the box ``low <= x <= high``, by L-BFGS from many starts.

    `num_samples` points, uniform over the box, are scored; the best `num_restarts` of them each start an ascent of
    `num_steps` steps in angles, ``x = (low + high)/2 + (high - low)/2 · sin(angle)``: every angle is in the box, and a
    maximum on its border is an ordinary, smooth maximum of the angle. The best point seen anywhere is returned, so it
    is never worse than the best sample. A pure function: compile it with `rows` closed over or static.

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
    >>> found = propose(jax.random.key(0), posterior, parabola, None, low=[0, 0], high=[1, 1])
    >>> [round(x, 3) for x in found.x.tolist()], round(float(found.score), 3)
    ([0.25, 0.25], 1.0)

    Liu and Nocedal 1989, "On the Limited Memory BFGS Method for Large Scale Optimization".
    """
    low, high = _box(low, high)
    _check(num_restarts, num_steps, num_samples)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    place = lambda angle: jnp.clip(middle + half * jnp.sin(angle), jnp.minimum(low, high), jnp.maximum(low, high))
    value = lambda angle: rows(posterior, context, place(angle)[None])[0]

    uniform = jax.random.uniform(key, (num_samples, len(low)), low.dtype, -1.0, 1.0)
    angles = jnp.arcsin(uniform)
    scores = rows(posterior, context, jax.vmap(place)(angles))
    usable = jnp.isfinite(scores)
    starts, top, _ = take_best(mask_scores(scores, usable), num_restarts)
    spread = top[0] - jnp.min(jnp.where(usable, scores, jnp.inf))
    unit = jnp.where(jnp.isfinite(spread) & (spread > 0), spread, 1.0)  # steps do not depend on the unit of the score
    relative = lambda angle: (value(angle) - top[0]) / unit

    climb = lambda angle: ascend(optax.lbfgs(), relative, angle, num_steps)
    found, height, _ = jax.vmap(climb)(angles[starts])
    ends = top[0] + unit * height
    best = first_argmax(mask_scores(ends, jnp.isfinite(ends)))
    climbed = ends[best] > top[0]
    x = place(jnp.where(climbed, found[best], angles[starts[0]]))
    return Proposal(x, jnp.where(climbed, ends[best], top[0]), jnp.sum(ends > top), jnp.sum(jnp.isfinite(ends)))


def _box(low: Values, high: Values) -> tuple[Float[Array, "D"], Float[Array, "D"]]:
    low, high = jnp.asarray(low), jnp.asarray(high)
    if low.ndim != 1 or low.shape != high.shape:
        raise ValueError(f"expected the corners low [D] and high [D] of a box, got shapes {low.shape} and {high.shape}")
    dtype = jnp.result_type(low, high, float)
    return low.astype(dtype), high.astype(dtype)


def _check(num_restarts: int, num_steps: int, num_samples: int) -> None:
    if min(num_restarts, num_steps) < 1 or num_samples < num_restarts:
        raise ValueError(
            "expected at least 1 restart and 1 step, and as many samples as restarts, "
            f"got num_restarts={num_restarts}, num_steps={num_steps}, num_samples={num_samples}"
        )
