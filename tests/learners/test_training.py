"""Training against sums that can be done by hand, and labels of a wrong shape."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bal import learners
from bal.learners.training import train
from bal.typing import Data

KEY, OTHER = jax.random.key(0), jax.random.key(1)


def squares(params, x, y, key):
    del key
    return (x @ params - y) ** 2, None


def test_a_common_factor_of_all_weights_changes_nothing():
    """The loss is a weighted mean: three times the weight is the same mean, and the same step of plain descent."""
    data = Data(jax.random.normal(KEY, (6, 2)), jnp.arange(6.0), jnp.array([1.0, 2.0, 0.5, 1.0, 0.0, 3.0]))
    fit = jax.jit(lambda data: train(squares, optax.sgd(0.1), KEY, jnp.ones(2), data, 5, 4))
    np.testing.assert_allclose(fit(data._replace(weight=3 * data.weight)), fit(data), rtol=1e-5)


@pytest.mark.parametrize("size", [1, 4, 64])
def test_a_row_counts_by_its_weight_whatever_the_minibatch(size):
    """Two rows at one input, weights 9 to 1: the mean of squares is least at .9; rates that fall average the noise."""
    data = Data(jnp.ones((3, 1)), jnp.array([1.0, 0.0, 5.0]), jnp.array([9.0, 1.0, 0.0]))
    rate = optax.exponential_decay(0.1, 3_000, 0.01)
    found = jax.jit(lambda data: train(squares, optax.sgd(rate), KEY, jnp.zeros(1), data, 3_000, size))(data)
    assert float(found[0]) == pytest.approx(0.9, abs=0.03)


def shares():
    """The bootstrap weight of the first of two rows in the training of eight members.

    Rows are (1, 0) and (0, 1), both labeled 1, all weights of the linear model 0. One step of plain descent at the rate
    of the noise then adds to each coefficient the share of its row in the weighted mean.
    """
    learner = learners.ensemble(
        learners.linear(1),
        8,
        optimizer=optax.sgd(0.5),
        num_steps=1,
        minibatch_size=2_000,
        restart=learners.warm,
        likelihood=learners.gaussian(0.5),
        bootstrap=True,
    )
    data = Data(jnp.eye(2), jnp.ones(2), jnp.ones(2))
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), jax.eval_shape(learner.init, KEY, data))
    kernel = np.asarray(jax.jit(learner.fit)(KEY, zero, data).params["out"]["kernel"])[:, :, 0]
    assert (np.abs(kernel.sum(1) - 1) < 4 / 2_000**0.5).all()  # 4 standard errors, of weights as unlike as can be
    return kernel[:, 0]


def test_members_have_bootstrap_weights_of_their_own():
    """Of two exponential weights the first has a uniform share; minibatches of 2,000 alone vary it by a hundredth."""
    own = np.sort(shares())
    assert np.ptp(own) > 0.3
    assert (np.diff(own) > 1e-3).all()


def test_every_fit_draws_masks_of_its_own():
    learner = learners.mc_dropout(learners.mlp((4,), num_outputs=2, dropout=0.5), 3, num_steps=0)
    data = Data(jnp.ones((4, 2)), jnp.array([0, 1, 0, 1]), jnp.ones(4))
    fit = jax.jit(lambda key: learner.fit(key, learner.init(KEY, data), data).draws)
    masks = {tuple(map(int, draw)) for key in (KEY, OTHER) for draw in jax.random.key_data(fit(key)).tolist()}
    assert len(masks) == 6


@pytest.mark.parametrize(
    ("likelihood", "y", "message"),
    [
        (learners.gaussian(0.1), jnp.ones((4, 1)), r"one label for each of 4 rows, got labels of shape \(4, 1\)"),
        (learners.gaussian(0.1), jnp.ones(()), r"one label for each of 4 rows, got labels of shape \(\)"),
        (learners.gaussian(0.1), jnp.ones((1, 4)), r"one label for each of 4 rows, got labels of shape \(1, 4\)"),
        (learners.categorical, jnp.ones((4, 1), int), r"one label for each of 4 rows, got labels of shape \(4, 1\)"),
        (learners.categorical, jnp.ones(4), "integer class numbers as labels, got float32"),
    ],
)
def test_a_loss_pairs_each_row_with_its_own_label(likelihood, y, message):
    with pytest.raises(ValueError, match=message):
        likelihood.loss(jnp.ones((4, 1)), y)


@pytest.mark.parametrize("likelihood", [learners.gaussian(0.1), learners.categorical], ids=["gaussian", "categorical"])
def test_a_column_of_labels_never_trains(likelihood):
    learner = learners.ensemble(learners.linear(1), 2, num_steps=1, likelihood=likelihood)
    data = Data(jnp.ones((4, 2)), jnp.zeros((4, 1), int), jnp.ones(4))
    with pytest.raises(ValueError, match=r"one label for each of 64 rows, got labels of shape \(64, 1\)"):
        jax.eval_shape(learner.fit, KEY, jax.eval_shape(learner.init, KEY, data), data)


def test_a_loss_of_ones_own_is_one_number_a_row():
    data = Data(jnp.ones((4, 2)), jnp.ones(4), jnp.ones(4))
    pairs = lambda params, x, y, key: (((x @ params)[:, None] - y[None]) ** 2, None)
    with pytest.raises(ValueError, match=r"a loss of one number a row, \(3,\), got one of shape \(3, 3\)"):
        train(pairs, optax.sgd(0.1), KEY, jnp.ones(2), data, 1, 3)
