"""The loops of proxies on three clusters: by hand, with and without the switch, with labels from people."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import CLASSES, KEY, POOL, TEST, X, Y, evaluate

from bal import strategies
from bal.learners import mlp
from bal.loop import run_eager
from bal.pool import make_pool, streamed
from bal.proxies import Tuned, asvp, at_labels, fine_tuned, never, of_network, svp, trained_on
from bal.proxies.training import answers, compiled, fitted
from bal.typing import Learner, Setup, Task

NETWORK = mlp((8,), num_outputs=CLASSES)
BACKBONE = of_network(NETWORK, jax.jit(NETWORK.init)(jax.random.key(9), X))
TARGET = fine_tuned(BACKBONE, CLASSES, num_steps=20, minibatch_size=8)


def centers(features):
    """Means of the classes' features: what they are near to says the class; compiles in no time."""

    def fit(key, state, data):
        members = jax.nn.one_hot(data.y, CLASSES, axis=0) * data.weight[None]
        return members @ data.x / (1 + members.sum(1, keepdims=True))

    def predict(means, x):
        squared = jnp.square(x[:, None] - means[None]).sum(-1)
        return jax.nn.log_softmax(-squared[:, None] * jnp.array([0.2, 1.0])[None, :, None], -1)

    return Learner(lambda key, data: jnp.zeros((CLASSES, features)), fit, predict)


PROXY = centers(8)
PREDICT, EMBED = jax.jit(TARGET.predict), jax.jit(TARGET.embed)
START = Tuned(BACKBONE.params, BACKBONE.params, None)
SETUP = Setup(PROXY, strategies.margin(), batch_size=2, num_rounds=4, num_initial=4, evaluate=evaluate)
TASK = Task(POOL, Y, TEST)


