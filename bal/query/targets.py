"""What a stage is about: target rows, predicted once a round and handed to the scores as the stage's context.

Context functions compose: ``class_prior(prior, pool_targets(256))`` reweights targets drawn from the pool.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal.acquisition.kinds import check_log_probs
from bal.method import method
from bal.numerics import dot, mean_log_probs
from bal.pool.arrays import as_rows
from bal.pool.over import num_rows, take
from bal.query.rows import predictions
from bal.selection.information.labelings import add_row, no_labels
from bal.selection.variance.integrated_variance import TargetRows
from bal.typing import ContextFunction, Over, PRNGKey, PyTree, Round, Values


class Targets(NamedTuple):
    """M target rows: predictions, ``log_probs [M, K, C]`` or a `Gaussian`, importance, and the inputs themselves.

    Predictions serve where draws join rows; inputs where a covariance does.
    """

    predictions: PyTree
    weight: Float[Array, "M"]
    x: PyTree


@method
def targets(x_target: PyTree = None, weight: Float[Array, "M"] | None = None) -> ContextFunction:
    """Given target rows ``x_target [M, ...]``, with importance weights, all equal unless given.

    Without rows the pool itself is the target, 256 rows of it drawn anew each round, and a warning says so: EPIG is
    about the inputs to predict later, and a pool collected in another way asks for another question.
    """
    if x_target is None:
        warnings.warn("no target rows given: the pool itself is the target of EPIG; pass x_target", stacklevel=3)
        return pool_targets(256)
    x_target = as_rows(x_target, "target rows")
    check_weights(weight, num_rows(x_target))

    def context(key: PRNGKey, round: Round, over: Over) -> Targets:
        del key
        x = jax.tree.map(jnp.asarray, x_target) if over.place == "device" else x_target
        got, expected = ([leaf.shape[1:] for leaf in jax.tree.leaves(rows)] for rows in (x, round.pool.x))
        if got != expected:
            raise ValueError(f"expected target rows of the shape of pool rows, {expected}, got {got}; hand in x[rows]")
        found = over.map(predictions, (round.posterior, None), x)
        given = _equal_weights(found) if weight is None else jnp.asarray(weight, _equal_weights(found).dtype)
        return Targets(found, given, x)

    return context


@method
def pool_targets(num_targets: int) -> ContextFunction:
    """Targets drawn from the rows of the pool that are present, labeled or not, with replacement, anew each round."""
    if num_targets < 1:
        raise ValueError(f"EPIG needs at least 1 target, got num_targets={num_targets}; 256 are usual")

    def context(key: PRNGKey, round: Round, over: Over) -> Targets:
        count = jnp.cumsum(round.pool.present, dtype=jnp.int32)
        number = jax.random.randint(key, (num_targets,), 0, count[-1])  # among the rows that are present
        x = take(round.pool.x, jnp.searchsorted(count, number, side="right").astype(jnp.int32))
        found = over.map(predictions, (round.posterior, None), x)
        return Targets(found, _equal_weights(found), x)

    return context


def _equal_weights(found: PyTree) -> Float[Array, "M"]:
    """Ones, in the dtype of the predictions."""
    leaf = jax.tree.leaves(found)[0]
    return jnp.ones(leaf.shape[0], leaf.dtype)


def check_weights(weight: Values | None, num_targets: int) -> None:
    """Importance weights are one per target, finite, none negative, not all zero.

    Raises:
      ValueError: anything else.
    """
    if weight is None:
        return
    given = np.asarray(weight)
    if given.shape != (num_targets,):
        raise ValueError(f"expected one weight per target row, [{num_targets}], got weights of shape {given.shape}")
    if not np.isfinite(given).all() or (given < 0).any() or not given.any():
        raise ValueError("target weights must be finite, not negative and not all zero; they are importances")


@method
def sampled_targets(sample: Callable[[PRNGKey], PyTree]) -> ContextFunction:
    """Targets from a sampler of inputs, ``key -> x [M, ...]``, anew each round."""

    def context(key: PRNGKey, round: Round, over: Over) -> Targets:
        x = sample(key)
        found = over.map(predictions, (round.posterior, None), x)
        return Targets(found, _equal_weights(found), x)

    return context


@method
def class_prior(prior: Values, context: ContextFunction) -> ContextFunction:
    """Reweight the targets of another context towards known class frequencies.

    ``w_z ∝ w_z Σ_c p̄_z(c) prior(c) / q(c)`` with ``q(c)`` the weighted mean of ``p̄_z(c)``: importance weights for a
    shift of classes, by the model's own predictions. A prior equal to q changes nothing. Classes that no target can be
    count for nothing.

    Raises:
      ValueError: a prior that is not one finite number a class, none negative, not all zero.

    Bickford Smith et al. 2023, section on known class distributions; reconstructed from its description.
    """

    given = np.asarray(prior)
    if given.ndim != 1 or not np.isfinite(given).all() or (given < 0).any() or not given.any():
        raise ValueError(f"expected a prior of one number a class, [C], none negative, not all zero, got {prior}")

    def reweighted(key: PRNGKey, round: Round, over: Over) -> Targets:
        found = context(key, round, over)
        check_log_probs("class_prior", found.predictions, "targets")
        probs = jnp.exp(mean_log_probs(found.predictions))
        if probs.shape[1] != len(given):
            raise ValueError(f"expected a prior of {probs.shape[1]} classes, as the targets have, got {len(given)}")
        marginal = jnp.sum(found.weight[:, None] * probs, 0) / found.weight.sum()
        times = jnp.where(marginal > 0, given.astype(probs.dtype) / jnp.where(marginal > 0, marginal, 1.0), 0.0)
        return found._replace(weight=found.weight * dot(probs, times))

    return reweighted


@method
def joint_targets(context: ContextFunction, num_labelings: int = 1024) -> ContextFunction:
    """For `jepig_scores`: log draw weights ``[S, K]`` after each of S labelings of all targets of another context.

    Labelings are enumerated while ``C^m <= S``, but weighted sampling takes over well before the last target; should
    it not, they are resampled, so that all have equal weight. Importance weights of the targets play no part: the
    labels of all of them are asked for jointly.
    """

    def labelings(key: PRNGKey, round: Round, over: Over) -> Float[Array, "S K"]:
        key_context, key_add, key_again = jax.random.split(key, 3)
        log_probs = context(key_context, round, over).predictions
        check_log_probs("jepig", log_probs, "targets")
        start = no_labels(num_labelings, log_probs.shape[1], log_probs.dtype)
        keys = jax.random.split(key_add, len(log_probs))
        found, _ = jax.lax.scan(lambda state, row: (add_row(row[0], state, row[1]), None), start, (keys, log_probs))
        again = jax.random.categorical(key_again, jnp.log(found.weight), shape=(num_labelings,))
        return jnp.where(found.sampled, found.log_weight, found.log_weight[again])

    return labelings


def check_targets(context: PyTree) -> None:
    """The context of a stage about targets is one.

    Raises:
      ValueError: anything but `Targets`.
    """
    if not isinstance(context, Targets):
        raise ValueError(
            f"this stage is about target rows, but its context is {type(context).__name__}; write "
            "Stage(rows, select, context=targets(x_target)), or pool_targets(256)"
        )


@method
def target_rows(context: ContextFunction) -> ContextFunction:
    """The context of `bal.selection.integrated_variance`: targets of another context, embedded, and the posterior.

    >>> from bal.kernels import posterior_covariance
    >>> from bal.query import Stage, embeddings
    >>> from bal.selection import integrated_variance
    >>> stage = Stage(embeddings, integrated_variance(posterior_covariance), target_rows(pool_targets(256)))
    """

    def embedded(key: PRNGKey, round: Round, over: Over) -> TargetRows:
        found = context(key, round, over)
        return TargetRows(round.posterior.embed(found.x), found.weight, round.posterior)

    return embedded
