"""A query is a funnel of stages: map rows, select some, and again, until a batch is left."""

import inspect
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.learners.convergence import all_converged, sampler_report
from bal.method import brief
from bal.pool.labeled import is_covered, is_waiting
from bal.pool.over import dense, num_rows, take
from bal.query.rows import predictions, score
from bal.selection.ranking import best
from bal.typing import Candidates, Labeled, Over, PRNGKey, PyTree, Query, Round, Select, Selection, Stage


def by_score(acquisition: Callable, select: Select = best) -> Query:
    """The query of one stage: score every row by an acquisition function, then select, by default the best.

    >>> from bal.acquisition import bald
    >>> by_score(bald)
    Query((Stage(score(bald), best),))
    """
    return Query((Stage(score(acquisition), select),))


def run_query(
    key: PRNGKey, query: Query, round: Round, batch_size: int, over: Over = dense
) -> tuple[Selection, PyTree]:
    """Run every stage and return the last selection in pool positions, and the next memory.

    Rows that are absent, or have a place in the acquisition log (answered or pending), are never eligible. `log_q`
    is dropped behind a narrowing stage, because it would be conditional on a random shortlist.

    ``info["all_equal"]`` is True where the scores of all rows that a stage could have picked were the same number, or
    where all draws of the predictions that it was handed agree: its picks then follow from the order of the pool.
    ``info["converged"]`` is False where the learner's state says that its fit has not converged; chains add
    what `bal.learners.convergence.sampler_report` finds, ``r_hat`` and ``effective_size`` first.
    """
    if not query.stages:
        raise ValueError("a query needs at least one stage, got none; see bal.by_score")
    n = num_rows(round.pool.x)
    index, x, cost = jnp.arange(n, dtype=jnp.int32), round.pool.x, round.pool.cost
    eligible = is_waiting(round.pool, round.labeled)
    known_x = take(round.pool.x, round.labeled.indices)
    known_weight = _covered(round.labeled)
    seen: list[tuple[Candidates, Selection]] = []
    equal = []
    for number, stage in enumerate(query.stages):
        key_context, key_select = _stage_keys(key, number)
        _check_stage(number, stage)
        context = None if stage.context is None else stage.context(key_context, round, over)
        rows = known = None
        if stage.rows is not None:
            fixed = (round.posterior, context)
            rows = over.map(stage.rows, fixed, x)
            # of the pool just read: a model of another library need not be asked once more
            is_read = over.place == "host" and number == 0
            known = take(rows, round.labeled.indices) if is_read else over.map(stage.rows, fixed, known_x)
            _check_rows(number, rows, num_rows(x))
        candidates = Candidates(rows, index, eligible, cost, known, known_weight, context)
        selection = _select(over, stage.select, batch_size)(key_select, candidates)
        seen.append((candidates, selection))
        if isinstance(rows, jax.Array) and (is_scores(rows) or stage.rows is predictions):
            equal.append(all_equal(rows, eligible, len(selection.indices)))
        index, eligible, cost = _narrowed(index, cost, selection)
        if number < len(query.stages) - 1:
            x = take(x, selection.indices)
    _, selection = seen[-1]
    memory = round.memory if query.remember is None else query.remember(round.memory, tuple(seen))
    log_q = selection.log_q if len(query.stages) == 1 else None
    info = {**selection.info, "all_equal": jnp.stack(equal).any()} if equal else dict(selection.info)
    converged = all_converged(round.posterior.state)
    if converged is not None:
        info["converged"] = converged
    info |= sampler_report(round.posterior.state)
    return selection._replace(indices=index, log_q=log_q, info=info), memory


@jax.jit  # one program each, where a Python loop asks
def _stage_keys(key: PRNGKey, number: Any) -> tuple[PRNGKey, PRNGKey]:
    key_context, key_select = jax.random.split(jax.random.fold_in(key, number))
    return key_context, key_select


@jax.jit
def _covered(labeled: Labeled) -> Array:
    return is_covered(labeled).astype(labeled.weight.dtype)


@jax.jit
def _narrowed(index: Array, cost: Array, selection: Selection) -> tuple[Array, Array, Array]:
    return index[selection.indices], selection.valid, cost[selection.indices]


def _check_stage(number: int, stage: Stage) -> None:
    """Each part of a stage is a function, and a row function takes more than predictions."""
    if stage.context is not None and not callable(stage.context):
        raise TypeError(
            f"stage {number} needs a context function, got {type(stage.context).__name__}; for target rows use "
            "context=targets(x_target)"
        )
    if stage.rows is None:
        return
    try:
        inspect.signature(stage.rows).bind(None, None, None)
    except TypeError as error:
        raise TypeError(
            f"stage {number} needs a row function, posterior, context, x -> rows, got {brief(stage.rows)}; for a "
            "function of predictions use score(acquisition)"
        ) from error


def _check_rows(number: int, rows: PyTree, n: int) -> None:
    if any(jnp.shape(leaf)[:1] != (n,) for leaf in jax.tree.leaves(rows)):
        raise ValueError(
            f"stage {number} needs rows that lead with the {n} rows of x, got {jax.tree.map(jnp.shape, rows)}; a row "
            "function is row-wise: one result for each row"
        )


def is_scores(rows: Array) -> bool:
    """Whether the rows of a stage are one score each."""
    return rows.ndim == 1 and jnp.issubdtype(rows.dtype, jnp.floating)


@partial(jax.jit, static_argnums=2)
def all_equal(rows: Float[Array, "n *rest"], eligible: Bool[Array, "n"], batch_size: int) -> Bool[Array, ""]:
    """Whether scores ``[n]`` are the same number for all eligible rows, or predictions ``[n, K, C]`` for all draws.

    False where no more rows are eligible than are asked for: then nothing is chosen. What is not a number is left out.

    >>> all_equal(jnp.array([0.0, 0.0, 7.0]), jnp.array([True, True, False]), 1).item()
    True
    """
    axis = 0 if rows.ndim == 1 else 1
    usable = ~jnp.isnan(rows) & eligible.reshape(-1, *(1,) * (rows.ndim - 1))
    low = jnp.min(jnp.where(usable, rows, jnp.inf), axis)
    high = jnp.max(jnp.where(usable, rows, -jnp.inf), axis)  # below `low` where nothing is usable
    return jnp.all(high <= low) & usable.any() & (eligible.sum() > batch_size)


def _select(over: Over, select: Select, batch_size: int) -> Callable:
    """Inside a compiled program a plain call; from a Python loop, one compilation a selector."""
    if over.place == "device":
        return lambda key, candidates: select(key, candidates, batch_size)
    return _compiled_select(select, batch_size)


@lru_cache(maxsize=64)
def _compiled_select(select: Select, batch_size: int) -> Any:
    return jax.jit(lambda key, candidates: select(key, candidates, batch_size))
