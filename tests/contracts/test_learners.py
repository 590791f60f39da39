"""What every learner promises, for every row of `cases.LEARNERS`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import problem
import pytest
from cases import CLASSES, GP_PARTS, LEARNERS, PARTS, normal

from bal import learners
from bal.learners import gp
from bal.learners.convergence import unconverged
from bal.loop import run, run_seeds, seed_keys
from bal.loop.checks import check_predictions
from bal.pool import make_pool
from bal.typing import Data, Learner, Task

KEY, OTHER = jax.random.key(0), jax.random.key(1)
CAPACITY, REAL = 10, 6
GROWING = [name for name in sorted(LEARNERS) if LEARNERS[name].grows]
LOWERED = {
    "gp_softmax",
    "laplace",
    "vbll",
}  # of the others the parts are in these, or in those of tests/test_accelerator


def test_every_public_learner_has_a_row():
    assert set(learners.__all__) >= PARTS
    assert set(gp.__all__) >= GP_PARTS
    rows = {name.split(":")[0] for name in LEARNERS}
    assert rows == (set(learners.__all__) - PARTS) | (set(gp.__all__) - GP_PARTS)


SLOW = {
    *("bayesian_softmax: factored", "ensemble: bootstrap", "ensemble: convolutions", "ensemble: gaussian"),
    *("ensemble: mixture density", "gp_regression: mixture", "laplace: kfac", "mc_dropout: flax", "mc_dropout: linen"),
    *("mcmc", "mile"),
    *(
        "batch_ensemble",
        "ensemble: flax",
        "epinet",
        "gp_classification_draws",
        "neural_linear",
        "swag",
        "vbll_regression",
    ),
}
"""The sampler of `from_numpyro`, on a longer program; variants of other rows, or with default tests of their own: the
weights of `batch_ensemble` are shared as in `masksembles`, `swag` is trained by the steps of `snapshot`, the draws of
`gp_classification_draws` are made as in `gp_regression_draws`; `epinet` is trained by the steps of `ensemble`, and
`neural_linear` is the heads of other rows on such a network."""


def marked(names, slow):
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in names]


@pytest.fixture(scope="module", params=marked(sorted(LEARNERS), SLOW))
def case(request):
    return LEARNERS[request.param]


class Fitted(NamedTuple):
    """Programs that all tests of a learner share, and what the first of them returns."""

    init: Callable
    fit: Callable
    rows: Callable
    data: Data
    state: Any


def compiled(learner: Learner, data: Data) -> Fitted:
    """Predictions and embeddings are of as many rows everywhere."""
    fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    rows = jax.jit(lambda state, x: (learner.predict(state, x), learner.embed(state, x)))
    return Fitted(learner.init, fit, rows, data, fit(KEY, data))


@pytest.fixture(scope="module")
def fitted(case):
    return compiled(case.learner, make_data(case.image, case.labels))


def make_data(image: bool = False, labels: str = "classes") -> Data:
    x = normal(0, CAPACITY, *((10, 10, 1) if image else (3,)))
    place = np.arange(CAPACITY, dtype=np.int32)
    y = {"real": np.sin(place).astype(np.float32), "binary": place % 2, "classes": place % CLASSES}[labels]
    return Data(x, jnp.asarray(y), jnp.asarray((place < REAL).astype(np.float32)))


def predict(fitted, state):
    return fitted.rows(state, fitted.data.x)[0]


def numbers(predictions):
    """Predictions as one array ``[N, K, ...]``."""
    return np.stack(predictions, -1) if isinstance(predictions, tuple) else np.asarray(predictions)


def close(a, b, tolerance=1e-5):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=tolerance, atol=tolerance), a, b)


def test_predictions_are_sound(case, fitted):
    num_classes = {"real": None, "binary": 2, "classes": CLASSES}[case.labels]
    check_predictions(predict(fitted, fitted.state), CAPACITY, num_classes)


@pytest.mark.parametrize("name", sorted(LEARNERS))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fit_keeps_shapes_and_types_in_double_precision(name, dtype):
    """What loops and saved states rest on, for inputs in either precision; nothing is compiled."""
    case = LEARNERS[name]
    if case.learner.host:
        pytest.skip("plain Python, which cannot be traced")
    with jax.enable_x64(True):
        data = jax.tree.map(np.asarray, make_data(case.image, case.labels))
        wide = lambda leaf: leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf
        data = data._replace(x=wide(data.x), y=wide(data.y), weight=data.weight.astype(np.float64))
        before = jax.eval_shape(case.learner.init, KEY, data)
        after = jax.eval_shape(case.learner.fit, KEY, before, data)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), before) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), after
    )


def test_predict_and_embed_are_row_wise(fitted):
    picked = np.array([4, 1, 1, 9, 8, 7, 3, 1, 0, 4])
    some = fitted.rows(fitted.state, fitted.data.x[picked])
    close(some, jax.tree.map(lambda leaf: np.asarray(leaf)[picked], fitted.rows(fitted.state, fitted.data.x)))


@pytest.mark.slow
def test_few_rows_are_predicted_as_among_many(fitted):
    """Other programs for each learner; that rows do not see those beside them is tested above for as many rows."""
    picked = np.array([4, 1, 1])
    some = fitted.rows(fitted.state, fitted.data.x[picked])
    close(some, jax.tree.map(lambda leaf: np.asarray(leaf)[picked], fitted.rows(fitted.state, fitted.data.x)))


def test_zero_weight_rows_change_nothing(fitted):
    x, y, weight, *_ = (None if leaf is None else np.array(leaf) for leaf in fitted.data)
    x[weight == 0], y[weight == 0] = 1e6, (y[weight == 0] + 1) % (int(y.max()) + 1)
    close(predict(fitted, fitted.fit(KEY, Data(x, y, fitted.data.weight))), predict(fitted, fitted.state))


def test_labels_of_one_class_one_label_none_and_equal_rows_are_no_special_case(case, fitted):
    """Predictions are sound: what is not known is left to the prior, or to where a network starts."""
    x, y, weight, *_ = (None if leaf is None else np.array(leaf) for leaf in fitted.data)
    first = (np.arange(CAPACITY) == 0).astype(np.float32)
    num_classes = {"real": None, "binary": 2, "classes": CLASSES}[case.labels]
    poor = [
        (x, np.full_like(y, y[1]), weight),
        (x, y, first),
        (x, y, 0 * weight),
        (np.broadcast_to(x[:1], x.shape), y, weight),
    ]
    for data in poor:
        check_predictions(predict(fitted, fitted.fit(KEY, Data(*map(jnp.asarray, data)))), CAPACITY, num_classes)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["inputs", "labels"])
def test_what_is_not_finite_in_training_is_never_silent(case, fitted, bad, where):
    """At every row of every draw NaN, or a fit that says it has not converged; sound numbers and silence is neither."""
    x, y, weight, *_ = (None if leaf is None else np.array(leaf) for leaf in fitted.data)
    if where == "labels" and case.labels != "real":
        return  # class numbers are integers
    (x if where == "inputs" else y)[2] = bad
    state = fitted.fit(KEY, Data(jnp.asarray(x), jnp.asarray(y), jnp.asarray(weight)))
    found = numbers(predict(fitted, state))
    assert np.isnan(found).any(-1).all() or unconverged(state), found


@pytest.mark.parametrize("case", ["ensemble"], indirect=True)
def test_pending_rows_in_the_middle_change_nothing(fitted):
    """The same real rows, interleaved with padding: the minibatches name the same rows in the same order."""
    spread = np.array([0, 7, 1, 2, 8, 3, 4, 9, 5, 6])
    shuffled = jax.tree.map(lambda leaf: np.asarray(leaf)[spread], fitted.data)
    close(predict(fitted, fitted.fit(KEY, shuffled)), predict(fitted, fitted.state))


def test_draws_differ(fitted):
    predictions = numbers(predict(fitted, fitted.state))
    for draw in range(1, predictions.shape[1]):
        assert np.abs(predictions[:, draw] - predictions[:, 0]).max() > 1e-3


def test_same_key_same_posterior_and_another_key_another(case, fitted):
    first, again, other = (numbers(predict(fitted, fitted.fit(key, fitted.data))) for key in (KEY, KEY, OTHER))
    close(again, first, 0.0)
    changed = np.abs(other - first).max()
    assert changed > 1e-3 if case.keyed else changed == 0


def test_state_keeps_structure_and_dtypes(fitted):
    before, state = jax.eval_shape(lambda: fitted.init(KEY, fitted.data)), fitted.state
    assert jax.tree.structure(before) == jax.tree.structure(state)
    assert [leaf.dtype for leaf in jax.tree.leaves(before)] == [leaf.dtype for leaf in jax.tree.leaves(state)]
    assert [leaf.shape for leaf in jax.tree.leaves(before)] == [leaf.shape for leaf in jax.tree.leaves(state)]


def spread(predictions):
    """Posterior variance of the function at every row: of a classifier, of its log odds."""
    if isinstance(predictions, tuple):
        return np.asarray(predictions.variance.mean(1) + predictions.mean.var(1))
    return np.asarray((predictions - predictions[..., :1]).var(1).sum(-1))


@pytest.mark.parametrize("case", marked(GROWING, SLOW), indirect=True)
def test_variance_grows_away_from_the_labels(fitted):
    x = np.asarray(fitted.data.x)
    near, far = (spread(fitted.rows(fitted.state, scale * x)[0]) for scale in np.float32([1, 20]))
    assert near.max() > 1.05 * near.min()
    assert (far > near).all()


@pytest.mark.parametrize("case", marked(GROWING, {*GROWING} - LOWERED), indirect=True)
def test_lowers_for_accelerators(fitted):
    both = jax.jit(lambda key, data: fitted.rows(fitted.fit(key, data), data.x))
    assert both.trace(KEY, fitted.data).lower(lowering_platforms=("cpu", "cuda", "tpu")).as_text()


@pytest.mark.parametrize("hidden", [(32,), pytest.param((), marks=pytest.mark.slow)])
def test_learns(hidden):
    """Three separated clusters are told apart after a real training."""
    y = np.arange(40, dtype=np.int32) % CLASSES
    x = 4 * np.asarray(normal(0, CLASSES, 3))[y] + 0.1 * np.asarray(normal(1, 40, 3))
    data = Data(x, y, np.ones(40, np.float32))
    network = learners.mlp(hidden, num_outputs=CLASSES) if hidden else learners.linear(CLASSES)
    learner: Learner = learners.ensemble(network, 2, num_steps=300, minibatch_size=16)
    fitted = compiled(learner, data)
    assert (np.asarray(predict(fitted, fitted.state)).mean(1).argmax(-1) == y).all()


@pytest.mark.slow
def test_gaussian_members_learn_mean_and_noise():
    """Noise that grows with x, from many labels: both moments are found, within three standard errors or 20 %."""
    x = jax.random.uniform(KEY, (2000, 1), minval=-1.0)
    spread = 0.1 + 0.2 * (x[:, 0] + 1)
    y = 2 * x[:, 0] + spread * jax.random.normal(OTHER, (2000,))
    learner = learners.ensemble(
        learners.mlp((32,), num_outputs=2), 2, num_steps=3000, minibatch_size=64, likelihood=learners.gaussian()
    )
    data = Data(x, y, jnp.ones(2000))
    state = jax.jit(lambda: learner.fit(KEY, learner.init(KEY, data), data))()
    prediction = learner.predict(state, jnp.array([[-0.5], [0.5]]))
    np.testing.assert_allclose(prediction.mean.mean(1), [-1.0, 1.0], atol=0.08)
    np.testing.assert_allclose(jnp.sqrt(prediction.noise.mean(1)), [0.2, 0.4], rtol=0.2)
    assert (prediction.variance == 0).all()


def test_gaussian_loss_is_the_negative_log_density():
    from scipy.stats import norm

    outputs, y = jnp.array([[0.3], [-1.0]]), jnp.array([1.0, 2.0])
    expected = -norm.logpdf(np.asarray(y), np.asarray(outputs[:, 0]), 0.5)
    np.testing.assert_allclose(learners.gaussian(0.25).loss(outputs, y), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="num_outputs=2"):
        learners.gaussian().loss(outputs, y)
    with pytest.raises(ValueError, match="must be positive"):
        learners.gaussian(0.0)


def test_mixture_density_loss_and_moments():
    from scipy.special import logsumexp, softmax
    from scipy.stats import norm

    outputs, y = 2 * np.asarray(normal(3, 5, 9)), np.asarray(normal(4, 5))
    likelihood, (logits, mean, spread) = learners.mixture_density(3), np.split(np.float64(outputs), 3, 1)
    share, deviation = softmax(logits, 1), np.sqrt(np.log1p(np.exp(spread)) + 1e-6)
    expected = -logsumexp(norm.logpdf(y[:, None], mean, deviation), axis=1, b=share)
    np.testing.assert_allclose(jax.jit(likelihood.loss)(outputs, y), expected, rtol=1e-5)
    found = jax.jit(likelihood.predictions)(outputs[None])
    first, second = (share * mean).sum(1), (share * (deviation**2 + mean**2)).sum(1)
    np.testing.assert_allclose(found.mean[:, 0], first, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.noise[:, 0], second - first**2, rtol=1e-4)
    one, two = learners.mixture_density(1), learners.gaussian()
    single = jnp.asarray(outputs[:, :3]), jnp.asarray(y)
    np.testing.assert_allclose(one.loss(*single), two.loss(jnp.asarray(outputs[:, 1:3]), single[1]), rtol=1e-5)
    with pytest.raises(ValueError, match="num_outputs=9"):
        likelihood.loss(*single)
    with pytest.raises(ValueError, match="num_components"):
        learners.mixture_density(0)


@pytest.mark.slow
def test_restart_policies():
    data = make_data()
    network = learners.mlp((8,), num_outputs=CLASSES)
    make = lambda restart: learners.ensemble(network, 2, num_steps=1, restart=restart)
    init = jax.jit(make(learners.cold).init)(KEY, data)
    far = jax.tree.map(lambda leaf: leaf + 5.0, init)
    cold, warm, shrunk = (
        jax.jit(make(policy).fit)(KEY, far, data).params["out"]["kernel"]
        for policy in (learners.cold, learners.warm, learners.shrink_and_perturb(0.5, 0.0))
    )
    np.testing.assert_allclose(warm, far.params["out"]["kernel"], atol=0.01)
    np.testing.assert_allclose(shrunk, far.params["out"]["kernel"] / 2, atol=0.01)
    np.testing.assert_allclose(cold, jax.jit(make(learners.cold).fit)(KEY, init, data).params["out"]["kernel"])


CLASSIFIERS = sorted(name for name, row in LEARNERS.items() if row.labels == "classes" and not row.image)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_runs_inside_run_seeds_in_one_program_on_every_platform(name):
    """Seeds beside one another give what each gives alone, and one trace serves all rounds."""
    learner, traced = LEARNERS[name].learner, []
    fit = lambda *given: (traced.append(name), learner.fit(*given))[1]
    setup = problem.SETUP._replace(learner=learner._replace(fit=fit), num_rounds=2, evaluate=None)
    task = Task(make_pool(jnp.concatenate([problem.X, problem.X[:, :1]], 1)), problem.Y)
    keys = seed_keys(0, 2)
    together = run_seeds(keys, task, setup).log.scores
    assert traced == [name]
    alone = jax.jit(lambda key: run(key, task, setup).scores)(keys[0])
    np.testing.assert_allclose(alone[0], together[0, 0], rtol=1e-3, atol=1e-4)
    platforms = ("cpu", "cuda", "tpu")
    program = jax.jit(jax.vmap(lambda seed: run(jax.random.key(seed), task, setup).scores))
    exported = jax.export.export(program, platforms=platforms)(jnp.arange(2))
    assert exported.platforms == platforms
    assert "callback" not in exported.mlir_module(), "no host work inside the compiled loop"


@pytest.mark.parametrize(
    "make", [lambda: learners.ensemble(learners.mlp(), 0), lambda: learners.mc_dropout(learners.mlp(), 0)]
)
def test_no_draws_is_refused(make):
    with pytest.raises(ValueError, match="at least 1"):
        make()
