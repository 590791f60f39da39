"""Bilevel coresets as a query: pseudo-labels of the posterior, features of a kernel, and a rule that joins them."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from bal.bilevel.nystrom import Basis, basis_of, nystrom_rows
from bal.bilevel.rows import Targeted, pseudo_targets
from bal.bilevel.softmax import softmax_coreset
from bal.kernels import ntk
from bal.learners.settings import check_count, named
from bal.method import method
from bal.numerics import mask_scores, take_best
from bal.pool import num_rows, take
from bal.query import inputs
from bal.query.rows import predict
from bal.selection import transformed
from bal.strategies.categories import category
from bal.typing import (
    Candidates,
    ContextFunction,
    KernelOf,
    Over,
    Posterior,
    PRNGKey,
    PyTree,
    Query,
    Round,
    RowFunction,
    Select,
    Stage,
)


class Told(NamedTuple):
    """The context of the stage: where features come from, what was answered in each place of the log, and where."""

    basis: Basis
    y: Array
    answered: Bool[Array, "L"]


@category("hybrid")
@method
def bilevel(
    rule: Select = softmax_coreset(),  # noqa: B008 - a value
    *,
    rows: RowFunction = inputs,
    kernel: KernelOf = ntk(1),  # noqa: B008
    num_landmarks: int = 200,
) -> Query:
    """A batch on which a small model learns most of what the posterior says of the pool: `bal.bilevel.softmax_coreset`.

    Each round: m landmarks are drawn from the pool and give every row its features (`bal.bilevel.nystrom`); the
    posterior's mean prediction is the target of every row without a label; labeled rows have their labels, those that
    were asked and are not answered the prediction. Then the rule grows the batch.

    Use it with a learner that is much better than its labels alone, as `bal.learners.fixmatch` is where few labels meet
    many rows: the batch can be no better than the pseudo-labels. Blind to the posterior's draws.

    Args:
      rule: `softmax_coreset(ridge)` for classes, `ridge_coreset(ridge)` for real labels or as the quick form.
      rows: what the kernel compares: `bal.query.inputs`, or `bal.query.features` of the learner.
      kernel: of `bal.kernels`. num_landmarks: m.

    Raises:
      ValueError: no landmarks. TypeError: a rule, rows or a kernel that are no functions.

    >>> bilevel(softmax_coreset(0.1), num_landmarks=50)  # doctest: +ELLIPSIS
    bilevel(rule=softmax_coreset(ridge=0.1), rows=inputs, kernel=ntk(...), num_landmarks=50)

    Borsos, Tagliasacchi and Krause 2021, "Semi-Supervised Batch Active Learning via Bilevel Optimization".
    """
    for what, part, example in (
        ("a rule of targeted rows", rule, "softmax_coreset()"),
        ("a row function", rows, "bal.query.inputs"),
        ("a kernel", kernel, "bal.kernels.ntk(1)"),
    ):
        if not callable(part):
            raise TypeError(f"expected {what}, got {named(part)}; {example}, say")
    check_count("num_landmarks", num_landmarks)
    make = targeted(rows, kernel)
    return Query((Stage(make, transformed(rule, with_answers), landmarks(rows, kernel, num_landmarks)),))


@method
def targeted(rows: RowFunction, kernel: KernelOf) -> RowFunction:
    """The row function of a bilevel rule: features at the landmarks of the context, and pseudo-labels."""

    def targeted_rows(posterior: Posterior, context: Told, x: PyTree) -> Targeted:
        features = nystrom_rows(kernel, context.basis, rows(posterior, None, x))
        return Targeted(features, pseudo_targets(predict(posterior, x)).astype(features.dtype))

    return targeted_rows


@method
def landmarks(rows: RowFunction, kernel: KernelOf, num_landmarks: int) -> ContextFunction:
    """The context of a bilevel stage: landmarks drawn anew from the rows that are present, and the answers so far."""
    make = jax.jit(partial(basis_of, kernel))

    def context(key: PRNGKey, round: Round, over: Over) -> Told:
        size = min(num_landmarks, num_rows(round.pool.x))
        drawn = jax.random.uniform(key, round.pool.present.shape)
        places, _, valid = take_best(mask_scores(drawn, round.pool.present), size)
        x = take(round.pool.x, jnp.where(valid, places, places[0]))
        basis = make(over.map(rows, (round.posterior, None), x))
        return Told(basis, round.labeled.y, round.labeled.weight > 0)

    return context


def with_answers(key: PRNGKey, candidates: Candidates) -> Candidates:
    """The transform that puts what was answered in place of what the posterior says of labeled rows."""
    del key
    told: Told = candidates.context
    targets = candidates.known.targets
    if jnp.issubdtype(told.y.dtype, jnp.integer):
        y = jax.nn.one_hot(told.y, targets.shape[1], dtype=targets.dtype)
    else:
        y = told.y.reshape(targets.shape).astype(targets.dtype)
    targets = jnp.where(told.answered[:, None], y, targets)
    return candidates._replace(known=candidates.known._replace(targets=targets))
