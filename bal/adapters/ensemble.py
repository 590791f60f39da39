"""An ensemble of adapters: K small sets of parameters around one frozen backbone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from bal.learners import Likelihood, Network, categorical, cold
from bal.learners.restart import Restart
from bal.learners.settings import check_count
from bal.learners.training import check_no_statistics, check_training, network_loss, train
from bal.method import method
from bal.numerics import in_chunks
from bal.typing import Data, Learner, PRNGKey, PyTree

ROWS = 64
"""Rows that all members together are applied to at a time, so that states of tokens stay small."""


class AdapterState(NamedTuple):
    """Adapters and heads of all members, leading with K; no frozen number is among them."""

    params: PyTree


@method
def adapter_ensemble(
    network: Network,
    num_members: int,
    *,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 16,
    restart: Restart = cold,
    likelihood: Likelihood = categorical,
    bootstrap: bool = False,
) -> Learner:
    """K adapters and heads around one frozen backbone: ``log_probs [N, K, C]``, or what the likelihood gives.

    Members differ by their heads' initialisation (and that of LoRA), their order of data, dropout and, if asked for,
    bootstrap weights. They are mapped together, so that each product with frozen weights is one matrix product of all
    members, and what does not depend on the member yet, such as keys before they are scaled, is computed once; blocks
    below the adapters lie in the rows already (`TokenStates`). The state holds K times `count_parameters`, no more.

    Use it where labels are few and the backbone is big: eight members of (IA)³ in the last block take less than three
    times one pass of one network.

    Args:
      network: of few parameters, as `adapted` makes it.
      num_members: K.
      optimizer: Adam at 3e-3 unless given; its state starts anew every round.
      num_steps, minibatch_size: length of a training and rows of a step, of each member.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`.
      likelihood: `categorical`, or `gaussian()` for real labels.
      bootstrap: give each member its own exponential row weights (the Bayesian bootstrap).

    Raises:
      ValueError: a setting out of range.
      TypeError: a setting of the wrong kind.

    >>> from bal.adapters import TokenStates, adapted, ia3, upper
    >>> from bal.backbones import tiny_text_encoder
    >>> net = adapted(upper(tiny_text_encoder(jax.random.key(0)), last=1), 2, ia3())
    >>> learner = adapter_ensemble(net, num_members=3, num_steps=5)
    >>> x = TokenStates(jnp.ones((4, 5, 16)), jnp.ones((4, 5), bool))
    >>> data, key = Data(x, jnp.array([0, 1, 0, 1]), jnp.ones(4)), jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), x)).shape
    (4, 3, 2)

    Liu et al. 2022 for (IA)³; Lakshminarayanan, Pritzel and Blundell 2017 for ensembles.
    """
    check_count("num_members", num_members)
    check_training(network, num_steps, minibatch_size, optimizer, restart, likelihood)
    optimizer = optax.adam(3e-3) if optimizer is None else optimizer
    loss = network_loss(network, likelihood)

    def init(key: PRNGKey, data: Data) -> AdapterState:
        params = jax.vmap(network.init, (0, None))(jax.random.split(key, num_members), data.x)
        check_no_statistics(network, jax.tree.map(lambda leaf: leaf[0], params), data.x)
        return AdapterState(params)

    def fit_member(key: PRNGKey, previous: PyTree, data: Data) -> PyTree:
        key_init, key_train, key_bootstrap = (jax.random.fold_in(key, purpose) for purpose in range(3))
        params = restart(previous, network.init(key_init, data.x))
        if bootstrap:
            data = data._replace(weight=data.weight * jax.random.exponential(key_bootstrap, data.weight.shape))
        return train(loss, optimizer, key_train, params, data, num_steps, minibatch_size)

    def fit(key: PRNGKey, state: AdapterState, data: Data) -> AdapterState:
        return AdapterState(jax.vmap(fit_member, (0, 0, None))(jax.random.split(key, num_members), state.params, data))

    def predict(state: AdapterState, x: PyTree) -> PyTree:
        return likelihood.predictions(jnp.swapaxes(by_member(network, state.params, x, 0), 0, 1))

    def embed(state: AdapterState, x: PyTree) -> Float[Array, "N K F"]:
        return by_member(network, state.params, x, 1)

    return Learner(init, fit, predict, embed)


def by_member(network: Network, params: PyTree, x: PyTree, part: int) -> Float[Array, "N K F"]:
    """Outputs (part 0) or features (part 1) of all members, a few rows at a time."""
    some = lambda rows: jax.vmap(lambda one: network.apply(one, rows)[part], out_axes=1)(params)
    return in_chunks(some, x, ROWS)
