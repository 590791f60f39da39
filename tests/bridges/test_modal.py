"""modAL's numbers and ours, and a query of bal as its strategy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from bal import acquisition, strategies
from bal.bridges import as_modal
from bal.bridges.picking import check_query, padded
from bal.learners import from_sklearn
from bal.query import by_score, remembered
from bal.typing import Data
from tests.bridges.committees import ALL, ONE, PROBS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
KNOWN, POOL = X[:15], X[15:]
NAMES = {"least_confidence": "uncertainty", "margin": "margin", "predictive_entropy": "entropy"}


class Fitted:
    """What a strategy reads of a learner of modAL: there, and in the test of the library itself."""

    def __init__(self, estimator, y=Y[:15]):
        self.X_training, self.estimator = KNOWN, estimator.fit(KNOWN, y)

    def predict_proba(self, x):
        return self.estimator.predict_proba(x)


class Committee:
    """Likewise of a committee."""

    def __init__(self, members):
        self.learner_list = members

    def vote_proba(self, x):
        return np.stack([member.predict_proba(x) for member in self.learner_list], 1)


def scores(name, probs):
    return jax.jit(getattr(acquisition, name))(np.log(probs).astype(np.float32))


@pytest.mark.parametrize("name", ONE)
def test_scores_of_one_model_are_those_of_modal(name):
    sign = -1 if name == "margin" else 1  # modAL asks for the smallest margin
    np.testing.assert_allclose(sign * scores(name, PROBS[:, :1]), ONE[name], atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_scores_of_a_committee_are_those_of_modal(name):
    np.testing.assert_allclose(scores(name, PROBS), ALL[name], atol=1e-6)


def test_the_largest_divergence_is_at_least_their_mean_and_of_one_draw_nothing():
    each = (PROBS * np.log(PROBS / PROBS.mean(1, keepdims=True))).sum(-1)
    np.testing.assert_allclose(scores("max_consensus_kl", PROBS), each.max(1), rtol=1e-5)
    assert (np.asarray(scores("max_consensus_kl", PROBS)) >= np.asarray(scores("consensus_kl", PROBS))).all()
    assert not np.any(scores("max_consensus_kl", PROBS[:, :1]))


UNSURE = by_score(lambda log_probs: 1 - jnp.exp(log_probs).mean(1).max(1))
SPREAD = by_score(lambda log_probs: jnp.exp(log_probs).std(1).mean(1))
"""Scores of a few operations: outside of compiled programs each is compiled by itself."""


def test_a_strategy_returns_indices_and_scores_so_that_two_indices_are_not_taken_for_both():
    model = Fitted(LogisticRegression())
    indices, gained = as_modal(UNSURE)(model, POOL, n_instances=2)
    unsure = 1 - model.predict_proba(POOL).max(1)
    np.testing.assert_array_equal(indices, np.argsort(-unsure)[:2])
    np.testing.assert_allclose(gained, np.sort(unsure)[::-1][:2], rtol=1e-5)


def test_members_of_a_committee_and_trees_of_a_forest_are_draws():
    committee = Committee([Fitted(KNeighborsClassifier(size)) for size in (1, 2, 3, 5, 7)])
    gained = as_modal(SPREAD)(committee, POOL, 4)[1]
    np.testing.assert_allclose(gained, best(committee.vote_proba(POOL), 4), rtol=1e-5)
    names = np.array(["a", "b", "c"])[Y[:15]]  # modAL's learners may have classes of text
    forest = Fitted(RandomForestClassifier(5, random_state=0), names)
    trees = np.stack([tree.predict_proba(POOL.astype(np.float32)) for tree in forest.estimator.estimators_], 1)
    gained = as_modal(SPREAD, by_member=True)(forest, POOL, 4)[1]
    np.testing.assert_allclose(gained, best(trees, 4), rtol=1e-5)


def best(probs, count):
    return np.sort(probs.std(1).mean(1))[::-1][:count]


def test_rows_that_were_taught_are_known():
    indices, _ = as_modal(strategies.k_center())(Fitted(LogisticRegression()), POOL, 3)
    known = list(KNOWN)
    for index in indices:
        distance = np.min([np.linalg.norm(POOL - center, axis=1) for center in known], 0)
        assert index == distance.argmax()
        known.append(POOL[index])


def test_a_regressor_and_a_committee_of_them():
    process = GaussianProcessRegressor(RBF(0.5), alpha=0.1, optimizer=None)
    indices, _ = as_modal(strategies.variance())(Fitted(process, X[:15, 0]), POOL, 2)
    assert set(indices) == set(np.argsort(-process.predict(POOL, return_std=True)[1])[:2])
    members = [Ridge(alpha) for alpha in (0.1, 10.0, 1000.0)]
    committee = Committee([Fitted(member, X[:15, 0]) for member in members])
    committee.vote = lambda x: np.stack([member.predict(x) for member in members], 1)
    del Committee.vote_proba  # of classifiers alone
    indices, _ = as_modal(strategies.variance(), noise=0.0)(committee, POOL, 2)
    assert set(indices) == set(np.argsort(-committee.vote(POOL).var(1))[:2])
    with pytest.raises(ValueError, match=r"give noise=0\.1"):
        as_modal(strategies.variance())(committee, POOL, 2)


def test_draws_hang_on_seed_and_labels():
    model = Fitted(LogisticRegression())
    draw = lambda seed=0: as_modal(strategies.random(), seed=seed)(model, POOL, 5)[0].tolist()
    first = draw()
    assert draw() == first != draw(1)
    model.X_training = X[:16]
    assert draw() != first


def test_few_sizes_of_arrays():
    sizes = {padded(size) for size in range(1, 10_000)}
    assert len(sizes) < 90
    assert all(size <= padded(size) <= max(1.125 * size + 1, 16) for size in range(1, 10_000))


@pytest.mark.parametrize(
    ("query", "x", "count", "error", "message"),
    [
        (strategies.bald(), POOL, 46, ValueError, "expected to pick 1 to 45 rows, .* got 46"),
        (strategies.bald(), POOL[:, :2], 1, ValueError, r"labeled rows of shape \(2,\) as in the pool, got \(3,\)"),
    ],
)
def test_what_cannot_be_asked_is_said(query, x, count, error, message):
    with pytest.raises(error, match=message):
        as_modal(query)(Fitted(LogisticRegression()), x, count)


def test_queries_that_are_none_or_remember():
    with pytest.raises(TypeError, match=r"expected a Query, got bald; call a recipe, as bal\.strategies\.bald\(\)"):
        check_query(strategies.bald)
    with pytest.raises(TypeError, match="remembers earlier rounds"):
        as_modal(remembered(strategies.bald(), 8))


def test_a_learner_that_was_never_taught():
    model = Fitted(LogisticRegression())
    model.X_training = None
    with pytest.raises(ValueError, match="nothing is fitted yet"):
        as_modal(strategies.bald())(model, POOL)


class Says(ClassifierMixin, BaseEstimator):
    """A member that says what the table says."""

    def __init__(self, member=0):
        self.member = member

    def fit(self, x, y):
        self.classes_ = np.arange(5)
        return self

    def predict_proba(self, x):
        return PROBS[np.asarray(x)[:, 0].astype(int), self.member]

    def predict(self, x):
        return self.predict_proba(x).argmax(1)


def test_modal_itself_says_what_is_stored():
    uncertainty = pytest.importorskip("modAL.uncertainty", reason="modAL-python is not installed")
    from modAL import disagreement
    from modAL.models import ActiveLearner
    from modAL.models import Committee as Several

    rows, taught = np.arange(4.0)[:, None], {"X_training": np.zeros((5, 1)), "y_training": np.arange(5)}
    members = [ActiveLearner(Says(member), **taught) for member in range(3)]
    for name, values in ONE.items():
        found = getattr(uncertainty, f"classifier_{NAMES[name]}")(members[0], rows)
        np.testing.assert_allclose(found, values, atol=1e-11)
    functions = disagreement.vote_entropy, disagreement.consensus_entropy, disagreement.KL_max_disagreement
    for function, values in zip(functions, ALL.values(), strict=True):
        np.testing.assert_allclose(function(Several(members), rows), values, atol=1e-11)


ESTIMATORS = {
    "forest": RandomForestClassifier(4, random_state=3),
    "bagging": BaggingClassifier(DecisionTreeClassifier(max_depth=2), 4, max_features=2, random_state=3),
    "voting": VotingClassifier([("a", LogisticRegression()), ("b", KNeighborsClassifier(3))], voting="soft"),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_modal_finds_of_a_committee_what_we_find_of_the_ensemble(name):
    """A learner of bal whose draws are members, and a committee of modAL of the same fitted members."""
    disagreement = pytest.importorskip("modAL.disagreement", reason="modAL-python is not installed")
    from modAL.models import ActiveLearner
    from modAL.models import Committee as Several

    learner = from_sklearn(ESTIMATORS[name], num_classes=3, by_member=True)
    model = learner.fit(jax.random.key(0), None, Data(KNOWN, Y[:15], np.ones(15)))
    log_probs = learner.predict(model, POOL)
    columns = getattr(model, "estimators_features_", [np.arange(3)] * len(model.estimators_))

    class Member(ClassifierMixin, BaseEstimator):
        """A member that is fitted, on the columns that it was fitted to."""

        def __init__(self, number=0):
            self.number = number

        def fit(self, x, y):
            self.classes_ = np.arange(3)
            return self

        def predict_proba(self, x):
            return model.estimators_[self.number].predict_proba(x[:, columns[self.number]].astype(np.float32))

        def predict(self, x):
            return self.predict_proba(x).argmax(1)

    taught = {"X_training": KNOWN, "y_training": Y[:15]}
    committee = Several([ActiveLearner(Member(number), **taught) for number in range(log_probs.shape[1])])
    functions = disagreement.vote_entropy, disagreement.consensus_entropy, disagreement.KL_max_disagreement
    for name, function in zip(ALL, functions, strict=True):
        found = jax.jit(getattr(acquisition, name))(log_probs)
        np.testing.assert_allclose(found, function(committee, POOL), atol=1e-6)


def test_modal_asks_by_a_query_of_bal():
    models = pytest.importorskip("modAL.models", reason="modAL-python is not installed")
    from modAL.uncertainty import entropy_sampling

    learner = models.ActiveLearner(LogisticRegression(), as_modal(strategies.entropy()), KNOWN, Y[:15])
    for count in (1, 2, 3):  # two indices are the trap
        indices, rows, gained = learner.query(POOL, n_instances=count, return_metrics=True)
        assert len(indices) == len(rows) == len(gained) == count
        np.testing.assert_array_equal(rows, POOL[indices])
        assert set(indices) == set(entropy_sampling(learner, POOL, count)[0])
