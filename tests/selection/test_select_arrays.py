"""`select` on plain arrays picks what the same rule picks on candidates made by hand; what does not fit is refused."""

import jax
import numpy as np
import pytest
from cases import candidates, draw_candidates, gradient_candidates, scored_candidates

from bal import kernels, selection
from bal.selection import select
from bal.selection.arrays import _compiled
from bal.typing import Candidates

KEY = jax.random.key(4)
X = np.random.RandomState(0).randn(12, 3)
LABELED = np.random.RandomState(1).randn(2, 3)


def by_hand(rule, rows, known=None, **kwargs):
    """The rule called on candidates of nothing but these rows."""
    n = len(jax.tree.leaves(rows)[0])
    weight = None if known is None else np.ones(len(known), np.float32)
    some = Candidates(rows, np.arange(n, dtype=np.int32), np.ones(n, bool), np.ones(n, np.float32), known, weight)
    return picked(rule, some._replace(**kwargs))


def picked(rule, some):
    """By the program that `select` has compiled for the rule, if these candidates are of its kind."""
    return _compiled(rule)(KEY, some, 3).indices.tolist()


RULES = {
    "k_center": selection.k_center(),
    "max_det": selection.max_det(kernels.noisy(kernels.linear, 0.1)),
    "lcmd": selection.lcmd(),
    "k_medoids": selection.k_medoids(),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ("k_medoids", "lcmd"))) for name in RULES]
)
def test_features_in_picks_out(name):
    rule = RULES[name]
    picks = select(X, LABELED, rule, 3, key=KEY)
    assert picks.valid.all()
    assert picks.indices.tolist() == by_hand(rule, np.float32(X), np.float32(LABELED))


def test_the_labeled_rows_count():
    assert (
        select(X, LABELED, RULES["k_center"], 3).indices.tolist()
        != select(X, None, RULES["k_center"], 3).indices.tolist()
    )


def test_scores_alone_and_beside_features():
    scores = candidates().rows
    assert select(None, None, selection.best, 3, scores=np.asarray(scores)).indices.tolist() == by_hand(
        selection.best, scores
    )
    some = scored_candidates(n=12)
    rule = selection.ranked_batch
    picks = select(some.rows.features, some.known.features, rule, 3, scores=some.rows.scores)
    assert picks.indices.tolist() == by_hand(rule, some.rows, some.known, known_weight=np.ones(4, np.float32))


def test_draws_alone_and_beside_features():
    rows, rule = draw_candidates(n=8).rows, selection.gaussian_batch()
    assert select(None, None, rule, 3, log_probs=rows, key=KEY).indices.tolist() == by_hand(rule, rows)
    mean, features = np.exp(np.asarray(rows)).mean(1), np.float32(X[:8])
    outer = np.float32(mean - np.eye(mean.shape[1])[mean.argmax(1)])  # p̄ - e_ŷ
    expected = by_hand(selection.badge, (kernels.Factors(outer, features),))
    assert select(features, None, selection.badge, 3, log_probs=rows, key=KEY).indices.tolist() == expected
    assert expected[0] == ((outer**2).sum(1) * (features**2).sum(1)).argmax()


def test_a_tree_of_rows_is_handed_on():
    some, rule = gradient_candidates(n=12), selection.lcmd(kernels.gradient)
    assert select(some.rows, None, rule, 3).indices.tolist() == by_hand(rule, some.rows)


def test_a_covariance_matrix_in_place_of_features():
    """The matrix of the linear kernel over candidates and labeled rows gives the picks of the linear kernel."""
    both = np.concatenate([X, LABELED])
    rule = lambda kernel: selection.max_det(kernels.conditioned(kernels.noisy(kernel, 0.5)))
    picks = select(np.arange(12), np.arange(12, 14), rule(kernels.covariance_matrix), 3, kernel=both @ both.T)
    expected = select(X, LABELED, rule(kernels.linear), 3)
    assert picks.indices.tolist() == expected.indices.tolist()
    np.testing.assert_allclose(picks.scores, expected.scores, rtol=1e-4)
    alone = select(None, None, selection.k_center(kernels.covariance_matrix), 3, kernel=X @ X.T)
    assert alone.indices.tolist() == select(X, None, RULES["k_center"], 3).indices.tolist()


