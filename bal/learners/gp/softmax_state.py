"""What a softmax of Gaussian processes holds once it is fitted, and the posterior covariance of its latents."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.learners.gp.process import Process
from bal.learners.gp.softmax_laplace import times_gram
from bal.learners.gp.units import Units
from bal.numerics import dot
from bal.typing import PyTree

Processes = tuple[Process, ...]
"""One process for all classes, or one for each."""

Model = Callable[[PyTree], Processes]
"""The processes in their units, as a function of the hyper-parameters."""


class SoftmaxDraws(NamedTuple):
    """S draws of all C latents for each of H draws of hyper-parameters, as `bal.learners.gp.pathwise.Draws` are.

    frequencies: of each process.
    """

    frequencies: tuple[Float[Array, "H F D"], ...]
    weights: Float[Array, "H C S F+F"]
    update: Float[Array, "H C S L"]


class GPSoftmaxState(NamedTuple):
    """What `bal.learners.gp.conditioned.GPState` is for one latent, for C of them, and draws.

    With ``a_c = A_c k_c(X, x)`` and ``v_c = V_c k_c(X, x)``, a' and v' at x', the posterior covariance of latents c and
    d is ``δ_cd (k_c(x, x') - a_c·a'_c) + v_c·v'_d``: whiten is A, coupling is V.
    """

    params: PyTree
    x: Float[Array, "L D"]
    whiten: Float[Array, "H C L L"]
    coupling: Float[Array, "H C L L"]
    alpha: Float[Array, "H C L"]
    draws: SoftmaxDraws
    gap: Float[Array, "H"]
    converged: Bool[Array, "H"]
    num_labels: Int[Array, ""]
    units: Units | None
    chain: PyTree = None


class GPSoftmaxRows(NamedTuple):
    """Embedded rows: inputs, ``a_c``, ``v_c`` less its mean over classes, means of the latents; noise 0 of a class."""

    x: Float[Array, "n D"]
    whitened: Float[Array, "n H C L"]
    coupled: Float[Array, "n H C L"]
    mean: Float[Array, "n H C"]
    noise: Float[Array, "n H"]


def leading(state: GPSoftmaxState, size: int) -> GPSoftmaxState:
    """The state of the first rows, which all real ones must be among."""
    return state._replace(
        x=state.x[:size],
        whiten=state.whiten[..., :size, :size],
        coupling=state.coupling[..., :size, :size],
        alpha=state.alpha[..., :size],
        draws=state.draws._replace(update=state.draws.update[..., :size]),
    )


def covariances(processes: Processes, a: Float[Array, "n D"], b: Float[Array, "m D"]) -> Float[Array, "P n m"]:
    """Prior covariances of each process."""
    return jnp.stack([one.covariance(a, b) for one in processes])


def prior_means(processes: Processes, x: Float[Array, "n D"], num_classes: int) -> Float[Array, "C n"]:
    """Prior mean of each class."""
    means = jnp.stack([one.prior_mean(x) for one in processes])
    return jnp.broadcast_to(means, (num_classes, x.shape[0]))


def embed_rows(
    processes: Processes, x_labeled: Array, x: Array, whiten: Array, coupling: Array, alpha: Array
) -> tuple[Float[Array, "C n L"], Float[Array, "C n L"], Float[Array, "C n"]]:
    """``a_c``, ``v_c`` less its mean over classes, and means, of one draw of hyper-parameters."""
    cross = covariances(processes, x, x_labeled)
    each = jnp.repeat(cross, len(alpha) // len(cross), 0)
    coupled = dot(each, coupling.swapaxes(1, 2))
    mean = prior_means(processes, x, len(alpha)) + times_gram(cross, alpha)
    return dot(each, whiten.swapaxes(1, 2)), coupled - coupled.mean(0, keepdims=True), mean


def mean_pair_covariance(model: Model, state: GPSoftmaxState, a: GPSoftmaxRows, b: GPSoftmaxRows) -> Float[Array, ""]:
    """Posterior covariance of the difference of two latents, averaged over pairs of classes.

    Over several draws of hyper-parameters the mean of theirs plus that of their means.
    """
    num_classes = a.mean.shape[1]
    prior = lambda params, alpha: covariances(model(params), a.x[None], b.x[None]).mean() * len(alpha)
    alone = jax.vmap(prior)(state.params, state.alpha) - jnp.sum(a.whitened * b.whitened, (1, 2))
    apart = lambda mean: mean - mean.mean(0, keepdims=True) - mean.mean(1, keepdims=True) + mean.mean()
    between = jnp.sum(apart(a.mean) * apart(b.mean), 1)
    together = jnp.sum(a.coupled * b.coupled, (1, 2)) + between
    return jnp.mean(2 / num_classes * alone + 2 / (num_classes - 1) * together)
