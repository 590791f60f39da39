"""Models of other libraries as learners: what they predict is what the library says, by class, member and moment."""

import jax
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import BayesianRidge, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from bal.learners import from_functions, from_sklearn
from bal.loop import Campaign, run_eager, run_seeds, seed_keys
from bal.loop.checks import check_predictions
from bal.pool import chunked, make_pool
from bal.records import open_record
from bal.strategies import entropy
from bal.typing import Data, Gaussian, Setup, Task

KEY, OTHER = jax.random.key(0), jax.random.key(1)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)).astype(np.float32)
CLASSES = np.array([0, 2, 3])[np.arange(30) % 3]  # of five, class 1 and 4 have not been seen
REALS = X @ np.array([1.0, -1.0, 0.5, 0.0]) + 0.1 * RNG.normal(size=30)
WEIGHT = (np.arange(30) < 24).astype(np.float32)
LABELED = slice(0, 24)


def fitted(learner, y, weight=WEIGHT, key=KEY):
    """The model, padding being worth nothing, whatever it holds."""
    blank = np.where(weight > 0, y, 10**6 if y.dtype.kind == "f" else 7)
    return learner.fit(key, learner.init(key, None), Data(np.where(weight[:, None] > 0, X, np.nan), blank, weight))


CLASSIFIERS = {
    "logistic": LogisticRegression(),
    "neighbors": KNeighborsClassifier(3),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression(C=3.0)),
    "search": GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
    "forest": RandomForestClassifier(4, random_state=3),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_is_the_estimator_with_its_classes_in_place(name):
    learner = from_sklearn(CLASSIFIERS[name], num_classes=5)
    model = fitted(learner, CLASSES)
    probs = np.exp(learner.predict(model, X))
    assert probs.shape == (30, 1, 5)
    own = clone(CLASSIFIERS[name]).fit(X[LABELED], CLASSES[LABELED])
    np.testing.assert_allclose(probs[:, 0, [0, 2, 3]], own.predict_proba(X), rtol=1e-5, atol=1e-6)
    assert (probs[:, 0, [1, 4]] == 0).all()
    check_predictions(learner.predict(model, X), 30, 5)
    np.testing.assert_array_equal(learner.predict(model, X[[4, 1, 1]]), learner.predict(model, X)[np.array([4, 1, 1])])
    np.testing.assert_array_equal(learner.embed(model, X)[:, 0], X)


ENSEMBLES = {
    "forest": RandomForestClassifier(4, random_state=3),
    "bagging": BaggingClassifier(DecisionTreeClassifier(max_depth=2), 4, max_features=2, random_state=3),
    "voting": VotingClassifier([("a", LogisticRegression()), ("b", KNeighborsClassifier(3))], voting="soft"),
    "pipeline": make_pipeline(StandardScaler(), RandomForestClassifier(4, random_state=3)),
}


@pytest.mark.parametrize("name", ENSEMBLES)
def test_members_are_draws_whose_mean_is_the_ensemble(name):
    learner = from_sklearn(ENSEMBLES[name], num_classes=5, by_member=True)
    probs = np.exp(learner.predict(fitted(learner, CLASSES), X))
    assert probs.shape == (30, 2 if name == "voting" else 4, 5)
    own = clone(ENSEMBLES[name]).fit(X[LABELED], CLASSES[LABELED])
    np.testing.assert_allclose(probs.mean(1)[:, [0, 2, 3]], own.predict_proba(X), rtol=1e-5, atol=1e-6)
    assert np.abs(probs[:, 0] - probs[:, 1]).max() > 0.01


def test_a_forest_regressor_has_one_draw_per_tree():
    learner = from_sklearn(RandomForestRegressor(5, random_state=3), noise=0.25)
    found = learner.predict(fitted(learner, REALS), X)
    own = RandomForestRegressor(5, random_state=3).fit(X[LABELED], REALS[LABELED])
    trees = np.stack([tree.predict(X) for tree in own.estimators_], 1)
    np.testing.assert_allclose(found.mean, trees, rtol=1e-5, atol=1e-6)
    assert (found.variance == 0).all()
    assert (found.noise == 0.25).all()


KERNEL = RBF(1.5, "fixed") + WhiteKernel(0.3, "fixed")


