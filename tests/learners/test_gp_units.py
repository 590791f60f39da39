"""Units of labels and inputs: fits that do not depend on them, and what of a process stays in natural units."""

from functools import partial

import gpjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gpjax.mean_functions import Constant
from gpjax.parameters import PositiveReal, val
from paramax import non_trainable
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF as SklearnRBF
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel

from bal.learners.convergence import unconverged
from bal.learners.gp import (
    Chosen,
    Hyperparameters,
    gp_classification,
    gp_regression,
    gp_regression_draws,
    maximum_likelihood,
    noisy_input_process,
    process,
    sparse_gp,
)
from bal.learners.gp.process import as_dtype, join, split
from bal.learners.gp.units import Units, kind_of, measure, standardized
from bal.typing import Data

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X, X_NEW = RNG.uniform(size=(24, 2)) * [1, 3] + [0, 50], RNG.uniform(size=(5, 2)) * [1, 3] + [0, 50]
Y = np.sin(5 * X[:, 0]) + 0.3 * X[:, 1] + 0.1 * RNG.normal(size=24)
WEIGHT = np.where(np.arange(24) < 20, 1.0, 0.0) + (np.arange(24) == 3)
REAL = WEIGHT > 0


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def keep(key, initial, previous, objective):
    return Chosen(jax.tree.map(lambda v: v[None], initial), jnp.ones(1, bool))


def as_made(units="standardized"):
    """The values that the process was made with, in units of the labels and inputs."""
    return Hyperparameters(1, keep, units)


@partial(jax.jit, static_argnums=0)
def everything(learner, data, x_new=X_NEW):
    """State, predictions, and covariances of new rows: one program for learners that are made alike."""
    state, x_new = learner.fit(KEY, learner.init(KEY, data), data), jnp.asarray(x_new)
    rows = learner.embed(state, x_new)
    pair = lambda a, b: learner.kernel(state, a, b)
    block = jax.vmap(jax.vmap(pair, (None, 0)), (0, None))(rows, rows)
    return state, learner.predict(state, x_new), block, rows


def agree(got, expected, tolerance=1e-9):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, expected)


def weighted(values):
    mean = np.average(values, axis=0, weights=WEIGHT)
    return mean, np.sqrt(np.average((values - mean) ** 2, axis=0, weights=WEIGHT))


def data(y=Y, x=X):
    poison = np.where(REAL.reshape(-1, *(1,) * (y.ndim - 1)), y, np.nan)
    return Data(jnp.asarray(np.where(REAL[:, None], x, 1e8)), jnp.asarray(poison), jnp.asarray(WEIGHT))


# --- fits ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fit():
    """One program for all fits."""
    with jax.enable_x64(True):
        learner = gp_regression(process(gpjax.kernels.RBF(), noise=0.1), maximum_likelihood(30))
        return jax.jit(lambda x, y, x_new: everything(learner, Data(x, y, jnp.ones(15)), x_new)[:3])


def test_units_do_not_matter(fit):
    """Nor do padding and origin; scikit-learn, told to standardize, predicts the same."""
    x, y, new = X[:15, :1] - 0.5, Y[:15] - 15.0, X_NEW[:, :1] - 0.5
    _, expected, block = fit(x, y, new)
    for label, length in ((100.0, 1e-2), (1e6, 1e3), (1e-4, 1.0)):
        state, found, scaled = fit(length * x, label * (y + 7), length * new)
        agree(found.mean / label - 7, expected.mean, 1e-3)
        agree((found.variance / label**2, found.noise / label**2), expected[1:], 1e-3)
        agree(scaled / label**2, block, 1e-3)
        assert unconverged(state) is None
    kernel = ConstantKernel(1.0) * SklearnRBF(0.3) + WhiteKernel(0.1)
    other = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=3, random_state=0).fit(x, y)
    mean, deviation = other.predict(new, return_std=True)
    agree(expected.mean[:, 0], mean, 1e-3)
    agree(np.sqrt(expected.variance + expected.noise)[:, 0], deviation, 1e-3)


