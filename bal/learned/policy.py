"""A small network that scores rows by what a posterior says of them, to be meta-learned in `bal.learned.environment`.

Features are made comparable over data sets of any number of inputs and classes, so that one network serves all.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.acquisition import bald, least_confidence, margin, predictive_entropy
from bal.acquisition.kinds import check_log_probs
from bal.learners.settings import check_count, named
from bal.method import method
from bal.numerics import dot
from bal.pool.labeled import is_answered
from bal.pool.over import take
from bal.query.rows import predict
from bal.selection.ranking import best
from bal.strategies.categories import category
from bal.typing import Candidates, Over, Posterior, PRNGKey, PyTree, Query, Round, Select, Selection, Stage

SIGNALS = ("entropy", "margin", "least confidence", "bald", "distance to labels", "distance to pool")
REFERENCE = 100
"""Pool rows that stand for the pool when its distances are taken."""


class Policy(NamedTuple):
    """Parameters: one hidden layer beside a linear term, ``score = skip · z + out · tanh(z hidden + bias)``.

    z are F standardized signals and how much of the budget is spent; F + 1 inputs, H hidden units.
    """

    skip: Float[Array, "I"]
    hidden: Float[Array, "I H"]
    bias: Float[Array, "H"]
    out: Float[Array, "H"]


class Surroundings(NamedTuple):
    """What signals need beside a row: labeled inputs and some of the pool, each with which of them are any, and the
    budget spent."""

    labeled: Float[Array, "L D"]
    is_any: Bool[Array, "L"]
    pool: Float[Array, "M D"]
    is_present: Bool[Array, "M"]
    spent: Float[Array, ""]


def new_policy(key: PRNGKey, num_hidden: int = 8) -> Policy:
    """A policy before it has learned anything: it scores by a few signals at random, weakly.

    >>> new_policy(jax.random.key(0), 4).hidden.shape
    (7, 4)
    """
    check_count("num_hidden", num_hidden)
    keys, inputs = jax.random.split(key, 3), len(SIGNALS) + 1
    hidden = jax.random.normal(keys[0], (inputs, num_hidden)) / inputs**0.5
    out, skip = 0.1 * jax.random.normal(keys[1], (num_hidden,)), 0.1 * jax.random.normal(keys[2], (inputs,))
    return Policy(skip, hidden, jnp.zeros(num_hidden), out)


@category("learned")
@method
def learned_policy(policy: Policy) -> Query:
    """The rows that a meta-learned network scores highest: `policy_scores` of `row_signals`. A reconstruction.

    The papers train by reinforcement for a pool or a stream; what is kept of them are signals that mean the same on any
    data, and training on whole experiments.

    Use it with parameters that were trained on tasks like the one at hand, as ``experiments/policy.py`` does; an
    untrained one is an arbitrary mix of uncertainty and distance.

    Args:
      policy: trained parameters, or those of `new_policy`.

    >>> query = learned_policy(new_policy(jax.random.key(0)))
    >>> len(query.stages), query == learned_policy(new_policy(jax.random.key(0)))
    (1, True)

    Fang, Li and Cohn 2017, "Learning how to Active Learn: A Deep Reinforcement Learning Approach"; Konyushkova,
    Sznitman and Fua 2018, "Discovering General-Purpose Active Learning Strategies".
    """
    return Query((Stage(row_signals, policy_select(policy), surroundings),))


@method
def policy_select(policy: Policy, select: Select = best) -> Select:
    """The selector of a policy: `select` by its scores; for training `bal.selection.softmax`, whose picks have a law.

    >>> policy_select(new_policy(jax.random.key(0))).__name__
    'select_by_policy'
    """

    _check_policy(policy)

    def select_by_policy(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        if not isinstance(candidates.context, Surroundings):
            raise ValueError("a policy looks at its own signals; take learned_policy(policy) as the set-up's query")
        scores = policy_scores(policy, candidates.rows, candidates.eligible, candidates.context.spent)
        return select(key, candidates._replace(rows=scores), batch_size)

    return select_by_policy


def _check_policy(policy: object) -> None:
    if not isinstance(policy, Policy):
        raise TypeError(f"expected a Policy, got {named(policy)}; new_policy(key), or a trained one")


def policy_scores(
    policy: Policy, signals: Float[Array, "n F"], eligible: Bool[Array, "n"], spent: Float[Array, ""]
) -> Float[Array, "n"]:
    """Scores of rows; signals are standardized over the rows that may be picked, and those of a NaN are NaN.

    Hence only how rows compare within a pool counts, whatever the scale of a signal.

    >>> rows = jnp.arange(12.0).reshape(2, 6)
    >>> policy_scores(new_policy(jax.random.key(0)), rows, jnp.array([True, True]), jnp.float32(0)).shape
    (2,)
    """
    usable = (eligible & ~jnp.isnan(signals).any(1))[:, None]
    count = jnp.maximum(usable.sum(), 1)
    mean = jnp.where(usable, signals, 0.0).sum(0) / count
    apart = signals - mean[None]
    spread = jnp.sqrt(jnp.where(usable, apart**2, 0.0).sum(0) / count)
    z = apart / jnp.maximum(spread, 1e-6)[None]
    z = jnp.concatenate([z, jnp.full((len(z), 1), 2 * spent - 1, z.dtype)], 1)
    return dot(z, policy.skip) + dot(jnp.tanh(dot(z, policy.hidden) + policy.bias[None]), policy.out)


def row_signals(posterior: Posterior, context: Surroundings, x: PyTree) -> Float[Array, "n F"]:
    """The row function of a policy: `SIGNALS`, in this order.

    Entropy and BALD in units of log C; margin, ``p2 - p1``, and least confidence, ``1 - p1``, of the mean prediction;
    the distance to the nearest labeled input, and the mean distance to some of the pool, per square root of D.
    """
    found = predict(posterior, x)
    check_log_probs("row_signals", found)
    flat = x.reshape(len(x), -1)
    scale, unit = jnp.log(found.shape[-1]), flat.shape[1] ** 0.5
    to_labels = jnp.where(context.is_any[None], _distances(flat, context.labeled), jnp.inf).min(1)
    to_labels = jnp.where(context.is_any.any(), to_labels, 0.0)
    present = context.is_present[None]
    to_pool = jnp.where(present, _distances(flat, context.pool), 0.0).sum(1) / jnp.maximum(present.sum(), 1)
    uncertain = [predictive_entropy(found) / scale, margin(found), least_confidence(found), bald(found) / scale]
    return jnp.stack([*uncertain, to_labels / unit, to_pool / unit], 1).astype(flat.dtype)


def surroundings(key: PRNGKey, round: Round, over: Over) -> Surroundings:
    """The context of `row_signals`: `REFERENCE` rows of those present stand for the pool, labeled or not.

    The budget is the capacity of the acquisition log.
    """
    del over
    x, present, labeled = round.pool.x, round.pool.present, round.labeled
    weight = jnp.where(present, jax.random.uniform(key, present.shape), -1.0)
    some: Int[Array, "M"] = jax.lax.top_k(weight, min(REFERENCE, len(weight)))[1]
    rows = lambda indices: (lambda part: part.reshape(len(indices), -1))(take(x, indices))
    spent = labeled.count / len(labeled.indices)
    return Surroundings(rows(labeled.indices), is_answered(labeled), rows(some), present[some], spent)


def _distances(x: Float[Array, "n D"], others: Float[Array, "m D"]) -> Float[Array, "n m"]:
    squared = (x**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * dot(x, others.T)
    return jnp.sqrt(jnp.maximum(squared, 0.0))
