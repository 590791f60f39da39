"""A query of bal as a strategy of scikit-activeml, beside the library's own."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from bal import strategies
from bal.bridges import as_skactiveml
from bal.bridges.libraries import library

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(float) + (X[:, 1] > 0.5)
Y[15:] = np.nan


def wrapped(estimator):
    classifier = pytest.importorskip("skactiveml.classifier", reason="scikit-activeml is not installed")
    return classifier.SklearnClassifier(estimator, classes=[0, 1, 2])


@pytest.mark.parametrize(("method", "recipe"), [("entropy", "entropy"), ("margin_sampling", "margin")])
def test_picks_and_utilities_are_those_of_the_librarys_own_strategy(method, recipe):
    clf = wrapped(LogisticRegression())
    from skactiveml.pool import UncertaintySampling

    own, ours = UncertaintySampling(method, random_state=0), as_skactiveml(getattr(strategies, recipe)())
    for candidates in (None, np.arange(20, 40), X[30:40] + 0.1):
        picked, utilities = own.query(X, Y, clf, candidates=candidates, batch_size=3, return_utilities=True)
        found, scores = ours.query(X, Y, clf, candidates=candidates, batch_size=3, return_utilities=True)
        np.testing.assert_array_equal(found, picked)
        shift = 1.0 if recipe == "margin" else 0.0  # theirs is 1 - margin
        np.testing.assert_allclose(scores + shift, utilities, atol=1e-6)  # NaN in the same places
        np.testing.assert_array_equal(ours.query(X, Y, clf, candidates=candidates, batch_size=3), picked)


def test_classifiers_or_trees_are_draws():
    several = [wrapped(LogisticRegression()), wrapped(GaussianNB())]
    from skactiveml.pool import QueryByCommittee

    own = QueryByCommittee("KL_divergence", random_state=0)
    _, utilities = own.query(X, Y, several, batch_size=1, return_utilities=True)
    _, scores = as_skactiveml(strategies.bald()).query(X, Y, several, return_utilities=True)
    np.testing.assert_allclose(scores, utilities, atol=3e-6)  # they raise probabilities to 1e-7
    forest = wrapped(RandomForestClassifier(5, random_state=0))
    _, scores = as_skactiveml(strategies.bald(), by_member=True).query(X, Y, forest, return_utilities=True)
    assert np.nanmax(scores) > 0.1
    assert np.nanmax(as_skactiveml(strategies.bald()).query(X, Y, forest, return_utilities=True)[1]) == 0


def test_a_strategy_is_an_estimator_that_can_be_cloned_sent_and_repeated():
    clf, strategy = wrapped(LogisticRegression()), None
    strategy = as_skactiveml(strategies.power_bald(), random_state=3)
    several = [clf, wrapped(GaussianNB())]
    first = strategy.query(X, Y, several, batch_size=4)
    for again in (strategy, clone(strategy), pickle.loads(pickle.dumps(strategy))):
        np.testing.assert_array_equal(again.query(X, Y, several, batch_size=4), first)
    assert strategy.get_params()["bal_query"] == strategies.power_bald()
    labels = np.where(np.isnan(Y), -1, Y)
    other = as_skactiveml(strategies.entropy(), missing_label=-1)
    from skactiveml.classifier import SklearnClassifier

    clf = SklearnClassifier(LogisticRegression(), classes=[0, 1, 2], missing_label=-1)
    assert other.query(X, labels, clf)[0] >= 15


def test_the_first_query_has_no_label_and_a_fitted_classifier_is_taken_as_it_is():
    clf = wrapped(LogisticRegression())
    assert len(as_skactiveml(strategies.random()).query(X, np.full(60, np.nan), clf, batch_size=3)) == 3
    fitted = clone(clf).fit(X, np.where(np.isnan(Y), 1.0, Y))
    taken = as_skactiveml(strategies.entropy()).query(X, Y, fitted, fit_clf=False)
    probs = fitted.predict_proba(X[15:])
    assert taken[0] == 15 + (-(probs * np.log(probs)).sum(1)).argmax()


def test_what_cannot_be_asked_is_said():
    clf = wrapped(LogisticRegression())
    with pytest.raises(TypeError, match="expected a classifier of scikit-activeml, got LogisticRegression; wrap it"):
        as_skactiveml(strategies.bald()).query(X, Y, LogisticRegression())
    with pytest.raises(ValueError, match="leave return_utilities out"):
        as_skactiveml(strategies.k_center()).query(X, Y, clf, return_utilities=True)


def test_a_library_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(ImportError, match=r'needs scikit-activeml, .* pip install "bal-jax\[bridges\]"'):
        library("skactiveml.base")


def absent(name):
    raise ModuleNotFoundError(name, name=name.split(".")[0])
