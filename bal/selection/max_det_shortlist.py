"""MaxDet in a large pool: only a shortlist learns of every pick, and the picks are those of the plain rule.

A variance never grows, so the score a row once had bounds its score from above. The rows of highest score are followed
pick by pick while the best of them is above the bound of all others; only then do all rows learn of the picks made,
many at a time in one product that reads them once. Column by column, each pick would read all rows again.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.kernels import Kernel
from bal.numerics import first_argmax, mask_scores
from bal.selection.pivoted_cholesky import Cholesky, add_pick, add_picks, log_det_gain, no_picks, rounding_error
from bal.typing import Candidates, Selection

SIZE = 2048
"""Rows of the shortlist; without a clear order among the best a longer one lasts for more picks."""
BLOCK = 16
"""Picks that all rows learn of at once."""


class Search(NamedTuple):
    """state: what all rows know, of the first ``state.num_picks`` picks; the rest of the picks and of their record."""

    state: Cholesky
    available: Bool[Array, "n"]
    indices: Int[Array, "B"]
    scores: Float[Array, "B"]
    valid: Bool[Array, "B"]
    num_picks: Int[Array, ""]
    num_nan: Int[Array, ""]


def select_by_shortlist(kernel: Kernel, candidates: Candidates, batch_size: int, size: int = SIZE) -> Selection:
    """What `greedy` would select by the rule of `max_det`, up to rounding."""
    prior = kernel.diag()
    rounding = rounding_error(prior)

    def some_picks(search: Search) -> Search:
        search = _follow_shortlist(kernel, rounding, search, size)
        behind = lambda state: (state.num_picks < search.num_picks) & (search.num_picks < batch_size)
        return search._replace(state=jax.lax.while_loop(behind, lambda state: learn(state, search), search.state))

    def learn(state: Cholesky, search: Search) -> Cholesky:
        number = state.num_picks + jnp.arange(BLOCK)
        picked = search.indices[jnp.minimum(number, batch_size - 1)]
        return add_picks(kernel, rounding, state, picked, number < search.num_picks)

    state, num_eligible = no_picks(prior, batch_size + BLOCK), candidates.eligible.sum()
    places, scores = jnp.zeros(batch_size, jnp.int32), jnp.zeros(batch_size, prior.dtype)
    counts = jnp.zeros((), jnp.int32), jnp.zeros_like(num_eligible)
    search = Search(state, candidates.eligible, places, scores, places > 0, *counts)
    search = jax.lax.while_loop(lambda search: search.num_picks < batch_size, some_picks, search)
    info = {"num_eligible": num_eligible, "num_nan": search.num_nan}
    return Selection(search.indices, search.scores, search.valid, None, info)


def _follow_shortlist(kernel: Kernel, rounding: Float[Array, "n"], search: Search, size: int) -> Search:
    """Pick from a shortlist until another row might be better, at least once."""
    scores = log_det_gain(search.state.variance, kernel.noise)
    num_nan = (search.available & jnp.isnan(scores)).sum()
    top, rows = jax.lax.top_k(mask_scores(scores, search.available), size + 1)
    rows, outside = jnp.sort(rows[:-1]), top[-1]  # ascending: ties go to the lowest position
    near, near_rounding = kernel.take(rows), rounding[rows]
    state = search.state._replace(variance=search.state.variance[rows], factor=search.state.factor[:, rows])
    here = search._replace(state=state, available=search.available[rows])
    first = search.num_picks

    def masked(here: Search) -> tuple[Array, Array]:
        scores = log_det_gain(here.state.variance, near.noise)
        return scores, mask_scores(scores, here.available)

    def goes_on(here: Search) -> Bool[Array, ""]:
        best = masked(here)[1].max()
        certain = (best > outside) | jnp.isneginf(outside) | (here.num_picks == first)
        return certain & (here.num_picks < len(here.indices))

    def pick(here: Search) -> Search:
        scores, ranked = masked(here)
        position, number = first_argmax(ranked), here.num_picks
        valid = ~jnp.isneginf(ranked[position])
        return Search(
            add_pick(near, near_rounding, here.state, position),
            here.available.at[position].set(False),
            here.indices.at[number].set(rows[position]),
            here.scores.at[number].set(jnp.where(valid, scores[position], -jnp.inf)),
            here.valid.at[number].set(valid),
            number + 1,
            here.num_nan + num_nan,
        )

    here = jax.lax.while_loop(goes_on, pick, here)
    return here._replace(state=search.state, available=search.available.at[rows].set(here.available))
