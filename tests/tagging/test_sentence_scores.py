"""Scores of sentences against loops over their words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.acquisition import bald, margin, vote_variation_ratio
from bal.tagging import (
    mean_over_words,
    mnlp,
    sum_over_words,
    unlikely,
)
from bal.typing import Tags

K, T, C = 4, 5, 3
LENGTHS = np.array([5, 3, 1])
MASK = np.arange(T) < LENGTHS[:, None]
SCORES = {
    "mnlp": mnlp,
    "unlikely": unlikely,
    "bald": mean_over_words(bald),
    "variation ratio": mean_over_words(vote_variation_ratio),
    "sum of bald": sum_over_words(bald),
    "mean margin": mean_over_words(margin),
}


@pytest.fixture(scope="module")
def log_probs():
    draws = np.random.default_rng(1).normal(size=(len(LENGTHS), K, T, C)) * 2
    return np.asarray(draws - np.log(np.exp(draws).sum(-1, keepdims=True)), np.float32)


@pytest.fixture(scope="module")
def scored():
    every = jax.jit(lambda tags: {name: score(tags) for name, score in SCORES.items()})
    return lambda log_probs: every(Tags(jnp.asarray(log_probs), jnp.asarray(MASK), jnp.asarray(MASK, jnp.int32)))


def entropy(p):
    return -(p * np.log(p)).sum(-1)


def by_loops(log_probs):
    """Every score from its definition, word by word, in float64."""
    found = {name: [] for name in SCORES}
    for row, length in enumerate(LENGTHS):
        p = np.exp(log_probs[row, :, :length].astype(np.float64))
        mean = p.mean(0)
        surprise = [-np.log(mean[t].max()) for t in range(length)]
        gain = [entropy(mean[t]) - np.mean([entropy(p[k, t]) for k in range(K)]) for t in range(length)]
        votes = [np.bincount(p[:, t].argmax(-1), minlength=C).max() / K for t in range(length)]
        two = np.sort(mean, -1)[:, -2:]
        found["mnlp"].append(np.mean(surprise))
        found["unlikely"].append(np.sum(surprise))
        found["bald"].append(np.mean(gain))
        found["sum of bald"].append(np.sum(gain))
        found["variation ratio"].append(np.mean([1 - vote for vote in votes]))
        found["mean margin"].append(np.mean(-(two[:, 1] - two[:, 0])))
    return found


def test_equal_the_loops(log_probs, scored):
    found, expected = scored(log_probs), by_loops(log_probs)
    for name in SCORES:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("junk", [np.nan, -1e30, 0.0])
def test_padding_changes_nothing(log_probs, scored, junk):
    other = np.where(MASK[:, None, :, None], log_probs, np.float32(junk))
    for name, score in scored(other).items():
        np.testing.assert_array_equal(score, scored(log_probs)[name], err_msg=name)


def test_draws_that_agree_know_of_nothing_to_learn(log_probs, scored):
    same = np.repeat(log_probs[:, :1], K, 1)
    assert (scored(same)["bald"] == 0).all()
    assert (scored(same)["variation ratio"] == 0).all()


def test_uniform_probabilities_are_worth_log_c(scored):
    found = scored(np.full((len(LENGTHS), K, T, C), -np.log(C), np.float32))
    np.testing.assert_allclose(found["mnlp"], np.log(C), rtol=1e-6)
    np.testing.assert_allclose(found["unlikely"], LENGTHS * np.log(C), rtol=1e-6)


def test_a_word_that_is_not_a_number_is_none_in_its_sentence_alone(log_probs, scored):
    other = log_probs.copy()
    other[1, 0, 0, 0] = np.nan
    for name, score in scored(other).items():
        assert np.isnan(score).tolist() == [False, True, False], name


def test_mnlp_of_a_chain_is_that_of_its_likeliest_sequence(log_probs):
    tags = Tags(jnp.asarray(log_probs), jnp.asarray(MASK), jnp.asarray(MASK, jnp.int32), jnp.array([-5.0, -6.0, -7.0]))
    np.testing.assert_allclose(mnlp(tags), [1.0, 2.0, 7.0], rtol=1e-6)
    np.testing.assert_allclose(unlikely(tags), [5.0, 6.0, 7.0], rtol=1e-6)


def test_what_is_no_tags(log_probs):
    tags = Tags(jnp.asarray(log_probs), jnp.asarray(MASK), jnp.asarray(MASK, jnp.int32))
    with pytest.raises(
        TypeError, match=r"needs log probabilities .*; got Tags of sentences: use bal.tagging.mean_over"
    ):
        jax.eval_shape(bald.__wrapped__ if hasattr(bald, "__wrapped__") else bald, tags)
