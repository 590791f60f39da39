"""What plugs into a stage: kind of prediction x row function about targets, row functions, contexts. Closed tables."""

import inspect
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from bal import query, strategies
from bal.acquisition import bald, expected_error_reduction, least_confidence
from bal.pool import chunked, dense, host, make_pool
from bal.pool.labeled import answer, ask, empty_log
from bal.selection import PoolRows, best, expected_log_likelihoods
from bal.typing import Gaussian, Latent, Learner, Posterior, Round

KEY = jax.random.key(0)
N, CLASSES, DRAWS = 6, 4, 3
X = jax.random.normal(KEY, (N, 2))
WEIGHTS = jax.random.normal(jax.random.key(1), (DRAWS, 2, CLASSES))
X_TARGET = X[:3] + 0.5


class Embedded(NamedTuple):
    """Rows of a process."""

    x: Any
    mean: Any
    noise: Any


def draws(state, x):
    return jax.nn.log_softmax(jnp.einsum("nd,kdc->nkc", x, state), -1)


def moments(kind):
    def predict(state, x):
        f = jnp.einsum("nd,kd->nk", x, state[..., 0])
        return Latent(f, jnp.ones_like(f)) if kind is Latent else Gaussian(f, jnp.ones_like(f), 0.1 * jnp.ones_like(f))

    return predict


def embed(state, x):
    f = jnp.einsum("nd,kd->nk", x, state[..., 0])
    return Embedded(x, f, 0.1 * jnp.ones_like(f))


covariance = lambda state, a, b: jnp.exp(-jnp.sum((a.x - b.x) ** 2))
of = partial(Learner, lambda key, data: WEIGHTS, lambda key, state, data: state)
LEARNERS = {
    "log_probs": of(draws),
    "gaussian": of(moments(Gaussian)),
    "gaussian, kernel": of(moments(Gaussian), embed, covariance),
    "gaussian, kernel without noise": of(moments(Gaussian), lambda state, x: x, lambda state, a, b: a @ b),
    "latent": of(moments(Latent)),
    "latent, kernel": of(moments(Latent), embed, covariance),
    "one draw": of(lambda state, x: draws(state[:1], x)),
    "gaussian, one draw": of(lambda state, x: moments(Gaussian)(state[:1], x)),
    "host": of(lambda state, x: special.log_softmax(np.einsum("nd,kdc->nkc", x, state), -1)),
}
WORKS, ONE = None, "several draws or a covariance to join rows and targets, but this learner gives "
LOG_PROBS = "jepig needs log probabilities .* got a {}"
ABOUT = {  # row function -> kind of prediction -> it works, or what it says
    "epig": {
        "log_probs": WORKS,
        "gaussian": WORKS,
        "gaussian, kernel": WORKS,
        "gaussian, kernel without noise": r"epig by a covariance needs noise \[rows, draws\] .* one array; .*GPRows",
        "latent": ONE + "a Latent of 3 draws and no kernel.* use gp_classification",
        "latent, kernel": WORKS,
        "one draw": ONE + "log probabilities of 1 draw.* use an ensemble or Monte-Carlo dropout",
        "gaussian, one draw": ONE + "a Gaussian of 1 draw.* use gp_regression or an ensemble",
        "host": WORKS,
    },
    "alc": {
        "log_probs": "alc needs the variances of a regression.* log probabilities of 3 draws; use .* epig",
        "gaussian": WORKS,
        "gaussian, kernel": WORKS,
        "gaussian, kernel without noise": r"alc by a covariance needs noise \[rows, draws\]",
        "latent": "alc needs the variances of a regression.* a Latent of 3 draws; use .* epig",
        "latent, kernel": "alc needs the variances of a regression.* a Latent of 3 draws; use .* epig",
        "one draw": "alc needs the variances of a regression.* log probabilities of 1 draw; use .* epig",
        "gaussian, one draw": ONE + "a Gaussian of 1 draw.* use gp_regression or an ensemble",
        "host": "alc needs the variances of a regression",
    },
    "functional_epig": {
        "log_probs": "functional_epig needs the variances of a regression.* log probabilities of 3 draws",
        "gaussian": WORKS,
        "gaussian, kernel": WORKS,
        "gaussian, kernel without noise": r"functional_epig by a covariance needs noise \[rows, draws\]",
        "latent": "functional_epig needs the variances of a regression.* a Latent of 3 draws",
        "latent, kernel": "functional_epig needs the variances of a regression.* a Latent of 3 draws",
        "one draw": "functional_epig needs the variances of a regression.* log probabilities of 1 draw",
        "gaussian, one draw": ONE + "a Gaussian of 1 draw.* use gp_regression or an ensemble",
        "host": "functional_epig needs the variances of a regression",
    },
    "jepig": {
        "log_probs": WORKS,
        **{kind: LOG_PROBS.format("Gaussian") for kind in LEARNERS if kind.startswith("gaussian")},
        **{kind: LOG_PROBS.format("Latent") for kind in LEARNERS if kind.startswith("latent")},
        "one draw": "jepig_scores needs log draw weights .* of several draws",
        "host": WORKS,
    },
}
ROWS = {
    **{"epig": query.epig_scores, "alc": query.alc_scores, "jepig": query.jepig_scores},
    "functional_epig": query.functional_scores,
}
DIFFERENCES = [[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]]