def test_labels_without_noise_are_interpolated(fit):
    """The evidence grows as the noise falls, and ends where the arithmetic does; rows named twice change nothing."""
    x = np.linspace(0, 1, 15)[:, None]
    state, found, _ = fit(x, np.sin(6 * x[:, 0]), X_NEW[:, :1])
    np.testing.assert_allclose(found.mean[:, 0], np.sin(6 * X_NEW[:, 0]), atol=1e-3)
    assert (found.noise > 0).all()
    assert np.isfinite(state.whiten).all()
    twice = x[np.arange(15) % 8]
    _, found, _ = fit(twice, np.sin(6 * twice[:, 0]), twice[:5])
    np.testing.assert_allclose(found.mean[:, 0], np.sin(6 * twice[:5, 0]), atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_a_chosen_noise_is_kept_above_rounding(dtype):
    """Sixty labels of a smooth function and no noise at all: given it stays, and NaN says so."""
    x = jnp.linspace(0, 1, 60, dtype=dtype)[:, None]
    some = Data(x, x[:, 0], jnp.ones(60, dtype))
    made = process(gpjax.kernels.RBF(lengthscale=2.0), 1e-300 if dtype == "float64" else 1e-30)
    found = everything(gp_regression(made, as_made("natural")), some, x[:3])[1]
    np.testing.assert_allclose(found.mean[:, 0], x[:3, 0], atol=1e-2 if dtype == "float32" else 1e-5)
    assert (found.noise > 10 * jnp.finfo(dtype).eps).all()
    assert np.isnan(everything(gp_regression(made), some, x[:3])[1].mean).all()


def test_a_fit_that_ends_early_says_so():
    hill = lambda x: -100.0 * (x[1] - x[0] ** 2) ** 2 - (1 - x[0]) ** 2
    start = jnp.array([-1.2, 1.0])
    choose = lambda n: jax.jit(lambda start: maximum_likelihood(n).choose(KEY, start, start[None], hill))
    early, late = (choose(n)(start) for n in (2, 100))
    assert early.converged.tolist() == [False]
    assert late.converged.tolist() == [True]
    np.testing.assert_allclose(late.params[0], 1.0, atol=1e-3)
    assert "1 of 1 fits have not converged" in unconverged(early)
    assert unconverged({"a": (early, late)}).startswith("1 of 2")


# --- what is in which units ------------------------------------------------------------------------------------------


def test_what_is_fitted_is_in_units_of_the_data():
    """Equal to values given in natural units; so are covariances, embedded noise, a sparse posterior of all rows."""
    mean, deviation = weighted(Y)
    typical = np.sqrt(np.mean(weighted(X)[1] ** 2))
    plain = gpjax.kernels.RBF(lengthscale=0.5 * typical, variance=1.3 * deviation**2)
    wanted = everything(gp_regression(process(plain, 0.04 * deviation**2, Constant(mean))), data())
    made = process(gpjax.kernels.RBF(lengthscale=0.5, variance=1.3), 0.04)
    state, *found, rows = everything(gp_regression(made, as_made()), data())
    agree(found, list(wanted[1:3]))
    agree((rows.mean, rows.noise), (wanted[3].mean, wanted[3].noise))
    agree(val(state.params.kernel.lengthscale), [0.5])
    agree(list(everything(sparse_gp(made, 24, as_made()), data())[1:3]), list(wanted[1:3]), 1e-6)


def test_what_is_known_is_in_natural_units():
    """A mean and a noise that are functions of the user's, for two outputs of one scale."""
    trend, noise = lambda x: 100.0 * x[:, :1], lambda x: 1.0 + x[:, 0] ** 2
    y = np.stack([Y, 10 * Y], 1) + 100 * X[:, :1]
    scale = np.sqrt(np.average((y - 100 * X[:, :1]) ** 2, axis=0, weights=WEIGHT).mean())
    lengths = np.array([0.5, 2.0]) * weighted(X)[1]
    plain = gpjax.kernels.Matern52(lengthscale=jnp.asarray(lengths), variance=scale**2)
    wanted = everything(gp_regression(process(plain, noise, trend)), data(y))
    made = process(gpjax.kernels.Matern52(lengthscale=jnp.array([0.5, 2.0])), noise, trend)
    state, *found, rows = everything(gp_regression(made, as_made()), data(y))
    agree(found, list(wanted[1:3]))
    agree(rows.noise[:, 0], 1 + X_NEW[:, 0] ** 2)
    agree(state.units.scale, [scale, scale])


@pytest.mark.slow  # two outputs in natural units are above
def test_every_output_has_its_scale():
    y = np.stack([Y, 1e4 * Y**2], 1)
    made = process(gpjax.kernels.RBF(lengthscale=0.5), 0.04)
    _, both, block, _ = everything(gp_regression(made, as_made()), data(y))
    alone = [everything(gp_regression(made, as_made()), data(y[:, p])) for p in range(2)]
    for p in range(2):
        agree([leaf[..., p] for leaf in both], list(alone[p][1]))
    agree(block, (alone[0][2] + alone[1][2]) / 2)


@pytest.mark.slow  # the posterior that they are of is, below and above; draws: test_gp_pathwise.py
def test_draws_are_in_natural_units():
    y = 1e4 * (3 + np.sin(X[:, 0]))
    made = process(gpjax.kernels.RBF(lengthscale=2.0, n_dims=2), 1e-8)
    learner = gp_regression_draws(made, 3, as_made(), num_features=64)
    found = everything(learner, data(y), X[:5])[1]
    np.testing.assert_allclose(found.mean, np.stack([y[:5]] * 3, 1), rtol=1e-3)
    np.testing.assert_allclose(found.noise, 1e-8 * weighted(y)[1] ** 2, rtol=1e-6)


def units(spread):
    return Units(jnp.zeros(()), jnp.ones(()), jnp.asarray(spread), jnp.ones(()))


def test_lengths_are_those_of_stationary_kernels():
    """Each in the spread of its inputs; one that does not vary counts as typical; other parameters are left alone."""
    k, (a, b) = gpjax.kernels, jnp.array([[0.1, 0.2, 0.3], [0.5, 0.5, 0.5]])
    spread = np.array([2.0, 0.0, 4.0])
    stretched = jax.jit(lambda kernel: standardized(process(kernel, 1.0), units(spread)).kernel(a, b))
    plain = jax.jit(lambda kernel: kernel(a, b))
    pair = lambda *lengths: jnp.array(lengths)
    together, typical = k.RBF(active_dims=[0, 2]), np.sqrt(20 / 3)
    agree(stretched(together), plain(k.RBF(active_dims=[0, 2], lengthscale=np.sqrt(10.0))))
    agree(stretched(k.RBF(lengthscale=pair(1.0, 1.0, 0.5))), plain(k.RBF(lengthscale=pair(2.0, typical, 2.0))))
    period = k.Periodic(period=0.7, active_dims=[1])
    agree(stretched(period * together + k.White()), plain(period) * stretched(together))
    fixed = k.RBF(lengthscale=non_trainable(PositiveReal(0.4)))
    agree(stretched(fixed), plain(fixed))
    linear = k.Linear()
    agree(stretched(linear), plain(linear))
    noisy = noisy_input_process(k.RBF(), 0.1)
    rows = jnp.array([[0.1, 0.3], [0.5, 0.2]])
    both = lambda made: (made.kernel(*rows), made.noise_variance(rows))
    there = jax.jit(lambda made: both(standardized(made, units([3.0, 9.0]))))
    agree(there(noisy), jax.jit(both)(noisy_input_process(k.RBF(lengthscale=3.0), 0.1)))


def test_a_kernel_that_is_known_keeps_everything_natural():
    k, fixed = gpjax.kernels, lambda value: non_trainable(PositiveReal(value))
    kind = lambda kernel, noise=1.0: kind_of(process(kernel, noise), "standardized")
    assert kind(k.RBF()) == kind(k.RBF(lengthscale=fixed(1.0))) == "standardized"
    assert kind(k.RBF(variance=fixed(2.0))) == kind(k.RBF() + k.RBF(variance=fixed(2.0))) == "natural"
    assert kind(k.RBF() * k.Periodic(variance=fixed(1.0))) == "standardized"
    assert kind(k.RBF(variance=fixed(2.0)), None) == "standardized"  # classes have no unit
    assert kind_of(process(k.RBF(), 1.0), "given") == "given"
    assert maximum_likelihood(3).units == "standardized"
    assert maximum_likelihood(3, standardize=False).units == "natural"


@jax.jit
def measured(y):
    made = as_dtype(process(gpjax.kernels.RBF(), 1.0), jnp.float32)
    return measure(made, jnp.zeros((3, 1), jnp.float32), y, jnp.ones(3, jnp.float32))


@pytest.mark.parametrize("y", [[0.1, 0.1, 0.1], [1e30, 3e30, 5e30], [1e-30, 3e-30, 5e-30]])
def test_scales_of_odd_labels(y):
    """Equal labels have scale 1, however they round; squares of the largest and smallest do not leave float32."""
    y = np.array(y, np.float32)
    found = measured(y)
    agree(found.shift / y[1], 1.0, 1e-6)
    agree(found.scale, y.astype(float).std() if y[0] != y[1] else 1.0, 1e-6)
    assert found.spread.tolist() == [0.0]


# --- inputs and labels of odd types ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["int32", pytest.param("bool", marks=pytest.mark.slow), pytest.param("float16", marks=pytest.mark.slow)]
)
def test_inputs_that_are_not_floats(dtype):
    """The same numbers as floats: in no integer or half would a lengthscale or a noise keep its value."""
    x = (np.arange(8)[:, None] * [1, 3] % 4 > 1) if dtype == "bool" else np.arange(8)[:, None] * [1, 3] % 5
    made = process(gpjax.kernels.RBF(lengthscale=0.5), 0.01)
    learner = gp_regression(made)
    run = lambda x: everything(learner, Data(jnp.asarray(x), jnp.asarray(Y[:8]), jnp.ones(8)), jnp.asarray(x[:3]))
    (state, *found), (_, *expected) = run(x.astype(dtype)), run(x.astype(float))
    agree(found, expected, 1e-4 if dtype == "float16" else 1e-12)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {state.x.dtype}
    assert state.x.dtype == (jnp.float32 if dtype == "float16" else jnp.float64)