def test_what_may_be_picked_and_what_it_costs():
    scores, able = np.array([3.0, 9.0, 2.0, 1.0]), np.array([True, False, True, True])
    rule = selection.per_cost(selection.best)
    assert select(None, None, rule, 2, scores=scores, eligible=able, cost=[9.0, 1, 1, 1]).indices.tolist() == [2, 3]


def test_a_seed_and_a_key_draw_alike():
    rule = selection.kmeans_pp()
    a, b, c = (select(X, None, rule, 3, key=key).indices.tolist() for key in (5, jax.random.key(5), 6))
    assert a == b != c
    assert select(X, None, selection.kmeans_pp(), 3, key=np.int64(7)).indices.tolist() == (
        select(X, None, selection.kmeans_pp(), 3, key=7).indices.tolist()
    )


def test_no_known_rows_are_none_known():
    rule = RULES["k_center"]
    assert select(X, X[:0], rule, 3).indices.tolist() == select(X, None, rule, 3).indices.tolist()


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((None, None, selection.best, 1), {}, "got none of them"),
        ((X, None, selection.best, 1), {"scores": X[:, 0], "kernel": X @ X.T}, "one of scores, log_probs and kernel"),
        ((None, LABELED, selection.best, 1), {"scores": X[:, 0]}, "give features"),
        ((X, LABELED[:, :2], RULES["k_center"], 1), {}, r"\(12, 3\), got \(2, 2\)"),
        ((X, None, RULES["k_center"], 13), {}, "1 to 12 rows"),
        ((X, None, RULES["k_center"], 12), {"eligible": np.arange(12) > 0}, "1 to 11 rows"),
        ((X, None, RULES["k_center"], 1), {"cost": [1.0]}, r"cost of shape \[12\]"),
        ((X, None, RULES["k_center"], 1), {"cost": np.arange(12.0)}, "positive, finite costs"),
        ((None, None, RULES["max_det"], 1), {"kernel": X @ X.T, "context": X}, "a kernel or a context"),
        ((X, None, selection.ranked_batch, 1), {"scores": [1.0]}, r"scores of shape \[12\]"),
        ((None, None, selection.batchbald(), 1), {"log_probs": np.zeros((3, 2))}, "add the axis of draws"),
        ((None, None, selection.batchbald(), 1), {"log_probs": np.full((3, 2, 2), 0.5)}, "take np.log"),
        ((X, LABELED, selection.badge, 1), {"log_probs": np.log(np.full((12, 2, 2), 0.5))}, "known=None"),
        ((X[:3], None, selection.badge, 1), {"log_probs": np.log(np.full((12, 2, 2), 0.5))}, r"features \[12, F\]"),
        ((X, None, selection.k_center(kernels.covariance_matrix), 1), {}, "give kernel="),
        (([0, 12], None, selection.k_center(kernels.covariance_matrix), 1), {"kernel": X @ X.T}, "features are posit"),
        (([0, 1], [-1], selection.k_center(kernels.covariance_matrix), 1), {"kernel": X @ X.T}, "known rows are posit"),
        ((X[:, 0], None, selection.k_center(kernels.covariance_matrix), 1), {"kernel": X @ X.T}, "positions"),
    ],
)
def test_what_does_not_fit_is_refused(args, kwargs, words):
    with pytest.raises(ValueError, match=words):
        select(*args, **kwargs)


@pytest.mark.parametrize("rule", [selection.k_center, selection.batchbald])
def test_a_rule_that_was_not_called(rule):
    with pytest.raises(TypeError, match="must be called"):
        select(X, None, rule, 1)
