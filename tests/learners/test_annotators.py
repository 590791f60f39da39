"""Votes and Dawid-Skene against slow float64 loops written from the paper of 1979, on its own data and on simulated."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import CENTERS, CLASSES, KEY, QUERY, X, Y

from bal import Campaign
from bal.learners import Answers, Asked, by_consensus, by_evidence, dawid_skene, evidence, from_sklearn, majority_vote
from bal.typing import Data

# Table 1 of Dawid and Skene: 45 patients, the three assessments of the first anaesthetist, then one of four others.
TABLE = """1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111
2223212 1211111 1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222 1111111
1111111 1121121 1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222
1211111 2222222"""
PATIENTS = TABLE.split()
OBSERVERS = (0, 0, 0, 1, 2, 3, 4)
TRIPLES = [(i, OBSERVERS[j], int(k) - 1) for i, told in enumerate(PATIENTS) for j, k in enumerate(told)]
PAPER = Answers(*np.array(TRIPLES, np.int32).T, np.ones(len(TRIPLES), np.float32))


def simulated(seed, rows=12, annotators=3, classes=3, count=40):
    """Answers in any order, several to a row, some of them of weight 0, ½ or 2."""
    rng = np.random.default_rng(seed)
    truth, who = rng.integers(classes, size=rows), rng.integers(annotators, size=count)
    row = rng.integers(rows, size=count)
    y = np.where(rng.random(count) < 0.7, truth[row], rng.integers(classes, size=count))
    weight = rng.choice([0.0, 0.5, 1.0, 2.0], count).astype(np.float32)
    return Answers(*(np.asarray(leaf, np.int32) for leaf in (7 * row + 3, who, y)), weight)


def slow_steps(answers, believed, strength, num_steps):
    """Equations 2.3 to 2.5 of the paper, and counts added by what is believed, one number at a time."""
    triples = [part for part in zip(*(leaf.tolist() for leaf in answers), strict=True) if part[3] > 0]
    rows = sorted({row for row, *_ in triples})
    annotators, classes = believed.shape[:2]
    confusion, prior = believed.tolist(), [1 / classes] * classes
    labels = {}

    def expect():
        for row in rows:
            odds = [
                prior[c] * math.prod(confusion[a][c][k] ** w for r, a, k, w in triples if r == row)
                for c in range(classes)
            ]
            labels[row] = [one / math.fsum(odds) for one in odds]

    expect()
    if not any(strength):  # equation 3.1
        for row in rows:
            told = [math.fsum(w for r, _, k, w in triples if (r, k) == (row, c)) for c in range(classes)]
            labels[row] = [one / math.fsum(told) for one in told]
    for _ in range(num_steps):
        prior = [math.fsum(labels[row][c] for row in rows) / len(rows) for c in range(classes)]
        for a in range(annotators):
            for c in range(classes):
                counts = [
                    math.fsum(w * labels[r][c] for r, who, k, w in triples if (who, k) == (a, told))
                    + strength[a] * believed[a][c][told]
                    for told in range(classes)
                ]
                if math.fsum(counts) > 0:
                    confusion[a][c] = [count / math.fsum(counts) for count in counts]
        expect()
    return labels, np.array(confusion), np.array(prior)


def mostly_right(annotators, classes, right=0.8):
    return np.stack([np.full((classes, classes), (1 - right) / (classes - 1)) for _ in range(annotators)]) + (
        right - (1 - right) / (classes - 1)
    ) * np.eye(classes)


def close(found, expected, tolerance=2e-5):
    np.testing.assert_allclose(found, expected, atol=tolerance)


CASES = {
    "the paper's data": (PAPER, 5, 4, 0.0, 25),
    "the paper's data, believed": (PAPER, 5, 4, [0.5, 2.0, 10.0, 0.0, 1.0], 10),
    "weights and gaps": (simulated(0), 3, 3, 0.5, 10),
}


@pytest.mark.parametrize("name", CASES)
def test_dawid_skene_is_the_slow_loop(name):
    answers, annotators, classes, strength, num_steps = CASES[name]
    believed = mostly_right(annotators, classes)
    found = jax.jit(dawid_skene(believed, strength, num_steps))(answers)
    labels, *parameters = slow_steps(answers, believed, np.broadcast_to(strength, annotators), num_steps)
    real = answers.weight > 0
    close(found.labels[real], [labels[row] for row in answers.row[real].tolist()])
    close(found.confusion, parameters[0])
    close(found.prior, parameters[1])


def test_the_estimates_that_the_paper_prints():
    found = jax.jit(dawid_skene(mostly_right(5, 4), strength=0.0, num_steps=25))(PAPER)
    close(found.prior, [0.40, 0.42, 0.11, 0.07], 0.005)
    first = [[0.89, 0.11, 0.0, 0.0], [0.07, 0.88, 0.05, 0.0], [0.0, 0.34, 0.66, 0.0], [0.0, 0.0, 0.56, 0.44]]
    close(found.confusion[0], first, 0.006)


def test_each_step_raises_the_likelihood():
    answers, believed, before = simulated(1), mostly_right(3, 3), -math.inf
    for num_steps in (1, 2, 5, 20):
        found = jax.tree.map(np.float64, jax.jit(dawid_skene(believed, 0.0, num_steps))(answers))
        rows = {row: found.prior.copy() for row, _, _, weight in zip(*answers, strict=True) if weight > 0}
        for row, who, y, weight in zip(*answers, strict=True):
            if weight > 0:
                rows[row] *= found.confusion[who, :, y] ** weight
        after = sum(np.log(odds.sum()) for odds in rows.values())
        assert after >= before - 1e-4
        before = after


def test_who_cannot_err_is_believed_and_two_who_contradict_are_left_to_the_prior():
    believed = np.stack([np.eye(2), np.eye(2), np.full((2, 2), 0.5)])
    answers = Answers(*np.array([[0, 0, 1, 1, 2], [0, 2, 0, 1, 2], [1, 0, 0, 1, 0]], np.int32), np.ones(5, np.float32))
    found = jax.jit(dawid_skene(believed, [math.inf, math.inf, 1.0]))(answers)
    close(found.labels[:2], [[0, 1], [0, 1]], 1e-6)
    close(found.labels[2], found.prior, 1e-6)
    close(found.confusion[:2], believed[:2], 0)
    nobody = jax.jit(dawid_skene(believed, 0.0))(answers._replace(weight=np.zeros(5, np.float32)))
    close(nobody.confusion, believed, 0)
    close(nobody.prior, [0.5, 0.5], 0)


def test_majority_vote_is_counting():
    answers = simulated(2)
    found = jax.jit(majority_vote(3, 3))(answers)
    votes = {}
    for row, _, y, weight in zip(*answers, strict=True):
        votes.setdefault(row, np.zeros(3))[y] += weight
    named = {row: (cast == cast.max()) / (cast == cast.max()).sum() for row, cast in votes.items()}
    for row, weight, labels in zip(answers.row, answers.weight, found.labels, strict=True):
        if weight > 0:
            close(labels, named[row])
    counts = np.zeros((3, 3, 3))
    for row, who, y, weight in zip(*answers, strict=True):
        counts[who, :, y] += weight * named[row]
    close(found.confusion, (counts + 1 / 3) / (counts.sum(2, keepdims=True) + 1))
    rows = {row for row, weight in zip(answers.row, answers.weight, strict=True) if weight > 0}
    close(found.prior, np.mean([named[row] for row in rows], 0))


def soft_means(key, state, data):
    members = data.y.T * data.weight[None, :]
    return members @ data.x / (1 + members.sum(1, keepdims=True))


SOFT = CENTERS._replace(fit=soft_means)
"""`CENTERS` that learns from soft labels."""
GIVEN = dawid_skene(mostly_right(3, CLASSES), strength=[1.0, 5.0, math.inf], num_steps=5)
LEARNER = by_consensus(SOFT, GIVEN)


def told(seed=3):
    answers = simulated(seed, classes=CLASSES)
    x = np.asarray(X)[answers.row % len(X)]
    return answers, Data(x, answers.y, answers.weight, answers.annotator, answers.row)


@jax.jit
def fitted(data):
    return LEARNER.fit(KEY, LEARNER.init(KEY, data), data)


def test_the_learner_is_taught_every_row_once():
    """By hand: one row for each that has an answer, of the mean weight, with the consensus for its label."""
    answers, data = told()
    labels, _, confusion, _ = jax.jit(GIVEN)(answers)
    rows = sorted({row for row, weight in zip(answers.row.tolist(), answers.weight, strict=True) if weight > 0})
    place = [int(np.flatnonzero((answers.row == row) & (answers.weight > 0))[0]) for row in rows]
    mean = [answers.weight[(answers.row == row) & (answers.weight > 0)].mean() for row in rows]
    expected = soft_means(KEY, None, Data(data.x[place], labels[np.array(place)], jnp.asarray(mean)))
    state = fitted(data)
    close(state.state, expected)
    close(state.confusion, confusion)
    close(LEARNER.predict(state, X[:4]), SOFT.predict(expected, X[:4]))


def test_questions_and_the_log_of_a_campaign_say_the_same():
    _, data = told()
    asked = Data(Asked(data.x, data.row, data.annotator), data.y, data.weight)
    jax.tree.map(close, fitted(asked), fitted(data))
    close(LEARNER.predict(fitted(data), Asked(X, data.row[:1], data.row[:1])), LEARNER.predict(fitted(data), X), 0)


def test_zero_weight_answers_change_nothing():
    _, data = told()
    away = data.weight == 0
    other = data._replace(
        x=np.where(away[:, None], np.float32(1e6), data.x),
        y=np.where(away, (data.y + 1) % CLASSES, data.y),
        row=np.where(away, 2**31 - 1, data.row),
        annotator=np.where(away, 0, data.annotator),
    )
    jax.tree.map(close, fitted(other), fitted(data))


def test_evidence_is_the_likelihood_of_the_answers():
    """For every class the product of the confusions; its loss the likelihood under predictions, but for a constant."""
    answers, data = told()
    found = jax.tree.map(np.float64, jax.jit(GIVEN)(answers))
    product = {}
    for row, who, y, weight in zip(*answers, strict=True):
        if weight > 0:
            product[row] = product.get(row, 1.0) * found.confusion[who, :, y] ** weight
    real = answers.weight > 0
    expected = np.stack([product[row] for row in answers.row[real]])
    close(found.evidence[real], expected / expected.sum(1, keepdims=True))
    logits = np.random.default_rng(0).normal(size=expected.shape).astype(np.float32)
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    loss = jax.jit(evidence.loss)(logits, jnp.asarray(found.evidence[real], jnp.float32))
    close(loss, -np.log((probs * expected).sum(1) / expected.sum(1)))
    taught = by_evidence(SOFT, GIVEN).fit(KEY, LEARNER.init(KEY, data), data).state
    place = [int(np.flatnonzero((answers.row == row) & real)[0]) for row in sorted(product)]
    rows = Data(data.x[place], jnp.asarray(found.evidence[place], jnp.float32), jnp.ones(len(place)))
    close(taught, soft_means(KEY, None, rows))


def test_a_campaign_learns_who_errs():
    """Three people on the same rows, one of them always wrong: his answers turn into evidence of the right class."""
    learner = by_consensus(SOFT, dawid_skene(mostly_right(4, CLASSES, 0.6), strength=1.0, num_steps=20))
    campaign = Campaign(KEY, learner, QUERY, X, capacity=60, num_classes=CLASSES)
    rows, right = np.arange(18), np.asarray(Y[:18])
    for name, shift in (("ada", 0), ("bob", 1), ("eve", 0)):
        campaign.tell(rows, (right + shift) % CLASSES, annotator=name)
    asked = campaign.ask(2)
    assert not set(asked) & set(rows)
    confusion = np.asarray(campaign.posterior.state.confusion)
    close(confusion[1], np.eye(CLASSES), 0.15)
    close(confusion[2], np.roll(np.eye(CLASSES), 1, 1), 0.15)
    close(confusion[0], mostly_right(1, CLASSES, 0.6)[0], 1e-6)  # nobody in particular has said nothing


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dawid_skene(np.eye(3)), r"\[annotators, classes, classes\], got shape \(3, 3\)"),
        (lambda: dawid_skene([[[0.5, 0.6], [0, 1]]]), "got one that sums to 1.1"),
        (lambda: dawid_skene([[[1.5, -0.5], [0, 1]]]), "an entry of -0.5"),
        (lambda: dawid_skene([np.eye(2)], -1.0), "strength of at least 0"),
        (lambda: dawid_skene([np.eye(2)], [1.0, 2.0]), "one for each of 1 annotators"),
        (lambda: dawid_skene([np.eye(2)], np.nan), "strength of at least 0"),
        (lambda: dawid_skene([np.eye(2)], num_steps=0), "num_steps must be at least 1"),
        (lambda: majority_vote(0, 1), "num_classes must be at least 1"),
        (lambda: majority_vote(2, 0), "num_annotators must be at least 1"),
        (lambda: LEARNER.init(KEY, Data(X, Y, jnp.ones(len(X)))), "data that say who answered about which row"),
        (lambda: evidence.loss(jnp.ones((2, 3)), jnp.ones(2, int)), r"odds of 3 classes, got int32 of shape \(2,\)"),
        (lambda: LEARNER.init(KEY, told()[1]._replace(y=np.ones((40, 3)))), r"class numbers \[L\], got float64 of"),
    ],
)
def test_what_cannot_be_right_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_host_learner_is_refused():
    from sklearn.tree import DecisionTreeClassifier

    with pytest.raises(ValueError, match="this learner is on the host"):
        by_consensus(from_sklearn(DecisionTreeClassifier(), num_classes=2), majority_vote(2, 1))


def test_an_annotator_without_a_place_is_no_other_one():
    """Of three places the fourth person's answers make everything NaN, in place of being read as the third's."""
    answers, believed = simulated(0), np.full((3, 3, 3), 1 / 3)
    fifth = np.arange(len(answers.y)) == np.flatnonzero(answers.weight)[5]
    strange = answers._replace(annotator=np.where(fifth, 3, answers.annotator).astype(np.int32))
    for vote in (dawid_skene(believed, num_steps=2), majority_vote(3, 3)):
        assert np.isfinite(jax.jit(vote)(answers).confusion).all()
        assert np.isnan(jax.jit(vote)(strange).confusion).all()
