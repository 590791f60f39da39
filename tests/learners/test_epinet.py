"""Epinets: the function of an index by hand, what is trained and what is not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bal import learners
from bal.typing import Data

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
DATA = Data(jnp.asarray(X), jnp.asarray(X[:, 0] - X[:, 1]), jnp.ones(6))


def small(params, rows):
    h = np.maximum(rows @ params["hidden"][0]["kernel"] + params["hidden"][0]["bias"], 0)
    return h @ params["out"]["kernel"] + params["out"]["bias"]


def test_draws_are_the_network_and_the_two_small_ones_at_their_index():
    learner = learners.epinet(
        learners.mlp((5,), num_outputs=2),
        3,
        hidden=(4,),
        index_size=2,
        prior_scale=0.7,
        num_steps=20,
        likelihood=learners.gaussian(),
        optimizer=optax.adamw(1e-2, weight_decay=0.1),
        restart=learners.warm,
    )
    start = jax.jit(learner.init)(KEY, DATA)
    state = jax.tree.map(np.asarray, jax.jit(learner.fit)(KEY, start, DATA))
    found = jax.jit(learner.predict)(state, DATA.x)
    base, epinet, prior = state.parts
    jax.tree.map(np.testing.assert_array_equal, prior, start.parts.prior)  # not even by weight decay
    for part in ("base", "epinet"):
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), getattr(state.parts, part), getattr(start.parts, part))
        assert min(jax.tree.leaves(moved)) > 1e-3
    phi = np.maximum(X @ base["hidden"][0]["kernel"] + base["hidden"][0]["bias"], 0)
    for k, z in enumerate(state.draws):
        rows = np.c_[phi, np.tile(z, (6, 1))]
        added = (small(epinet, rows) + 0.7 * small(prior, rows)).reshape(6, 2, 2) @ z
        outputs = phi @ base["out"]["kernel"] + base["out"]["bias"] + added
        np.testing.assert_allclose(found.mean[:, k], outputs[:, 0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.noise[:, k], np.log1p(np.exp(outputs[:, 1])), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_training_undoes_the_prior_at_the_labels_and_less_away_from_them():
    learner = learners.epinet(
        learners.mlp((16,), num_outputs=1),
        20,
        index_size=2,
        prior_scale=2.0,
        num_steps=1_000,
        minibatch_size=16,
        optimizer=optax.adam(1e-2),
        likelihood=learners.gaussian(0.1),
    )
    x = jnp.concatenate([DATA.x, -4 * DATA.x])
    start = jax.jit(learner.init)(KEY, DATA)
    fit, predict = jax.jit(learner.fit), jax.jit(learner.predict)
    before, after = (np.asarray(predict(state, x).mean).std(1) for state in (start, fit(KEY, start, DATA)))
    left = after / before
    assert left[:6].max() < 0.3
    assert left[6:].mean() > 2 * left[:6].mean()


@pytest.mark.parametrize("setting", ["num_draws", "index_size", "num_indices"])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=f"{setting} must be at least 1, got 0"):
        learners.epinet(learners.linear(2), **{"num_draws": 2, setting: 0})
