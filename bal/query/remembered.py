"""Score a sample of the pool instead of all of it, drawn by the scores that rows had when last scored."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.method import method
from bal.numerics import mask_scores, row_gumbel, take_best
from bal.pool.labeled import is_waiting
from bal.pool.over import take
from bal.query.funnel import all_equal
from bal.typing import Candidates, Over, Pool, PRNGKey, PyTree, Query, Round, Selection, Stage


class Remembered(NamedTuple):
    """What is carried from round to round.

    scores: the last score of every pool row, 1 before its first; num_rounds: queries so far; num_scored: rows scored
    so far, a row counting every time.
    """

    scores: Float[Array, "N"]
    num_rounds: Int[Array, ""]
    num_scored: Int[Array, ""]


class _Scored(NamedTuple):
    """The context of the stage: new scores, the rows that have one, the next memory, and the stage's own context."""

    scores: Float[Array, "N"]
    fresh: Bool[Array, "N"]
    memory: Remembered
    context: PyTree


@method
def remembered(query: Query, num_candidates: int, exponent: float = 1.2, temperature: float = 1.0) -> Query:
    """The same query, whose first stage scores `num_candidates` rows a round instead of the whole pool.

    The first round scores all rows. Later rounds draw M = `num_candidates` unlabeled rows without replacement, with
    probability proportional to ``exp(h^p / τ)`` at every draw, where h is the score that a row had when it was last
    scored; only these are scored, may be selected, and have h renewed. T rounds score ``N + (T - 1) M`` rows;
    ``info["num_scored"]`` counts them, all rounds so far together. A negative h counts as ``-|h|^p``. A score that is
    NaN is not remembered. With M = N the picks are those of `query`. `log_q` is dropped: it would be conditional on
    the candidates drawn.

    The size of the scores matters: with p = 1.2 and τ = 1, entropies in [0, 2.3] favor the highest 15 times at most.

    Args:
      query: its first stage has a row function that returns one score a row; any stages may follow.
      num_candidates: M.
      exponent, temperature: p and τ.

    Raises:
      ValueError: `num_candidates` below 1, `exponent` or `temperature` not positive, a query that has a memory of
        its own, a first stage without rows or (when it runs) whose rows are not one score each.

    >>> from bal.acquisition import predictive_entropy
    >>> from bal.query import by_score
    >>> from bal.selection import best
    >>> remembered(by_score(predictive_entropy, best), num_candidates=1000).memory is None
    False

    Németh and Matuszka 2023, "Compute-Efficient Active Learning".
    """
    if num_candidates < 1 or not exponent > 0 or not temperature > 0:
        raise ValueError(
            "num_candidates must be at least 1, exponent and temperature positive, "
            f"got {num_candidates}, {exponent} and {temperature}"
        )
    if query.memory is not None or query.remember is not None:
        raise ValueError("this query has a memory already; a query carries one")
    base = query.stages[0]
    rows = base.rows
    if rows is None:
        raise ValueError("the first stage has no row function, so there are no scores to remember; put one that has")

    def context(key: PRNGKey, round: Round, over: Over) -> _Scored:
        key_draw, key_context = jax.random.split(key)
        inner = None if base.context is None else base.context(key_context, round, over)
        drawn = lambda: _score_drawn(key_draw, rows, inner, round, over, num_candidates, exponent, temperature)
        everything = lambda: _score_all(rows, inner, round, over)
        is_first = round.memory.num_rounds == 0
        if over.place == "device":
            scores, fresh, number = jax.lax.cond(is_first, everything, drawn)
        else:
            scores, fresh, number = everything() if bool(is_first) else drawn()
        known = jnp.where(fresh & ~jnp.isnan(scores), scores, round.memory.scores)
        memory = Remembered(known, round.memory.num_rounds + 1, round.memory.num_scored + number)
        return _Scored(scores, fresh, memory, inner)

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        scored: _Scored = candidates.context
        index = candidates.index
        eligible = candidates.eligible & scored.fresh[index]
        seen = candidates._replace(rows=scored.scores[index], eligible=eligible, context=scored.context)
        selection = base.select(key, seen, batch_size)
        told = {"num_scored": scored.memory.num_scored, "all_equal": all_equal(seen.rows, eligible, batch_size)}
        return selection._replace(log_q=None, info={**selection.info, **told})

    stages = (Stage(None, select, context), *query.stages[1:])
    return Query(stages, _first_memory, lambda memory, seen: seen[0][0].context.memory)


def draw_candidates(
    key: PRNGKey,
    scores: Float[Array, "N"],
    eligible: Bool[Array, "N"],
    num_candidates: int,
    exponent: float = 1.2,
    temperature: float = 1.0,
) -> tuple[Int[Array, "M"], Bool[Array, "M"]]:
    """Rows drawn without replacement by ``softmax(h^p / τ)``, and which of them are real, in random order.

    >>> draw = jax.jit(draw_candidates, static_argnums=3)
    >>> rows, valid = draw(jax.random.key(0), jnp.ones(3), jnp.array([True, False, True]), 3)
    >>> sorted(rows.tolist()[:2]), valid.tolist()
    ([0, 2], [True, True, False])
    """
    weight = jnp.sign(scores) * jnp.abs(scores) ** exponent / temperature
    noise = row_gumbel(key, jnp.arange(len(scores), dtype=jnp.int32)).astype(scores.dtype)
    rows, _, valid = take_best(mask_scores(weight + noise, eligible), num_candidates)
    return rows, valid


def _first_memory(pool: Pool) -> Remembered:
    zero = jnp.zeros((), jnp.int32)
    return Remembered(jnp.ones(len(pool.present)), zero, zero)


def _score_all(rows: Callable, context: PyTree, round: Round, over: Over) -> tuple[Array, Array, Array]:
    scores = _checked(over.map(rows, (round.posterior, context), round.pool.x))
    return scores, is_waiting(round.pool, round.labeled), jnp.asarray(len(scores), jnp.int32)


def _score_drawn(
    key: PRNGKey, rows: Callable, context: PyTree, round: Round, over: Over, num_candidates: int, *shape: Any
) -> tuple[Array, Array, Array]:
    n = len(round.pool.present)
    drawn, valid = draw_candidates(
        key, round.memory.scores, is_waiting(round.pool, round.labeled), min(num_candidates, n), *shape
    )
    scores = _checked(over.map(rows, (round.posterior, context), take(round.pool.x, drawn)))
    place = jnp.where(valid, drawn, n)  # by row id, whatever the order of the draw
    fresh = jnp.zeros(n, bool).at[place].set(True, mode="drop")
    spread = jnp.zeros(n, scores.dtype).at[place].set(scores, mode="drop")
    return spread, fresh, jnp.asarray(len(drawn), jnp.int32)


def _checked(scores: Any) -> Float[Array, "n"]:
    if getattr(scores, "ndim", None) != 1:
        raise ValueError(f"expected one score a row to remember, got {jax.tree.map(jnp.shape, scores)}; use score(...)")
    return scores
