"""What Laplace's approximation needs of a network, seen at its dense layers: curvature at labels, and its tangent."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.learners.likelihood import Likelihood
from bal.learners.networks import Network
from bal.numerics import dot
from bal.typing import Gaussian, PyTree


class Layer(NamedTuple):
    """A dense layer at n rows: inputs (and a one for the bias), slopes of S coordinates of the loss, and its weights.

    The Gauss-Newton matrix of a row is ``Σ_s v vᵀ`` with ``v = inner ⊗ outer_s``.
    """

    inner: Float[Array, "n I"]
    outer: Float[Array, "n S O"]
    weights: Float[Array, "I O"]


def layers_at(network: Network, likelihood: Likelihood, params: PyTree, x: PyTree) -> tuple[Layer, ...]:
    """All dense layers, in the order in which they are called."""
    seen: list[tuple[Array, Array, Array]] = []
    if network.tapped is None:
        raise ValueError("laplace needs a network with `tapped`; make it by bal.learners.network")
    network.tapped(params, x, lambda h, z, w: seen.append((h, z, w)) or z)
    if not seen:
        raise ValueError("laplace needs a network with a dense layer, nnx.Linear or linen.Dense; got one with none")
    zeros = [jnp.zeros_like(z) for _, z, _ in seen]
    outputs, pull = jax.vjp(lambda added: _outputs(network, params, x, lambda i, h: added[i]), zeros)
    root = jax.vmap(lambda row: curvature_root(likelihood, row))(outputs)
    (outer,) = jax.vmap(pull)(root.transpose(2, 0, 1))
    return tuple(Layer(h, g.swapaxes(0, 1), w) for (h, _, w), g in zip(seen, outer, strict=True))


def tangent(
    network: Network, params: PyTree, x: PyTree, draws: Sequence[Float[Array, "K ..."]]
) -> Float[Array, "n K O"]:
    """Outputs to first order of networks whose last layers have weights moved by the draws, in order.

    A draw moves what a layer gives by ``h step``, for all draws one product; from there on the network is linear.
    """
    shapes: list[Array] = []
    jax.eval_shape(lambda: network.tapped(params, x, lambda h, z, w: shapes.append(z) or z))  # pyright: ignore
    first = len(shapes) - len(draws)

    def moved(added: Sequence[Array]) -> tuple[Array, list[Array]]:
        seen: list[Array] = []
        add = lambda i, h: seen.append(h) or added[i - first] if i >= first else 0.0
        return _outputs(network, params, x, add), seen

    outputs, push, seen = jax.linearize(moved, [jnp.zeros(z.shape, z.dtype) for z in shapes[first:]], has_aux=True)
    return outputs[:, None] + jax.vmap(push, 1, 1)([_by_draws(h, draw) for h, draw in zip(seen, draws, strict=True)])


def _by_draws(h: Float[Array, "n I"], draws: Float[Array, "K I O"]) -> Float[Array, "n K O"]:
    num_draws, size, num_outputs = draws.shape
    return dot(h, draws.transpose(1, 0, 2).reshape(size, -1)).reshape(len(h), num_draws, num_outputs)


def curvature_root(likelihood: Likelihood, outputs: Float[Array, "O"]) -> Float[Array, "O S"]:
    """A root of the Fisher information of a label about the outputs, ``A Aᵀ = E[∇ log p(y) ∇ log p(y)ᵀ]``.

    For classes ``A = ∂ log p / ∂ outputs · √p``; for a normal the derivatives of mean and noise over √noise and √2
    noise. Of `categorical` and `gaussian(noise)` it is the Hessian of the loss.

    >>> from bal.learners import categorical
    >>> import numpy as np
    >>> root = np.asarray(jax.jit(curvature_root, static_argnums=0)(categorical, np.zeros(2)))
    >>> (root @ root.T).round(4).tolist()
    [[0.25, -0.25], [-0.25, 0.25]]
    """
    predict = lambda outputs: likelihood.predictions(outputs[None, None])
    found = jax.eval_shape(predict, outputs)
    if isinstance(found, Gaussian):
        moments = lambda outputs: jnp.stack([predict(outputs).mean[0, 0], predict(outputs).noise[0, 0]])
        noise = moments(outputs)[1]
        return jax.jacfwd(moments)(outputs).T / jnp.stack([jnp.sqrt(noise), jnp.sqrt(2.0) * noise])[None]
    if not hasattr(found, "ndim"):
        raise TypeError(f"laplace knows likelihoods of classes and of normal labels, got {type(found).__name__}")
    log_probs = lambda outputs: predict(outputs)[0, 0]
    return jax.jacfwd(log_probs)(outputs).T * jnp.exp(log_probs(outputs) / 2)[None]


def _outputs(network: Network, params: PyTree, x: PyTree, add: Callable) -> Float[Array, "n O"]:
    """Outputs, with ``add(number, input)`` added to the product of each layer."""
    number = -1

    def tap(h: Array, z: Array, w: Array) -> Array:
        del w
        nonlocal number
        number += 1
        return z + add(number, h)

    return network.tapped(params, x, tap)  # pyright: ignore[reportOptionalCall]
