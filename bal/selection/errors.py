"""Picks with the Monte-Carlo error of their scores, and of the gap to the row that was not picked."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.errors import jackknife_error, without_each_draw
from bal.method import method
from bal.numerics import first_argmax, mask_scores
from bal.selection.ranking import best
from bal.typing import Candidates, PRNGKey, Select, Selection


@method
def with_standard_errors(acquisition: Callable[..., Float[Array, "n"]], select: Select = best) -> Select:
    """The picks of `select` by a score, with standard errors of the score over draws in `info`.

    ``standard_error [B]`` of each pick; ``gap``, the score of the last pick less that of the best row that was left,
    and its ``gap_error``, smaller than the two apart would give, since the same draws score both: NaN where no row was
    left. See `bal.acquisition.standard_error`, which is taken of these B + 1 rows alone: it costs K scores of them, and
    that the stage holds predictions rather than scores of the pool.

    Rows are predictions; of a score about targets ``candidates.context`` holds their predictions and weights.

    Use it when it is to be known whether more draws would change the picks: below two of its errors a gap is chance.

    Args:
      acquisition: predictions to scores, as ``bal.acquisition.bald``; with targets (``epig``) also of their predictions
        and weights.
      select: which rows, by their scores.

    >>> import numpy as np
    >>> from bal.acquisition import bald
    >>> from bal.selection import select
    >>> log_probs = np.log([[[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], [[0.6, 0.4], [0.5, 0.5], [0.5, 0.5]]])
    >>> picks = select(None, None, with_standard_errors(bald), 1, log_probs=log_probs)
    >>> [round(float(picks.info[name]), 2) for name in ("gap", "gap_error")]
    [0.18, 0.13]

    Miller 1974, "The Jackknife: A Review".
    """

    def select_with_errors(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        there, weight = ((), ()) if candidates.context is None else (candidates.context[:1], candidates.context[1:2])
        score = lambda rows, *targets: acquisition(rows, *targets, *weight)
        scores = score(candidates.rows, *there)
        picks = select(key, candidates._replace(rows=scores, known=None), batch_size)
        left = candidates.eligible.at[picks.indices].min(~picks.valid)
        ranked = mask_scores(scores, left)
        rejected = first_argmax(ranked)
        last = jnp.maximum(picks.valid.sum() - 1, 0)
        seen = jnp.append(picks.indices, rejected)
        rows = jax.tree.map(lambda leaf: leaf[seen], candidates.rows)
        without = without_each_draw(score, rows, *there)
        apart = picks.valid.any() & ~jnp.isneginf(ranked[rejected])
        gap = scores[picks.indices[last]] - scores[rejected]
        info = {
            "standard_error": jnp.where(picks.valid, jackknife_error(without)[:-1], jnp.nan),
            "gap": jnp.where(apart, gap, jnp.nan),
            "gap_error": jnp.where(apart, jackknife_error(without[:, last] - without[:, -1]), jnp.nan),
        }
        return picks._replace(info={**picks.info, **info})

    return select_with_errors
