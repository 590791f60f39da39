"""What the difference of two rewards says about the answer: the likelihoods of Bradley-Terry and of Thurstone."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr, ndtr, ndtri
from jaxtyping import Array, Float

from bal.learners import Likelihood
from bal.learners.settings import named


class Comparison:
    """``p(first preferred) = g(d)`` for ``d = reward(first) - reward(second)``; called, it gives ``log g(d)``.

    probability: ``g(d)``. difference: d from ``log_probs [..., 2]``, of the second item and the first.
    information: of an answer about d, ``g'(d)² / g(d) g(-d)``.
    probit_scale: ``Φ(d · scale)`` is g, or close to it.
    likelihood: for a network whose one output is d.
    """

    def __init__(
        self,
        name: str,
        log_prob: Callable,
        probability: Callable,
        difference: Callable,
        information: Callable,
        probit_scale: float,
    ):
        """A comparison that is found in this module under its name, as functions are."""
        self.__name__ = self.__qualname__ = name
        self._log_prob, self.probability = log_prob, probability
        self.difference, self.information = difference, information
        self.probit_scale = probit_scale
        self.likelihood = Likelihood(self._loss, self._predictions)

    def __call__(self, d: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """``log g(d)``; the second item has ``log g(-d)``."""
        return self._log_prob(d)

    def log_probs(self, d: Float[Array, "*shape"]) -> Float[Array, "*shape 2"]:
        """Log probabilities of answers 0 (the second item) and 1 (the first)."""
        return jnp.stack([self(-d), self(d)], -1)

    def __repr__(self) -> str:
        return self.__name__

    def __reduce__(self) -> str:
        return self.__name__

    def _loss(self, outputs: Float[Array, "n O"], y: Array) -> Float[Array, "n"]:
        _check_outputs(outputs)
        if y.shape != outputs.shape[:1]:
            raise ValueError(f"expected one answer a pair, 1 or 0, for {outputs.shape[0]} pairs, got shape {y.shape}")
        d, share = outputs[:, 0], y.astype(outputs.dtype)
        return -share * self(d) - (1 - share) * self(-d)

    def _predictions(self, outputs: Float[Array, "K n O"]) -> Float[Array, "n K 2"]:
        _check_outputs(outputs)
        return self.log_probs(outputs[:, :, 0].T)


def check_comparison(comparison: Any) -> None:
    """A `Comparison`.

    >>> check_comparison("bradley_terry")
    Traceback (most recent call last):
    TypeError: expected a comparison, bradley_terry or thurstone, got an object of type str
    """
    if not isinstance(comparison, Comparison):
        raise TypeError(f"expected a comparison, bradley_terry or thurstone, got {named(comparison)}")


def _check_outputs(outputs: Array) -> None:
    if outputs.shape[-1] != 1:
        raise ValueError(f"a reward is one number: expected a network of num_outputs=1, got {outputs.shape[-1]}")


def _logistic_difference(log_probs: Float[Array, "*shape 2"]) -> Float[Array, "*shape"]:
    return log_probs[..., 1] - log_probs[..., 0]


def _logistic_information(d: Array) -> Array:
    tail = jnp.exp(-jnp.abs(d))
    return tail / (1 + tail) ** 2


def _probit_difference(log_probs: Float[Array, "*shape 2"]) -> Float[Array, "*shape"]:
    rare = jnp.where(log_probs[..., 1] >= log_probs[..., 0], log_probs[..., 0], log_probs[..., 1])
    least = math.log(jnp.finfo(log_probs.dtype).tiny)
    away = -ndtri(jnp.exp(jnp.where(rare < least, least, rare)))
    return jnp.where(log_probs[..., 1] >= log_probs[..., 0], away, -away)


def _probit_information(d: Array) -> Array:
    return jnp.exp(-(d**2) - math.log(2 * math.pi) - log_ndtr(d) - log_ndtr(-d))


bradley_terry = Comparison(
    "bradley_terry", jax.nn.log_sigmoid, jax.nn.sigmoid, _logistic_difference, _logistic_information, 1 / 1.702
)
"""The logistic likelihood ``g(d) = 1 / (1 + e⁻ᵈ)``: rewards are logits. A probit stands in for it up to .0095 of
probability where a normal is to be integrated in closed form. Bradley and Terry 1952."""

thurstone = Comparison("thurstone", log_ndtr, ndtr, _probit_difference, _probit_information, 1.0)
"""The probit likelihood ``g(d) = Φ(d)``: each reward is perceived with normal noise of variance ½. Differences are read
back from predictions up to 13 in float32, beyond which a probability is 0. Thurstone 1927, case V."""
