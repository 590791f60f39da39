"""MaxDiag: the rows of largest variance, without regard to one another."""

from bal.kernels import linear
from bal.method import method
from bal.selection.ranking import best
from bal.typing import Candidates, KernelOf, PRNGKey, Select, Selection


@method
def max_diag(kernel: KernelOf = linear) -> Select:
    """The B rows of largest ``k(x, x)``: maximum variance when the kernel is a posterior covariance.

    Scores are the diagonal, at least 0. Ties go to the lowest position. Behind `given_known` or `conditioned` this is
    active learning MacKay (ALM) by top-k: as a batch it is often worse than random, because it ignores redundancy.

    >>> from bal.selection import select
    >>> select([[1.0], [-3.0]], None, max_diag(), 1).indices.tolist()
    [1]

    MacKay 1992, "Information-Based Objective Functions for Active Data Selection"; as a batch rule in Holzmüller,
    Zaverkin, Kästner and Steinwart 2023 (JMLR).
    """

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        return best(key, candidates._replace(rows=kernel(candidates).diag()), batch_size)

    return select
