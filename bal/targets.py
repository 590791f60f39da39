"""What an EPIG stage is about: target rows, predicted once a round and handed to the scores as the stage's context.

>>> from bal.query import Query, Stage
>>> from bal.selection import best
>>> query = Query((Stage(epig_scores, best, context=targets(jnp.zeros((4, 2)))),))

Context functions compose: ``class_prior(prior, pool_targets(256))`` reweights targets drawn from the pool.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.epig import epig, gaussian_epig, jepig
from bal.numerics import mean_log_probs
from bal.query import predictions
from bal.rows import Over, num_rows, take
from bal.selection.joint_entropy import add_row, no_labels
from bal.typing import Gaussian, Posterior, PRNGKey, PyTree, Round

Context = Callable[[PRNGKey, Round, Over], PyTree]


class Targets(NamedTuple):
    """M target rows: predictions, ``log_probs [M, K, C]`` or a `Gaussian`, importance, and the inputs themselves.

    Predictions serve where draws join rows; inputs where a covariance does.
    """

    predictions: PyTree
    weight: Float[Array, "M"]
    x: PyTree


def targets(x_target: PyTree = None, weight: Float[Array, "M"] | None = None) -> Context:
    """Given target rows ``x_target [M, ...]``, with importance weights, all equal unless given.

    Without rows the pool itself is the target, 256 rows of it drawn anew each round, and a warning says so: EPIG is
    about the inputs to predict later, and a pool collected in another way asks for another question.
    """
    if x_target is None:
        warnings.warn("no target rows given: the pool itself is the target of EPIG; pass x_target", stacklevel=2)
        return pool_targets(256)
    weight = jnp.ones(num_rows(x_target)) if weight is None else weight
    if len(weight) != num_rows(x_target):
        raise ValueError(f"one weight a target row, got {len(weight)} weights for {num_rows(x_target)} rows")

    def context(key: PRNGKey, round: Round, over: Over) -> Targets:
        del key
        return Targets(over.map(predictions, (round.posterior, None), x_target), weight, x_target)

    return context


def pool_targets(num_targets: int) -> Context:
    """Targets drawn from the rows of the pool that are present, labeled or not, with replacement, anew each round."""
    if num_targets < 1:
        raise ValueError(f"EPIG needs at least 1 target, got num_targets={num_targets}; 256 are usual")

    def context(key: PRNGKey, round: Round, over: Over) -> Targets:
        logits = jnp.where(round.pool.present, 0.0, -jnp.inf)
        x = take(round.pool.x, jax.random.categorical(key, logits, shape=(num_targets,)))
        return Targets(over.map(predictions, (round.posterior, None), x), jnp.ones(num_targets), x)

    return context


def sampled_targets(sample: Callable[[PRNGKey], PyTree]) -> Context:
    """Targets from a sampler of inputs, ``key -> x [M, ...]``, anew each round."""

    def context(key: PRNGKey, round: Round, over: Over) -> Targets:
        x = sample(key)
        return Targets(over.map(predictions, (round.posterior, None), x), jnp.ones(num_rows(x)), x)

    return context


def class_prior(prior: Float[Array, "C"], context: Context) -> Context:
    """Reweight the targets of another context towards known class frequencies.

    ``w_z ∝ w_z Σ_c p̄_z(c) prior(c) / q(c)`` with ``q(c)`` the weighted mean of ``p̄_z(c)``: importance weights for a
    shift of classes, by the model's own predictions. A prior equal to q changes nothing.

    Bickford Smith et al. 2023, section on known class distributions; reconstructed from its description.
    """

    def reweighted(key: PRNGKey, round: Round, over: Over) -> Targets:
        found = context(key, round, over)
        probs = jnp.exp(mean_log_probs(found.predictions))
        marginal = jnp.sum(found.weight[:, None] * probs, 0) / found.weight.sum()
        return found._replace(weight=found.weight * jnp.matmul(probs, prior / marginal, precision="highest"))

    return reweighted


def joint_targets(context: Context, num_labelings: int = 1024) -> Context:
    """For `jepig_scores`: log draw weights ``[S, K]`` after each of S labelings of all targets of another context.

    Labelings are enumerated while ``C^m <= S``, but weighted sampling takes over well before the last target; should
    it not, they are resampled, so that all have equal weight.
    """

    def labelings(key: PRNGKey, round: Round, over: Over) -> Float[Array, "S K"]:
        key_context, key_add, key_again = jax.random.split(key, 3)
        log_probs = context(key_context, round, over).predictions
        start = no_labels(num_labelings, log_probs.shape[1], log_probs.dtype)
        keys = jax.random.split(key_add, len(log_probs))
        found, _ = jax.lax.scan(lambda state, row: (add_row(row[0], state, row[1]), None), start, (keys, log_probs))
        again = jax.random.categorical(key_again, jnp.log(found.weight), shape=(num_labelings,))
        return jnp.where(found.sampled, found.log_weight, found.log_weight[again])

    return labelings


def epig_scores(posterior: Posterior, context: Targets, x: PyTree) -> Float[Array, "n"]:
    """The row function of EPIG: `epig` or `gaussian_epig` of rows about the targets in the context."""
    found = posterior.predict(x)
    if isinstance(found, Gaussian):
        return gaussian_epig(found, context.predictions, context.weight)
    return epig(found, context.predictions, context.weight)


def jepig_scores(posterior: Posterior, context: Float[Array, "S K"], x: PyTree) -> Float[Array, "n"]:
    """The row function of joint EPIG, whose context comes from `joint_targets`."""
    return jepig(posterior.predict(x), context)
