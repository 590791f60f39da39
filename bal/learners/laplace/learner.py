"""A trained network and a normal posterior of the weights of its dense layers, by which it is moved to first order."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from bal.learners.heads.evidence import prior_precision
from bal.learners.heads.features import check_variance
from bal.learners.laplace.structures import diagonal, full, kfac, last_kfac, last_layer
from bal.learners.laplace.tapped import Layer, layers_at, tangent
from bal.learners.likelihood import Likelihood, categorical
from bal.learners.networks import Network
from bal.learners.networks.network import features_of
from bal.learners.restart import Restart, cold
from bal.learners.settings import check_count
from bal.learners.training import check_training, network_loss, train
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree

STRUCTURES = {"last_kfac": last_kfac, "last_layer": last_layer, "diagonal": diagonal, "kfac": kfac, "full": full}


class LaplaceState(NamedTuple):
    """The trained network, K draws of what its dense layers are moved by, and the variance of a weight a priori.

    Of a last layer alone there is one layer of draws. converged: False where the prior was not found.
    """

    params: PyTree
    draws: tuple[Float[Array, "K I O"], ...]
    prior: Float[Array, ""]
    converged: Bool[Array, "1"]


@method
def laplace(
    network: Network,
    num_draws: int,
    structure: str = "last_kfac",
    *,
    prior: float | None = None,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 64,
    restart: Restart = cold,
    likelihood: Likelihood = categorical,
) -> Learner:
    """Laplace's approximation of a trained network, linearized: K joint draws of predictions for the price of one fit.

    Weights of the dense layers, biases among them, are drawn from ``N(θ̂, (H + I / prior)⁻¹)`` at the trained θ̂, with
    the generalized Gauss-Newton matrix ``H = Σ_i w_i J_iᵀ Λ_i J_i`` and Λ the Fisher information of a label about the
    outputs; draw k predicts by ``f(x; θ̂) + J(x) (θ_k - θ̂)``, which a Gauss-Newton matrix is exact for. So a linear
    network of normal labels has its exact posterior covariance. Convolutions and norms stay as they were trained.
    ``predict`` gives what the likelihood makes of outputs, ``embed`` the features ``[N, 1, F]``.

    - "last_kfac": of the last dense layer, which must give the outputs, a Kronecker product of inputs and slopes; its
      variance grows in feature space, for any number of classes. Costs an eigendecomposition of the features' second
      moments, and one product beside the network's own pass for all draws.
    - "last_layer": all weights of the last layer together, at most 5,000 of them, by a Cholesky factor in float64:
      several trainings of a small network at 1,290 weights.
    - "diagonal": every weight of every layer by itself; the cheapest, and too sure of sums of weights.
    - "kfac": layer by layer such a Kronecker product.
    - "full": all weights together, at most 5,000 of them, by eigenvectors in float64, which cost O(P³) many times over.

    A prior that is not given is chosen each round at the maximum of Laplace's evidence given θ̂ and H,
    ``1 / prior = γ / |θ̂|²`` with ``γ = Σ λ / (λ + 1 / prior)`` over the eigenvalues of H, and a hyper-prior worth two
    weights of variance 1. A "last_layer" of more than 300 weights takes the eigenvalues of its Kronecker product, by
    which the precision comes out somewhat higher than by its own. What the network is trained by need not agree with
    it; but a network that is trained until it is certain leaves no curvature, and draws as wide as the prior: train it
    with weight decay (``optax.adamw``), or give a prior. A training that ends in NaN gives NaN.

    Use it where one network is what can be afforded; linearized, it underfits less than sampled weights do. Beside the
    mode of a last layer given the features, ``neural_linear(network, bayesian_softmax(...))``, it costs little.

    Args:
      network: with dense layers that see one vector a row, each called once.
      num_draws: K.
      structure: "last_kfac", "last_layer", "diagonal", "kfac" or "full".
      prior: variance of a weight; None = by the evidence.
      optimizer: Adam at 1e-3 unless given.
      num_steps, minibatch_size: length of a training and rows of a step.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`.
      likelihood: `categorical`, or `gaussian(...)` for real labels; then ``predict`` gives a `Gaussian`.

    Raises:
      ValueError: a setting out of range; from `init`, layers that see several vectors a row, or no dense layer; from
        `fit`, too many weights for a whole matrix.
      TypeError: a setting of the wrong kind.

    >>> import numpy as np
    >>> from bal.learners import laplace, mlp
    >>> learner = laplace(mlp((8,), num_outputs=2), num_draws=3, num_steps=5)
    >>> data = Data(np.ones((4, 2)), np.array([0, 1, 0, 1]), np.ones(4))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> jax.jit(learner.predict)(fit(jax.random.key(0), data), data.x).shape
    (4, 3, 2)

    MacKay 1992, "A Practical Bayesian Framework for Backpropagation Networks"; Immer, Korzepa and Bauer 2021,
    "Improving Predictions of Bayesian Neural Nets via Local Linearization"; Daxberger et al. 2021, "Laplace Redux".
    """
    check_count("num_draws", num_draws)
    check_training(network, num_steps, minibatch_size, optimizer, restart, likelihood)
    check_variance("prior", prior)
    if structure not in STRUCTURES:
        raise ValueError(f"structure is one of {', '.join(STRUCTURES)}, got {structure!r}")
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer

    loss = network_loss(network, likelihood)

    def layers_of(params: PyTree, x: PyTree) -> tuple[Layer, ...]:
        layers = layers_at(network, likelihood, params, x)
        layers = layers[-1:] if structure.startswith("last") else layers
        for layer in layers:
            if layer.inner.ndim != 2:
                raise ValueError(
                    f"laplace needs dense layers that see one vector a row, got inputs {layer.inner.shape}; flatten "
                    "them, or take the last layer alone"
                )
        return layers

    def init(key: PRNGKey, data: Data) -> LaplaceState:
        params = network.init(key, data.x)
        layers = jax.eval_shape(layers_of, params, data.x)
        dtype = layers[-1].weights.dtype
        draws = tuple(jnp.zeros((num_draws, *layer.weights.shape), dtype) for layer in layers)
        return LaplaceState(params, draws, jnp.ones((), dtype), jnp.ones(1, bool))

    def fit(key: PRNGKey, state: LaplaceState, data: Data) -> LaplaceState:
        key_init, key_train, key_draw = (jax.random.fold_in(key, purpose) for purpose in range(3))
        params = restart(state.params, network.init(key_init, data.x))
        params = train(loss, optimizer, key_train, params, data, num_steps, minibatch_size)
        layers = _weighted(layers_of(params, data.x), data.weight.astype(state.prior.dtype))
        curvature = STRUCTURES[structure](layers, data.weight.astype(state.prior.dtype))
        square = jnp.sum(jnp.stack([jnp.sum(layer.weights**2) for layer in layers]))
        precision, converged = jnp.full_like(state.prior, 1 / (prior or 1.0)), jnp.isfinite(square)
        if prior is None:
            precision, converged = prior_precision(curvature.values, square, jnp.ones_like(square))
        z = jax.random.normal(key_draw, (num_draws, len(curvature.values)), state.prior.dtype)
        draws = curvature.draw(z, precision)
        converged = converged & jnp.isfinite(draws[-1]).all()
        return LaplaceState(params, draws, 1 / precision, converged[None])

    def predict(state: LaplaceState, x: PyTree) -> PyTree:
        outputs = tangent(network, state.params, x, state.draws)
        found = likelihood.predictions(outputs.reshape(1, -1, outputs.shape[2]))  # in their order: nothing moves
        return jax.tree.map(lambda leaf: leaf.reshape(-1, num_draws, *leaf.shape[2:]), found)

    def embed(state: LaplaceState, x: PyTree) -> Float[Array, "N 1 F"]:
        return features_of(network, state.params, x)[:, None]

    return Learner(init, fit, predict, embed)


def _weighted(layers: tuple[Layer, ...], weight: Float[Array, "L"]) -> tuple[Layer, ...]:
    """Slopes scaled by the roots of the weights; padding, whatever it holds, has none."""
    real, root = weight > 0, jnp.sqrt(weight)

    def scaled(layer: Layer) -> Layer:
        inner = jnp.where(real[:, None], layer.inner, 0.0)
        outer = jnp.where(real[:, None, None], layer.outer, 0.0) * root[:, None, None]
        return Layer(inner, outer, layer.weights)

    return tuple(map(scaled, layers))