def hidden(params, x):
    """Features by numpy: the hidden layer, brought to length √F."""
    layer = params["hidden"][0]
    rows = np.maximum(np.asarray(x) @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"]), 0)
    return rows / np.sqrt((rows**2).mean(1, keepdims=True) + 1e-12)


def seen_by(state):
    """The task in the features of a network; by one program, since rounding alone may turn a pick."""
    features = lambda x: EMBED(state._replace(head=None), x)[:, 0]
    return Task(make_pool(features(X)), Y, (features(TEST[0]), TEST[1]))


@pytest.fixture(scope="module")
def frozen():
    return asvp(KEY, TASK, SETUP, TARGET, switch=never)


@pytest.fixture(scope="module")
def aligned():
    return asvp(KEY, TASK, SETUP, TARGET, switch=at_labels(7))


def test_without_the_switch_it_is_a_run_on_frozen_features(frozen):
    log = run_eager(KEY, seen_by(START), SETUP)
    np.testing.assert_array_equal(frozen.rows, np.concatenate([log.start, np.ravel(log.indices)]))
    np.testing.assert_allclose(frozen.logs[0].metrics["nll"], log.metrics["nll"], rtol=1e-4)
    assert (frozen.switched, len(frozen.logs)) == (None, 1)
    assert [cost.part for cost in frozen.costs] == ["encode", *["round"] * 5, "target"]


def test_up_to_the_switch_nothing_is_different_and_then_it_goes_on(frozen, aligned):
    before, after = aligned.logs
    assert aligned.switched == 8  # the first evaluation with at least 7
    np.testing.assert_array_equal(aligned.rows[:8], frozen.rows[:8])
    np.testing.assert_array_equal(after.start, aligned.rows[:8])
    np.testing.assert_array_equal(before.num_training, [4, 6, 8])
    np.testing.assert_array_equal(after.num_training, [8, 10, 12])
    assert len(set(aligned.rows.tolist())) == len(frozen.rows) == 12
    np.testing.assert_array_equal(aligned.y, np.asarray(Y)[aligned.rows])
    parts = [cost.part for cost in aligned.costs]
    assert parts == ["encode", *["round"] * 3, "align", *["round"] * 3, "target"]
    assert sum(cost.labels for cost in aligned.costs) == 12  # none is paid for twice
    assert all(cost.flops > 0 for cost in aligned.costs)


def test_features_behind_the_switch_are_those_of_the_network_fine_tuned_on_the_labels_so_far(aligned):
    posterior = trained_on(jax.random.fold_in(KEY, 102), TARGET, POOL, aligned.rows[:8], aligned.y[:8], 12)
    log = run_eager(jax.random.fold_in(KEY, 103), seen_by(posterior.state)._replace(start=aligned.rows[:8]),
                    SETUP._replace(num_rounds=2, num_initial=None))  # fmt: skip
    np.testing.assert_array_equal(np.ravel(log.indices), aligned.rows[8:])


def test_the_target_is_trained_on_all_labels_and_measured_on_its_own_inputs(aligned):
    log_probs = np.asarray(PREDICT(aligned.posterior.state, X))[::2]
    assert aligned.metrics["accuracy"] == pytest.approx(np.mean(log_probs[:, 0].argmax(1) == np.asarray(TEST[1])))
    again = trained_on(jax.random.fold_in(KEY, 101), TARGET, POOL, aligned.rows, aligned.y)
    np.testing.assert_allclose(PREDICT(again.state, X)[::2], log_probs, atol=1e-4)


def test_people_are_asked_once_for_each_row_and_see_what_is_to_be_labeled(aligned):
    asked = []

    def oracle(key, indices, x):
        np.testing.assert_array_equal(x, np.asarray(X)[indices])  # inputs, not features
        asked.extend(np.asarray(indices).tolist())
        return np.asarray(Y)[indices]

    found = asvp(KEY, TASK._replace(oracle=oracle), SETUP, TARGET, switch=at_labels(7))
    np.testing.assert_array_equal(found.rows, aligned.rows)
    assert asked == aligned.rows.tolist()


def test_features_that_are_there_already_are_not_computed_again(frozen):
    features = seen_by(START).pool.x, seen_by(START).test[0]
    found = asvp(KEY, TASK, SETUP, TARGET, switch=never, features=features)
    np.testing.assert_array_equal(found.rows, frozen.rows)
    assert found.costs[0].part == "round"


def test_the_last_training_may_be_another():
    asked = []
    final = lambda features, y: asked.append((features.shape, y.shape)) or PROBE
    found = asvp(KEY, TASK, SETUP, TARGET, switch=never, final=final, over=streamed(16))
    assert asked == [((12, 8), (12,))]
    assert found.posterior.learner is PROBE


PROBE = fine_tuned(BACKBONE, CLASSES, num_steps=0, num_probe_steps=300, minibatch_size=8)


def test_a_proxy_that_is_the_target_picks_what_the_target_would():
    target = centers(2)
    setup = SETUP._replace(learner=target, num_rounds=2)
    found, log = svp(KEY, TASK, setup, target), run_eager(KEY, TASK, setup)
    np.testing.assert_array_equal(found.logs[0].indices, log.indices)
    assert found.metrics.keys() == {"accuracy", "nll"}
    assert [cost.part for cost in found.costs] == ["round", "round", "round", "target"]


def test_what_cannot_be_right_is_refused():
    with pytest.raises(ValueError, match="this target has no `embed`"):
        asvp(KEY, TASK, SETUP, PROXY)
    with pytest.raises(ValueError, match=r"expected a test of inputs and labels, \(x, y\), got dict"):
        asvp(KEY, TASK._replace(test={}), SETUP, TARGET)
    with pytest.raises(ValueError, match="expected features of the 40 rows of the pool, got 39"):
        asvp(KEY, TASK, SETUP, TARGET, features=(np.ones((39, 8)), None))
    with pytest.raises(ValueError, match="expected features of the 20 test rows"):
        asvp(KEY, TASK, SETUP, TARGET, features=(np.ones((40, 8)), None))
    with pytest.raises(ValueError, match="expected 2 labels within a capacity of 1"):
        trained_on(KEY, TARGET, POOL, [0, 1], Y[:2], 1)


DATA = answers(POOL, np.arange(10), Y[:10], 12)  # the shapes of the runs


def probed(data=DATA):
    return fitted(KEY, PROBE, data)


def test_fine_tuning_moves_both_and_a_probe_leaves_the_network():
    moved, probe = fitted(KEY, TARGET, DATA), probed()
    same = lambda state: all(
        bool((a == b).all()) for a, b in zip(*map(jax.tree.leaves, (state.start, state.backbone)), strict=True)
    )
    assert not same(moved)
    assert same(probe)
    for learner, state in ((TARGET, moved), (PROBE, probe)):
        features = hidden(state.backbone, X)
        logits = features @ np.asarray(state.head["kernel"]) + np.asarray(state.head["bias"])
        log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        predict = PREDICT if learner is TARGET else jax.jit(learner.predict)
        found = np.asarray(predict(state, X))[:, 0]
        np.testing.assert_allclose(found, log_probs, atol=1e-4)
    assert np.mean(found[:10].argmax(1) == np.asarray(Y[:10])) >= 0.9
    np.testing.assert_allclose(EMBED(moved, X)[:, 0], hidden(moved.backbone, X), atol=1e-4)


def test_a_fit_starts_from_the_pretrained_weights_whatever_came_before():
    first = probed()
    again = compiled(PROBE)[1](jax.random.fold_in(KEY, 1), first, DATA)
    np.testing.assert_array_equal(again.head["kernel"], first.head["kernel"])


def test_rows_without_weight_teach_nothing():
    first = DATA._replace(weight=(jnp.arange(12) < 7) * 1.0)
    spoiled = first._replace(x=DATA.x.at[7:].set(1e6), y=DATA.y.at[7:].set(0))
    np.testing.assert_array_equal(probed(spoiled).head["kernel"], probed(first).head["kernel"])


def test_settings_are_checked():
    with pytest.raises(ValueError, match="num_classes must be at least 2"):
        fine_tuned(BACKBONE, 1)
    assert repr(BACKBONE) == "network (51 parameters)"
