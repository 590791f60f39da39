"""Batches whose weighted log likelihoods stand for those of the whole pool: sparse subset approximation.

The rows are expected log likelihoods under the draws, of a classifier or of a regression.
"""

from bal.acquisition.kinds import check_log_probs
from bal.method import method
from bal.query.pool_sums import pool_sums
from bal.query.rows import sparse_rows
from bal.selection import (
    SparseRows,
    expected_gaussian_log_likelihoods,
    expected_log_likelihoods,
    frank_wolfe,
)
from bal.selection import sparse_greedy as greedy_rule
from bal.selection import sparse_iht as iht_rule
from bal.strategies.categories import category
from bal.typing import Gaussian, PyTree, Query, Select, Stage


@category("hybrid")
@method
def acs_fw() -> Query:
    """A batch that approximates the log likelihood of the pool, by Frank-Wolfe: `bal.selection.frank_wolfe`.

    Use it when a pool has near duplicates and batches are large. Places
    that it leaves are filled by length, ``info["topped_up"]``.

    >>> acs_fw().stages[0].rows.__name__
    'feature_rows'

    Pinsler, Gordon, Nalisnick and Hernández-Lobato 2019, "Bayesian Batch Active Learning as Sparse Subset
    Approximation".
    """
    return _of_pool(frank_wolfe())


@category("hybrid")
@method
def sparse_greedy() -> Query:
    """A batch that approximates the log likelihood of the pool, pick by pick: `bal.selection.sparse_greedy`.

    Use it when `acs_fw` is wanted with regard for the uncertainty of a label as well as for representation.

    >>> sparse_greedy().stages[0].rows.__name__
    'feature_rows'

    Shen et al. 2022, "A Sparse Approximation Approach to Batch Active Learning".
    """
    return _of_pool(greedy_rule())


@category("hybrid")
@method
def sparse_iht() -> Query:
    """The batch of `sparse_greedy` by iterative hard thresholding: `bal.selection.sparse_iht`.

    Use it when `sparse_greedy` is caught in an early pick: rows may leave the batch again.

    >>> sparse_iht().stages[0].rows.__name__
    'feature_rows'

    Shen et al. 2022, "A Sparse Approximation Approach to Batch Active Learning"; Zhang, Khanna, Kyrillidis and Koyejo
    2021, "Bayesian Coresets: Revisiting the Nonconvex Optimization Perspective".
    """
    return _of_pool(iht_rule())


def _of_pool(select: Select) -> Query:
    rows = sparse_rows(_likelihoods)
    return Query((Stage(rows, select, pool_sums(rows)),))


def _likelihoods(predictions: PyTree) -> SparseRows:
    if isinstance(predictions, Gaussian):
        return expected_gaussian_log_likelihoods(predictions)
    check_log_probs("a sparse approximation", predictions)
    return expected_log_likelihoods(predictions)
