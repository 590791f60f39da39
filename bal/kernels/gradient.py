"""Gradients of a network's loss, kept as the two factors of an outer product.

The gradient with respect to the weights of a dense layer is ``a ⊗ h``: the derivative `a` at the layer's output times
the layer's input `h`. So ``(a ⊗ h)·(a' ⊗ h') = (a·a')(h·h')``, and the long vector is never made.
"""

from collections.abc import Callable
from functools import lru_cache, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.kernels.kernel import Kernel, make_kernel
from bal.kernels.linear import dot
from bal.typing import Candidates, Posterior, PyTree


class Factors(NamedTuple):
    """The gradients ``outer_n ⊗ inner_n`` of one layer: `outer` at its output, `inner` its input."""

    outer: Float[Array, "n C"]
    inner: Float[Array, "n F"]


Gradients = tuple[Factors, ...]
"""One `Factors` for each layer or ensemble member; inner products add up over them."""


def gradient(candidates: Candidates) -> Kernel:
    """``k(x, x') = Σ_l (a_l·a_l')(h_l·h_l')``: inner product of gradients given as `Gradients`.

    Raises ValueError if the rows are not a tuple of `Factors`.

    >>> rows = (Factors(jnp.ones((2, 3)), jnp.ones((2, 5))),)
    >>> candidates = Candidates(rows, jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2))
    >>> gradient(candidates).diag().tolist()
    [15.0, 15.0]
    """
    check_gradients(candidates.rows)
    return make_kernel(candidates, lambda rows: rows, None, _pair)


def last_layer_gradients(posterior: Posterior, context: PyTree, x: PyTree) -> Gradients:
    """The row function of BADGE: last-layer gradient of the loss at the label that the model would give.

    With ``ŷ = argmax p̄`` the gradient of ``-log p_k(ŷ)`` is ``(p_k - e_ŷ) ⊗ h_k``. Of an ensemble every member gives
    its own factors for the one label that the ensemble predicts, so that inner products sum over members: they are
    gradients of the summed loss in all members' last layers. Where the features are shared by the draws
    (``[n, 1, F]``), the mean prediction gives one pair ``(p̄ - e_ŷ) ⊗ h``. Biases are left out, as in the paper.

    Raises ValueError if the learner has no `embed`, or features for another number of draws than predictions.

    Ash, Zhang, Krishnamurthy, Langford, Agarwal 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower
    Bounds" (ICLR); the form for ensembles is ours.

    >>> from bal.typing import Learner
    >>> predict = lambda state, x: jnp.log(jnp.array([[[0.75, 0.25]]]))
    >>> learner = Learner(None, None, predict, lambda state, x: jnp.ones((1, 1, 3)))
    >>> last_layer_gradients(Posterior(None, learner), None, jnp.ones((1, 1)))[0].outer.tolist()
    [[-0.25, 0.25]]
    """
    del context
    return label_gradients(posterior.predict(x), posterior.embed(x))


def label_gradients(log_probs: Float[Array, "n K C"], features: Float[Array, "n M F"]) -> Gradients:
    """Factors ``(p_k - e_ŷ, h_k)`` of the hypothetical label ``ŷ = argmax_c p̄``; see `last_layer_gradients`."""
    probs = jnp.exp(log_probs)
    mean = probs.mean(1, keepdims=True)
    if features.shape[1] == 1:
        probs = mean
    elif features.shape[1] != probs.shape[1]:
        raise ValueError(
            f"expected features of every draw or one for all, got {features.shape[1]} for {probs.shape[1]} draws"
        )
    outer = probs - jax.nn.one_hot(mean.argmax(-1), mean.shape[-1], dtype=probs.dtype)
    return tuple(Factors(outer[:, k], features[:, k]) for k in range(features.shape[1]))


@lru_cache
def layer_gradients(
    forward: Callable[[PyTree, PyTree, Callable], Array], cotangent: Callable[[Array], Array] | None = None
) -> Callable[[Posterior, PyTree, PyTree], Gradients]:
    """The row function of full gradients: the factors of every dense layer, from one forward and one backward pass.

    `forward` is ``state, x, tap -> outputs [n, C]`` (of an ensemble ``[n, K, C]``) and passes every dense layer through
    ``tap(h, h @ W) -> h @ W``; append a one to `h` to count a bias in. Layers that are not tapped are left out. For an
    ensemble it is ``bal.learners.tapped_members(network)``. `cotangent` maps outputs to the derivative of what is
    differentiated: by default that of the loss at the label the model would give, ``softmax(outputs) - e_ŷ`` with
    ``ŷ = argmax p̄``; `jnp.ones_like` gives the gradient of a regression output, whose inner products are the empirical
    neural tangent kernel. Follow with `sketch` for features of any length.

    >>> from bal.typing import Learner
    >>> forward = lambda w, x, tap: tap(x, x @ w)
    >>> rows = layer_gradients(forward, jnp.ones_like)
    >>> posterior = Posterior(jnp.ones((2, 1)), Learner(None, None, None))
    >>> [(f.outer.tolist(), f.inner.tolist()) for f in rows(posterior, None, jnp.array([[1.0, 2.0]]))]
    [([[1.0]], [[1.0, 2.0]])]
    """
    at_outputs = _label_residual if cotangent is None else cotangent

    def rows(posterior: Posterior, context: PyTree, x: PyTree) -> Gradients:
        del context
        taps = [jnp.zeros(z.shape, z.dtype) for _, z in jax.eval_shape(lambda: _tapped(forward, posterior, x, None)[1])]
        outputs, pull, inner = jax.vjp(lambda taps: _tapped(forward, posterior, x, taps), taps, has_aux=True)
        (outer,) = pull(at_outputs(outputs))
        return tuple(Factors(a, h) for a, (h, _) in zip(outer, inner))

    return rows


def check_gradients(rows: PyTree) -> None:
    """Rows of gradient kernels are a tuple of `Factors`."""
    if not (isinstance(rows, tuple) and rows and all(isinstance(block, Factors) for block in rows)):
        raise ValueError(
            f"expected a tuple of Factors as rows, got {type(rows).__name__}; use last_layer_gradients in the stage"
        )


def _pair(params: PyTree, a: Gradients, b: Gradients) -> Array:
    products = (dot(params, x.outer, y.outer) * dot(params, x.inner, y.inner) for x, y in zip(a, b))
    return reduce(jnp.add, products)


def _tapped(forward: Callable, posterior: Posterior, x: PyTree, taps: list[Array] | None) -> tuple[Array, list]:
    """Outputs, and the (input, output) of every tapped layer; `taps` are added to the outputs in order."""
    seen: list = []

    def tap(h: Array, z: Array) -> Array:
        seen.append((h, z))
        return z if taps is None else z + taps[len(seen) - 1]

    return forward(posterior.state, x, tap), seen


def _label_residual(outputs: Float[Array, "n *K C"]) -> Float[Array, "n *K C"]:
    probs = jax.nn.softmax(outputs, -1)
    mean = probs if outputs.ndim == 2 else probs.mean(1, keepdims=True)
    return probs - jax.nn.one_hot(mean.argmax(-1), outputs.shape[-1], dtype=outputs.dtype)