def test_the_table_of_kinds_is_closed():
    assert all(row.keys() == LEARNERS.keys() for row in ABOUT.values())


AGAIN = {("alc", "gaussian, kernel"), ("functional_epig", "gaussian"), ("jepig", "host")}
"""Moments, kernels and models on the host, each with another score."""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=[pytest.mark.slow] * ((name, kind) in AGAIN))
        for name in ABOUT
        for kind in LEARNERS
    ],
)
def test_kind_of_prediction_times_scores_about_targets(name, kind):
    """It works, and the scores of different rows differ; or it says what it needs when it is traced."""
    posterior, over = Posterior(WEIGHTS, LEARNERS[kind]), host() if kind == "host" else dense
    about = query.targets(X_TARGET)
    joint = {"jepig": partial(query.joint_targets, num_labelings=16)}
    joint["functional_epig"] = partial(query.functional_targets, DIFFERENCES)
    context = joint.get(name, lambda context: context)(about)
    rows = inspect.unwrap(ROWS[name])
    scored = lambda: over.map(rows, (posterior, context(KEY, Round(posterior, make_pool(X), None, None), over)), X)
    if ABOUT[name][kind] is WORKS:
        scores = np.asarray(scored() if kind == "host" else jax.jit(scored)())
        assert scores.shape == (N,)
        assert (scores > 0).all()
        assert np.ptp(scores) > 1e-4
    else:
        with pytest.raises((ValueError, TypeError), match=ABOUT[name][kind]):
            scored() if kind == "host" else jax.eval_shape(scored)


def test_predictions_of_a_host_model_are_scored_as_any():
    on_host, on_device = (Posterior(WEIGHTS, LEARNERS[kind]) for kind in ("host", "log_probs"))
    rows = query.score(bald)
    expected = jax.jit(lambda x: rows(on_device, None, x))(X)
    np.testing.assert_allclose(host().map(rows, (on_host, None), X), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "kind", "message"),
    [
        (query.features, "gaussian, kernel", r"an array \[n, K, F\], but this learner gives a \w+; .* Stage\(inputs"),
        (query.fisher_rows(2), "gaussian", "fisher_rows needs log probabilities .* got a Gaussian"),
        (strategies.acs_fw().stages[0].rows, "latent", "sparse approximation needs log probabilities .* got a Latent"),
        (query.last_layer_gradients, "gaussian", "predicts a Gaussian; of a regression take rows=features"),
    ],
)
def test_row_functions_name_the_learners_that_they_are_not_for(rows, kind, message):
    with pytest.raises((ValueError, TypeError), match=message):
        rows(Posterior(WEIGHTS, LEARNERS[kind]), None, X)


