"""Members that share weights: what each computes, by hand, and how much masks have in common."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from bal import learners
from bal.learners.shared_weights import masks
from bal.typing import Data

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
DATA = Data(jnp.asarray(X), jnp.array([0, 1, 0, 1, 1]), jnp.ones(5))
SETTINGS = {"num_steps": 10, "minibatch_size": 4}


def fitted(learner):
    state = jax.jit(lambda: learner.fit(KEY, learner.init(KEY, DATA), DATA))()
    return jax.tree.map(np.asarray, state), jax.jit(learner.predict)(state, DATA.x)


def test_a_batch_ensemble_scales_inputs_and_outputs_of_each_layer():
    """The form of the paper: ``((h ∘ r) W) ∘ s + b``, the kernels themselves never multiplied."""
    state, found = fitted(learners.batch_ensemble(learners.mlp((6,), num_outputs=2), 3, **SETTINGS))
    kernels = [state.shared["hidden"][0]["kernel"], state.shared["out"]["kernel"]]
    own = [state.own["hidden"][0], state.own["out"]]
    for k in range(3):
        h = X
        for layer in range(2):
            r, s = (factor[k] for factor in own[layer]["kernel"])
            h = ((h * r) @ kernels[layer]) * s + own[layer]["bias"][k]
            h = np.maximum(h, 0) if layer == 0 else h
        np.testing.assert_allclose(found[:, k], log_softmax(h, 1), atol=1e-5)
    first = np.concatenate([np.abs(factor).ravel() for layer in own for factor in layer["kernel"]])
    assert (np.abs(first - 1) < 0.05).all()  # signs, ten steps of Adam later
    assert 0 < np.sum(own[0]["kernel"][0] < 0) < own[0]["kernel"][0].size


def test_masksembles_are_narrow_networks_of_one():
    """Units that a mask drops are zero behind the activation."""
    learner = learners.masksembles(learners.mlp((6, 8), num_outputs=2), 3, **SETTINGS)
    state, found = fitted(learner)
    assert state.own is None
    layers = [state.shared["hidden"][0], state.shared["hidden"][1], state.shared["out"]]
    for k in range(3):
        h = np.maximum(X @ layers[0]["kernel"] + layers[0]["bias"], 0) * masks(3, 6, 2.0, 1)[k]
        h = np.maximum(h @ layers[1]["kernel"] + layers[1]["bias"], 0) * masks(3, 8, 2.0, 2)[k]
        logits = h @ layers[2]["kernel"] + layers[2]["bias"]
        np.testing.assert_allclose(found[:, k], log_softmax(logits, 1), atol=1e-5)


def test_masks_overlap_as_the_scale_says():
    for scale in (1.5, 2.0, 4.0):
        keep = masks(30, 1200, scale)
        assert (keep.sum(1) == round(1200 / scale)).all()
        pairs = [(a & b).sum() / (a | b).sum() for n, a in enumerate(keep) for b in keep[:n]]
        np.testing.assert_allclose(np.mean(pairs), 1 / (2 * scale - 1), atol=0.01)
    assert (masks(3, 2, 100.0).sum(1) == 1).all()


@pytest.mark.parametrize("network", [learners.linear(2), learners.lenet(2, channels=(2,), kernel=3, hidden=4)])
def test_masksembles_refuse_networks_without_dense_hidden_layers(network):
    data = DATA._replace(x=jnp.ones((5, 8, 8, 1)))
    with pytest.raises(ValueError, match="masks the hidden units between dense layers"):
        jax.eval_shape(learners.masksembles(network, 2).init, KEY, data)
    jax.eval_shape(learners.batch_ensemble(network, 2).init, KEY, data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: learners.batch_ensemble(learners.linear(2), 0), "num_members must be at least 1"),
        (lambda: learners.masksembles(learners.linear(2), 2, scale=1.0), "scale must be above 1, got 1.0"),
        (lambda: learners.masksembles(learners.linear(2), 2, num_steps=-1), "num_steps must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
