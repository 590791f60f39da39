"""What a network's outputs mean: the loss to train them by, and the predictions they give."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from bal.learners.settings import check_count
from bal.method import brief_repr, method
from bal.typing import ABSTAINED, Gaussian, MultiLabel, PyTree


class Likelihood(NamedTuple):
    """loss: ``outputs [n, O], y [n] -> [n]``, in nats; predictions: ``outputs [K, n, O] -> predictions``."""

    loss: Callable[[Array, Array], Float[Array, "n"]]
    predictions: Callable[[Array], PyTree]

    __repr__ = brief_repr


def _cross_entropy(outputs: Float[Array, "n C"], y: Array) -> Float[Array, "n"]:
    if y.shape == outputs.shape and jnp.issubdtype(y.dtype, jnp.floating):
        return optax.losses.softmax_cross_entropy(outputs, y.astype(outputs.dtype))
    _check_labels(outputs, y)
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise ValueError(f"expected integer class numbers as labels, got {y.dtype}; for real labels use gaussian()")
    return optax.losses.softmax_cross_entropy_with_integer_labels(outputs, y)


def _log_probs(outputs: Float[Array, "K n C"]) -> Float[Array, "n K C"]:
    return jax.nn.log_softmax(outputs, -1).transpose(1, 0, 2)


categorical = Likelihood(_cross_entropy, _log_probs)
"""Classes: the C outputs are logits, labels are integers ``[n]``, predictions are ``log_probs [n, K, C]``.

Labels may be soft, ``[n, C]``, each a distribution q over classes: the loss is the cross entropy ``-Σ_c q_c log p_c``.
The loss raises ValueError where labels are neither integers, one a row, nor distributions.
"""


def _binary_cross_entropies(outputs: Float[Array, "n G"], y: Array) -> Float[Array, "n"]:
    if y.shape != outputs.shape:
        raise ValueError(f"expected labels of shape {outputs.shape}, one for each output, got {y.shape}")
    told = y != ABSTAINED
    each = optax.losses.sigmoid_binary_cross_entropy(outputs, jnp.where(told, y, 0).astype(outputs.dtype))
    return jnp.sum(jnp.where(told, each, 0.0), -1)


multi_label = Likelihood(_binary_cross_entropies, lambda outputs: MultiLabel(outputs.transpose(1, 0, 2)))
"""Several labels a row, each there or not: the G outputs are log odds, ``y [n, G]`` are 0 or 1 (or probabilities).

The loss is the sum of binary cross entropies over the labels that were told: one that is `bal.typing.ABSTAINED` ("I
don't know") teaches nothing, and the others of its row do. Predictions are a `bal.typing.MultiLabel`.
"""


@method
def gaussian(noise: float | None = None) -> Likelihood:
    """Real labels: the first output is the mean; predictions are a `Gaussian` of variance zero given the draw.

    With `noise`, the known variance of the labels, a network has one output. Without it the network has a second one,
    and the noise is its softplus plus 1e-6: heteroscedastic, learned by maximum likelihood. An ensemble of such members
    is a mixture of K normals of equal weight; for several normals a member see `mixture_density`.

    Raises ValueError for a noise that is not positive, outputs of another number, or labels that are not one a row.

    >>> prediction = gaussian(0.25).predictions(jnp.ones((3, 2, 1)))
    >>> prediction.mean.shape, float(prediction.noise[0, 0]), float(prediction.variance[0, 0])
    ((2, 3), 0.25, 0.0)

    Nix and Weigend 1994, "Estimating the Mean and Variance of the Target Probability Distribution"; as members of an
    ensemble in Lakshminarayanan et al. 2017.
    """
    if noise is not None and not 0 < noise < float("inf"):
        raise ValueError(f"noise is the variance of the labels and must be positive and finite, got {noise}")
    num_outputs = 2 if noise is None else 1

    def moments(outputs: Float[Array, "*shape O"]) -> tuple[Array, Array]:
        if outputs.shape[-1] != num_outputs:
            raise ValueError(f"expected a network of num_outputs={num_outputs}, got {outputs.shape[-1]} outputs")
        mean = outputs[..., 0]
        return mean, jnp.full_like(mean, noise) if noise is not None else jax.nn.softplus(outputs[..., 1]) + 1e-6

    def loss(outputs: Float[Array, "n O"], y: Array) -> Float[Array, "n"]:
        _check_labels(outputs, y)
        mean, variance = moments(outputs)
        return 0.5 * (jnp.log(2 * jnp.pi * variance) + (y - mean) ** 2 / variance)

    def predictions(outputs: Float[Array, "K n O"]) -> Gaussian:
        mean, variance = moments(outputs)
        return Gaussian(mean.T, jnp.zeros_like(mean.T), variance.T)

    return Likelihood(loss, predictions)


@method
def mixture_density(num_components: int) -> Likelihood:
    """Real labels of several modes: ``p(y | x) = Σ_m π_m N(y; μ_m, σ²_m)``; predictions are its moments, a `Gaussian`.

    A network has 3 M outputs: M logits of π, M means, M of which softplus plus 1e-6 is σ². It is trained by the
    mixture's likelihood. Scores see the two moments that each draw has: mean ``Σ π μ``, noise ``Σ π (σ² + μ²) -
    mean²``, variance zero; so the disagreement of members is that of their means, and an NLL of predictions is that of
    moments, not of modes. One component is `gaussian()`.

    Use it where one input has labels around several values, which a normal would blur into noise between them.

    Raises ValueError for fewer than one component, outputs of another number, or labels that are not one a row.

    >>> prediction = mixture_density(2).predictions(jnp.array([[[0.0, 0.0, -1.0, 1.0, 0.0, 0.0]]]))
    >>> float(prediction.mean[0, 0]), round(float(prediction.noise[0, 0]), 4)
    (0.0, 1.6931)

    Bishop 1994, "Mixture Density Networks".
    """
    check_count("num_components", num_components)

    def parts(outputs: Float[Array, "*shape O"]) -> tuple[Array, Array, Array]:
        if outputs.shape[-1] != 3 * num_components:
            raise ValueError(
                f"expected a network of num_outputs={3 * num_components}, three for each of the {num_components} "
                f"components, got {outputs.shape[-1]} outputs"
            )
        logits, mean, spread = jnp.split(outputs, 3, -1)
        return jax.nn.log_softmax(logits, -1), mean, jax.nn.softplus(spread) + 1e-6

    def loss(outputs: Float[Array, "n O"], y: Array) -> Float[Array, "n"]:
        _check_labels(outputs, y)
        log_share, mean, variance = parts(outputs)
        log_density = -0.5 * (jnp.log(2 * jnp.pi * variance) + (y[:, None] - mean) ** 2 / variance)
        return -jax.nn.logsumexp(log_share + log_density, -1)

    def predictions(outputs: Float[Array, "K n O"]) -> Gaussian:
        log_share, mean, variance = parts(outputs)
        share = jnp.exp(log_share)
        whole = jnp.sum(share * mean, -1)
        noise = jnp.sum(share * (variance + (mean - whole[..., None]) ** 2), -1)
        return Gaussian(whole.T, jnp.zeros_like(whole.T), noise.T)

    return Likelihood(loss, predictions)


def _check_labels(outputs: Float[Array, "n O"], y: Array) -> None:
    """A column ``[n, 1]`` would pair every label with every row."""
    if y.shape != outputs.shape[:1]:
        raise ValueError(
            f"expected one label for each of {outputs.shape[0]} rows, got labels of shape {y.shape}; "
            "use y[:, 0] where they are a column"
        )
