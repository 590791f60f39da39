"""A batch that makes the labeled set most useful, by a learned function of sets: the query and the parts it is made of.

A reconstruction (L) from the abstract of Ding et al.: see `learned_utility`.
"""

import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.kinds import check_log_probs
from bal.learned.deep_sets import SetFunction, check_sets
from bal.learned.greedy_sets import LabeledSum, greedy_sets
from bal.learned.ranking import RankingTasks
from bal.learned.subsets import Utility, distributions, draw_subsets
from bal.learners.settings import check_count, check_factor, named
from bal.method import method
from bal.pool.labeled import is_covered, training_set
from bal.pool.over import take
from bal.query import inputs
from bal.query.rows import predict
from bal.strategies.categories import category
from bal.typing import Data, Over, Posterior, PRNGKey, PyTree, Query, Round, RowFunction, Stage

Rank = Callable[[PRNGKey, Float[Array, "L E"], Data], PyTree]
"""``key, rows, data -> params`` of a function of sets, from the labeled rows: features beside labels, and the data."""


@method
def fixed(params: PyTree) -> Rank:
    """Parameters that were learned before, on other data with features and classes alike.

    >>> fixed(3)(jax.random.key(0), None, None)
    3
    """
    return lambda key, rows, data: params


@method
def ranked_subsets(
    utility: Utility,
    ranker: Callable[[PRNGKey, RankingTasks], PyTree],
    *,
    fractions: tuple[float, ...] = (0.125, 0.25, 0.5),
    num_subsets: int = 128,
    tilt: float = 1.0,
) -> Rank:
    """Learn a function of sets from the labeled rows alone, anew in every round.

    A reconstruction (L): how the paper draws its sets and validates is not known. A third of the labeled rows, drawn at
    random, is set aside to measure accuracy on; of the others `num_subsets` sets are drawn of each size, `utility` says
    what each is worth, and `ranker` learns to rank them. Nothing is asked for that is not labeled already. Of fewer
    than three labeled rows none can be set aside: parameters are NaN, and no row is picked.

    Args:
      utility: ``trained(learner)``, or that one `interpolated`.
      ranker: as `bilevel_ranker`; one task for each size.
      fractions: sizes, rising, as shares of the rows that sets are drawn from.
      num_subsets: S, sets of each size.
      tilt: how far sets lean to a side, see `draw_subsets`.

    Raises:
      ValueError: fractions that do not rise within (0, 1], less than two subsets, a tilt below 0.
      TypeError: a utility or ranker that is none.

    >>> from bal.learned import bilevel_ranker, deep_sets, trained
    >>> from bal.learners import ensemble, linear
    >>> ranked_subsets(trained(ensemble(linear(3), 1)), bilevel_ranker(deep_sets()), fractions=(0.5, 0.2))
    Traceback (most recent call last):
    ValueError: fractions must rise within (0, 1], smallest sets first, got (0.5, 0.2)
    """
    if not fractions or list(fractions) != sorted(set(fractions)) or not 0 < fractions[0] <= fractions[-1] <= 1:
        raise ValueError(f"fractions must rise within (0, 1], smallest sets first, got {fractions}")
    check_count("num_subsets", num_subsets, 2)
    check_factor("tilt", tilt)
    for part, what in ((utility, "trained(learner)"), (ranker, "bilevel_ranker(sets)")):
        if not callable(part):
            raise TypeError(f"expected what {what} makes, got {named(part)}")

    def rank(key: PRNGKey, rows: Float[Array, "L E"], data: Data) -> PyTree:
        key_held, key_sets, key_utility, key_ranker = jax.random.split(key, 4)
        real = data.weight > 0
        lottery = jnp.where(real, jax.random.uniform(key_held, real.shape), jnp.inf)
        held = real & (jnp.argsort(jnp.argsort(lottery)) < real.sum() // 3)
        some = jnp.where(held, 0.0, data.weight)
        sizes = jnp.maximum(jnp.asarray(fractions) * (some > 0).sum(), 1).astype(jnp.int32)
        masks = draw_subsets(key_sets, rows, some, sizes, num_subsets, tilt)
        flat, validation = masks.reshape(-1, len(real)), jnp.where(held, data.weight, 0.0)
        found = utility(key_utility, rows, data, flat, validation).reshape(len(fractions), num_subsets)
        params = ranker(key_ranker, RankingTasks(rows, masks, found))
        return jax.tree.map(lambda leaf: jnp.where(held.any(), leaf, jnp.nan), params)

    return rank


@method
def pseudo_labeled(features: RowFunction) -> RowFunction:
    """The row function of features and, beside them, the most probable class: ``[n, F]`` and ``[n, C]``.

    >>> pseudo_labeled(inputs)
    pseudo_labeled(inputs)
    """

    def rows(posterior: Posterior, context: PyTree, x: PyTree) -> tuple[Float[Array, "n F"], Float[Array, "n C"]]:
        del context
        log_probs = predict(posterior, x)
        check_log_probs("learned_utility", log_probs)
        likely = jax.nn.logsumexp(log_probs, 1).argmax(-1)
        return features(posterior, None, x), jax.nn.one_hot(likely, log_probs.shape[2])

    return rows


@method
def set_elements(sets: SetFunction, features: RowFunction) -> RowFunction:
    """The row function of what each row, under its pseudo-label, would add to the sum over the labeled set.

    >>> from bal.learned import deep_sets
    >>> set_elements(deep_sets(), inputs)
    set_elements(deep_sets(width=32, hidden=(64,)), inputs)
    """
    describe = pseudo_labeled(features)

    def rows(posterior: Posterior, context: LabeledSum, x: PyTree) -> Float[Array, "n W"]:
        return sets.elements(context.params, jnp.concatenate(describe(posterior, None, x), 1))

    return rows


@method
def labeled_sum(sets: SetFunction, rank: Rank, features: RowFunction) -> Callable[[PRNGKey, Round, Over], LabeledSum]:
    """The context: learn the parameters, and sum over the labeled rows; rows whose answer is to come count under their
    pseudo-label.

    >>> from bal.learned import deep_sets
    >>> labeled_sum(deep_sets(), fixed(()), inputs)
    labeled_sum(deep_sets(width=32, hidden=(64,)), fixed(params=()), inputs)
    """
    describe = pseudo_labeled(features)

    @jax.jit  # one program also where a Python loop asks
    def learn(key: PRNGKey, told: tuple, data: Data, covered: Array) -> LabeledSum:
        seen, guessed = told
        given = (data.weight > 0)[:, None]
        rows = jnp.concatenate([seen, jnp.where(given, distributions(data.y, guessed.shape[1]), guessed)], 1)
        usable = covered & jnp.isfinite(rows).all(1)
        rows = jnp.where(usable[:, None], rows, 0.0)
        params = rank(key, rows, data._replace(weight=jnp.where(usable, data.weight, 0.0)))
        elements = jnp.where(usable[:, None], sets.elements(params, rows), 0.0)
        return LabeledSum(params, elements.sum(0), usable.sum().astype(elements.dtype))

    def context(key: PRNGKey, round: Round, over: Over) -> LabeledSum:
        data = training_set(round.labeled, round.pool)
        told = over.map(describe, (round.posterior, None), take(round.pool.x, round.labeled.indices))
        return learn(key, told, data, is_covered(round.labeled))

    return context


@category("learned")
@method
def learned_utility(
    sets: SetFunction, rank: Rank, features: RowFunction = inputs, epsilon: float | None = None
) -> Query:
    """The batch for which a learned function of sets promises the most accurate model: ``max_B f(L ∪ B)``, greedily.

    A reconstruction (L) from the abstract of Ding et al.: only that a utility of sets is learned by ranking, over
    tasks, in two levels, and picks a whole batch, is theirs for certain. Rows of the pool enter under their
    pseudo-labels. In `experiments/learning_to_rank.py` its batches are worse than random ones.

    Use it when the question is what can be learned about sets of rows; to buy labels, take `bal.strategies.margin`.

    Args:
      sets: the function of sets, as `deep_sets`; the same that `rank` learns.
      rank: `ranked_subsets` learns from the labeled rows in every round; `fixed` takes what was learned elsewhere.
      features: what the function is told of a row beside its label, as the inputs or `bal.query.features`.
      epsilon: of stochastic greedy, see `greedy_sets`; None looks at every row for every pick.

    >>> from bal.learned import bilevel_ranker, deep_sets, trained
    >>> from bal.learners import ensemble, linear
    >>> sets = deep_sets(16, (32,))
    >>> rank = ranked_subsets(trained(ensemble(linear(10), 1)), bilevel_ranker(sets))
    >>> learned_utility(sets, rank) == learned_utility(sets, rank, epsilon=0.1)
    False

    Ding et al. 2023, "Learning to Rank for Active Learning via Multi-Task Bilevel Optimization" (arXiv 2310.17044).
    """
    check_sets(sets)
    try:
        inspect.signature(rank).bind("key", "rows", "data")
    except TypeError as error:
        raise TypeError(f"expected ranked_subsets(utility, ranker), or fixed(params), got {named(rank)}") from error
    return Query((Stage(set_elements(sets, features), greedy_sets(sets, epsilon), labeled_sum(sets, rank, features)),))
