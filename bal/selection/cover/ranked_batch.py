"""Ranked batch mode: a weighted mean of distance to what is labeled and of uncertainty, row after row."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.selection.cover.distances import distances_to, nearest_distance, points
from bal.selection.kinds import check_type, selector
from bal.selection.rules.greedy import GreedyRule, greedy
from bal.typing import Candidates, PRNGKey, Selection


class ScoredFeatures(NamedTuple):
    """What a row function hands to `ranked_batch`: a score and a feature vector for every row."""

    scores: Float[Array, "n"]
    features: Float[Array, "n F"]


class _State(NamedTuple):
    x: Float[Array, "n F"]
    finite: Bool[Array, "n"]
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

    >>> import jax
    >>> rows = ScoredFeatures(jnp.array([0.1, 0.2, 0.3]), jnp.array([[0.0], [5.0], [5.1]]))
    >>> known = ScoredFeatures(jnp.zeros(1), jnp.zeros((1, 1)))
    >>> candidates = Candidates(rows, jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3), known, jnp.ones(1))
    >>> ranked_batch(jax.random.key(0), candidates, 2).indices.tolist()
    [2, 1]

    Cardoso, Silva, Canuto, Moro and Gonçalves 2017, "Ranked batch-mode active learning".
    """
    check_type("ranked_batch", candidates.rows, ScoredFeatures)
    return greedy(GreedyRule(_init, _score, _update))(key, candidates, batch_size)


def _init(key: PRNGKey, candidates: Candidates) -> _State:
    del key
    known = None if candidates.known is None else candidates.known.features
    here = points(candidates, candidates.rows.features, known)
    distance = nearest_distance(here.x, here.known, here.labeled)
    return _State(here.x, here.finite, distance, here.usable.sum(), here.labeled.sum())


def _score(state: _State, candidates: Candidates) -> Float[Array, "n"]:
    left, labeled = (x.astype(state.x.dtype) for x in (state.num_left, jnp.maximum(state.num_labeled, 1)))
    share = left / (left + labeled)
    scores = share * (1 - 1 / (1 + state.distance)) + (1 - share) * candidates.rows.scores
    return jnp.where(state.finite, scores, jnp.nan)


def _update(state: _State, candidates: Candidates, position: Array) -> _State:
    del candidates
    distance = jnp.minimum(state.distance, distances_to(state.x, state.x[position]))
    return state._replace(distance=distance, num_left=state.num_left - 1, num_labeled=state.num_labeled + 1)
