"""TFB: an adapter made Bayesian after its training, by one number."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from bal.adapters.ensemble import by_member
from bal.adapters.places import Adapter
from bal.learners import Likelihood, Network, categorical, cold
from bal.learners.restart import Restart
from bal.learners.settings import check_count, check_factor
from bal.learners.training import check_no_statistics, check_training, network_loss, train
from bal.method import method
from bal.numerics import in_chunks
from bal.typing import Data, Learner, PRNGKey, PyTree


class TfbState(NamedTuple):
    """One training and K draws around it.

    params: adapter and head as trained.
    draws: adapters of the draws, leading with K; the head is that of `params`.
    sigma: the scale that was found.
    loss, drawn_loss: mean training loss of the trained adapter, and of the draws at `sigma`.
    """

    params: PyTree
    draws: PyTree
    sigma: Float[Array, ""]
    loss: Float[Array, ""]
    drawn_loss: Float[Array, ""]


@method
def tfb(
    network: Network,
    adapter: Adapter,
    num_draws: int,
    *,
    tolerance: float = 0.1,
    max_sigma: float = 1.0,
    num_bisections: int = 12,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 16,
    restart: Restart = cold,
    likelihood: Likelihood = categorical,
) -> Learner:
    """Normal weights around a trained adapter, of the largest scale that the training loss tolerates.

    ``sigma* = max {sigma <= max_sigma : mean_k loss(draw_k(sigma)) - loss(trained) <= tolerance}`` by bisection on K
    fixed directions of noise, which then are the K posterior draws of ``predict``: ``log_probs [N, K, C]``. Both losses
    are weighted means over the labeled rows, in nats. Of LoRA the draws are a low-rank isotropic Gaussian
    (`draw_lora`), of (IA)³ an isotropic one; the head stays.

    Without a labeled row all scales are within tolerance, and sigma is `max_sigma`.

    Use it to have disagreement from one training, where an ensemble would take K. The family of Gaussians and the
    search for one scale are the paper's; the loss that is compared (the mean over draws, in place of any metric of
    the user's) and the defaults are ours.

    Args:
      network: made by `adapted` with this adapter.
      adapter: `lora` or `ia3`.
      num_draws: K.
      tolerance: rise of the training loss in nats.
      max_sigma: end of the search.
      num_bisections: halvings of it: sigma is found to ``max_sigma / 2**num_bisections``.
      optimizer, num_steps, minibatch_size, restart, likelihood: of the training, as in `adapter_ensemble`.

    Raises:
      ValueError: a setting out of range, an adapter without draws, or when traced a network without an adapter.
      TypeError: a setting of the wrong kind.

    >>> from bal.adapters import TokenStates, adapted, lora, upper
    >>> from bal.backbones import tiny_text_encoder
    >>> net = adapted(upper(tiny_text_encoder(jax.random.key(0)), last=1), 2, lora(2))
    >>> learner = tfb(net, lora(2), num_draws=3, num_steps=5)
    >>> x = TokenStates(jnp.ones((4, 5, 16)), jnp.ones((4, 5), bool))
    >>> data, key = Data(x, jnp.array([0, 1, 0, 1]), jnp.ones(4)), jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), x)).shape
    (4, 3, 2)

    Shi, Wang, Han, Zhang and Wang 2025, "Training-Free Bayesianization for Low-Rank Adapters of Large Language Models".
    """
    check_count("num_draws", num_draws)
    check_count("num_bisections", num_bisections)
    check_training(network, num_steps, minibatch_size, optimizer, restart, likelihood)
    check_factor("tolerance", tolerance)
    check_factor("max_sigma", max_sigma)
    if adapter.draw is None:
        raise ValueError("tfb draws adapters, but this one has no `draw`; use lora(...) or ia3()")
    draw, loss = adapter.draw, network_loss(network, likelihood)
    optimizer = optax.adam(3e-3) if optimizer is None else optimizer

    def init(key: PRNGKey, data: Data) -> TfbState:
        params = network.init(key, data.x)
        check_no_statistics(network, params, data.x)
        if not jax.tree.leaves(params["adapter"]):
            raise ValueError("tfb draws adapters, but the network has none; make it by adapted(..., lora(...))")
        draws = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], num_draws, 0), params["adapter"])
        return TfbState(params, draws, *jnp.zeros(3, jnp.float32))

    def losses(params: PyTree, draws: PyTree, data: Data) -> Float[Array, ""]:
        def some(rows: tuple) -> Float[Array, "n K"]:
            one = lambda adapter: likelihood.loss(network.apply(params | {"adapter": adapter}, rows[0])[0], rows[1])
            return jax.vmap(one, out_axes=1)(draws)

        each = in_chunks(some, (data.x, data.y), 64).mean(1)
        each = jnp.where(data.weight > 0, each, 0.0)  # padding is any row at all
        return jnp.sum(data.weight * each) / jnp.maximum(data.weight.sum(), 1e-12)

    def fit(key: PRNGKey, state: TfbState, data: Data) -> TfbState:
        key_init, key_train, key_draw = (jax.random.fold_in(key, purpose) for purpose in range(3))
        params = restart(state.params, network.init(key_init, data.x))
        params = train(loss, optimizer, key_train, params, data, num_steps, minibatch_size)
        keys = jax.random.split(key_draw, num_draws)
        drawn = lambda sigma: jax.vmap(lambda key: draw(key, params["adapter"], sigma))(keys)
        at = lambda sigma: losses(params, drawn(sigma), data)
        trained = losses(params, jax.tree.map(lambda leaf: leaf[None], params["adapter"]), data)
        top = jnp.float32(max_sigma)
        sigma, drawn_loss = largest_within(at, trained, tolerance, top, num_bisections)
        return TfbState(params, drawn(sigma), sigma, trained, drawn_loss)

    def draws_of(state: TfbState) -> PyTree:
        head = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_draws, *leaf.shape)), state.params["head"])
        return {"adapter": state.draws, "head": head}

    def predict(state: TfbState, x: PyTree) -> PyTree:
        return likelihood.predictions(jnp.swapaxes(by_member(network, draws_of(state), x, 0), 0, 1))

    def embed(state: TfbState, x: PyTree) -> Float[Array, "N K F"]:
        return by_member(network, draws_of(state), x, 1)

    return Learner(init, fit, predict, embed)


def largest_within(at: Any, least: Array, tolerance: float, top: Array, num_bisections: int) -> tuple[Array, Array]:
    """The largest scale up to `top` whose loss ``at(scale)`` is at most ``least + tolerance``, and its loss.

    Of a loss that falls again beyond, some scale at which it crosses; scale 0, of loss `least`, if none was within.

    >>> scale, loss = largest_within(lambda s: s**2, jnp.float32(0.0), 0.25, jnp.float32(2.0), 20)
    >>> round(float(scale), 4), round(float(loss), 4)
    (0.5, 0.25)
    """
    within = lambda loss: loss - least <= tolerance

    def halve(_: Array, bounds: tuple) -> tuple:
        low, high, loss_low = bounds
        middle = 0.5 * (low + high)
        loss = at(middle)
        ok = within(loss)
        return jnp.where(ok, middle, low), jnp.where(ok, high, middle), jnp.where(ok, loss, loss_low)

    loss_top = at(top)
    start = (jnp.where(within(loss_top), top, 0.0), top, jnp.where(within(loss_top), loss_top, least))
    low, _, loss = jax.lax.fori_loop(0, num_bisections, halve, start)
    return low, loss
