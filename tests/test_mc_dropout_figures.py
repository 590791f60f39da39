"""Parts of the figures on MC dropout: counts by hand, the penalty and ties by plain numpy, records shared by both."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import log_softmax

from bal.acquisition import bald, mean_std
from bal.learners import mc_dropout, mlp
from bal.selection import best, select
from bal.typing import Data
from paper_figures import bayesian_or_deterministic as one_pass
from paper_figures import dropout_study
from paper_figures import mc_dropout_mnist as figure
from paper_figures.claims import judge

SIZES = dropout_study.Sizes(2, 1, 60, 30, 0, 8, 0.1, 3, 5, 16, 20)


def runs(protocol="printed", **accuracy):
    start = dropout_study.PROTOCOLS[protocol].start
    found = {name: np.array(values) for name, values in accuracy.items()}
    count = len(next(iter(found.values()))[0])
    return dropout_study.Runs(start + 10 * np.arange(count), found, True, protocol)


UP = [[0.5, 0.89, 0.93, 0.96], [0.5, 0.93, 0.91, 0.96], [0.5, 0.92, 0.92, 0.95]]
FLAT = [[0.5, 0.6, 0.88, 0.89], [0.5, 0.6, 0.92, 0.93], [0.5, 0.7, 0.93, 0.94]]


def test_labels_are_counted_with_and_without_the_start():
    found = runs(random=FLAT, bald=UP)
    assert figure.arrival(found, "bald", 0.1) == 30  # the mean over seeds is 0.913, one seed is below
    assert figure.arrival(found, "random", 0.1) == 40
    assert figure.arrival(found, "random", 0.05) == np.inf
    said, near = figure.both_counts(found, "bald")
    assert said == "10 acquired (30 in all) to 10%; 30 acquired (50 in all) to 5%"
    assert near is False
    assert figure.both_counts(found, "random")[0].endswith("more than 30 acquired (more than 50 in all) to 5%")


def test_a_seed_that_does_not_arrive_is_one_round_late():
    found = runs(random=FLAT, bald=UP)
    np.testing.assert_array_equal(figure.spared(found, "bald", 0.1), [60 - 40, 40 - 30, 40 - 30])
    np.testing.assert_array_equal(figure.spared(found, "bald", 0.05), [10, 10, 10])
    assert figure.spared(runs(random=FLAT, bald=FLAT), "bald", 0.05) is None


def test_an_order_that_nobody_arrives_in_is_not_judged():
    quick, slow = {name: UP for name in figure.INFORMED}, {name: FLAT for name in figure.OTHERS}
    assert figure.in_order(runs(**quick, **slow), 0.1)[1] is True
    assert figure.in_order(runs(**quick, **slow), 0.05)[1] is True
    assert figure.in_order(runs(**{**quick, "bald": FLAT}, **slow), 0.1)[1] is False
    assert figure.in_order(runs(**{name: FLAT for name in figure.PRINTED}), 0.05)[1] is None


@pytest.mark.parametrize("protocol", dropout_study.PROTOCOLS)
def test_only_the_published_size_is_held_to_published_numbers(protocol):
    reached = {name: [[0.5, 0.96, 0.96, 0.96]] * 3 for name in figure.PRINTED}
    config, found = figure.Config(protocol=protocol), runs(protocol, **reached)
    rows = figure.claims(config, SIZES)
    at = {scale: [verdict.word for verdict in judge(rows, found, scale)] for scale in ("smoke", "cpu", "paper")}
    assert at["cpu"][7:] == ["not testable at this scale"] * 5
    assert at["paper"][7:] == ["not reproduced"] * 5
    assert set(at["smoke"]) == {"not testable at this scale"}


def test_the_printed_table_is_the_acquired_labels_of_the_logged_protocol():
    for name, printed in figure.PRINTED.items():
        start = dropout_study.PROTOCOLS["logged"].start
        assert tuple(count - start for count in figure.LOGGED["logged"][name]) == printed


def test_one_pass_ties_everywhere_and_ties_are_the_first_of_candidates_in_random_order():
    log_probs = log_softmax(np.random.default_rng(0).normal(size=(50, 1, 10)) * 3, -1).astype(np.float32)
    for of in (bald, mean_std):
        scores = np.asarray(jax.jit(of)(log_probs))
        np.testing.assert_array_equal(scores, 0)
        assert select(None, None, best, 5, scores=scores).indices.tolist() == [0, 1, 2, 3, 4]
    left = np.asarray(jax.jit(one_pass.rounding)(log_probs))
    assert 0 < np.abs(left).max() < 1e-5
    assert len(set(left.tolist())) > 5


@pytest.mark.slow
def test_the_penalty_shrinks_the_dense_layer_and_less_so_with_more_labels():
    x, key = jnp.asarray(np.random.default_rng(1).normal(size=(6, 4)), jnp.float32), jax.random.key(0)
    few = Data(x, jnp.arange(6) % 3, jnp.array([1.0, 1, 1, 1, 0, 0]))
    many = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * 20), few)  # the same minibatches but for chance
    decayed = dropout_study.decayed_dropout(0, 5, 3.5, 2, 400, 16)
    plain = mc_dropout(mlp((5,), 10, dropout=0.5), 2, optimizer=optax.adam(1e-3), num_steps=400, minibatch_size=16)

    def size(learner, data):
        state = jax.jit(lambda data: learner.fit(key, learner.init(key, data), data))(data)
        return float(jnp.square(state.params["hidden"][0]["kernel"]).sum())

    assert size(decayed, few) < 0.7 * size(decayed, many) < 0.7 * size(plain, few)


@pytest.mark.slow
def test_one_pass_is_the_same_network_and_gives_its_softmax():
    x, key = jnp.asarray(np.random.default_rng(1).normal(size=(6, 4)), jnp.float32), jax.random.key(0)
    data = Data(x, jnp.arange(6) % 3, jnp.ones(6))
    states = []
    for num_draws in (3, 0):
        learner = dropout_study.decayed_dropout(0, 5, 3.5, num_draws, 5, 16)
        state = jax.jit(lambda learner=learner: learner.fit(key, learner.init(key, data), data))()
        states.append(state)
        found = np.asarray(learner.predict(state, x))
        assert found.shape == (6, max(num_draws, 1), 10)
    jax.tree.map(np.testing.assert_array_equal, states[0].params, states[1].params)
    params = jax.tree.map(np.asarray, states[1].params)
    hidden = np.maximum(np.asarray(x) @ params["hidden"][0]["kernel"] + params["hidden"][0]["bias"], 0)
    logits = hidden @ params["out"]["kernel"] + params["out"]["bias"]
    np.testing.assert_allclose(found[:, 0], log_softmax(logits, -1), atol=1e-5)


def test_gaps_are_paired_and_of_200_labels_and_more():
    names = {"entropy", "bald", "random", one_pass.TIES, one_pass.PAIRS["entropy"].one_pass}
    rise = lambda level: [[0.0] * 19 + [level + 0.001 * seed, level - 0.001 * seed] for seed in range(6)]
    found = runs(**{name: rise(0.8) for name in names})
    found.accuracy["bald"] += 0.05 * (found.labels >= 200)
    pair = one_pass.PAIRS["entropy"]
    np.testing.assert_allclose(one_pass.gap(found, "bald", one_pass.TIES), 0.05 * 1.0)
    assert found.labels[-3:].tolist() == [200, 210, 220]
    assert one_pass.no_gap(found, pair)[1] is True
    found.accuracy["entropy"] = found.accuracy["entropy"] + 0.02
    assert one_pass.no_gap(found, pair)[1] is False
    found.accuracy["entropy"] = found.accuracy["entropy"] + 0.05 * np.array([[1], [-1], [1], [-1], [1], [-1]])
    assert one_pass.no_gap(found, pair)[1] is None
    assert one_pass.gap(runs(bald=UP, random=FLAT), "bald", "random") is None


def test_both_figures_ask_for_the_same_five():
    every, five = one_pass.setups(SIZES), dropout_study.setups("printed", SIZES)
    assert {name: every[name] for name in five} == five
    assert len(every) == len(five) + 4
    assert one_pass.SIZES is figure.SIZES