def test_predictions_of_another_number_of_rows():
    wrong = of(lambda state, x: draws(state, x[:2]))
    with pytest.raises(ValueError, match=r"predictions that lead with the 6 rows, got \(2, 3, 4\); `predict` is row-w"):
        query.predictions(Posterior(WEIGHTS, wrong), None, X)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (query.Stage(bald, best), "stage 0 needs a row function, .* got bald; .* use score"),
        (query.Stage(jnp.ones(3), best), r"stage 0 needs a row function, .* got float32\[3\]"),
        (
            query.Stage(query.epig_scores, best, X_TARGET),
            r"needs a context function, got .*Array.*; .*targets\(x_target",
        ),
        (query.Stage(lambda posterior, context, x: x.sum(), best), r"rows that lead with the 6 rows of x, got \(\)"),
        (query.Stage(lambda posterior, context, x: (x, x[1:]), best), r"the 6 rows of x, got \(\(6, 2\), \(5, 2\)\)"),
        (query.Stage(query.predictions, best), r"best ranks one score a row, \[n\], got rows of shape \[6, 3, 4\]"),
    ],
)
def test_wrong_parts_of_a_stage_are_named(stage, message):
    with pytest.raises((TypeError, ValueError), match=message):
        jax.eval_shape(lambda round: query.run_query(KEY, query.Query((stage,)), round, 1), ROUND)


def test_alc_of_draws_is_the_drop_of_their_covariance():
    posterior = Posterior(WEIGHTS, LEARNERS["gaussian"])
    about = query.targets(X_TARGET)(KEY, Round(posterior, make_pool(X), None, None), dense)
    f = np.asarray(np.concatenate([X, X_TARGET]) @ WEIGHTS[..., 0].T, np.float64)
    joint = np.cov(f, bias=True) + np.eye(len(f))
    drop = joint[:N, N:] ** 2 / (joint.diagonal()[:N] + 0.1)[:, None]
    np.testing.assert_allclose(jax.jit(query.alc_scores)(posterior, about, X), drop.mean(1), rtol=1e-5)


FEATURES = lambda state, x: jnp.tanh(x @ state[0, :, :3])[:, None]
CLASSIFIER = of(draws, FEATURES)
FITTED = Posterior(WEIGHTS, CLASSIFIER)
LOG = answer(empty_log(2, jnp.zeros(1, jnp.int32)), jnp.array([4]), jnp.ones(1) > 0, jnp.array([2]), jnp.ones(1), 0)
LOG = ask(LOG, jnp.array([1]), jnp.array([True]))  # to come
ROUND = Round(FITTED, make_pool(X, present=np.arange(N) != 5), LOG, None)
PROCESS = ROUND._replace(posterior=Posterior(WEIGHTS, LEARNERS["gaussian, kernel"]))
MEMBERS = lambda state, x, tap: tap(x, x @ state[0])
LIKELIHOODS = query.sparse_rows(expected_log_likelihoods)

