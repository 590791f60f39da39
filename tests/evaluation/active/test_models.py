"""Which model is best: the best is among the contenders; beliefs against Monte Carlo and slow loops."""

import numpy as np
import pytest
import scipy.stats

from bal.evaluation.active import (
    class_beliefs,
    consensus_beliefs,
    draw,
    information_about_best,
    leaders,
    lure,
    probability_best,
    told,
)


def test_the_best_is_among_the_contenders_and_bad_ones_are_not():
    rng = np.random.default_rng(0)
    hard = rng.gamma(2.0, size=300)
    losses = hard[:, None] + np.array([0.0, 0.02, 0.15, 1.0]) + 0.5 * rng.normal(size=(300, 4))
    picks = draw(np.broadcast_to(hard + 0.5, (1000, 300)), 50)
    found = leaders(picks.log_q, losses[picks.indices], 300)
    best = losses.mean(0).argmin()
    assert found.contenders[:, best].mean() > 0.95
    assert found.contenders[:, 3].mean() < 0.02
    assert 0.05 < found.contenders[:, 2].mean() < 0.9
    assert (found.best != 3).all()
    for model in range(4):
        alone = lure(picks.log_q, losses[picks.indices][..., model], 300).mean[:, -1]
        np.testing.assert_allclose(found.mean[:, model], alone)
    even = leaders(picks.log_q, np.repeat(losses[picks.indices][..., :1], 2, -1), 300)
    assert even.contenders.all()  # equal models are never told apart


@pytest.fixture(scope="module")
def beliefs():
    probs = np.random.default_rng(1).dirichlet(np.ones(3), size=(4, 12))
    found = consensus_beliefs(probs, strength=2.0)
    for row, label in ((0, 1), (3, 2), (5, 0), (7, 1)):
        found = told(found, row, label, rate=1.0)
    return found


def slow_best(counts, prevalence, draws=200_000):
    """By draws of how often each model is right about each class."""
    rng, total = np.random.default_rng(2), np.zeros(len(counts))
    for label, common in enumerate(prevalence):
        right = counts[:, label, label]
        theta = rng.beta(right, counts[:, label].sum(-1) - right, size=(draws, len(counts)))
        total += common * np.bincount(theta.argmax(-1), minlength=len(counts)) / draws
    return total


def test_chance_of_being_best_against_draws(beliefs):
    prevalence = class_beliefs(beliefs).mean(0)
    found = probability_best(beliefs)
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, slow_best(beliefs.counts, prevalence), atol=0.005)


def test_information_against_one_label_after_the_other(beliefs):
    """Told each label of each row by itself; classes stay as common as they are, as the method has it."""
    prevalence, classes = class_beliefs(beliefs).mean(0), class_beliefs(beliefs)

    def best(counts):
        edges = np.linspace(0, 1, 2001)
        total = np.zeros(len(counts))
        for label, common in enumerate(prevalence):
            laws = [scipy.stats.beta(row[label, label], row[label].sum() - row[label, label]) for row in counts]
            middle = (edges[1:] + edges[:-1]) / 2
            below = np.array([law.cdf(middle) for law in laws])
            mass = np.array([np.diff(law.cdf(edges)) for law in laws])
            total += common * np.array([(mass[h] * np.delete(below, h, 0).prod(0)).sum() for h in range(len(laws))])
        return total

    entropy = lambda chance: -(chance * np.log(chance)).sum()
    found = information_about_best(beliefs)
    for row in (0, 4, 11):
        after = [entropy(best(told(beliefs, row, label, rate=1.0).counts)) for label in range(3)]
        assert found[row] == pytest.approx(entropy(best(beliefs.counts)) - classes[row] @ after, abs=2e-4)


def test_labels_that_tell_find_the_best_model_with_fewer():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 100)
    right = rng.random((5, 100)) < np.array([0.75, 0.78, 0.7, 0.92, 0.74])[:, None]
    said = np.where(right, y, (y + rng.integers(1, 3, (5, 100))) % 3)
    probs = 0.85 * np.eye(3)[said] + 0.05
    found, asked = consensus_beliefs(probs), []
    for _ in range(15):
        scores = information_about_best(found)
        scores[asked] = -np.inf
        asked.append(int(scores.argmax()))
        found = told(found, asked[-1], int(y[asked[-1]]), rate=1.0)
    assert len(set(asked)) == 15
    assert probability_best(found).argmax() == right.mean(1).argmax() == 3
    assert probability_best(found)[3] > 0.5
    agreed = (said[:, asked] == said[:1, asked]).all(0).mean()
    assert agreed < 0.5 * (said == said[:1]).all(0).mean()  # it asks where they differ


def test_refusals():
    with pytest.raises(ValueError, match="2 models"):
        leaders(np.log([0.5, 0.5]), np.ones((2, 1)), 5)
    with pytest.raises(ValueError, match="expected probabilities"):
        consensus_beliefs(np.ones((3, 4, 2)))
