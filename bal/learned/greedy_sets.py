"""Greedy batches of a function of sets: one addition and one small network a row and pick."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.learned.deep_sets import SetFunction, check_sets
from bal.method import method
from bal.selection.rules.greedy import Greedy, greedy
from bal.typing import Candidates, PRNGKey, PyTree, Select


class LabeledSum(NamedTuple):
    """The context of the stage: parameters of the function of sets, and of the labeled set its sum and size."""

    params: PyTree
    total: Float[Array, "W"]
    size: Float[Array, ""]


class SetState(NamedTuple):
    """Sum and size of the labeled set and the picks so far, and which rows were picked in how many steps."""

    total: Float[Array, "W"]
    size: Float[Array, ""]
    picked: Bool[Array, "n"]
    step: Int[Array, ""]


@method
def greedy_sets(sets: SetFunction, epsilon: float | None = None) -> Select:
    """Row after row that raises ``f(L ∪ B)`` most, f being a function of sets and L the labeled set.

    The score is the increment ``f(L ∪ B ∪ {i}) - f(L ∪ B)``, of either sign: the batch is filled whatever it is. As
    f is additive inside, a pick costs one evaluation of ρ a row. With `epsilon` each pick looks at
    ``n / B log(1/ε)`` of the n rows, drawn anew (stochastic greedy, whose guarantee is for submodular f alone).

    Raises:
      ValueError: `epsilon` outside (0, 1).

    >>> from bal.learned import deep_sets
    >>> greedy_sets(deep_sets(), epsilon=2.0)
    Traceback (most recent call last):
    ValueError: epsilon must lie in (0, 1), got 2.0; None looks at every row

    Mirzasoleiman et al. 2015, "Lazier Than Lazy Greedy" (AAAI).
    """
    check_sets(sets)
    if epsilon is not None and not 0 < epsilon < 1:
        raise ValueError(f"epsilon must lie in (0, 1), got {epsilon}; None looks at every row")

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        elements, labeled = candidates.rows, candidates.context
        n = len(elements)
        undefined = jnp.isnan(elements).any(1)

        def gain(state: SetState, some: Float[Array, "m W"]) -> Float[Array, "m"]:
            size = jnp.full(len(some), state.size)
            before = sets.score(labeled.params, state.total[None], state.size[None])
            return sets.score(labeled.params, state.total[None] + some, size + 1) - before

        def sampled(state: SetState, num: int) -> Float[Array, "n"]:
            lottery = jax.random.uniform(jax.random.fold_in(key, state.step), (n,))
            open_ = candidates.eligible & ~state.picked & ~undefined
            _, drawn = jax.lax.top_k(jnp.where(open_, lottery, -1.0), num)
            return jnp.where(undefined, jnp.nan, -jnp.inf).at[drawn].set(gain(state, elements[drawn]))

        def score(state: SetState) -> Float[Array, "n"]:
            num = n if epsilon is None else min(n, math.ceil(n / batch_size * math.log(1 / epsilon)))
            return gain(state, elements) if num == n else sampled(state, num)

        def update(state: SetState, position: Array) -> SetState:
            picked = state.picked.at[position].set(True)
            return SetState(state.total + elements[position], state.size + 1, picked, state.step + 1)

        return Greedy(SetState(labeled.total, labeled.size, jnp.zeros(n, bool), jnp.int32(0)), score, update)

    return greedy(rule)
