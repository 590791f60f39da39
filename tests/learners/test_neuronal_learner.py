"""NeurONAL's two networks: embeddings by autodiff, losses and first weights by hand, and what they learn by heart."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bal.acquisition import log_margin
from bal.learners import neuronal
from bal.learners.neuronal import block_embedding, gradient_embedding, paper_embedding
from bal.learners.neuronal.networks import Layers, Networks, apply, class_losses, losses, outputs, start
from bal.typing import Data

KEY, CLASSES, WIDTH = jax.random.key(0), 3, 5
X = jax.device_put(np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32))
LAYERS = jax.device_put(
    Layers(*(np.random.default_rng(1).normal(size=s).astype(np.float32) for s in ((4, WIDTH), (WIDTH, CLASSES))))
)


def by_hand(layers, x):
    """The formula in float64."""
    hidden, out = map(np.float64, layers)
    h = np.maximum(np.float64(x) @ hidden, 0)
    return h, np.sqrt(h.shape[1]) * h @ out


def gradients(direction):
    """The gradient of ``direction · f1`` in all weights, row by row, by autodiff."""
    one = lambda layers, x, direction: direction @ apply(layers, x[None])[0]
    return jax.device_get(jax.jit(jax.vmap(jax.grad(one), (None, 0, 0)))(LAYERS, X, direction.astype(np.float32)))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_networks_are_the_formula():
    np.testing.assert_allclose(jax.jit(apply)(LAYERS, X), by_hand(LAYERS, X)[1], rtol=1e-5, atol=1e-5)


def test_paper_embedding_is_the_hidden_layer_and_the_gradient_of_the_sum_which_repeats_it():
    h, _ = by_hand(LAYERS, X)
    last = gradients(np.ones((8, CLASSES))).out
    phi = np.asarray(jax.jit(paper_embedding)(LAYERS, X))
    np.testing.assert_allclose(phi, unit(np.concatenate([h, last.reshape(8, -1)], 1)), atol=1e-5)
    copies = phi[:, WIDTH:].reshape(8, WIDTH, CLASSES)
    np.testing.assert_allclose(copies, np.sqrt(WIDTH) * np.repeat(phi[:, :WIDTH, None], CLASSES, 2), atol=1e-6)


def test_gradient_embedding_is_that_of_the_gap():
    h, f = by_hand(LAYERS, X)
    order = f.argsort(1)
    direction = np.eye(CLASSES)[order[:, 0]] - np.eye(CLASSES)[order[:, 1]]
    last = gradients(direction).out
    expected = unit(np.concatenate([h, last.reshape(8, -1)], 1))
    np.testing.assert_allclose(jax.jit(gradient_embedding)(LAYERS, X), expected, atol=1e-5)
    assert len(set(order[:, 0])) > 1, "several classes are the best somewhere"


@pytest.mark.parametrize("size", [4, 6, 11])
def test_block_embedding_averages_the_whole_gradient(size):
    found = gradients(np.ones((8, CLASSES)))
    whole = np.concatenate([leaf.reshape(8, -1) for leaf in found], 1)
    padded = np.pad(whole, ((0, 0), (0, -whole.shape[1] % size)))
    expected = unit(padded.reshape(8, -1, size).mean(-1))
    np.testing.assert_allclose(jax.jit(block_embedding(size))(LAYERS, X), expected, atol=1e-5)


def test_the_losses_are_squares_and_the_second_moves_the_second_network_alone():
    networks = Networks(LAYERS, start(KEY, X, CLASSES, WIDTH, paper_embedding).explore)
    target = class_losses(jnp.arange(8) % CLASSES, CLASSES, jnp.float32)
    _, f1 = by_hand(LAYERS, X)
    phi = np.asarray(jax.jit(paper_embedding)(LAYERS, X))
    _, f2 = by_hand(networks.explore, phi)
    expected = 0.5 * ((f1 - target) ** 2 + (f2 - (target - f1)) ** 2).sum(1)
    mean = lambda networks: losses(outputs(networks, X, paper_embedding), target).mean()
    value, gradient = jax.jit(jax.value_and_grad(mean))(networks)
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)
    first = lambda layers: 0.5 * ((apply(layers, X) - target) ** 2).sum(1).mean()
    second = lambda layers: 0.5 * ((apply(layers, jnp.asarray(phi)) - (target - jnp.float32(f1))) ** 2).sum(1).mean()
    both = jax.jit(lambda: (jax.grad(first)(networks.exploit), jax.grad(second)(networks.explore)))()
    jax.tree.map(lambda ours, own: np.testing.assert_allclose(ours, own, rtol=1e-4, atol=1e-5), tuple(gradient), both)


def test_first_scores_of_rows_of_unit_norm_have_variance_one_over_classes():
    x = jnp.array([[1.0, 0.0]])
    draw = jax.vmap(lambda key: apply(start(key, x, CLASSES, 50, paper_embedding).exploit, x)[0])
    f1 = np.asarray(jax.jit(draw)(jax.random.split(KEY, 2_000)))
    assert np.mean(f1**2) == pytest.approx(1 / CLASSES, rel=0.06)


def test_soft_labels_have_their_own_losses():
    soft = jnp.array([[0.2, 0.8, 0.0]])
    np.testing.assert_allclose(class_losses(soft, 3, jnp.float32), [[0.8, 0.2, 1.0]], rtol=1e-6)


def test_on_labels_learned_by_heart_the_scores_are_the_losses():
    """Here the labels are random; the gap of the scores is minus the log margin of the predictions."""
    learner = neuronal(CLASSES, width=32, optimizer=optax.adam(1e-2), num_steps=1_000, minibatch_size=8)
    y = np.array([0, 2, 1, 1, 0, 2, 0, 1], np.int32)
    data = Data(X, jnp.asarray(y), jnp.ones(8))

    def learned():
        state = learner.fit(KEY, learner.init(KEY, data), data)
        predictions = learner.predict(state, X)
        return outputs(state.networks, X, paper_embedding).scores, predictions, log_margin(predictions)

    scores, predictions, margin = jax.device_get(jax.jit(learned)())
    np.testing.assert_allclose(scores, 1 - np.eye(CLASSES)[y], atol=0.05)
    assert (predictions[:, 0].argmax(1) == y).all()
    ranked = np.sort(scores, 1)
    np.testing.assert_allclose(margin, ranked[:, 0] - ranked[:, 1], atol=1e-5)


@pytest.mark.parametrize("settings", [{"num_classes": 1}, {"num_classes": 2, "width": 0}])
def test_settings(settings):
    with pytest.raises(ValueError, match="must be at least"):
        neuronal(**settings)
