"""Contexts that look at the whole pool: its sums, its rows."""

from collections.abc import Callable

from jaxtyping import Array

from bal.method import method
from bal.pool.labeled import is_waiting
from bal.selection.sparse.frank_wolfe_kernel import PoolRows
from bal.selection.sparse.rows import PoolSums, SparseRows, sum_rows
from bal.selection.variance.bait import FisherRows, sum_fisher
from bal.typing import ContextFunction, Over, Posterior, PRNGKey, PyTree, Round, RowFunction


@method
def pool_sums(rows: Callable[[Posterior, PyTree, PyTree], SparseRows]) -> Callable[[PRNGKey, Round, Over], PoolSums]:
    """The context of a stage: sums of `rows` over every pool row that is present and not yet asked for.

    It belongs in the context because a sum over a shortlist would make the batch stand for the shortlist:
    ``Stage(rows, frank_wolfe(), pool_sums(rows))`` is right behind any earlier stage.
    """
    return _of_pool(rows, sum_rows, labeled_too=False)


@method
def pool_rows(rows: Callable[[Posterior, PyTree, PyTree], PyTree]) -> Callable[[PRNGKey, Round, Over], PoolRows]:
    """The context of a stage in kernel form: `rows` of every pool row that is present and not yet asked for."""
    return _of_pool(rows, PoolRows, labeled_too=False)


@method
def pool_fisher(rows: Callable[[Posterior, PyTree, PyTree], FisherRows]) -> Callable[[PRNGKey, Round, Over], Array]:
    """The context of a stage: F, summed over every row that the pool holds, labeled or not."""
    return _of_pool(rows, sum_fisher, labeled_too=True)


def _of_pool(rows: RowFunction, reduce: Callable[[PyTree, Array], PyTree], labeled_too: bool) -> ContextFunction:
    """``reduce(rows, weight)`` over the pool; rows of weight 0 do not belong to it."""

    def context(key: PRNGKey, round: Round, over: Over) -> PyTree:
        del key
        belongs = round.pool.present if labeled_too else is_waiting(round.pool, round.labeled)
        return reduce(over.map(rows, (round.posterior, None), round.pool.x), belongs.astype(round.pool.cost.dtype))

    return context
