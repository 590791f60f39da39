"""Bayesian softmax regression by Laplace's approximation, with joint draws of the weights fixed in `fit`."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.learners.heads.dense import dense
from bal.learners.heads.factored import factored
from bal.learners.heads.features import Features, check_features, check_variance, with_ones
from bal.learners.heads.mode import Mode, Rows, find_mode, spectrum
from bal.learners.settings import check_count
from bal.method import method
from bal.numerics import dot
from bal.typing import Data, Learner, PRNGKey, PyTree

STRUCTURES = {"dense": dense, "factored": factored}


class SoftmaxState(NamedTuple):
    """mode: the most probable weights, those of the bias last. draws: K of the posterior. prior: variance of a weight.

    converged: False where the mode, the prior or the draws were not found within the steps allowed.
    """

    mode: Float[Array, "F C"]
    draws: Float[Array, "K F C"]
    prior: Float[Array, ""]
    converged: Bool[Array, "1"]


@method
def bayesian_softmax(
    num_classes: int,
    num_draws: int,
    features: Features | None = None,
    *,
    prior: float | None = None,
    structure: str = "dense",
) -> Learner:
    """Softmax regression by Laplace's approximation: ``predict`` gives ``log_probs [N, K, C]`` of K joint draws.

    Weights ~ N(0, prior), biases among them, are drawn from ``N(Ŵ, H⁻¹)`` at the mode Ŵ of the posterior, where
    ``H = Σ_i w_i (diag(p_i) - p_i p_iᵀ) ⊗ φ_i φ_iᵀ + I / prior``. Draw k is one set of weights, so the same function at
    every row; the logits of all draws are one matrix product. A row of weight 2 counts twice. ``embed`` gives the
    features ``[N, 1, F]``. One class only, or fewer labels than classes, is no special case: the prior decides.

    Two ways to draw, the same distribution. "dense" has H and its Cholesky factor in float64, ``[C F, C F]``: exact,
    and quick up to some hundred weights, O((C F)³). "factored" never forms
    it: a draw is ``H⁻¹ u`` with ``u = Σ_i √w_i A_i ε_i ⊗ φ_i + ε / √prior ~ N(0, H)``, where ``A_i A_iᵀ = diag(p_i) -
    p_i p_iᵀ`` and ε are standard normal, by conjugate gradients to a residual of 1e-5, a few rows at a time: memory for
    a few arrays ``[F, C]`` beside the draws, at about as many passes over the labels as there are steps, at most 300,
    for each draw.

    A prior that is not given is chosen each round where ``1 / prior = γ / |Ŵ|²``, the maximum of Laplace's evidence at
    a fixed mode, with ``γ = C F - tr(H⁻¹) / prior``, and a hyper-prior worth two weights, with its mode at logits of
    variance 1 at the average labeled row. If factored, the trace is estimated by probes of random signs.

    Use it on features of a frozen encoder, where labels are few; `neural_linear` trains the features.

    Args:
      num_classes: C.
      num_draws: K.
      features: ``x -> [n, F]``, row-wise; None = the inputs themselves, flattened.
      prior: variance of a weight; None = by the evidence.
      structure: "dense" or "factored".

    Raises:
      ValueError: a setting out of range; features not one vector a row; labels that are neither class numbers ``[L]``
        nor distributions ``[L, C]``.
      TypeError: a setting of the wrong kind.

    >>> import numpy as np
    >>> learner = bayesian_softmax(3, num_draws=4)
    >>> data = Data(np.ones((5, 2)), np.arange(5) % 3, np.ones(5))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> jax.jit(learner.predict)(fit(jax.random.key(0), data), data.x).shape
    (5, 4, 3)

    MacKay 1992, "The Evidence Framework Applied to Classification Networks"; draws by perturbation as in Papandreou and
    Yuille 2010, "Gaussian Sampling by Local Perturbations".
    """
    check_count("num_classes", num_classes, least=2)
    check_count("num_draws", num_draws)
    check_features(features)
    check_variance("prior", prior)
    if structure not in STRUCTURES:
        raise ValueError(f"structure is one of {', '.join(STRUCTURES)}, got {structure!r}")
    trace_inverse, draw, settled_at = STRUCTURES[structure]

    def init(key: PRNGKey, data: Data) -> SoftmaxState:
        del key
        phi = with_ones(features, data.x)
        mode = jnp.zeros((phi.shape[1], num_classes), phi.dtype)
        draws = jnp.zeros((num_draws, *mode.shape), phi.dtype)
        return SoftmaxState(mode, draws, jnp.ones((), phi.dtype), jnp.ones(1, bool))

    def fit(key: PRNGKey, state: SoftmaxState, data: Data) -> SoftmaxState:
        rows = _rows(with_ones(features, data.x), data, num_classes)
        key_trace, key_draw = jax.random.split(key)
        start = jnp.zeros_like(state.mode)
        if prior is None:
            found, settled = _by_evidence(partial(trace_inverse, key_trace), rows, start, settled_at)
        else:
            found, settled = find_mode(rows, spectrum(rows), jnp.full((), 1 / prior, start.dtype), start), True
        apart, solved = draw(key_draw, rows, found, num_draws)
        converged = found.converged & solved & settled
        return SoftmaxState(found.weights, found.weights[None] + apart, 1 / found.precision, converged[None])

    def predict(state: SoftmaxState, x: PyTree) -> Float[Array, "N K C"]:
        phi = with_ones(features, x)
        logits = dot(phi, state.draws.transpose(1, 0, 2).reshape(phi.shape[1], -1))
        return jax.nn.log_softmax(logits.reshape(phi.shape[0], num_draws, num_classes), -1)

    def embed(state: SoftmaxState, x: PyTree) -> Float[Array, "N 1 F"]:
        del state
        return with_ones(features, x)[:, None, :-1]

    return Learner(init, fit, predict, embed)


def _rows(phi: Float[Array, "L F"], data: Data, num_classes: int) -> Rows:
    """Labeled rows, those of weight 0 cleared of whatever they hold."""
    y, real = data.y, data.weight > 0
    soft = jnp.ndim(y) == 2
    if not ((soft and y.shape[1] == num_classes) or (jnp.ndim(y) == 1 and jnp.issubdtype(y.dtype, jnp.integer))):
        raise ValueError(
            f"expected integer class numbers [L], or distributions over {num_classes} classes [L, C], as labels, got "
            f"{y.dtype} {list(y.shape)}; for real labels use bayesian_linear"
        )
    y = jnp.where(real[:, None], y, 0).astype(phi.dtype) if soft else jnp.where(real, y, 0)
    return Rows(jnp.where(real[:, None], phi, 0), y, data.weight.astype(phi.dtype))


def _by_evidence(
    trace_inverse: Any, rows: Rows, start: Float[Array, "F C"], settled_at: float
) -> tuple[Mode, Bool[Array, ""]]:
    """The mode at a precision of the prior that suits it, by MacKay's update of the one after the other, until the
    logarithm of the precision moves by no more than `settled_at`."""
    total = rows.weight.sum()
    norms = dot(rows.weight, jnp.sum(rows.phi**2, 1)) / jnp.maximum(total, jnp.finfo(total.dtype).tiny)
    usual = jnp.where(total > 0, norms, 1.0 * rows.phi.shape[1])
    values_and_axes = spectrum(rows)

    def step(carry: tuple) -> tuple:
        at, precision, number = carry
        found = find_mode(rows, values_and_axes, precision, at.weights)
        known = found.weights.size - precision * trace_inverse(rows, found)
        new = (jnp.maximum(known, 0.0) + 2) / (jnp.sum(found.weights**2) + 2 / usual)
        return found, new, number + 1

    apart = lambda at, new: jnp.abs(jnp.log(new / at.precision)) > settled_at
    goes_on = lambda carry: (carry[2] == 0) | apart(*carry[:2]) & (carry[2] < 50)
    axes, none = jnp.zeros((len(start), len(start)), start.dtype), jnp.zeros((), bool)
    first = Mode(start, jnp.ones_like(usual), axes, start, none), usual, jnp.int32(0)
    found, new, _ = jax.lax.while_loop(goes_on, step, first)
    return found, ~apart(found, new)
