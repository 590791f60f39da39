"""Confident coreset: k-center coverage weighted by uncertainty, so that outliers the model handles are not chosen."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.method import method
from bal.selection.cover.distances import distances_to, nearest_distance, points
from bal.selection.cover.ranked_batch import ScoredFeatures
from bal.selection.kinds import check_type
from bal.selection.rules.greedy import Greedy, greedy
from bal.typing import Candidates, PRNGKey, Select


class _State(NamedTuple):
    left: Bool[Array, "n"]
    distance: Float[Array, "n"]


@method
def confident_coreset(power: float = 0.5) -> Select:
    """Pick B rows, each the largest ``d^a u^(1-a)``, a the `power`; `rows` and `known` are `ScoredFeatures`.

    d is the distance to the nearest center, labeled or picked, scaled at every pick to run from 0 to 1 over the rows
    that are left (1 where all are equal, as before there is a center); u >= 0 is the uncertainty, in any unit (the
    paper predicts a loss); ``0^0 = 1``. So a = 1 is greedy k-center, the first center being the lowest position, a = 0
    the top B by uncertainty, and in between the row nearest to a center comes last however uncertain. Scores are in
    [0, 1] if u is. A negative u has no power: the score is NaN, never wins and is counted.

    >>> from bal.selection import select
    >>> x, scores = [[0.0], [1.0], [5.0], [9.0]], [1.0, 0.9, 0.4, 0.0]
    >>> select(x, None, confident_coreset(), 2, scores=scores).indices.tolist()
    [0, 2]

    Kim, Mushtaq and Navab 2020, "Confident Coreset for Active Learning in Medical Image Analysis", in spirit: built
    from its abstract and from third-party accounts that agree in form.
    """
    if not 0 <= power <= 1:
        raise ValueError(f"power must lie between 0 (top B by uncertainty) and 1 (k-center), got {power}")

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        check_type("confident_coreset", candidates.rows, ScoredFeatures)
        u, features = candidates.rows
        here = points(candidates, features, None if candidates.known is None else candidates.known.features)
        x = jnp.where(here.finite[:, None], here.x, jnp.nan)
        fine = jnp.isfinite(x).all(1) & ~jnp.isnan(u)

        def score(state: _State) -> Float[Array, "n"]:
            d = _unit(jnp.where(jnp.isinf(state.distance), 1.0, state.distance), state.left & fine)
            return jnp.where(fine, d**power * u ** (1 - power), jnp.nan)

        def update(state: _State, position: Array) -> _State:
            distance = jnp.minimum(state.distance, distances_to(x, x[position]))
            return _State(state.left.at[position].set(False), distance)

        return Greedy(_State(candidates.eligible, nearest_distance(x, here.known, here.labeled)), score, update)

    return greedy(rule)


def _unit(d: Float[Array, "n"], among: Bool[Array, "n"]) -> Float[Array, "n"]:
    """Scaled to run from 0 to 1 over some rows; NaN stays NaN."""
    low, high = jnp.min(jnp.where(among, d, jnp.inf)), jnp.max(jnp.where(among, d, -jnp.inf))
    scaled = (d - low) / jnp.where(high > low, high - low, 1.0)
    return jnp.where(high > low, jnp.where(among, scaled, 0.0 * d), jnp.where(jnp.isnan(d), jnp.nan, 1.0))