@pytest.mark.parametrize("normalize", [False, True])
def test_a_gaussian_process_tells_function_and_noise_apart(normalize):
    """The variance of the function, by hand: ``k(x, x) - k(x, X) (k(X, X) + noise)⁻¹ k(X, x)``."""
    estimator = GaussianProcessRegressor(KERNEL, alpha=0.1, normalize_y=normalize, optimizer=None)
    learner = from_sklearn(estimator)
    found = learner.predict(fitted(learner, REALS), X)
    scale = REALS[LABELED].var() if normalize else 1.0
    rbf = lambda a, b: np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * 1.5**2))
    across = rbf(X[LABELED].astype(float), X.astype(float))
    gram = rbf(X[LABELED].astype(float), X[LABELED].astype(float)) + 0.4 * np.eye(24)
    variance = 1 - np.sum(across * np.linalg.solve(gram, across), 0)
    np.testing.assert_allclose(found.variance[:, 0], scale * variance, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.noise[:, 0], scale * 0.4, rtol=1e-5)
    own = clone(estimator).fit(X[LABELED], REALS[LABELED])
    np.testing.assert_allclose(found.mean[:, 0], own.predict(X), rtol=1e-4, atol=1e-5)


def test_a_bayesian_linear_model_tells_function_and_noise_apart():
    learner = from_sklearn(make_pipeline(StandardScaler(), BayesianRidge()))
    found = learner.predict(fitted(learner, REALS), X)
    own = make_pipeline(StandardScaler(), BayesianRidge()).fit(X[LABELED], REALS[LABELED])
    _, std = own.predict(X, return_std=True)
    np.testing.assert_allclose(found.variance + found.noise, std[:, None] ** 2, rtol=1e-4)
    np.testing.assert_allclose(found.noise, 1 / own[-1].alpha_, rtol=1e-5)
    check_predictions(found, 30)


def test_a_regressor_without_moments_has_one_draw():
    learner = from_sklearn(Ridge(), noise=0.0)
    found = learner.predict(fitted(learner, REALS), X)
    np.testing.assert_allclose(found.mean[:, 0], Ridge().fit(X[LABELED], REALS[LABELED]).predict(X), rtol=1e-4)
    assert not np.any(found.variance) and not np.any(found.noise)  # noqa: PT018


def test_the_key_seeds_what_has_no_seed():
    learner = from_sklearn(make_pipeline(StandardScaler(), RandomForestClassifier(4)), num_classes=5)
    one, again, other = (learner.predict(fitted(learner, CLASSES, key=key), X) for key in (KEY, KEY, OTHER))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_weights_are_passed_on_where_they_differ():
    weight = WEIGHT * (1 + np.arange(30) % 4)
    learner = from_sklearn(LogisticRegression(), num_classes=5)
    own = LogisticRegression().fit(X[LABELED], CLASSES[LABELED], sample_weight=weight[LABELED])
    probs = np.exp(learner.predict(fitted(learner, CLASSES, weight), X))
    np.testing.assert_allclose(probs[:, 0, [0, 2, 3]], own.predict_proba(X), rtol=1e-4, atol=1e-5)
    seen = from_functions(lambda x, y, sample_weight, seed: (sample_weight, seed), max)
    found = fitted(seen, CLASSES, weight)
    np.testing.assert_array_equal(found[0], weight[LABELED])
    assert found[1] != fitted(seen, CLASSES, weight, OTHER)[1]
    for refused in (from_sklearn(KNeighborsClassifier(), num_classes=5), from_functions(lambda x, y: None, max)):
        with pytest.raises(ValueError, match=r"weights other than 1, but .* takes? no sample_weight"):
            fitted(refused, CLASSES, weight)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: from_sklearn(Ridge, noise=0.1), TypeError, "expected an estimator of scikit-learn, got Ridge; make"),
        (lambda: from_sklearn(LogisticRegression()), ValueError, "is a classifier: give num_classes"),
        (lambda: from_sklearn(Ridge(), num_classes=3, noise=0.1), ValueError, "is a regressor: leave num_classes out"),
        (lambda: from_sklearn(LinearSVC(), num_classes=3), TypeError, "no predict_proba; wrap it in sklearn.calib"),
        (lambda: from_sklearn(Ridge()), ValueError, "does not estimate the variance of its labels: give noise=0.1"),
        (lambda: from_sklearn(LogisticRegression(), 0), ValueError, "num_classes must be at least 1"),
        (
            lambda: from_sklearn(GradientBoostingClassifier(), 3, by_member=True),
            ValueError,
            "members of GradientBoostingClassifier are no posterior draws",
        ),
    ],
)
def test_settings_that_cannot_be_meant(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("wrong", [-1, 5])
def test_labels_outside_of_the_classes_are_refused(wrong):
    """Else -1 would name the last class."""
    with pytest.raises(ValueError, match=r"expected labels 0 \.\. 4 of num_classes=5, got"):
        fitted(from_sklearn(KNeighborsClassifier(), num_classes=5), np.where(CLASSES == 3, wrong, CLASSES))


def test_what_functions_return_is_checked():
    returns = lambda found: from_functions(lambda x, y: None, lambda model, x: found(len(x)))
    shares = lambda n: np.tile([0.25, 0.75], (n, 1))
    np.testing.assert_allclose(np.exp(returns(shares).predict(None, X))[:, 0], shares(30), rtol=1e-6)
    draws = returns(lambda n: np.stack([shares(n), 1 - shares(n)], 1)).predict(None, X)
    assert draws.shape == (30, 2, 2)
    moments = returns(lambda n: Gaussian(*np.ones((3, n, 1)))).predict(None, X)
    check_predictions(moments, 30)
    tree = {"a": X, "b": X[:, :1]}
    of_tree = from_functions(lambda x, y: None, lambda model, x: shares(len(x["b"])))
    np.testing.assert_array_equal(of_tree.predict(None, tree), returns(shares).predict(None, X))
    for message, found in {
        "at least 0 and summing to 1": lambda n: np.log(shares(n)),
        r"expected probabilities \[30, C\] or \[30, K, C\], got an array of shape \(30,\)": lambda n: np.ones(n),
        r"got an array of shape \(29, 2\)": lambda n: shares(n - 1),
    }.items():
        with pytest.raises(ValueError, match=message):
            returns(found).predict(None, X)
    with pytest.raises(ValueError, match=r"nothing is labeled yet, .* give num_initial=10"):
        fitted(returns(shares), CLASSES, 0 * WEIGHT)
    with pytest.raises(TypeError, match="rows that are one array, got dict; use from_functions"):
        from_sklearn(LogisticRegression(), 5).predict(None, tree)


def by_frequency(x, y, seed):
    """A model that is an array, and random: of no use, but its state could be taken for one to keep."""
    return np.bincount(y, minlength=5) + 0.1 + np.random.default_rng(seed).uniform(size=5)


def shares(model, x):
    weight = model[None] + x[:, :1] ** 2 * np.arange(5)[None]
    return weight / weight.sum(1, keepdims=True)


HOSTS = {
    "sklearn": from_sklearn(RandomForestClassifier(3), num_classes=5),
    "functions": from_functions(by_frequency, shares),
}
hosts = pytest.mark.parametrize("learner", HOSTS.values(), ids=HOSTS)


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    "learner", [pytest.param(HOSTS["sklearn"], marks=pytest.mark.slow), HOSTS["functions"]], ids=HOSTS
)
def test_a_run_is_resumed_by_fitting_anew(learner, tmp_path):
    setup = Setup(learner, entropy(), batch_size=2, num_rounds=3, num_initial=6)
    task = Task(make_pool(X), CLASSES)

    def stop(event):
        if event["round"] == 1:
            raise Stop

    whole = run_eager(KEY, task, setup)
    with open_record(tmp_path, "run", {}) as record, pytest.raises(Stop):
        run_eager(KEY, task, setup, record=record, on_round=stop)
    with open_record(tmp_path, "run", {}) as record:
        resumed = run_eager(KEY, task, setup, record=record)
    np.testing.assert_array_equal(resumed.indices, whole.indices)
    np.testing.assert_array_equal(resumed.scores, whole.scores)


