"""Every rule names rows that it cannot work on, when it is traced, and says what to do: rule x wrong rows."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from bal import kernels, selection
from bal.selection import ScoredFeatures
from bal.typing import Candidates

N = 6
ROWS = {
    "scores": jnp.ones(N),
    "features": jnp.ones((N, 3)),
    "draws": jnp.zeros((N, 5, 4)),
    "pair": ScoredFeatures(jnp.ones(N), jnp.ones((N, 3))),
    "none": None,
}
SCORES, DRAWS = r"one score a row, \[n\]", r"log probabilities of posterior draws, \[n, K, C\]"
FEATURES, KERNEL = r"compares features, \[n, F\]", r"features \[n, F\], got"


class Rule(NamedTuple):
    """A selector, what it says it works on, and the rows that it cannot work on."""

    select: object
    says: str
    wrong: tuple[str, ...]


NOT_SCORES, NOT_DRAWS = ("features", "draws", "pair", "none"), ("scores", "features", "pair", "none")
NOT_FEATURES, NOT_KERNEL = ("scores", "draws", "pair", "none"), ("scores", "pair", "none")
NOT_PAIR = ("scores", "features", "draws", "none")
RULES = {
    "best": Rule(selection.best, SCORES, NOT_SCORES),
    "per_cost": Rule(selection.per_cost(selection.best), SCORES, NOT_SCORES),
    "shortlist": Rule(selection.shortlist(3), SCORES, NOT_SCORES),
    "power": Rule(selection.power(), SCORES, NOT_SCORES),
    "softmax": Rule(selection.softmax(), SCORES, NOT_SCORES),
    "softrank": Rule(selection.softrank(), SCORES, NOT_SCORES),
    "cluster_margin": Rule(selection.cluster_margin(3), SCORES, NOT_SCORES),
    "batchbald": Rule(selection.batchbald(), DRAWS, NOT_DRAWS),
    "gaussian_batch": Rule(selection.gaussian_batch(), DRAWS, NOT_DRAWS),
    "epig_batch": Rule(selection.epig_batch(), DRAWS, NOT_DRAWS),
    "k_medoids": Rule(selection.k_medoids(), FEATURES, NOT_FEATURES),
    "probcover": Rule(selection.probcover(1.0), FEATURES, NOT_FEATURES),
    "typiclust": Rule(selection.typiclust(), FEATURES, NOT_FEATURES),
    "k_center": Rule(selection.k_center(), KERNEL, NOT_KERNEL),
    "kmeans_pp": Rule(selection.kmeans_pp(), KERNEL, NOT_KERNEL),
    "lcmd": Rule(selection.lcmd(), KERNEL, NOT_KERNEL),
    "max_det": Rule(selection.max_det(), KERNEL, NOT_KERNEL),
    "max_diag": Rule(selection.max_diag(), KERNEL, NOT_KERNEL),
    "mutual_information": Rule(selection.mutual_information(), KERNEL, NOT_KERNEL),
    "nngp": Rule(selection.k_center(kernels.nngp(1)), KERNEL, NOT_KERNEL),
    "draw_covariance": Rule(selection.max_det(kernels.draw_covariance()), "draws", ("scores", "pair", "none")),
    "badge": Rule(selection.badge, "tuple of Factors", ("scores", "features", "draws", "pair", "none")),
    "ranked_batch": Rule(selection.ranked_batch, "ScoredFeatures", NOT_PAIR),
    "confident_coreset": Rule(selection.confident_coreset(), "ScoredFeatures", NOT_PAIR),
    "bait": Rule(selection.bait(), "FisherRows", (*NOT_PAIR, "pair")),
    "frank_wolfe": Rule(selection.frank_wolfe(), "PoolSums", (*NOT_PAIR, "pair")),
    "sparse_greedy": Rule(selection.sparse_greedy(), "PoolSums", (*NOT_PAIR, "pair")),
    "sparse_iht": Rule(selection.sparse_iht(), "PoolSums", (*NOT_PAIR, "pair")),
    "frank_wolfe_kernel": Rule(selection.frank_wolfe_kernel(jnp.dot), "PoolRows", (*NOT_PAIR, "pair")),
    "integrated_variance": Rule(selection.integrated_variance(), "TargetRows", (*NOT_PAIR, "pair")),
    "learner_covariance": Rule(
        selection.max_det(kernels.noisy(kernels.learner_covariance, 0.1)), "posterior_context", ("features", "draws")
    ),
}


def trace(select, rows, context=None):
    one = jnp.ones(N)
    some = Candidates(rows, jnp.arange(N), one > 0, one, context=context)
    return jax.eval_shape(lambda key: select(key, some, 2), jax.random.key(0))


@pytest.mark.parametrize(("name", "rows"), [(name, rows) for name, rule in RULES.items() for rows in rule.wrong])
def test_wrong_rows_are_named(name, rows):
    with pytest.raises(ValueError, match=RULES[name].says):
        trace(RULES[name].select, ROWS[rows])


def test_the_sentence_says_what_came_and_what_to_do():
    with pytest.raises(ValueError, match=r"got one number a row, \[6\]: use Stage\(predictions, batchbald\(\.\.\.\)\)"):
        trace(selection.batchbald(), ROWS["scores"])
    with pytest.raises(ValueError, match=r"got one number a row, \[6\]: give the stage features in place of scores"):
        trace(selection.k_center(), ROWS["scores"])
    with pytest.raises(ValueError, match=r"got rows of shape \[6, 3\]: use by_score"):
        trace(selection.best, ROWS["features"])


def test_sparse_rules_name_their_rows_too():
    sums = selection.PoolSums(jnp.ones(3), *jnp.ones((4, 1)).reshape(4))
    for select in (selection.frank_wolfe(), selection.sparse_greedy(), selection.sparse_iht()):
        with pytest.raises(ValueError, match=r"SparseRows\(features, variance\), got rows of shape \[6, 3\]"):
            trace(select, ROWS["features"], sums)


@pytest.mark.parametrize("name", ["badge", "best", "random_uniform", "ranked_batch"])
def test_a_selector_called_as_if_it_were_a_factory(name):
    with pytest.raises(TypeError, match=rf"write {name}, not {name}\(\)"):
        getattr(selection, name)()
