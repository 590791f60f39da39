"""The learners of `bal.learners` around one network and one training, so that what differs is the posterior."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import optax

from bal.learners import (
    batch_ensemble,
    bayesian_linear,
    bayesian_softmax,
    categorical,
    ensemble,
    epinet,
    gaussian,
    laplace,
    linear,
    masksembles,
    mc_dropout,
    mcmc,
    mean_field,
    mile,
    mlp,
    neural_linear,
    normal_inverse_gamma,
    snapshot,
    swag,
    vbll,
    vbll_regression,
)
from bal.typing import Learner

Name = Literal[
    "network",
    "ensemble",
    "mc-dropout",
    "snapshot",
    "batch-ensemble",
    "masksembles",
    "epinet",
    "swag",
    "multiswag",
    "mean-field",
    "vbll",
    "vbll-full",
    "last-kfac",
    "last-whole",
    "laplace-diag",
    "laplace-kfac",
    "neural-linear",
    "softmax",
    "linear",
    "linear-gamma",
    "gp",
    "gp-softmax",
    "mile",
    "mcmc-softmax",
]
NOISE = 0.1
"""Variance of the labels, in units of theirs, that a network of a regression is trained by where its head finds it."""


@dataclass(frozen=True)
class Sizes:
    """What all learners share."""

    hidden: int = 64
    """Hidden units of a network."""
    members: int = 10
    """Networks of an ensemble, and members that share weights."""
    draws: int = 20
    """Draws of all other posteriors."""
    steps: int = 300
    """AdamW steps of a training."""
    minibatch_size: int = 32
    """Rows of a step."""
    learning_rate: float = 3e-3
    """AdamW's learning rate."""
    weight_decay: float = 0.1
    """AdamW's weight decay."""


def trained_by(sizes: Sizes) -> dict[str, Any]:
    """The training that learners share, as they take it."""
    optimizer = optax.adamw(sizes.learning_rate, weight_decay=sizes.weight_decay)
    return {"optimizer": optimizer, "num_steps": sizes.steps, "minibatch_size": sizes.minibatch_size}


def learners(num_features: int, num_classes: int | None, sizes: Sizes) -> dict[Name, Callable[[], Learner]]:
    """Every learner by name, made when it is called; for a regression, whose labels have about unit variance, without
    classes.

    Members that share a training get a minibatch of their own, as those of an ensemble do, and fewer rows each.
    """
    hidden, members, draws = sizes.hidden, sizes.members, sizes.draws
    steps, minibatch = sizes.steps, sizes.minibatch_size
    rate, decay = sizes.learning_rate, sizes.weight_decay
    likelihood, outputs = (gaussian(), 2) if num_classes is None else (categorical, num_classes)
    shape = trained_by(sizes)
    trained = {**shape, "likelihood": likelihood}
    shared = {**trained, "minibatch_size": max(1, minibatch // 4)}
    network = mlp((hidden,), outputs)
    common: dict[Name, Callable[[], Learner]] = {
        "network": lambda: ensemble(network, 1, **trained),
        "ensemble": lambda: ensemble(network, members, **trained),
        "mc-dropout": lambda: mc_dropout(mlp((hidden,), outputs, dropout=0.25), draws, **trained),
        "snapshot": lambda: snapshot(
            network, 5, **{**trained, "optimizer": optax.adamw(3 * rate, weight_decay=decay), "num_steps": steps // 3}
        ),
        "batch-ensemble": lambda: batch_ensemble(network, members, **shared),
        "masksembles": lambda: masksembles(network, members, **shared),
        "epinet": lambda: epinet(network, draws, **trained),
        "swag": lambda: swag(network, draws, **trained),
        "multiswag": lambda: swag(network, draws, num_members=5, **trained),
        "mean-field": lambda: mean_field(
            network, draws, kl_weight=0.1, num_steps=2 * steps, minibatch_size=minibatch, likelihood=likelihood
        ),
        "mile": lambda: mile(network, draws, **trained),
        "last-kfac": lambda: laplace(network, draws, "last_kfac", **trained),
        "last-whole": lambda: laplace(network, draws, "last_layer", **trained),
        "laplace-diag": lambda: laplace(network, draws, "diagonal", **trained),
        "laplace-kfac": lambda: laplace(network, draws, "kfac", **trained),
    }
    if num_classes is not None:
        return {
            **common,
            "vbll": lambda: vbll(network, draws, **shape),
            "vbll-full": lambda: vbll(network, draws, diagonal=False, **shape),
            "neural-linear": lambda: neural_linear(
                network, bayesian_softmax(num_classes, draws, structure="factored"), **trained
            ),
            "softmax": lambda: bayesian_softmax(num_classes, draws),
            "gp-softmax": lambda: _gp(num_features, num_classes, draws),
            "mcmc-softmax": lambda: mcmc(linear(num_classes), draws, prior_scale=0.5),
        }
    one, known = mlp((hidden,), 1), {**trained, "likelihood": gaussian(NOISE)}
    return {
        **common,
        "vbll": lambda: vbll_regression(one, **shape),
        "neural-linear": lambda: neural_linear(one, bayesian_linear(), **known),
        "linear": bayesian_linear,
        "linear-gamma": lambda: normal_inverse_gamma(8),
        "gp": lambda: _gp(num_features, None, 1),
    }


def _gp(num_features: int, num_classes: int | None, num_draws: int) -> Learner:
    """A Gaussian process whose parameters maximize the evidence times a prior: a length a feature, of classes one."""
    from gpjax.kernels import Matern52  # starts the devices when it is imported
    from gpjax.mean_functions import Constant
    from gpjax.parameters import PositiveReal
    from numpyro.distributions import LogNormal

    from bal.learners.gp import gp_regression, gp_softmax, maximum_likelihood, prior, process

    typical, shape = num_features**0.5, () if num_classes else (num_features,)
    kernel = Matern52(lengthscale=PositiveReal(jnp.full(shape, typical)), n_dims=num_features)
    length = (lambda process: process.kernel.lengthscale, LogNormal(1 + math.log(typical), 0.5))
    scale = (lambda process: process.kernel.variance, LogNormal(0.0, 1.0))
    if num_classes is not None:
        return gp_softmax(
            process(kernel), num_classes, num_draws, maximum_likelihood(10), log_prior=prior(length, scale)
        )
    noise = (lambda process: process.noise, LogNormal(-1.5, 1.5))
    return gp_regression(
        process(kernel, 0.1, Constant(0.0)), maximum_likelihood(20), log_prior=prior(length, scale, noise)
    )
