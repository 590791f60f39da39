"""MaxDet in a large pool: only a shortlist learns of every pick, and the picks are those of the plain rule.

A variance never grows, so the score a row once had bounds its score from above. The rows of highest score are followed
pick by pick while the best of them is not below the bound of all others; only then do all rows learn of the picks, in
products of many columns. Column by column, each pick would read all rows again.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.kernels.distance import finite_size
from bal.numerics import first_argmax, in_row_blocks, mask_scores, rounding_error
from bal.selection.variance.pivoted_cholesky import (
    Cholesky,
    FactoredPicks,
    add_pick,
    factor_picks,
    given_picks,
    log_det_gain,
)
from bal.typing import Candidates, Kernel, PyTree, Selection

SIZE = 4096
"""Rows of the shortlist; without a clear order among the best a longer one lasts for more picks."""
CHUNK = 1000
"""Rows that learn of the picks at a time, so that their columns stay in cache."""


class Progress(NamedTuple):
    """The picks so far and what is known of them."""

    available: Bool[Array, "n"]
    indices: Int[Array, "B"]
    scores: Float[Array, "B"]
    valid: Bool[Array, "B"]
    num_picks: Int[Array, ""]
    num_nan: Int[Array, ""]


def select_by_shortlist(kernel: Kernel, candidates: Candidates, batch_size: int, size: int = SIZE) -> Selection:
    """What `greedy` would select by the rule of `max_det`, up to rounding, from more than `size` rows."""
    prior = finite_size(kernel)
    rounding = rounding_error(prior)

    def some_picks(progress: Progress) -> Progress:
        picks = factor_picks(kernel, rounding, progress.indices, progress.num_picks)
        learn = partial(_variance, replace(kernel, rows=None, noise=None))
        variance = in_row_blocks(partial(learn, picks), (kernel.rows, rounding, prior), CHUNK)
        scores = log_det_gain(variance, kernel.noise)
        top, rows = jax.lax.top_k(mask_scores(scores, progress.available), size + 1)
        rows, outside = jnp.sort(rows[:-1]), top[-1]  # ascending: ties go to the lowest position
        near = kernel.take(rows)
        state = given_picks(near, rounding[rows], prior[rows], picks)
        num_nan = (progress.available & jnp.isnan(scores)).sum()
        return _follow(near, rounding[rows], state, progress, rows, outside, num_nan)

    places, scores = jnp.zeros(batch_size, jnp.int32), jnp.zeros(batch_size, prior.dtype)
    num_eligible = candidates.eligible.sum()
    progress = Progress(
        candidates.eligible, places, scores, places > 0, jnp.zeros((), jnp.int32), jnp.zeros_like(num_eligible)
    )
    progress = jax.lax.while_loop(lambda progress: progress.num_picks < batch_size, some_picks, progress)
    info = {"num_eligible": num_eligible, "num_nan": progress.num_nan}
    return Selection(progress.indices, progress.scores, progress.valid, None, info)


def _variance(kernel: Kernel, picks: FactoredPicks, part: tuple[PyTree, Array, Array]) -> Float[Array, "n"]:
    rows, rounding, prior = part
    return given_picks(replace(kernel, rows=rows), rounding, prior, picks).variance


def _follow(
    near: Kernel,
    rounding: Float[Array, "m"],
    state: Cholesky,
    progress: Progress,
    rows: Int[Array, "m"],
    outside: Float[Array, ""],
    num_nan: Int[Array, ""],
) -> Progress:
    """Pick from the shortlist until another row, of score at most `outside`, might be better; at least once."""
    first = progress.num_picks

    def masked(state: Cholesky, here: Progress) -> tuple[Array, Array]:
        scores = log_det_gain(state.variance, near.noise)
        return scores, mask_scores(scores, here.available)

    def goes_on(carry: tuple[Cholesky, Progress]) -> Bool[Array, ""]:
        # Of equal scores the shortlist took the rows of lowest position, so it wins a tie.
        certain = (masked(*carry)[1].max() >= outside) | (carry[1].num_picks == first)
        return certain & (carry[1].num_picks < len(progress.indices))

    def pick(carry: tuple[Cholesky, Progress]) -> tuple[Cholesky, Progress]:
        state, here = carry
        scores, ranked = masked(state, here)
        position, number = first_argmax(ranked), here.num_picks
        valid = ~jnp.isneginf(ranked[position]) & ((number == 0) | here.valid[number - 1])
        here = Progress(
            here.available.at[position].set(False),
            here.indices.at[number].set(rows[position]),
            here.scores.at[number].set(jnp.where(valid, scores[position], -jnp.inf)),
            here.valid.at[number].set(valid),
            number + 1,
            here.num_nan + num_nan,
        )
        return add_pick(near, rounding, state, position), here

    here = progress._replace(available=progress.available[rows])
    _, here = jax.lax.while_loop(goes_on, pick, (state, here))
    return here._replace(available=progress.available.at[rows].set(here.available))
