"""Whom to ask: questions as a pool, annotators as oracles, and scores by what gets through an annotator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import CENTERS, CLASSES, KEY, POOL, N, X, Y, class_means, evaluate

from bal import dense, make_pool, run, run_eager, run_seeds, seed_keys
from bal.acquisition import annotated_epig, bald
from bal.learners import Asked, by_consensus, dawid_skene
from bal.query import Annotator, answer_scores, ask_whom, by_score, noisy_annotator, questions, split_questions, targets
from bal.typing import ABSTAINED, Data, Posterior, Round, Setup, Task

ALIKE = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.5, 0.5]])  # tells class 0 from the others, no more
UNIFORM = np.full((CLASSES, CLASSES), 1 / CLASSES)
ERRS = np.stack([np.eye(CLASSES), ALIKE, UNIFORM, np.random.default_rng(0).dirichlet(np.ones(CLASSES), CLASSES)])
BASE = Task(POOL, None, (X[::2], Y[::2]))


def soft_means(key, state, data):
    members = data.y.T * data.weight[None, :]
    return members @ data.x / (1 + members.sum(1, keepdims=True))


def learner(confusions):
    return by_consensus(CENTERS._replace(fit=soft_means), dawid_skene(confusions, np.inf, 1))


MEANS = 0.3 * np.asarray(X[:CLASSES])


def posterior(confusions, means=MEANS):
    """Of a learner fitted to something, which knows these annotators."""
    made = learner(confusions)
    empty = jax.tree.map(jnp.asarray, (Asked(X[:1], np.zeros(1, int), np.zeros(1, int)), np.zeros(1, int), np.zeros(1)))
    return Posterior(made.init(KEY, Data(*empty))._replace(state=jnp.asarray(means)), made)


ASKED = questions(BASE, [Annotator(1.0, Y)] * 4).pool.x
FITTED = posterior(ERRS)
scored = jax.jit(lambda x: answer_scores(FITTED, None, x))


def test_questions_are_rows_by_annotators():
    asked = questions(
        BASE._replace(pool=make_pool(X, np.arange(N) != 3, np.linspace(1, 2, N)), start=np.array([1])),
        [Annotator(1.0, Y), Annotator(0.25, (Y + 1) % CLASSES)],
    )
    rows, who = split_questions(np.arange(2 * N), N)
    np.testing.assert_array_equal(asked.pool.x.row, rows)
    np.testing.assert_array_equal(asked.pool.x.annotator, who)
    np.testing.assert_array_equal(asked.pool.x.x, X[rows])
    np.testing.assert_allclose(asked.pool.cost, np.where(who, 0.25, 1.0) * np.linspace(1, 2, N)[rows], rtol=1e-6)
    assert asked.pool.present.tolist() == (rows != 3).tolist()
    np.testing.assert_array_equal(asked.oracle, (np.asarray(Y)[rows] + who) % CLASSES)
    assert asked.start is not None
    assert asked.start.tolist() == [1]


def test_scores_are_the_information_that_gets_through():
    """``I(answer; draw)`` by enumeration of draws and answers, for every question."""
    scores = np.asarray(scored(ASKED))
    probs = np.exp(np.float64(FITTED.predict(ASKED)))
    for number, (row, who) in enumerate(zip(ASKED.row.tolist(), ASKED.annotator.tolist(), strict=True)):
        joint = probs[row] @ ERRS[who] / probs.shape[1]
        apart = joint.sum(0, keepdims=True) * joint.sum(1, keepdims=True)
        np.testing.assert_allclose(scores[number], (joint * np.log(joint / apart)).sum(), atol=2e-6)
    by_annotator = scores.reshape(4, N)
    np.testing.assert_allclose(by_annotator[0], bald(FITTED.predict(X)), rtol=1e-4, atol=1e-7)
    assert (by_annotator[2] < 1e-7).all()
    assert (by_annotator <= by_annotator[:1] + 1e-6).all()


def test_scores_are_row_wise_and_about_targets():
    order = np.random.default_rng(1).permutation(4 * N)
    moved = jax.tree.map(lambda leaf: leaf[order], ASKED)
    np.testing.assert_allclose(scored(moved), scored(ASKED)[order], rtol=1e-5, atol=1e-7)
    about = targets(X[:5])(KEY, Round(FITTED, POOL, None, None), dense)
    found = jax.jit(lambda x: answer_scores(FITTED, about, x))(ASKED).reshape(4, N)
    expected = jax.jit(annotated_epig(ERRS[3]))(FITTED.predict(X), about.predictions, about.weight)
    np.testing.assert_allclose(found[3], expected, rtol=2e-4, atol=1e-7)


def test_an_annotator_errs_by_his_confusion():
    rates = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])  # of two classes; the last column is no answer
    labels = np.arange(6000) % 2
    oracle = noisy_annotator(labels, rates)
    told = np.asarray(jax.jit(oracle)(KEY, jnp.arange(6000), None))
    for true in (0, 1):
        answers = told[labels == true]
        share = [(answers == one).mean() for one in (0, 1, ABSTAINED)]
        np.testing.assert_allclose(share, rates[true], atol=4 * np.sqrt(0.25 / 3000))
    some = jax.jit(oracle)(KEY, jnp.array([7, 5, 4000]), None)
    np.testing.assert_array_equal(some, told[[7, 5, 4000]])  # of the row alone


ABSTAINS = np.concatenate([0.6 * np.eye(CLASSES), np.full((CLASSES, 1), 0.4)], 1)
CROWD = [Annotator(1.0, noisy_annotator(Y, np.eye(CLASSES))), Annotator(0.3, noisy_annotator(Y, ABSTAINS))]
QUESTIONS = questions(BASE, CROWD)
SETUP = Setup(learner(ERRS[:2]), ask_whom(N, 2.0, 2), 4, 3, 4, evaluate)
compiled = jax.jit(lambda key: run(key, QUESTIONS, SETUP))


def test_noisy_and_silent_annotators_inside_the_program_and_outside():
    """A compiled run and the Python loop ask the same; who does not answer is paid, teaches nothing, is not asked
    again; a round spends its budget at most and asks about a row once."""
    one, eager = compiled(KEY), run_eager(KEY, QUESTIONS, SETUP)
    for name in ("start", "y_start", "indices", "y", "valid", "num_training"):
        np.testing.assert_array_equal(getattr(one, name), getattr(eager, name), err_msg=name)
    silent = np.asarray(one.y_start == ABSTAINED).sum() + (np.asarray(one.y == ABSTAINED) & one.valid).sum()
    assert silent > 0
    assert int(one.num_training[-1]) == 4 + one.valid.sum() - silent
    asked = np.concatenate([one.start, np.asarray(one.indices)[np.asarray(one.valid)]])
    assert len(set(asked.tolist())) == len(asked)
    cost = np.asarray(QUESTIONS.pool.cost)
    for picks, valid in zip(np.asarray(one.indices), np.asarray(one.valid), strict=True):
        assert 0 < cost[picks[valid]].sum() <= 2.0001
        assert len(set((picks[valid] % N).tolist())) == valid.sum()
    rows, who = split_questions(asked, N)
    told = np.concatenate([one.y_start, np.asarray(one.y)[np.asarray(one.valid)]])
    np.testing.assert_array_equal(told[told != ABSTAINED], np.asarray(Y)[rows][told != ABSTAINED])
    assert (told[who == 0] != ABSTAINED).all()


@pytest.mark.slow
def test_many_seeds_take_silent_annotators_and_budgets():
    """No warning of rows that were not picked, and no label that does not fit."""
    runs = run_seeds(seed_keys(0, 2), QUESTIONS, SETUP)
    np.testing.assert_allclose(
        runs.log.info["spent"],
        np.asarray(np.where(runs.log.valid, np.asarray(QUESTIONS.pool.cost)[np.asarray(runs.log.indices)], 0)).sum(-1),
        rtol=1e-5,
    )


def test_whoever_answers_anyhow_is_asked_only_what_is_put_to_him():
    """A person and a language model, in plain Python: each sees his own rows, once."""
    seen = {"person": [], "model": []}

    def answers(name, errs):
        def oracle(key, indices, x):
            seen[name] += np.asarray(indices).tolist()
            np.testing.assert_array_equal(x, X[np.asarray(indices)])
            y = np.asarray(Y)[np.asarray(indices)]
            return np.where(errs & (y == 2), 1, y).astype(np.int32)

        return oracle

    pair = [Annotator(1.0, answers("person", False)), Annotator(0.1, answers("model", True))]
    log = run_eager(KEY, questions(BASE, pair), SETUP._replace(num_rounds=2))
    asked = np.concatenate([log.start, np.asarray(log.indices)[np.asarray(log.valid)]])
    rows, who = split_questions(asked, N)
    assert sorted(seen["person"]) == sorted(rows[who == 0].tolist())
    assert sorted(seen["model"]) == sorted(rows[who == 1].tolist())
    assert seen["model"]


def test_the_dear_one_is_asked_what_the_cheap_one_cannot_tell():
    """Rows between classes 1 and 2 go to the person, rows between 0 and another to the cheap annotator."""
    means = np.array([[0.0, 4.0], [-2.0, 0.0], [2.0, 0.0]], np.float32)
    x = jnp.array([[0.1, -3.0], [-1.0, 2.1]])  # on either border
    asked = questions(Task(make_pool(x), None), [Annotator(1.0, jnp.zeros(2, int)), Annotator(0.05, jnp.zeros(2, int))])
    scores = np.asarray(jax.jit(lambda x: answer_scores(posterior(ERRS[:2], means), None, x))(asked.pool.x))
    person, cheap = (scores / np.asarray(asked.pool.cost)).reshape(2, 2)
    assert person[0] > cheap[0]
    assert cheap[1] > person[1]


def test_answers_that_never_came_teach_a_plain_learner_nothing():
    """Half of the rows have no answer: the run is that of a learner which sees the others alone."""
    silent = np.where(np.arange(N) % 2, ABSTAINED, np.asarray(Y)).astype(np.int32)
    start = np.arange(10)
    setup = Setup(CENTERS, by_score(bald), 1, 0, evaluate=evaluate)
    heard = run_eager(KEY, BASE._replace(oracle=lambda key, indices, x: silent[indices], start=start), setup)
    other = run_eager(KEY, BASE._replace(oracle=Y, start=start[::2]), setup)
    np.testing.assert_allclose(heard.metrics["nll"], other.metrics["nll"], rtol=1e-6)
    assert heard.num_training.tolist() == [5]
    assert class_means is CENTERS.fit


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: questions(BASE, []), "at least one annotator"),
        (lambda: questions(BASE, [Annotator(0.0, Y)]), r"positive and finite prices, got \[0.0\]"),
        (
            lambda: questions(BASE, [Annotator(1.0, Y), Annotator(1.0, Y[:3])]),
            "annotator 1 to each of 40 rows, got shape",
        ),
        (lambda: noisy_annotator(Y, np.ones((3, 5)) / 5), r"\[C, C \+ 1\] of one who abstains, got shape \(3, 5\)"),
        (lambda: noisy_annotator(Y, np.ones((3, 3))), r"rows are probabilities, got sums \[3.0, 3.0, 3.0\]"),
        (lambda: answer_scores(FITTED, None, X), "needs questions and a learner who knows the annotators, got inputs"),
        (lambda: answer_scores(Posterior(X, CENTERS), None, ASKED), "needs questions and a learner who knows"),
        (lambda: ask_whom(N, 0.0, 2), "a budget that is positive"),
    ],
)
def test_what_cannot_be_right_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
