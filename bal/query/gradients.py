"""Row functions of gradients."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.kernels.gradient import Factors, Gradients, label_gradients, label_residual
from bal.kernels.sketch import check_length, sketch_rows
from bal.method import method
from bal.typing import Posterior, PyTree


def last_layer_gradients(posterior: Posterior, context: PyTree, x: PyTree) -> Gradients:
    """The row function of BADGE: last-layer gradient of the loss at the label that the model would give.

    With ``ŷ = argmax p̄`` the gradient of ``-log p_k(ŷ)`` is ``(p_k - e_ŷ) ⊗ h_k``. Of an ensemble every member gives
    its own factors for the one label that the ensemble predicts, so that inner products sum over members: they are
    gradients of the summed loss in all members' last layers. Where the features are shared by the draws
    (``[n, 1, F]``), the mean prediction gives one pair ``(p̄ - e_ŷ) ⊗ h``. Biases are left out, as in the paper.

    Raises ValueError if the learner has no `embed`, or features for another number of draws than predictions; TypeError
    if it does not predict classes. Of a regression take `features`, or `layer_gradients` with `jnp.ones_like`.

    >>> from bal.typing import Learner
    >>> predict = lambda state, x: jnp.log(jnp.array([[[0.75, 0.25]]]))
    >>> learner = Learner(None, None, predict, lambda state, x: jnp.ones((1, 1, 3)))
    >>> jax.jit(last_layer_gradients)(Posterior(None, learner), None, jnp.ones((1, 1)))[0].outer.tolist()
    [[-0.25, 0.25]]

    Ash, Zhang, Krishnamurthy, Langford, Agarwal 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower
    Bounds" (ICLR); the form for ensembles is ours.
    """
    del context
    found = posterior.predict(x)
    if not hasattr(found, "ndim"):
        raise TypeError(
            f"last_layer_gradients needs a classifier, but this learner predicts a {type(found).__name__}; of a "
            "regression take rows=features, or layer_gradients(..., jnp.ones_like)"
        )
    return label_gradients(found, posterior.embed(x))


@method
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


@method
def sketched(rows: Callable[[Posterior, PyTree, PyTree], PyTree], num_features: int) -> Callable:
    """The row function that sketches what `rows` gives, so that a chunk's gradients are gone when the next comes.

    For row functions without a context of their own, such as `layer_gradients` and `last_layer_gradients`; in
    ``Stage(sketched(last_layer_gradients, 256), lcmd(linear), context=key_context)``. With the same key the rows are
    those of `sketch` behind the stage; of ten members of 64 features and ten classes they take 1 kB in place of 3.

    Raises ValueError for less than one feature, or where the stage has no key as its context.

    >>> from bal.typing import Learner
    >>> learner = Learner(None, None, lambda state, x: x)
    >>> rows = sketched(lambda posterior, context, x: posterior.predict(x), 5)
    >>> jax.jit(rows)(Posterior(None, learner), jax.random.key(0), jnp.ones((2, 3))).shape
    (2, 5)
    """
    check_length(num_features)

    def sketched_rows(posterior: Posterior, context: PyTree, x: PyTree) -> Float[Array, "n m"]:
        if context is None:
            raise ValueError("sketched rows need a key, but the stage has no context; set context=key_context in it")
        return sketch_rows(context, rows(posterior, None, x), num_features)

    return sketched_rows


def _tapped(forward: Callable, posterior: Posterior, x: PyTree, taps: list[Array] | None) -> tuple[Array, list]:
    """Outputs, and the (input, output) of every tapped layer; `taps` are added to the outputs in order."""
    seen: list = []

    def tap(h: Array, z: Array) -> Array:
        seen.append((h, z))
        return z if taps is None else z + taps[len(seen) - 1]

    return forward(posterior.state, x, tap), seen


def _label_residual(outputs: Float[Array, "n *K C"]) -> Float[Array, "n *K C"]:
    return label_residual(jax.nn.softmax(outputs, -1))
