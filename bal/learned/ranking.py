"""Learning to rank sets: pairs within a task, and adapting to small sets so as to rank larger ones.

A reconstruction (L) from the abstract of Ding et al.: the body of the paper, its tables and its code were not seen.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from bal.learned.deep_sets import SetFunction, check_sets, set_scores
from bal.learners.settings import check_count, check_factor
from bal.method import method
from bal.typing import PRNGKey, PyTree


class RankingTasks(NamedTuple):
    """T tasks, small sets first: S sets of a size class each, of the same L labeled rows, and what they are worth.

    rows: what is told of each row, its features beside its label. masks: 1 for a row of the set, 0 outside.
    utility: accuracy of a model that was trained on the set; only its order within a task counts.
    """

    rows: Float[Array, "L E"]
    masks: Float[Array, "T S L"]
    utility: Float[Array, "T S"]


def ranking_loss(scores: Float[Array, "S"], utility: Float[Array, "S"]) -> Float[Array, ""]:
    """Mean of ``-log σ(f(A) - f(B))`` over the pairs with ``u(A) > u(B)``, in nats; 0 where all utilities tie.

    Log 2 for equal scores, and towards 0 where every better set scores higher by far. The mean, not the sum, so that
    tasks with many ties count like others.

    >>> round(float(ranking_loss(jnp.zeros(3), jnp.array([0.1, 0.5, 0.5]))), 3)
    0.693

    Burges et al. 2005, "Learning to Rank using Gradient Descent" (ICML).
    """
    better = utility[:, None] > utility[None, :]
    lead = scores[:, None] - scores[None, :]
    return jnp.where(better, jax.nn.softplus(-lead), 0.0).sum() / jnp.maximum(better.sum(), 1)


def task_loss(
    sets: SetFunction, params: PyTree, rows: Float[Array, "L E"], masks: Float[Array, "S L"], utility: Float[Array, "S"]
) -> Float[Array, ""]:
    """`ranking_loss` of one task.

    >>> mean = SetFunction(lambda key, rows: (), lambda params, rows: rows, lambda params, total, n: total[:, 0] / n)
    >>> round(float(task_loss(mean, (), jnp.array([[1.0], [1.0]]), jnp.eye(2), jnp.array([0.0, 1.0]))), 3)
    0.693
    """
    return ranking_loss(set_scores(sets, params, rows, masks), utility)


def adapt(
    sets: SetFunction,
    params: PyTree,
    rows: Float[Array, "L E"],
    masks: Float[Array, "S L"],
    utility: Float[Array, "S"],
    rate: float,
    num_steps: int,
) -> PyTree:
    """Parameters after `num_steps` steps of gradient descent on one task, ``ψ - η ∇R(ψ)`` each.

    >>> from bal.learned import deep_sets
    >>> sets, rows = deep_sets(2, (3,)), jnp.eye(2)
    >>> params = jax.jit(sets.init)(jax.random.key(0), rows)
    >>> kept = adapt(sets, params, rows, rows, jnp.array([0.0, 1.0]), 0.1, 0)
    >>> all(map(jnp.array_equal, jax.tree.leaves(kept), jax.tree.leaves(params)))
    True
    """

    def descend(params: PyTree, _: None) -> tuple[PyTree, None]:
        slope = jax.grad(lambda params: task_loss(sets, params, rows, masks, utility))(params)
        return jax.tree.map(lambda old, by: old - rate * by, params, slope), None

    return jax.lax.scan(descend, params, None, length=num_steps)[0]


@method
def bilevel_ranker(
    sets: SetFunction,
    *,
    num_steps: int = 300,
    optimizer: optax.GradientTransformation | None = None,
    inner_rate: float = 0.1,
    inner_steps: int = 5,
) -> Callable[[PRNGKey, RankingTasks], PyTree]:
    """Parameters that rank sets larger than any measured: ``min_ψ Σ_k R_k(A_{k-1}(ψ))``.

    A reconstruction (L) from the abstract: what the paper's inner and outer problems adapt may differ. A_k(ψ) takes
    `inner_steps` of gradient descent on task k, R_k is the `ranking_loss` of task k, and the outer gradient goes
    through the unrolled inner steps. What is returned is adapted to the last task, as it was learned to be for the next
    size. With ``inner_steps=0`` this is plain training on all tasks but the first.

    Use it when the function of sets will be asked about sizes beyond those that could be measured.

    Args:
      sets: the function of sets, as `deep_sets`.
      num_steps: outer steps.
      optimizer: of the outer problem; AdamW at 3e-3 with decay 1e-2 unless given.
      inner_rate, inner_steps: η, and steps.

    Returns:
      A function ``key, tasks -> params``.

    Raises:
      ValueError: a number of steps or a rate below 0; fewer than two tasks (when called).

    >>> from bal.learned import deep_sets
    >>> fit = bilevel_ranker(deep_sets(2, (4,)), num_steps=2)
    >>> tasks = RankingTasks(jnp.eye(3), jnp.ones((2, 4, 3)), jnp.ones((2, 4)))
    >>> sorted(jax.eval_shape(fit, jax.random.key(0), tasks))
    ['phi', 'rho']

    Ding et al. 2023, "Learning to Rank for Active Learning via Multi-Task Bilevel Optimization" (arXiv 2310.17044);
    Finn, Abbeel and Levine 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks" (ICML).
    """
    check_sets(sets)
    check_count("num_steps", num_steps, least=0)
    check_factor("inner_rate", inner_rate)
    check_count("inner_steps", inner_steps, least=0)
    outer = optax.adamw(3e-3, weight_decay=1e-2) if optimizer is None else optimizer

    def fit(key: PRNGKey, tasks: RankingTasks) -> PyTree:
        rows, masks, utility = tasks
        if len(masks) < 2:
            raise ValueError(f"bilevel_ranker learns from one size to the next, so give at least 2, got {len(masks)}")

        def next_loss(params: PyTree, small: tuple, large: tuple) -> Array:
            adapted = adapt(sets, params, rows, small[0], small[1], inner_rate, inner_steps)
            return task_loss(sets, adapted, rows, *large)

        def loss(params: PyTree) -> Array:
            small, large = (masks[:-1], utility[:-1]), (masks[1:], utility[1:])
            return jax.vmap(next_loss, (None, 0, 0))(params, small, large).mean()

        def descend(carry: tuple, _: None) -> tuple[tuple, None]:
            params, moments = carry
            updates, moments = outer.update(jax.grad(loss)(params), moments, params)
            return (optax.apply_updates(params, updates), moments), None

        params = sets.init(key, rows)
        (params, _), _ = jax.lax.scan(descend, (params, outer.init(params)), None, length=num_steps)
        return adapt(sets, params, rows, masks[-1], utility[-1], inner_rate, inner_steps)

    return fit
