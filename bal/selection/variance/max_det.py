"""MaxDet: greedily the batch of largest log-determinant, which is pivoted Cholesky and batch BALD of a GP."""

from functools import partial

from bal.kernels import linear
from bal.kernels.distance import finite_size
from bal.method import method
from bal.numerics import rounding_error
from bal.selection.rules.greedy import Greedy, greedy
from bal.selection.variance.max_det_shortlist import SIZE, select_by_shortlist
from bal.selection.variance.pivoted_cholesky import add_pick, log_det_gain, no_picks
from bal.typing import Candidates, KernelOf, PRNGKey, Select, Selection


@method
def max_det(kernel: KernelOf = linear) -> Select:
    """Greedily maximize ``½ log det(I + K_BB / σ²)``, the information of the batch's noisy labels about f, in nats.

    The score of a pick is its gain ``½ log(1 + v/σ²)``, with v its variance given the earlier picks: they sum to the
    log-determinant. The noise, per row, is the kernel's (`noisy`) and enters the pivot ``v + σ²``, so that a copy of a
    picked row still gains what a second noisy label is worth. Without noise the score is ``½ log v``, the sum
    half the log-determinant of K_BB, and a row that is a combination of the picks scores `-inf` (it comes last).

    The labeled rows play no part but through the kernel: use `given_known` or `conditioned`. Cost: at most B columns
    and O(N B²), memory ``[B, N]``. From more than 4096 rows the picks are found on a shortlist that follows each pick,
    exactly up to rounding, without that memory; in float32 with noise below 1e-4 of the prior variance both ways round,
    each in its own way. Variances below 1e-6 of the prior's are rounding and count as 0, so noise should not be
    smaller. With noise the objective is monotone and submodular: the greedy value is at least 1 - 1/e of the best.

    >>> from bal.selection import select
    >>> select([[2.0, 0.0], [1.9, 0.0], [0.0, 1.0]], None, max_det(), 2).indices.tolist()
    [0, 2]

    Holzmüller, Zaverkin, Kästner and Steinwart 2023, "A Framework and Benchmark for Deep Batch Active Learning for
    Regression" (JMLR); Nemhauser, Wolsey and Fisher 1978 for the guarantee.
    """

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        k = kernel(candidates)
        prior = finite_size(k)
        score = lambda state: log_det_gain(state.variance, k.noise)
        return Greedy(no_picks(prior, batch_size), score, partial(add_pick, k, rounding_error(prior)))

    dense = greedy(rule)

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        if candidates.index.shape[0] > SIZE:
            return select_by_shortlist(kernel(candidates), candidates, batch_size)
        return dense(key, candidates, batch_size)

    return select
