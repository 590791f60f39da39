"""Ranked batch mode: a weighted mean of distance to what is labeled and of uncertainty, row after row."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.selection.cover.distances import distances_to, nearest_distance, points
from bal.selection.kinds import check_type, selector
from bal.selection.rules.greedy import Greedy, greedy
from bal.typing import Candidates, PRNGKey, Selection


class ScoredFeatures(NamedTuple):
    """What a row function hands to `ranked_batch`: a score and a feature vector for every row."""

    scores: Float[Array, "n"]
    features: Float[Array, "n F"]


class _State(NamedTuple):
    distance: Float[Array, "n"]
    num_left: Int[Array, ""]
    num_labeled: Int[Array, ""]


@selector
def ranked_batch(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
    """Rows far from what is labeled while little is, uncertain rows later; `rows` and `known` are `ScoredFeatures`.

    With U rows left and L labeled (picks of this batch included), d the Euclidean distance to the nearest labeled row
    and u the uncertainty, which should lie in [0, 1] as `least_confidence` does:

        score = α (1 - 1/(1 + d)) + (1 - α) u,    α = U / (U + L)

    α is computed again at every pick. Scores lie in [0, 1] if u does; ties go to the lowest position. With nothing
    labeled L counts as 1, so that the first pick is the most uncertain row (the paper takes the most central one).

    >>> from bal.selection import select
    >>> x, known, scores = [[0.0], [5.0], [5.1]], [[0.0]], [0.1, 0.2, 0.3]
    >>> select(x, known, ranked_batch, 2, scores=scores).indices.tolist()
    [2, 1]

    Cardoso, Silva, Canuto, Moro and Gonçalves 2017, "Ranked batch-mode active learning".
    """
    return _select(key, candidates, batch_size)


def _rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
    check_type("ranked_batch", candidates.rows, ScoredFeatures)
    u, features = candidates.rows
    here = points(candidates, features, None if candidates.known is None else candidates.known.features)

    def score(state: _State) -> Float[Array, "n"]:
        left, labeled = (x.astype(here.x.dtype) for x in (state.num_left, jnp.maximum(state.num_labeled, 1)))
        share = left / (left + labeled)
        return jnp.where(here.finite, share * (1 - 1 / (1 + state.distance)) + (1 - share) * u, jnp.nan)

    def update(state: _State, position: Array) -> _State:
        distance = jnp.minimum(state.distance, distances_to(here.x, here.x[position]))
        return _State(distance, state.num_left - 1, state.num_labeled + 1)

    distance = nearest_distance(here.x, here.known, here.labeled)
    return Greedy(_State(distance, here.usable.sum(), here.labeled.sum()), score, update)


_select = greedy(_rule)