ABOUT_TARGETS = query.targets(X_TARGET)
ROW_FUNCTIONS = {  # with the context that goes with each, None for none
    "alc_scores": (query.alc_scores, None),  # in the table above
    "answer_scores": (query.answer_scores, None),  # of questions: tests/test_whom.py
    "embeddings": (query.embeddings, None),
    "epig_scores": (query.epig_scores, ABOUT_TARGETS),
    "features": (query.features, None),
    "fisher_rows": (query.fisher_rows(2), None),
    "functional_scores": (query.functional_scores, None),  # likewise
    "gradient_rows": (query.gradient_rows, None),
    "inputs": (query.inputs, None),
    "jepig_scores": (query.jepig_scores, query.joint_targets(ABOUT_TARGETS, 8)),
    "last_layer_gradients": (query.last_layer_gradients, None),
    "layer_gradients": (query.layer_gradients(MEMBERS), None),
    "predictions": (query.predictions, None),
    "score": (query.score(bald), None),
    "score_about": (query.score_about(expected_error_reduction), ABOUT_TARGETS),
    "scored_features": (query.scored_features(least_confidence), None),
    "sketched": (query.sketched(query.last_layer_gradients, 5), query.key_context),
    "sparse_rows": (LIKELIHOODS, None),
}
CONTEXTS = {
    "class_prior": (query.class_prior(jnp.full(CLASSES, 0.25), query.pool_targets(5)), ROUND),
    "functional_targets": (query.functional_targets(DIFFERENCES, query.pool_targets(3)), PROCESS),
    "joint_targets": (query.joint_targets(query.pool_targets(3), 8), ROUND),
    "key_context": (query.key_context, ROUND),
    "pool_fisher": (query.pool_fisher(query.fisher_rows(2)), ROUND),
    "pool_rows": (query.pool_rows(LIKELIHOODS), ROUND),
    "pool_sums": (query.pool_sums(LIKELIHOODS), ROUND),
    "pool_targets": (query.pool_targets(5), ROUND),
    "posterior_context": (query.posterior_context, ROUND),
    "sampled_targets": (query.sampled_targets(lambda key: jax.random.normal(key, (4, 2))), ROUND),
    "target_rows": (query.target_rows(query.pool_targets(5)), PROCESS),
    "targets": (ABOUT_TARGETS, ROUND),
}
OTHERS = {  # what is neither
    *("Query", "Stage", "by_score", "run_query"),  # the funnel
    *("Functionals", "Remembered", "Targets"),  # structures
    *("propose", "remembered", "ask_whom"),  # made of stages
    *("Annotator", "noisy_annotator", "questions", "split_questions"),  # of a pool of questions
}


def test_the_table_of_stage_functions_is_closed():
    assert set(query.__all__) == ROW_FUNCTIONS.keys() | CONTEXTS.keys() | OTHERS


@pytest.mark.parametrize("name", sorted(ROW_FUNCTIONS.keys() - {"alc_scores", "answer_scores", "functional_scores"}))
def test_row_functions_are_row_wise(name):
    """Every leaf leads with the rows, and the value of a row does not depend on its place or on the others."""
    function, context = ROW_FUNCTIONS[name]
    rows = jax.jit(lambda x: function(FITTED, None if context is None else context(KEY, ROUND, dense), x))
    x = np.asarray(X)
    whole, other = jax.device_get((rows(x), rows(np.concatenate([x[::-1][:3], 7 * x[:3]]))))
    for leaf, moved in zip(jax.tree.leaves(whole), jax.tree.leaves(other), strict=True):
        assert len(leaf) == N
        np.testing.assert_allclose(leaf[::-1][:3], moved[:3], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", CONTEXTS)
def test_contexts_do_not_depend_on_chunks_labels_or_absent_rows(name):
    context, round = CONTEXTS[name]
    made = lambda over: jax.jit(lambda x, y: context(KEY, _with(round, x, y), over))
    whole = _comparable(made(dense)(X, LOG.y))
    in_chunks = _comparable(made(chunked(4))(X.at[5].add(9.0), LOG.y + 1))
    assert jax.tree.structure(whole) == jax.tree.structure(in_chunks)
    for leaf, again in zip(jax.tree.leaves(whole), jax.tree.leaves(in_chunks), strict=True):
        np.testing.assert_allclose(leaf, again, rtol=2e-5, atol=1e-6)


def _with(round, x, y):
    return round._replace(pool=round.pool._replace(x=x), labeled=round.labeled._replace(y=y))


def _comparable(found):
    """Keys as numbers; pool rows of weight 0 count for nothing."""
    if isinstance(found, PoolRows):
        found = jax.tree.map(lambda leaf: leaf * found.weight.reshape(-1, *(1,) * (leaf.ndim - 1)), found)
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, found)
