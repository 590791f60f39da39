"""Drift is seen in the errors: the detector of Gama et al."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.learners.settings import check_count
from bal.method import brief_repr, method
from bal.typing import PyTree


class Detector(NamedTuple):
    """A detector of drift as pure functions.

    init: ``() -> state``; update: ``state, wrong, time -> state`` with each label that is told;
    since: ``state -> time`` from which labels are of the present concept.
    """

    init: Callable[[], PyTree]
    update: Callable[..., PyTree]
    since: Callable[[PyTree], Int[Array, ""]]

    __repr__ = brief_repr


class Errors(NamedTuple):
    """Labels and error rate since the last drift, the lowest ``p + s`` so far, when the warning began, and `since`."""

    count: Int[Array, ""]
    rate: Float[Array, ""]
    lowest_rate: Float[Array, ""]
    lowest_deviation: Float[Array, ""]
    warned: Int[Array, ""]
    since: Int[Array, ""]


NEVER = -1


@method
def ddm(min_labels: int = 30, warning: float = 2.0, drift: float = 3.0) -> Detector:
    """The drift detection method: an error rate p that rises above its lowest by three standard deviations.

    With ``s = sqrt(p (1 - p) / n)`` and the lowest ``p_min + s_min`` seen so far there is a warning where
    ``p + s > p_min + 2 s_min`` and a drift where it is above ``p_min + 3 s_min``. The present concept then began with
    the warning, and counting starts anew. A warning that passes is forgotten. After labels without any error, at least
    `min_labels`, ``p_min + s_min`` is 0 and the first error is a drift.

    Args:
      min_labels: labels before anything is said.
      warning, drift: how many standard deviations.

    Raises:
      ValueError: less than one label, or levels that are not ``0 < warning <= drift``.

    >>> ddm().since(ddm().init()).item()
    0

    Gama, Medas, Castillo and Rodrigues 2004, "Learning with Drift Detection".
    """
    check_count("min_labels", min_labels)
    if not 0 < warning <= drift:
        raise ValueError(f"expected levels with 0 < warning <= drift, got {warning} and {drift}; 2 and 3 are usual")

    def begin(since: Int[Array, ""]) -> Errors:
        infinite = jnp.full((), jnp.inf)
        return Errors(jnp.zeros((), jnp.int32), jnp.zeros(()), infinite, infinite, jnp.full((), NEVER), since)

    def update(state: Errors, wrong: Bool[Array, ""], time: Int[Array, ""] | int) -> Errors:
        count = state.count + 1
        rate = state.rate + (wrong - state.rate) / count
        deviation = jnp.sqrt(rate * (1.0 - rate) / count)
        enough = count >= min_labels
        lower = enough & (rate + deviation <= state.lowest_rate + state.lowest_deviation)
        low, low_deviation = (
            jnp.where(lower, new, old) for new, old in ((rate, state.lowest_rate), (deviation, state.lowest_deviation))
        )
        above = lambda level: enough & (rate + deviation > low + level * low_deviation)
        warned = jnp.where(state.warned == NEVER, time, state.warned)
        warned = jnp.where(above(warning), warned, NEVER)
        going_on = Errors(count, rate, low, low_deviation, warned, state.since)
        anew = begin(jnp.where(warned == NEVER, jnp.asarray(time), warned).astype(jnp.int32))
        return Errors(*(jnp.where(above(drift), new, old) for new, old in zip(anew, going_on, strict=True)))

    return Detector(lambda: begin(jnp.zeros((), jnp.int32)), update, lambda state: state.since)
