"""Joint labelings (configurations) of a batch, and what they tell about K shared posterior draws.

A configuration is one label for every row picked so far. What matters of it is its probability and the posterior it
gives over the draws. All configurations are enumerated while they fit; after that they are an equally weighted sample
from the joint predictive distribution, the same for every candidate. Gains are conditional information on these very
configurations, so nothing jumps when enumeration ends.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.numerics import LOG_FLOOR, dot, entropy, in_row_blocks, normalized, positions_at
from bal.numerics.divergence import JOINT_BYTES, divergence, mean_divergence, relative, rows_in_block, sum_classes
from bal.typing import PRNGKey


class Configurations(NamedTuple):
    """S places for labelings of the rows picked so far.

    log_weight: log posterior of each draw given the labeling; normalized over K.
    weight: probability of the labeling, 0 for an empty place; ``1/S`` once they are a sample.
    count: places in use.
    sampled: False = every labeling is there, all results are exact.
    """

    log_weight: Float[Array, "S K"]
    weight: Float[Array, "S"]
    count: Int[Array, ""]
    sampled: Array


def no_labels(num_configurations: int, num_draws: int, dtype: jnp.dtype = jnp.float32) -> Configurations:
    """Before the first pick: one empty labeling, of probability 1."""
    uniform = jnp.full((num_configurations, num_draws), -jnp.log(jnp.asarray(num_draws, dtype)), dtype)
    weight = jnp.zeros(num_configurations, dtype).at[0].set(1.0)
    return Configurations(uniform, weight, jnp.ones((), jnp.int32), jnp.zeros((), bool))


def add_row(key: PRNGKey, configurations: Configurations, log_probs: Float[Array, "K C"]) -> Configurations:
    """Extend every labeling by a label of one more row.

    All C extensions where they fit; otherwise S of them by stratified resampling, in proportion to probability, which
    is unbiased and leaves each labeling of an equally weighted sample exactly one extension.
    """
    log_weight, weight, count, sampled = configurations
    num_places, num_classes = log_weight.shape[0], log_probs.shape[-1]
    log_p = jnp.maximum(log_probs, LOG_FLOOR)
    predictive = dot(jnp.exp(log_weight), jnp.exp(log_p))
    mass = (weight[:, None] * predictive).reshape(-1)
    fits = ~sampled & (count * num_classes <= num_places)
    slices = (jnp.arange(num_places) + jax.random.uniform(key, (num_places,), mass.dtype)) / num_places
    chosen = jnp.where(fits, jnp.arange(num_places), positions_at(mass, slices))
    weight = jnp.where(fits, mass[:num_places], 1.0)
    log_weight = log_weight[chosen // num_classes] + log_p.T[chosen % num_classes]
    log_weight = log_weight - jax.nn.logsumexp(log_weight, 1, keepdims=True)
    count = jnp.minimum(count * num_classes, num_places)
    return Configurations(log_weight, normalized(weight), count, ~fits)


def conditional_information(
    log_probs: Float[Array, "n K C"], configurations: Configurations, budget: int = JOINT_BYTES
) -> Float[Array, "n"]:
    """``I(y_n; θ | y_batch)`` for every row, in nats: the gain of adding it to the batch.

    With v the mean posterior over configurations and r_s the prediction given configuration s,
    ``Σ_k v_k KL(p_k ‖ p̄) - Σ_s weight_s KL(r_s ‖ p̄)``: a difference of two small non-negative numbers, not of joint
    entropies. At least 0; given no labels it is BALD.
    """
    log_weight, weight, count, _ = configurations
    num_draws, num_classes = log_probs.shape[1:]
    posterior = jnp.exp(log_weight)
    mean_posterior = dot(weight, posterior)
    uniform = 1.0 / num_draws
    tilt = posterior - uniform

    def block(some: Float[Array, "r K C"]) -> Float[Array, "r"]:
        marginal, excess = relative(some)
        own = dot(mean_posterior, divergence(excess))
        shared = mean_divergence(excess, tilt, weight, count)
        return sum_classes(marginal * jnp.maximum(own - shared, 0.0), num_classes)

    return in_row_blocks(block, log_probs, rows_in_block(len(weight), log_probs, budget))


class BatchInformation(NamedTuple):
    """What a batch tells about the draws, pick by pick, in nats.

    gain: ``I(y_b; θ | earlier picks)``; gain_error: its Monte-Carlo standard error, 0 where all labelings were there.
    total: ``I(y_1 ... y_b; θ)``, never above log K; total_error: its standard error.
    """

    gain: Float[Array, "B"]
    gain_error: Float[Array, "B"]
    total: Float[Array, "B"]
    total_error: Float[Array, "B"]


def batch_information(
    key: PRNGKey, log_probs: Float[Array, "B K C"], num_configurations: int = 10_000
) -> BatchInformation:
    """Information between the labels of a batch and the K draws, after each of its rows in turn, in nats.

    ``I(y_1 ... y_b; θ) = log K - E H(θ | y_1 ... y_b)``: the entropy of the draw index less what the labels leave of
    it, exact while ``C^b <= num_configurations``, else a mean over configurations drawn from the joint prediction.
    Never above ``log K``. The joint entropy of the labels is `total` plus the summed expected entropies. Standard
    errors take configurations as independent; being stratified they err by less.

    >>> certain = jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]]] * 2))
    >>> [round(value, 4) for value in jax.jit(batch_information)(jax.random.key(0), certain).gain.tolist()]
    [0.6931, 0.0]

    Kirsch, van Amersfoort and Gal 2019, "BatchBALD".
    """
    num_draws = log_probs.shape[1]
    start = no_labels(num_configurations, num_draws, log_probs.dtype)

    def step(configurations: Configurations, inputs: tuple) -> tuple[Configurations, tuple]:
        row, number = inputs
        gain = _mean_and_error(_gain_by_configuration(configurations, row), configurations)
        configurations = add_row(jax.random.fold_in(key, number), configurations, row)
        left = entropy(configurations.log_weight)
        total = _mean_and_error(jnp.log(jnp.asarray(num_draws, left.dtype)) - left, configurations)
        return configurations, (*gain, *total)

    _, columns = jax.lax.scan(step, start, (log_probs, jnp.arange(len(log_probs))))
    return BatchInformation(*columns)


def _gain_by_configuration(configurations: Configurations, row: Float[Array, "K C"]) -> Float[Array, "S"]:
    """``Σ_k w_sk KL(p_k ‖ p̄) - KL(r_s ‖ p̄)`` for every configuration s."""
    marginal, excess = relative(row[None])
    posterior = jnp.exp(configurations.log_weight)
    tilted = dot(posterior - 1.0 / row.shape[0], excess)
    own = dot(posterior, divergence(excess))
    return dot(own - divergence(tilted), marginal)


def _mean_and_error(values: Float[Array, "S"], configurations: Configurations) -> tuple[Array, Array]:
    weight = configurations.weight
    mean = jnp.sum(weight * values)
    spread = jnp.sum(weight * (values - mean[None]) ** 2)
    error = jnp.sqrt(spread / len(weight))
    return mean, jnp.where(configurations.sampled, error, 0.0)
