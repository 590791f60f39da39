"""The parts of the figure on active testing: the process, the models under test, the laws, and the verdicts."""

import numpy as np
import pytest

from paper_figures import active_testing
from paper_figures.active_testing import FIGURE, INPUTS, NUM_TEST, Found, errors, given, matern, prior, problems, run
from paper_figures.claims import judge

DATA = {data: problems(data, 6, np.random.default_rng(0)) for data in ("gp", "quadratic")}


def test_the_process_is_conditioned_label_by_label():
    task, process = DATA["gp"], prior(6)
    for row in task.train.T:
        process = given(process, task.y, row)
    for number, train in enumerate(task.train):
        inner = matern(INPUTS)[np.ix_(train, train)] + 1e-10 * np.eye(5)
        cross = matern(INPUTS)[:, train]
        np.testing.assert_allclose(
            process.mean[number], cross @ np.linalg.solve(inner, task.y[number, train]), atol=1e-5
        )
        covariance = matern(INPUTS) - cross @ np.linalg.solve(inner, cross.T)
        np.testing.assert_allclose(process.covariance[number], covariance, atol=1e-7)
        np.testing.assert_allclose(task.variance[number], np.maximum(covariance.diagonal(), 1e-10), atol=1e-7)


def test_the_models_under_test():
    for data, task in DATA.items():
        for number, (train, test) in enumerate(zip(task.train, task.test)):
            assert sorted([*train, *test]) == list(range(50))
            y = task.y[number]
            np.testing.assert_allclose(task.loss[number], (y - task.prediction[number]) ** 2)
            if data == "gp":
                np.testing.assert_allclose(task.prediction[number, train], y[train], atol=1e-5)
            else:
                line = np.polyval(np.polyfit(INPUTS[train], y[train], 1), INPUTS)
                np.testing.assert_allclose(task.prediction[number], line, atol=1e-12)


@pytest.mark.parametrize("strategy", ["true loss", "random", "distance", "surrogate", "uncertainty"])
def test_only_the_true_loss_knows_the_answer_at_once(strategy):
    weighted, plain = errors(strategy, DATA["gp"], np.random.default_rng(1))
    assert weighted.shape == plain.shape == (6, NUM_TEST - 1)
    known = abs(weighted[:, 0]) < 1e-12
    assert known.all() if strategy == "true loss" else not known.any()
    if strategy == "random":
        np.testing.assert_allclose(weighted, plain, atol=1e-12)


def test_runs_do_not_depend_on_how_many_are_computed_together(monkeypatch):
    found = run("quadratic", "surrogate", 4, seed=3)
    monkeypatch.setattr(active_testing, "TOGETHER", 4)
    again = run("quadratic", "surrogate", 4, seed=3)
    for one, other in zip(found, again):
        np.testing.assert_array_equal(one, other)
    assert (abs(found.bias) < 4 * found.bias_error).all()


def test_verdicts_follow_the_numbers():
    one = lambda bias, naive, median: Found(*(np.full(44, v) for v in (bias, 1.0, naive, 1.0, median)))
    verdicts = lambda found, scale: [verdict.holds for verdict in judge(rows, {"gp": found}, scale)]
    rows = FIGURE.claims(active_testing.Config(), 5000)[:3]
    honest = {"random": one(1.0, 1.0, 2.0), "surrogate": one(-2.0, 9.0, 1.0)}
    assert verdicts(honest, "cpu") == [True, True, True]
    wrong = {"random": one(1.0, 1.0, 2.0), "surrogate": one(-3.5, 4.0, 2.5)}
    assert verdicts(wrong, "cpu") == [False, False, False]
    assert verdicts(honest, "smoke") == [None] * 3
