"""FixMatch: a network that labels the pool itself where it is sure, and must say the same of changed inputs."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from bal.learners.augmentation import Augment, in_turn
from bal.learners.ensemble import EnsembleState
from bal.learners.likelihood import categorical
from bal.learners.networks import Network
from bal.learners.networks.network import features_of, training_pass
from bal.learners.restart import Restart, cold
from bal.learners.settings import check_count, check_factor
from bal.learners.training import check_training, map_members, train
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree

PENALTY, LABELED = 3, 4
"""Which key of a step draws and changes unlabeled rows, and which key of that one changes labeled ones, so that no
change shares numbers with the dropout of a step."""


@method
def fixmatch(
    network: Network,
    num_members: int,
    *,
    strong: Augment,
    weak: Augment = in_turn(),  # noqa: B008 - a value
    threshold: float = 0.95,
    scale: float = 1.0,
    ratio: int = 3,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 64,
    restart: Restart = cold,
) -> Learner:
    """An ensemble of K classifiers that also learn from rows without labels: ``log_probs [N, K, C]``. FixMatch, lite.

    To the cross entropy of M labeled rows, weakly changed, a step adds, of ``ratio M`` rows u of the pool, labeled or
    not,

        scale · mean_u 1[max_c q_uc >= threshold] · (-log p(argmax_c q_uc | strong(u))),   q_u = p(· | weak(u)),

    where q is of the same weights without dropout, and no gradient goes through it. At the start next to no row is sure
    enough; so the network first learns the labels and then what follows from them, which takes several times the steps
    that the labels alone take: cut short, it is no better than they, or worse.

    "Lite": the optimizer has no cosine schedule, predictions are of the last weights and not of their moving average,
    and running statistics (batch norm) are of the labeled rows alone.

    Use it when labels are few and an input can be changed without changing its label. It needs classes that
    are clusters under those changes: where they are not it teaches its own errors, and no score will tell.
    A learner on its own has no pool: a run, a study and a campaign hand it theirs, on the device as a whole, and rows
    that are not finite, or not present, teach nothing.

    Args:
      network: what a member is, with logits of C classes.
      num_members: K; 1 has no disagreement, and entropy and margin to ask by.
      strong, weak: changes of inputs, ``key, x -> x``: `jitter`, `hide`, `shift`, or your own; weak = none by default.
      threshold: how sure a pseudo-label must be, a probability.
      scale: weight of the rows without labels.
      ratio: rows without labels for one with.
      optimizer: Adam at 1e-3 unless given.
      num_steps, minibatch_size: length of a training and labeled rows of a step.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`.

    Raises:
      ValueError: a setting out of range; a fit without a pool.
      TypeError: a setting of the wrong kind.

    >>> from bal.learners import fixmatch, jitter, mlp
    >>> from bal.pool import make_pool
    >>> learner = fixmatch(mlp((8,), num_outputs=2), num_members=3, strong=jitter(0.5), num_steps=5)
    >>> data = Data(jnp.ones((4, 2)), jnp.array([0, 1, 0, 1]), jnp.ones(4), unlabeled=make_pool(jnp.ones((9, 2))))
    >>> key = jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)).shape
    (4, 3, 2)

    Sohn, Berthelot, Li, Zhang, Carlini, Cubuk, Kurakin, Zhang and Raffel 2020, "FixMatch: Simplifying Semi-Supervised
    Learning with Consistency and Confidence".
    """
    check_count("num_members", num_members)
    check_count("ratio", ratio)
    check_factor("scale", scale)
    check_training(network, num_steps, minibatch_size, optimizer, restart, categorical)
    _check_sure(threshold, strong, weak)
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer

    def penalty(params: PyTree, draw: Any, num_rows: int, key: PRNGKey) -> Float[Array, ""]:
        key_rows, key_weak, key_strong, key_noise = (jax.random.fold_in(key, purpose) for purpose in range(4))
        x = draw(key_rows, num_rows)
        q = jax.lax.stop_gradient(jax.nn.softmax(network.apply(params, weak(key_weak, x))[0], -1))
        outputs, _ = training_pass(network, params, strong(key_strong, x), key_noise)
        sure = (q.max(-1) >= threshold).astype(outputs.dtype)
        return jnp.mean(sure * categorical.loss(outputs, jnp.argmax(q, -1)))

    def init(key: PRNGKey, data: Data) -> EnsembleState:
        return EnsembleState(jax.vmap(network.init, (0, None))(jax.random.split(key, num_members), data.x))

    def fit(key: PRNGKey, state: EnsembleState, data: Data) -> EnsembleState:
        draw = _unlabeled(data)

        def loss(params: PyTree, x: PyTree, y: PyTree, key: PRNGKey) -> tuple[Array, PyTree]:
            key_penalty = jax.random.fold_in(key, PENALTY)
            key_weak = jax.random.fold_in(key_penalty, LABELED)
            outputs, moved = training_pass(network, params, weak(key_weak, x), key)
            each = categorical.loss(outputs, y)  # the mean over rows adds the penalty once, on average
            return each + scale * penalty(params, draw, ratio * len(each), key_penalty), moved

        def fit_member(key: PRNGKey, previous: PyTree) -> PyTree:
            key_init, key_train = (jax.random.fold_in(key, purpose) for purpose in range(2))
            params = restart(previous, network.init(key_init, data.x))
            return train(loss, optimizer, key_train, params, data, num_steps, minibatch_size)

        return EnsembleState(map_members(fit_member, jax.random.split(key, num_members), state.params))

    def predict(state: EnsembleState, x: PyTree) -> PyTree:
        return categorical.predictions(map_members(lambda params: network.apply(params, x)[0], state.params))

    def embed(state: EnsembleState, x: PyTree) -> Float[Array, "N K F"]:
        return map_members(lambda params: features_of(network, params, x), state.params).transpose(1, 0, 2)

    return Learner(init, fit, predict, embed, unlabeled=True)


def _unlabeled(data: Data) -> Any:
    """``key, n -> x [n, ...]``: rows of the pool that are there, drawn evenly with replacement."""
    if data.unlabeled is None:
        raise ValueError(
            "fixmatch learns from a pool, but data.unlabeled is None: run it in a study or a campaign, which hand it "
            "their pool, or fit to data._replace(unlabeled=make_pool(x))"
        )
    pool = data.unlabeled
    finite = [jnp.isfinite(leaf).reshape(len(leaf), -1).all(1) for leaf in jax.tree.leaves(pool.x)]
    usable = jnp.stack([pool.present, *finite]).all(0)
    first, num_usable = jnp.argsort(~usable, stable=True), jnp.maximum(usable.sum(), 1)
    return partial(_drawn, jax.tree.map(jnp.asarray, pool.x), first, num_usable)


def _drawn(x: PyTree, first: Array, num_usable: Array, key: PRNGKey, num_rows: int) -> PyTree:
    rows = first[jax.random.randint(key, (num_rows,), 0, num_usable)]
    return jax.tree.map(lambda leaf: leaf[rows], x)


def _check_sure(threshold: Any, strong: Any, weak: Any) -> None:
    check_factor("threshold", threshold)
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"threshold is a probability, got {threshold}; 0.95 is usual, 0 takes every pseudo-label")
    for name, augment in (("strong", strong), ("weak", weak)):
        if not callable(augment):
            raise TypeError(
                f"{name} changes inputs, key, x -> x, got {augment!r}; use jitter(0.1), hide(0.3), shift(2)"
            )
