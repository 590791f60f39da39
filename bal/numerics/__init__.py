"""Every numerical trick of the package, written once.

Conventions: natural logarithms; `-inf` is the log of probability zero and must give finite results; NaN in, NaN out.
Nothing here knows what an acquisition function, a pool or a learner is.

XLA drops NaN from `max`, `min`, `clip` and their elementwise forms in large loops on a CPU, and keeps it in small ones.
So what a score is made of passes through `at_least` and `at_most` instead, and where a largest or smallest entry is
needed, `defined` puts NaN back.
"""

from bal.numerics.ascent import Summit, ascend
from bal.numerics.bivariate import normal_excess
from bal.numerics.blocks import (
    ROW_BLOCK,
    block_by_platform,
    in_chunks,
    in_row_blocks,
    rows_per_block,
    sum_in_row_blocks,
)
from bal.numerics.centers import middle, spread_rows
from bal.numerics.chains import effective_size, split_r_hat
from bal.numerics.draws import draw_position, positions_at, row_gumbel, row_keys
from bal.numerics.information import (
    LOG_FLOOR,
    centered_draws,
    entropy,
    logmeanexp,
    mean_divergence_of_draws,
    mean_log_probs,
    normalized,
    xlogx,
)
from bal.numerics.linear_algebra import cholesky_row, dot, inverse_root, small_log_determinants, small_solves
from bal.numerics.precision import (
    as_floats,
    at_least,
    at_most,
    defined,
    in_float64,
    in_single,
    rounding_error,
    to_double,
)
from bal.numerics.ranking import first_argmax, mask_scores, row_argmin, smallest, take_best

__all__ = [
    "LOG_FLOOR",
    "ROW_BLOCK",
    "Summit",
    "as_floats",
    "ascend",
    "at_least",
    "at_most",
    "block_by_platform",
    "centered_draws",
    "cholesky_row",
    "defined",
    "dot",
    "draw_position",
    "effective_size",
    "entropy",
    "first_argmax",
    "in_chunks",
    "in_float64",
    "in_row_blocks",
    "in_single",
    "inverse_root",
    "logmeanexp",
    "mask_scores",
    "mean_divergence_of_draws",
    "mean_log_probs",
    "middle",
    "normal_excess",
    "normalized",
    "positions_at",
    "rounding_error",
    "row_argmin",
    "row_gumbel",
    "row_keys",
    "rows_per_block",
    "small_log_determinants",
    "small_solves",
    "smallest",
    "split_r_hat",
    "spread_rows",
    "sum_in_row_blocks",
    "take_best",
    "to_double",
    "xlogx",
]
