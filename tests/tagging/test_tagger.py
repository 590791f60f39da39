"""The tagger: what it predicts, what it learns, and whole runs whose rounds are so many words."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.acquisition import bald
from bal.loop import run_seeds, seed_keys
from bal.pool import make_pool
from bal.tagging import (
    Sentences,
    by_words,
    mean_over_words,
    mnlp,
    most_rows,
    of_successor,
    tagger,
    tagging,
    with_successor,
)
from bal.tagging.successor import Pair
from bal.tagging.tagger import Head, TaggerState
from bal.typing import Data, Setup, Task

N, T, D, C, K = 6, 4, 5, 3, 2
NAMES = ("O", "B-x", "I-x")
KEY = jax.random.key(0)


def sentences(n=N, seed=0, drawn=None):
    draw = np.random.default_rng(seed)
    mask = np.arange(T) < draw.integers(1, T + 1, n)[:, None]
    states = draw.normal(size=(n, T, D)).astype(np.float16)
    over = None if drawn is None else draw.normal(size=(n, drawn, T, D)).astype(np.float16)
    return Sentences(states, mask, over)


def tags_of(x, seed=0):
    layer = np.random.default_rng(seed).normal(size=(D, C))
    return np.where(x.mask, (np.asarray(x.states, float) @ layer).argmax(-1), -1).astype(np.int32)


LAYER = np.random.default_rng(1).normal(size=(D, C)).astype(np.float32)
MASKS = np.array([[0.0, 2.0, 2.0, 0.0, 2.0], [2.0, 2.0, 0.0, 0.0, 2.0]])
STATE = TaggerState(Head(jnp.asarray(LAYER), jnp.zeros(C), None), jnp.asarray(MASKS, jnp.float32))


def probabilities(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


@pytest.mark.parametrize("drawn", [None, K])
def test_draws_are_the_layer_under_each_mask(drawn):
    x = sentences(drawn=drawn)
    found = jax.jit(tagger(C, K).predict)(STATE, jax.tree.map(jnp.asarray, x))
    for k in range(K):
        states = np.asarray(x.states if drawn is None else x.drawn[:, k], float)
        expected = probabilities((states * MASKS[k]) @ LAYER.astype(float))
        np.testing.assert_allclose(np.exp(found.log_probs[:, k]), expected, rtol=1e-5)
    plain = (np.asarray(x.states, float) @ LAYER).argmax(-1)
    assert found.best.tolist() == np.where(x.mask, plain, -1).tolist()
    assert found.log_best is None
    assert (found.mask == x.mask).all()


@pytest.fixture(scope="module", params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["words", "chain"])
def fitted(request):
    learner = tagger(C, K, rate=0.2, chained=request.param, num_steps=40, minibatch_size=4)
    fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    return learner, fit, jax.jit(learner.predict)


def data_of(x, y, weight):
    return Data(jax.tree.map(jnp.asarray, x), jnp.asarray(y), jnp.asarray(weight, jnp.float32))


def test_what_has_no_weight_or_is_no_word_teaches_nothing(fitted):
    _, fit, predict = fitted
    x, weight = sentences(), np.array([1, 1, 1, 1, 0, 0])
    y = tags_of(x)
    junk = np.where(weight[:, None] > 0, y, 0)
    states = np.where(x.mask[..., None] & (weight[:, None, None] > 0), x.states, 9).astype(np.float16)
    state = fit(KEY, data_of(x, y, weight))
    other = fit(KEY, data_of(x._replace(states=states), junk, weight))
    for one, two in zip(*map(jax.tree.leaves, (state, other))):
        np.testing.assert_array_equal(one, two)
    found, rows = predict(state, data_of(x, y, weight).x), jax.tree.map(lambda leaf: jnp.asarray(leaf)[::2], x)
    assert np.isfinite(found.log_probs).all()
    np.testing.assert_allclose(np.exp(found.log_probs).sum(-1), 1, rtol=1e-5)
    few = predict(state, jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), rows))
    np.testing.assert_allclose(few.log_probs[:3], found.log_probs[::2], rtol=1e-5, atol=1e-6)
    assert (found.log_best is None) == (state.head.chain is None)


@pytest.mark.slow
def test_tags_that_follow_from_states_are_learned(fitted):
    _, fit, predict = fitted
    x = sentences()
    y = tags_of(x)
    state = fit(KEY, data_of(x, y, np.ones(N)))
    before = (predict(jax.tree.map(jnp.zeros_like, state), jax.tree.map(jnp.asarray, x)).best == y)[x.mask].mean()
    assert (predict(state, jax.tree.map(jnp.asarray, x)).best == y)[x.mask].mean() > max(before, 0.6)


@pytest.fixture(scope="module")
def runs():
    """Two seeds of a run by BALD of a small model for a large one, and what each round may spend."""
    x = sentences(40, 3)
    y, cost = tags_of(x), x.mask.sum(1).astype(np.float32)
    budget = 0.1 * float(cost.sum())
    settings = {"num_steps": 3, "minibatch_size": 4}
    small, large = tagger(C, 6, rate=0.5, **settings), tagger(C, 1, rate=0.1, **settings)
    pair = Pair(x._replace(states=x.states[..., :2]), x)
    setup = Setup(
        with_successor(small, large), by_words(mean_over_words(bald), budget), most_rows(cost, budget), 3, 0,
        of_successor(large, tagging(NAMES)),
    )  # fmt: skip
    task = Task(make_pool(pair, cost=cost), y, (x, y))
    return run_seeds(seed_keys(0, 2), task, setup).log, cost, budget, y


@pytest.mark.slow
def test_every_round_spends_its_budget_and_no_more_than_its_last_sentence(runs):
    log, cost, budget, y = runs
    for seed in range(2):
        rows = [row[valid] for row, valid in zip(np.asarray(log.indices[seed]), np.asarray(log.valid[seed]))]
        assert len(np.concatenate(rows)) == len(np.unique(np.concatenate(rows)))
        for picked in rows:
            assert cost[picked].sum() >= budget > cost[picked[:-1]].sum()
        for picked, told, valid in zip(rows, np.asarray(log.y[seed]), np.asarray(log.valid[seed])):
            assert told[valid].tolist() == y[picked].tolist()
    np.testing.assert_allclose(np.asarray(log.info["spent"]).min(), budget, atol=T)


@pytest.mark.slow
def test_the_successor_is_measured(runs):
    log = runs[0]
    assert set(log.metrics) == {"accuracy", "f1"}
    assert log.metrics["f1"].shape == (2, 4)
    assert np.ptp(np.asarray(log.metrics["accuracy"])) > 0


def test_labels_and_rows_that_are_no_tags():
    x = sentences()
    y = tags_of(x)
    setup = Setup(tagger(C, K), by_words(mnlp, 3.0), 2, 1, 0)
    run = lambda x, y: run_seeds(seed_keys(0, 1), Task(make_pool(x), y, None), setup)
    with pytest.raises(ValueError, match=r"tags of row 0, .* in \[0, 3\), or -1 where there is no word"):
        run(x, np.where(y >= 0, y + 5, y))
    with pytest.raises(ValueError, match=r"tags of shape \[rows, 4\], one for each word, got \(6, 2\)"):
        run(x, y[:, :2])
    with pytest.raises(TypeError, match="a tagger needs rows that are Sentences"):
        run(x.states, y)
    with pytest.raises(ValueError, match="one set of drawn states a draw, 2, got 3"):
        run(sentences(drawn=3), y)
    with pytest.raises(ValueError, match=r"one mask a draw, \[2, D\], got masks of shape \(3, 5\)"):
        tagger(C, K, masks=np.ones((3, D)))
    with pytest.raises(ValueError, match="masks of finite numbers, got NaN"):
        tagger(C, K, masks=np.full((K, D), np.nan))
    with pytest.raises(TypeError, match="expected an acquirer that is a Learner"):
        inspect.unwrap(with_successor)(tagger, tagger(C))
