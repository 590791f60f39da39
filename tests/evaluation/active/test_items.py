"""The item-response model: derivatives, integrals, recovery of known items, and fewer questions for the same answer."""

import numpy as np
import pytest
import scipy.integrate
import scipy.special

from bal.evaluation.active import Items, ability, expected_accuracy, fit_items, item_information, next_item

RNG = np.random.default_rng(0)
ITEMS = Items(np.exp(0.3 * RNG.normal(size=60)), RNG.normal(size=60))


def answers_of(rng, abilities, items):
    chance = scipy.special.expit(items.discrimination * (abilities[:, None] - items.difficulty))
    return (rng.random(chance.shape) < chance).astype(float)


def test_information_is_the_curvature_of_the_log_likelihood():
    for t in (-1.0, 0.3):
        chance = lambda t: scipy.special.expit(ITEMS.discrimination * (t - ITEMS.difficulty))
        slope = (chance(t + 1e-5) - chance(t - 1e-5)) / 2e-5
        expected = slope**2 / (chance(t) * (1 - chance(t)))
        np.testing.assert_allclose(item_information(np.array([t]), ITEMS)[0], expected, rtol=1e-6)
        assert expected_accuracy(np.array([t]), ITEMS)[0] == pytest.approx(chance(t).mean())


def test_ability_is_an_integral():
    answers = answers_of(np.random.default_rng(1), np.array([0.8]), ITEMS)[0]
    answers[10:] = np.nan

    def density(t):
        chance = scipy.special.expit(ITEMS.discrimination[:10] * (t - ITEMS.difficulty[:10]))
        return np.exp(-(t**2) / 2) * np.where(answers[:10] == 1, chance, 1 - chance).prod()

    total, first, second = (scipy.integrate.quad(lambda t, k=k: t**k * density(t), -8, 8)[0] for k in range(3))
    mean, deviation = ability(answers, ITEMS)
    assert float(mean) == pytest.approx(first / total, abs=1e-6)
    assert float(deviation) == pytest.approx(np.sqrt(second / total - (first / total) ** 2), abs=1e-6)


def test_known_items_are_recovered():
    rng = np.random.default_rng(2)
    found = fit_items(answers_of(rng, rng.normal(size=400), ITEMS), num_steps=20)
    assert np.corrcoef(found.difficulty, ITEMS.difficulty)[0, 1] > 0.97
    assert np.corrcoef(found.discrimination, ITEMS.discrimination)[0, 1] > 0.75
    assert abs(found.difficulty - ITEMS.difficulty).mean() < 0.15
    assert abs(np.log(found.discrimination / ITEMS.discrimination)).mean() < 0.2


def test_questions_that_tell_need_half_the_number():
    rng = np.random.default_rng(3)
    abilities = np.tile(np.linspace(-2, 2, 5), 80)
    answers = answers_of(rng, abilities, ITEMS)
    error, deviations = {}, []
    asked = np.full(answers.shape, np.nan)
    for _ in range(12):
        chosen = next_item(asked, ITEMS)[:, None]
        assert np.isnan(np.take_along_axis(asked, chosen, 1)).all()
        np.put_along_axis(asked, chosen, np.take_along_axis(answers, chosen, 1), 1)
    mean, deviations = ability(asked, ITEMS)
    error["chosen"] = ((mean - abilities) ** 2).mean()
    keys = rng.random(answers.shape).argsort(1).argsort(1)
    for number in (12, 24):
        mean, _ = ability(np.where(keys < number, answers, np.nan), ITEMS)
        error[number] = ((mean - abilities) ** 2).mean()
    assert error["chosen"] < 0.8 * error[12]
    assert error["chosen"] < 1.1 * error[24]
    assert 0.7 < error["chosen"] / (deviations**2).mean() < 1.6


def test_refusals():
    with pytest.raises(ValueError, match="1 right, 0 wrong"):
        fit_items(np.array([[0.0, 2.0], [1.0, 0.0]]))
    with pytest.raises(ValueError, match="none left"):
        next_item(np.ones(3), Items(np.ones(3), np.zeros(3)))
