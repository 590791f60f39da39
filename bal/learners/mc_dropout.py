"""Monte-Carlo dropout: one network whose dropout masks are the posterior draws.

Gal and Ghahramani 2016, "Dropout as a Bayesian Approximation". The masks of a draw are functions of (draw, layer)
only, the same for every row: so predictions are row-wise and joint quantities over rows mean something.
"""

from typing import NamedTuple

import jax
import optax
from jax.interpreters.partial_eval import dce_jaxpr
from jaxtyping import Array, Float

from bal.learners.likelihood import Likelihood, categorical
from bal.learners.networks import Network
from bal.learners.networks.network import features_of
from bal.learners.restart import Restart, cold
from bal.learners.settings import check_count
from bal.learners.training import check_training, map_members, network_loss, train
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree


class DropoutState(NamedTuple):
    """Parameters, and one mask key a posterior draw ``[K]``."""

    params: PyTree
    draws: Array


@method
def mc_dropout(
    network: Network,
    num_draws: int,
    *,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 64,
    restart: Restart = cold,
    likelihood: Likelihood = categorical,
) -> Learner:
    """A classifier with dropout, predicted K times under masks fixed in `fit`: ``log_probs [N, K, C]``.

    In training every row has its own masks, as usual. Weight decay, the prior of the method, is the optimizer's
    (``optax.adamw``). Without dropout in the network all draws would agree, and BALD be zero everywhere.

    Args:
      network: a network with dropout layers.
      num_draws: K.
      optimizer: Adam at 1e-3 unless given.
      num_steps, minibatch_size: length of a training and rows of a step.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`.
      likelihood: `categorical`, or `gaussian()` for real labels; then ``predict`` gives a `Gaussian`.

    Raises:
      ValueError: a setting out of range; from `init`, a network whose outputs do not depend on its key.
      TypeError: a setting of the wrong kind.

    >>> import jax.numpy as jnp
    >>> from bal.learners import mc_dropout, mlp
    >>> learner = mc_dropout(mlp((8,), num_outputs=2, dropout=0.5), num_draws=3, num_steps=5)
    >>> data = Data(jnp.ones((4, 2)), jnp.array([0, 1, 0, 1]), jnp.ones(4))
    >>> key = jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)).shape
    (4, 3, 2)
    """
    check_count("num_draws", num_draws)
    check_training(network, num_steps, minibatch_size, optimizer, restart, likelihood)
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer

    loss = network_loss(network, likelihood)

    def init(key: PRNGKey, data: Data) -> DropoutState:
        params = network.init(key, data.x)
        _check_random(network, params, data.x)
        return DropoutState(params, jax.random.split(key, num_draws))

    def fit(key: PRNGKey, state: DropoutState, data: Data) -> DropoutState:
        key_init, key_train, key_draws = (jax.random.fold_in(key, purpose) for purpose in range(3))
        params = restart(state.params, network.init(key_init, data.x))
        params = train(loss, optimizer, key_train, params, data, num_steps, minibatch_size)
        return DropoutState(params, jax.random.split(key_draws, num_draws))

    def predict(state: DropoutState, x: PyTree) -> PyTree:
        outputs = map_members(lambda key: network.apply(state.params, x, key)[0], state.draws)
        return likelihood.predictions(outputs)

    def embed(state: DropoutState, x: PyTree) -> Float[Array, "N 1 F"]:
        return features_of(network, state.params, x)[:, None]

    return Learner(init, fit, predict, embed)


def _check_random(network: Network, params: PyTree, x: PyTree) -> None:
    """The key of a draw reaches the outputs: it is not among what dead code elimination leaves over."""
    apply = lambda key, params, x: network.apply(params, x, key)[0]
    program = jax.make_jaxpr(apply)(jax.random.key(0), params, x).jaxpr
    _, used = dce_jaxpr(program, [True] * len(program.outvars))
    if not used[0]:
        raise ValueError(
            "mc_dropout got a network without dropout, so all posterior draws would agree; give it a rate, as in "
            "mlp(..., dropout=0.5), put nnx.Dropout (or linen.Dropout) into a module of your own, or use ensemble"
        )
