"""Joint draws of the C latent functions of a softmax, as functions of the input."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.learners.gp.features import draw_prior, features
from bal.learners.gp.softmax_laplace import SoftmaxApproximation, times_gram
from bal.learners.gp.softmax_state import Processes, SoftmaxDraws
from bal.numerics import dot
from bal.typing import PRNGKey


def draw(
    key: PRNGKey,
    processes: Processes,
    x: Float[Array, "L D"],
    gram: Float[Array, "P L L"],
    weight: Float[Array, "L"],
    found: SoftmaxApproximation,
    num_draws: int,
    half: int,
) -> SoftmaxDraws:
    """Draws of the prior, moved to the labels: with η ~ N(0, W) and ``P = (K + W⁻¹)⁻¹`` the update of a prior draw f is
    ``α - P f(X) - (I - P K) η``, so that its covariance with what is drawn is that of the posterior."""
    num_classes, keys = len(found.alpha), jax.random.split(key, 1 + 2 * len(processes))
    each = num_classes // len(processes)

    def prior(number: int) -> tuple[Array, Array, Array]:
        kernel = processes[number].kernel
        frequencies, weights = draw_prior(keys[2 * number + 1], keys[2 * number + 2], kernel, x, each * num_draws, half)
        f = dot(weights, features(kernel, frequencies, x).T)
        return frequencies, weights.reshape(each, num_draws, -1), f.reshape(each, num_draws, -1)

    frequencies, weights, f = zip(*map(prior, range(len(processes))))
    noise = jax.random.normal(keys[0], (num_classes, num_draws, len(x)), x.dtype) * jnp.sqrt(found.probs)[:, None]
    noise = jnp.sqrt(weight)[None, None] * (noise - found.probs[:, None] * noise.sum(0, keepdims=True))

    def update(f: Float[Array, "C L"], noise: Float[Array, "C L"]) -> Float[Array, "C L"]:
        return found.alpha - noise - found.blocks.times(f - times_gram(gram, noise))

    moved = jax.vmap(update, in_axes=1, out_axes=1)(jnp.concatenate(f), noise)
    return SoftmaxDraws(frequencies, jnp.concatenate(weights), moved)


def values(
    processes: Processes, draws: SoftmaxDraws, x_labeled: Float[Array, "L D"], x: Float[Array, "n D"]
) -> Float[Array, "n S C"]:
    """The latents at rows, of one draw of hyper-parameters."""
    num_classes, num_draws, _ = draws.update.shape
    each = num_classes // len(processes)

    def latents(number: int) -> Float[Array, "n c S"]:
        process, part = processes[number], slice(number * each, (number + 1) * each)
        flat = lambda leaf: leaf[part].reshape(each * num_draws, -1).T
        f = dot(features(process.kernel, draws.frequencies[number], x), flat(draws.weights))
        f = f + dot(process.covariance(x, x_labeled), flat(draws.update)) + process.prior_mean(x)[:, None]
        return f.reshape(x.shape[0], each, num_draws)

    return jnp.concatenate([latents(number) for number in range(len(processes))], 1).swapaxes(1, 2)