@hosts
def test_a_campaign_is_resumed_by_fitting_anew(learner, tmp_path):
    open_campaign = lambda record: Campaign(KEY, learner, entropy(), X, capacity=12, num_classes=5, record=record)
    told = lambda campaign, rows: campaign.tell(rows, CLASSES[rows])
    alone = open_campaign(None)
    for size in (6, 2, 2):
        told(alone, alone.ask(size))
    with open_record(tmp_path, "labels", {}) as record:
        first = open_campaign(record)
        for size in (6, 2):
            told(first, first.ask(size))
    with open_record(tmp_path, "labels", {}) as record:
        again = open_campaign(record)
        told(again, again.ask(2))
    np.testing.assert_array_equal(again.indices, alone.indices)
    np.testing.assert_array_equal(again.predict(X), alone.predict(X))


def test_a_host_learner_is_not_traced():
    setup = Setup(HOSTS["sklearn"], entropy(), batch_size=2, num_rounds=1, num_initial=6)
    task = Task(make_pool(X), CLASSES)
    with pytest.raises(ValueError, match=r"this model cannot be compiled \(over=host\); use study, or run_eager"):
        run_seeds(seed_keys(0, 2), task, setup)
    with pytest.raises(
        ValueError, match="is plain Python, which JAX cannot trace, but `over` is of place device; leave"
    ):
        run_eager(KEY, task, setup._replace(over=chunked(4)))


def test_seeds_are_the_same_in_double_precision_and_of_a_size_that_scikit_learn_takes():
    forest, trees = from_sklearn(RandomForestClassifier(4), num_classes=5), []
    for double in (False, True):
        with jax.enable_x64(double):
            trees.append(forest.fit(jax.random.key(3), None, Data(X, CLASSES, np.ones(30, np.float32))))
    seeds = [model.random_state for model in trees]
    assert seeds[0] == seeds[1]
    assert 0 <= seeds[0] < 2**32
