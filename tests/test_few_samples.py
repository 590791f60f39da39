"""The study of few samples: numbers in words, a score of texts, trainings, and what is said of planted effects."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.backbones import answered, log_probabilities, tiny_language_model
from paper_figures import few_samples, few_samples_judged
from paper_figures.few_samples_designs import keys_of
from paper_figures.few_samples_words import chrf, in_words, measured, prepare, prompt_of, trainings

RNG = np.random.default_rng(0)


def test_numbers_in_words():
    known = {
        1: "one",
        13: "thirteen",
        20: "twenty",
        85: "eighty-five",
        100: "one hundred",
        999: "nine hundred ninety-nine",
    }
    assert {number: in_words(number) for number in known} == known
    assert len({in_words(number) for number in range(1000)}) == 1000


def test_score_of_texts_by_hand():
    """ "abcd" for "abce": n-grams 4, 3, 2, 1, of which 3, 2, 1, 0 are shared; orders above 4 are in neither."""
    assert chrf("abcd", "abce") == pytest.approx(np.mean([3 / 4, 2 / 3, 1 / 2, 0]))
    shorter = np.mean([1, 1, 1]), np.mean([3 / 4, 2 / 3, 1 / 2])  # of "abc" for "abcd", recall counts four times
    assert chrf("abc", "a b c d") == pytest.approx(5 * np.prod(shorter) / (4 * shorter[0] + shorter[1]))
    assert chrf("xyz", "abc") == 0


def study(**parts) -> dict[str, Any]:
    return {"sizes": few_samples.SIZES["cpu"], **parts}


def curves(gain, noise):
    base = 0.9 + 0.05 * RNG.normal(size=(10, 1)) + np.zeros((1, 3))
    make = lambda gain: base + gain + noise * RNG.normal(size=(10, 3))
    return study(spam={"random": make(0.0), "margin": make(gain), "BALD": make(0.0)})


@pytest.mark.parametrize(("gain", "noise", "holds"), [(0.0, 0.002, True), (0.0, 0.1, None), (0.03, 0.002, False)])
def test_strategies_against_random(gain, noise, holds):
    said, found = few_samples_judged.against_random(curves(gain, noise))
    assert found is holds
    assert "would be found with chance 0.8" in said


@pytest.mark.parametrize(("effect", "num", "holds"), [(0.0, 100, True), (0.0, 20, None), (1.0, 100, False)])
def test_features_of_subsets(effect, num, holds):
    part = {name: RNG.normal(size=num) for name in (*few_samples_judged.FEATURES, "tokens")}
    part["log_prob"] = effect * part["entropy"] + RNG.normal(size=num)
    said, found = few_samples_judged.no_feature(study(random=part))
    assert found is holds
    assert "would be missed" in said


def test_a_feature_that_is_length_is_no_feature():
    length = RNG.normal(size=100)
    part = {name: length + 0.5 * RNG.normal(size=100) for name in few_samples_judged.FEATURES}
    part |= {"tokens": length, "log_prob": length + 0.3 * RNG.normal(size=100)}
    assert few_samples_judged.no_feature(study(random=part))[1] is True


@pytest.mark.parametrize(("between", "holds"), [(0.0, True), (1.0, None), (10.0, False)])
def test_share_of_the_subset(between, holds):
    scores = between * RNG.normal(size=(10, 1, 1, 1)) + RNG.normal(size=(10, 2, 2, 2))
    said, found = few_samples_judged.mostly_chance(study(crossed={"log_prob": scores.ravel()}))
    assert found is holds, said
    assert "of noise 0.89" in said  # 70 of 79 degrees of freedom


@pytest.mark.parametrize(("slope", "holds"), [(-1.0, True), (1.0, False), (0.0, None)])
def test_windows(slope, holds):
    place = np.repeat(np.arange(7.0), 2)
    noise = np.repeat([0.1, -0.1, 0.3, -0.4, 0.2, 0.0, -0.1], 2)
    part = {"log_prob": slope * place + noise, "tokens": place}
    assert few_samples_judged.along_windows(study(windows=part))[1] is holds


@pytest.mark.slow
def test_trainings():
    """Scores before any training are those of the whole model among the answers' tokens; each key is a source."""
    lm, numbers = tiny_language_model(jax.random.key(0)), np.arange(1, 40)
    ready = prepare(lm, numbers, 9, 1)
    found = jax.jit(lambda ones, rows: measured(ready, ones, rows))(ready.ones, ready.test)
    asked, said = zip(*((prompt_of(number), f" {in_words(number)}\n") for number in numbers[:9].tolist()), strict=True)
    rows = answered(lm, asked, said)
    vocabulary = {
        token
        for one in lm.tokenizer.encode_batch([f" {in_words(number)}\n" for number in numbers.tolist()])
        for token in one.ids
    }
    whole = log_probabilities(lm, asked, [[text] for text in said])
    logits: Any = lm.module.apply(lm.variables, jnp.asarray(rows.tokens), jnp.asarray(rows.mask))
    every = np.asarray(jax.nn.log_softmax(logits))
    for row in range(9):
        count = whole.mask[row, 0].sum()
        among = np.exp(every[row, rows.at[row, :count]][:, sorted(vocabulary)]).sum(-1)
        expected = (whole.log_probs[row, 0, :count] - np.log(among)).mean()
        np.testing.assert_allclose(found["log_prob"][row], expected, rtol=1e-4)
    subsets, zero, one = np.tile(np.arange(8), (4, 1)), np.zeros(4, int), np.eye(4, dtype=int)
    keys = keys_of(zero + one[1], zero + one[2], zero + one[3])
    scores = trainings(ready, subsets, keys, 2, 4)["log_prob"]
    assert len(set(scores.tolist())) == 4
    assert (trainings(ready, subsets[:1], keys_of(zero[:1], zero[:1], zero[:1]), 2, 4)["log_prob"] == scores[:1]).all()
    assert scores.min() > found["log_prob"].mean()