def test_a_third_class_is_no_quiet_number():
    """Labels are traced where nobody can look at them: what is neither 0 nor 1 makes NaN, which every door refuses."""
    learner = gp_classification(process(gpjax.kernels.RBF()))
    y = jnp.array([0, 1, 2, 2])
    run = jax.jit(lambda weight: everything(learner, Data(jnp.asarray(X[:4]), y, weight))[1].mean)
    assert np.isnan(run(jnp.ones(4))).all()
    assert np.isfinite(run(jnp.array([1.0, 1.0, 0.0, 0.0]))).all()


@pytest.mark.parametrize(
    "name", ["exact", pytest.param("sparse", marks=pytest.mark.slow), pytest.param("draws", marks=pytest.mark.slow)]
)
def test_more_labels_under_held_hyperparameters_and_units(name):
    """Draws of values from anywhere stay, and so do the units, though the new labels would change both."""
    x, x_new = jnp.asarray(X[REAL]), jnp.asarray(X_NEW)
    few, all_rows = (Data(*(leaf[REAL] for leaf in (X, Y, WEIGHT))) for _ in range(2))
    few = few._replace(weight=few.weight * (np.arange(REAL.sum()) < 12))
    all_rows = all_rows._replace(y=all_rows.y + 50.0 * (np.arange(REAL.sum()) >= 12))
    by_labels = lambda key, initial, previous, objective: Chosen(
        jax.tree.map(lambda leaf: leaf[None] + 1e-2 * objective(initial), initial), jnp.zeros(1, bool)
    )
    chosen, model = Hyperparameters(1, by_labels, "standardized"), process(gpjax.kernels.RBF(), 0.1)

    @partial(jax.jit, static_argnums=0)
    def program(learner, few, data):
        first = learner.fit(KEY, learner.init(KEY, few), few)
        second = learner.condition(KEY, first, data)
        return first, second, learner.predict(second, x_new)

    learner = {
        "exact": gp_regression(model, chosen),
        "sparse": sparse_gp(model, int(REAL.sum()), chosen),
        "draws": gp_regression_draws(model, 1, chosen, num_features=4),
    }[name]
    first, second, found = program(learner, few, all_rows)
    if name == "draws":
        first, second = first.posterior, second.posterior
    jax.tree.map(np.testing.assert_array_equal, second.params, first.params)
    jax.tree.map(np.testing.assert_array_equal, second.units._replace(total=first.units.total), first.units)
    assert not second.converged.any()

    @jax.jit
    def covariances(params, units):
        one = jax.tree.map(lambda leaf: leaf[0], params)
        held = standardized(join(one, split(model)[1], jnp.float64), units)
        gram = held.covariance(x, x) + jnp.diag(held.noise_variance(x) / WEIGHT[REAL])
        return gram, held.covariance(x_new, x), held.covariance(x_new, x_new), held.noise_variance(x_new)

    gram, cross, before, noise = (np.asarray(part) for part in covariances(first.params, first.units))
    away = np.linalg.solve(gram, (all_rows.y - first.units.shift) / first.units.scale)
    if name == "draws":
        np.testing.assert_allclose(second.alpha[0], away, rtol=1e-6)
        return
    mean = first.units.shift + first.units.scale * cross @ away
    variance = np.diagonal(before - cross @ np.linalg.solve(gram, cross.T))
    np.testing.assert_allclose(found.mean[:, 0], mean, rtol=1e-6 if name == "exact" else 1e-5)
    np.testing.assert_allclose(found.variance[:, 0], variance * np.square(first.units.scale), rtol=1e-5)
    np.testing.assert_allclose(found.noise[:, 0], noise * np.square(first.units.scale), rtol=1e-5)
