"""Contexts that look at the whole pool: its sums, its rows."""

from collections.abc import Callable

from jaxtyping import Array

from bal.method import method
from bal.pool.labeled import is_waiting
from bal.selection.sparse.frank_wolfe_kernel import PoolRows
from bal.selection.sparse.rows import PoolSums, SparseRows, sum_rows
from bal.selection.variance.bait import FisherRows, sum_fisher
from bal.typing import Over, Posterior, PRNGKey, PyTree, Round


@method
def pool_sums(rows: Callable[[Posterior, PyTree, PyTree], SparseRows]) -> Callable[[PRNGKey, Round, Over], PoolSums]:
    """The context of a stage: sums of `rows` over every pool row that is present and not yet asked for.

    It belongs in the context because a sum over a shortlist would make the batch stand for the shortlist:
    ``Stage(rows, frank_wolfe(), pool_sums(rows))`` is right behind any earlier stage.
    """

    def context(key: PRNGKey, round: Round, over: Over) -> PoolSums:
        del key
        pool = round.pool
        waiting = is_waiting(pool, round.labeled)
        return sum_rows(over.map(rows, (round.posterior, None), pool.x), waiting.astype(pool.cost.dtype))

    return context


@method
def pool_rows(rows: Callable[[Posterior, PyTree, PyTree], PyTree]) -> Callable[[PRNGKey, Round, Over], PoolRows]:
    """The context of a stage in kernel form: `rows` of every pool row that is present and not yet asked for."""

    def context(key: PRNGKey, round: Round, over: Over) -> PoolRows:
        del key
        pool = round.pool
        waiting = is_waiting(pool, round.labeled)
        return PoolRows(over.map(rows, (round.posterior, None), pool.x), waiting.astype(pool.cost.dtype))

    return context


@method
def pool_fisher(rows: Callable[[Posterior, PyTree, PyTree], FisherRows]) -> Callable[[PRNGKey, Round, Over], Array]:
    """The context of a stage: F, summed over every row that the pool holds, labeled or not."""

    def context(key: PRNGKey, round: Round, over: Over) -> Array:
        del key
        weight = round.pool.present.astype(round.pool.cost.dtype)
        return sum_fisher(over.map(rows, (round.posterior, None), round.pool.x), weight)

    return context
