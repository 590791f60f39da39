"""FixMatch against numpy, one step by hand; what it may see of the pool; and that the pool teaches where labels end."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problem
import pytest
from scipy import special

from bal import learners, strategies
from bal.learners.networks import Network
from bal.loop import Campaign, run_eager
from bal.pool import make_pool, streamed
from bal.typing import Data, Setup, Task

KEY = jax.random.key(0)
THERE = jax.device_put(np.arange(6) < 4)
POOL = make_pool(jax.device_put(np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)))._replace(
    present=THERE
)
DATA = Data(POOL.x[:2], jnp.array([0, 1]), jnp.array([1.0, 0.0]), unlabeled=POOL)


def twice(key, x):
    return 2 * x


def fit(learner, state, data):
    return jax.jit(learner.fit)(KEY, state, data)


def start(learner, kernel, bias):
    found = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), jax.eval_shape(learner.init, KEY, DATA))
    given = {3: kernel, 2: bias}
    return jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.asarray(given[leaf.ndim])[None]), found)


def by_hand(kernel, bias, x, unlabeled, threshold, scale, rate):
    """One step on one row of class 0, the unlabeled row seen as it is and doubled; no gradient through its label."""

    def slope(x, target):
        error = special.softmax(x @ kernel + bias) - np.eye(2)[target]
        return np.outer(x, error), error

    q = special.softmax(unlabeled @ kernel + bias)
    sure = scale * (q.max() >= threshold)
    (own, own_bias), (other, other_bias) = slope(x, 0), slope(2 * unlabeled, q.argmax())
    return kernel - rate * (own + sure * other), bias - rate * (own_bias + sure * other_bias)


@pytest.mark.parametrize("threshold", [0.5, pytest.param(0.9, marks=pytest.mark.slow)])
def test_a_step_is_that_of_the_paper(threshold):
    """A pool with one row that is there, so that every draw is known; at .9 it is not sure enough."""
    kernel, bias = np.array([[0.3, -0.2], [0.1, 0.4]]), np.array([0.1, -0.1])
    learner = learners.fixmatch(
        learners.linear(2),
        1,
        strong=twice,
        threshold=threshold,
        scale=0.7,
        optimizer=optax.sgd(0.5),
        num_steps=1,
        minibatch_size=2,
        restart=learners.warm,
    )
    state = start(learner, kernel, bias)
    single = POOL._replace(present=jax.device_put(np.arange(6) == 3))
    found = fit(learner, state, DATA._replace(unlabeled=single)).params["out"]
    x, unlabeled = np.asarray(POOL.x, np.float64)[[0, 3]]
    wanted = by_hand(kernel, bias, x, unlabeled, threshold, 0.7, 0.5)
    np.testing.assert_allclose(found["kernel"][0], wanted[0], rtol=1e-5)
    np.testing.assert_allclose(found["bias"][0], wanted[1], rtol=1e-5)


SMALL = {"num_steps": 5, "minibatch_size": 4}


@pytest.mark.slow
def test_without_weight_on_the_pool_it_is_an_ensemble():
    network = learners.linear(2)
    ours, theirs = (
        learners.fixmatch(network, 2, strong=twice, scale=0.0, **SMALL),
        learners.ensemble(network, 2, **SMALL),
    )
    found, wanted = (
        fit(learner, start(learner, np.zeros((2, 2)), np.zeros(2)), data)
        for learner, data in ((ours, DATA), (theirs, DATA._replace(unlabeled=None)))
    )
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_rows_that_are_absent_or_not_finite_teach_nothing():
    learner = learners.fixmatch(learners.linear(2), 1, strong=twice, threshold=0.0, **SMALL)
    state = start(learner, np.full((2, 2), 0.1), np.zeros(2))
    fitting = jax.jit(learner.fit)
    wanted = fitting(KEY, state, DATA)
    poor = np.array(POOL.x)
    poor[4:] = np.nan, 1e6
    found = fitting(KEY, state, DATA._replace(unlabeled=POOL._replace(x=jnp.asarray(poor))))
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    poor[1] = np.inf  # present
    found = fitting(KEY, state, DATA._replace(unlabeled=POOL._replace(x=jnp.asarray(poor))))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    other = fitting(KEY, state, DATA._replace(unlabeled=POOL._replace(x=-POOL.x)))
    assert any((np.asarray(a) != b).any() for a, b in zip(jax.tree.leaves(other), jax.tree.leaves(wanted)))
    nothing = fitting(KEY, state, DATA._replace(weight=jnp.zeros(2)))
    blank = fitting(KEY, state, DATA._replace(weight=jnp.zeros(2), unlabeled=POOL._replace(x=-POOL.x)))
    jax.tree.map(np.testing.assert_array_equal, nothing, blank)  # no label, nothing to spread


@pytest.mark.slow
def test_the_pool_teaches_what_labels_alone_do_not():
    """Two stripes of one class each, a label in each askew: the labels' cut is askew, too, until it must not matter
    where along its stripe a row lies."""
    along = np.linspace(-2, 6, 20, dtype=np.float32)
    x = np.concatenate([np.stack([along, 0 * along], 1), np.stack([4 - along, 4 + 0 * along], 1)])
    y, pool = np.repeat([0, 1], 20), make_pool(jax.device_put(x))
    data = Data(jnp.array([[0.0, 0.0], [4.0, 4.0]]), jnp.array([0, 1]), jnp.ones(2), unlabeled=pool)

    def slide(key, x):
        return x.at[:, 0].add(4 * jax.random.normal(key, (len(x),)))

    learner = learners.fixmatch(
        learners.linear(2), 1, strong=slide, optimizer=optax.adam(0.05), num_steps=200, minibatch_size=4, ratio=7
    )
    fitting = jax.jit(lambda key, data: learner.predict(learner.fit(key, learner.init(key, data), data), pool.x))
    alone = data._replace(unlabeled=pool._replace(x=jnp.full_like(pool.x, jnp.nan)))  # nothing to learn from
    found, wanted = ((np.asarray(fitting(KEY, data))[:, 0].argmax(-1) == y).mean() for data in (alone, data))
    assert found <= 0.8 < 1 == wanted, (found, wanted)


def test_changes_and_dropout_share_no_numbers():
    """The keys of one step: what the network is given and folds layer numbers into, and what the changes are given."""
    given, changed = [], []

    def note(keys, key):
        jax.debug.callback(lambda data: keys.append(np.asarray(data)), jax.random.key_data(key))

    def train(params, x, key):
        note(given, key)
        return x @ params["out"], None

    def change(key, x):
        note(changed, key)
        return x

    network = Network(lambda key, x: {"out": jnp.eye(2)}, lambda params, x: (x @ params["out"], x), train=train)
    sizes = {"num_steps": 1, "minibatch_size": 2, "optimizer": optax.sgd(0.1)}
    learner = learners.fixmatch(network, 1, strong=change, weak=change, **sizes)
    jax.block_until_ready(fit(learner, learner.init(KEY, DATA), DATA))
    jax.effects_barrier()
    folded = jax.jit(lambda key: jax.vmap(lambda layer: jax.random.fold_in(key, layer))(jnp.arange(5)))
    layers = [np.asarray(jax.random.key_data(folded(jax.random.wrap_key_data(key)))) for key in given]
    seen = [tuple(key) for key in (*np.concatenate(layers), *changed)]
    assert len(changed) == 3
    assert len(given) == 2
    assert len(set(seen)) == len(seen)


def test_drivers_hand_over_the_pool():
    """A fit that adds up what it was given: from a Python loop over a streamed pool, and in a campaign."""

    def summed(key, state, data):
        return jnp.where(data.unlabeled.present[:, None], data.unlabeled.x, 0).sum() + 0 * state

    learner = problem.CENTERS._replace(
        init=lambda key, data: jnp.zeros(()),
        fit=summed,
        predict=lambda state, x: problem.two_widths(jnp.full((problem.CLASSES, 2), state), x),
        unlabeled=True,
    )
    setup = Setup(learner, strategies.random(), 2, 0, 4, lambda posterior, test: {"sum": posterior.state}, streamed(64))
    x = np.asarray(problem.X)
    task = Task(make_pool(problem.X)._replace(present=jnp.arange(problem.N) > 4), problem.Y)
    found = run_eager(KEY, task, setup).metrics["sum"]
    np.testing.assert_allclose(found, [x[5:].sum()], rtol=1e-4)
    campaign = Campaign(KEY, learner, strategies.random(), x, capacity=9, num_classes=problem.CLASSES)
    campaign.tell([1, 2, 3], [0, 1, 2])
    np.testing.assert_allclose(campaign.posterior.state, x.sum(), rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: learners.fixmatch(learners.linear(2), 1, strong=twice, threshold=1.5), ValueError, "a probability"),
        (lambda: learners.fixmatch(learners.linear(2), 0, strong=twice), ValueError, "num_members must be at least 1"),
        (lambda: learners.jitter(-1.0), ValueError, "scale must be finite"),
        (lambda: learners.shift(1)(KEY, jnp.ones((2, 4))), ValueError, "shift moves images"),
        (lambda: learners.shift(0), ValueError, "pixels must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_fit_without_a_pool_says_where_one_comes_from():
    learner = learners.fixmatch(learners.linear(2), 1, strong=twice)
    with pytest.raises(ValueError, match="run it in a study or a campaign, which hand it their pool"):
        jax.eval_shape(learner.fit, KEY, start(learner, np.zeros((2, 2)), np.zeros(2)), DATA._replace(unlabeled=None))


def test_augmentations_change_what_they_say():
    x = jnp.ones((400, 6, 6, 1))
    one = jnp.zeros((400, 6, 6)).at[:, 3, 3].set(1.0)
    all_three = jax.jit(lambda: (learners.jitter(0.5)(KEY, x), learners.hide(0.3)(KEY, x), learners.shift(2)(KEY, one)))
    noise, hidden, moved = map(np.asarray, all_three())
    np.testing.assert_allclose((noise.std(), noise.mean()), (0.5, 1.0), atol=0.02)
    assert set(np.unique(hidden)) == {0.0, 1.0}
    np.testing.assert_allclose((hidden == 0).mean(), 0.3, atol=0.02)
    moved = np.argwhere(moved)
    assert len(moved) == 400
    assert {tuple(place) for place in moved[:, 1:]} == {(row, column) for row in range(1, 6) for column in range(1, 6)}
