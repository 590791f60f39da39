"""Parts of the figures on fully Bayesian processes and on kernels and rules of regression, each by an oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import datasets

from bal.kernels import Factors
from bal.learners import ensemble, mlp, tapped_members
from bal.pool import make_pool
from bal.pool.labeled import ask, empty_log
from bal.query import layer_gradients, run_query
from bal.typing import Candidates, Data, Learner, Posterior, Round
from paper_figures import bayesian_gp, regression_kernels
from paper_figures.claims import judge
from paper_figures.formulas import REGRESSIONS, SIMULATORS, borehole, wing_weight


@pytest.mark.parametrize(
    ("name", "x", "value"),  # as published; of Gramacy2d by calculus, of Higdon1d where both waves are at their top
    [
        ("Gramacy1d", [0.548563444114526], -0.869011134989500),
        ("Higdon1d", [2.5], 1.2),
        ("Higdon1d", [15.0], 0.5),
        ("Gramacy2d", [-(0.5**0.5), 0.0], -((2 * np.e) ** -0.5)),
        ("Branin2d", [np.pi, 2.275], 0.397887),
        ("Branin2d", [9.42478, 2.475], 0.397887),
        ("Hartmann6d", [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573], -3.32237),
    ],
)
def test_a_simulator_has_its_published_value(name, x, value):
    formula = SIMULATORS[name]
    np.testing.assert_allclose(formula.function(np.array([x])), [value], atol=1e-5)
    assert (np.array(formula.low) <= x).all()
    assert (np.array(formula.high) >= x).all()


def test_ishigami_has_its_mean_and_variance():
    formula = SIMULATORS["Ishigami3d"]
    axis = (np.arange(60) + 0.5) / 60
    values = formula.function(formula.rows(np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)))
    a, b = 7, 0.1
    np.testing.assert_allclose(values.mean(), a / 2, rtol=1e-3)
    np.testing.assert_allclose(values.var(), a**2 / 8 + b * np.pi**4 / 5 + b**2 * np.pi**8 / 18 + 1 / 2, rtol=2e-3)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_friedmans_functions_are_those_of_another_library(number):
    x, y = getattr(datasets, f"make_friedman{number}")(200, noise=0.0, random_state=0)
    formula = REGRESSIONS[f"Friedman {number}"]
    np.testing.assert_allclose(formula.function(x), y, rtol=1e-9)
    assert (x >= formula.low).all()
    assert (x <= formula.high).all()
    np.testing.assert_allclose(x.max(0), formula.high, rtol=0.1)


def test_water_flows_through_three_resistances():
    formula = REGRESSIONS["borehole"]
    x = formula.rows(np.random.default_rng(0).uniform(size=(50, 8)))
    radius, influence, upper, upper_head, lower, lower_head, length, conductivity = x.T
    aquifers = np.log(influence / radius) / (2 * np.pi) * (1 / upper + 1 / lower)  # Thiem's wells
    pipe = length / (conductivity * np.pi * radius**2)  # Darcy's law
    np.testing.assert_allclose(borehole(x), (upper_head - lower_head) / (aquifers + pipe), rtol=1e-9)


def test_the_weight_of_a_wing_is_a_product_of_powers_and_its_paint():
    one = np.array([1, 1, 1, 0, 1, 1, 0.01, 1, 1, 0.5])
    np.testing.assert_allclose(wing_weight(one[None]), [0.036 + 0.5])
    powers = [0.758, 0.0035, 0.6, -0.9, 0.006, 0.04, -0.3, 0.49, 0.49]  # the fourth is of the sweep's cosine
    twice = np.array([2, 2, 2, 0, 2, 2, 0.02, 2, 2])
    twice = np.where(np.eye(9, dtype=bool), twice, one[:9])
    twice[3, 3] = 60.0  # degrees: half of one
    bare = wing_weight(np.column_stack([twice, np.zeros(9)])) / 0.036
    np.testing.assert_allclose(np.log2(bare), np.array(powers) * np.array([1, 1, 1, -1, 1, 1, 1, 1, 1]), rtol=1e-9)


@pytest.mark.parametrize("name", SIMULATORS)
def test_rows_of_a_simulator(name):
    sizes, formula = bayesian_gp.SIZES["cpu"], SIMULATORS[name]
    with jax.enable_x64(True):
        task, again, other = (bayesian_gp.of_seed(name, sizes, seed) for seed in (1, 1, 2))
        x, y, x_test = np.asarray(task.pool.x), np.asarray(task.oracle), np.asarray(task.test[0])
    unit = (x - np.array(formula.low)) / (np.array(formula.high) - np.array(formula.low))
    assert unit.shape == (sizes.num_pool, len(formula.low))
    first = np.sort((3 * unit[np.asarray(task.start)]).astype(int), 0)
    np.testing.assert_array_equal(first, np.tile([[0], [1], [2]], x.shape[1]))
    cells = ((sizes.num_pool - 3) * unit[3:]).astype(int)
    if x.shape[1] > 1:  # of a Latin hypercube, one row in each slice of each axis
        assert all(sorted(column) == list(range(sizes.num_pool - 3)) for column in cells.T.tolist())
    assert 0.8 * formula.noise < (y - formula.function(x)).std() < 1.2 * formula.noise
    assert ((x_test >= formula.low) & (x_test <= formula.high)).all()
    np.testing.assert_array_equal(y, again.oracle)
    assert (y != np.asarray(other.oracle)).all()


def gp_found(shift):
    """Areas that differ by strategy as told, seed by seed alike but for a little noise."""
    noise = lambda number: 0.01 * np.random.default_rng(number).normal(size=(20, 5))
    curves = lambda: {name: 1.0 + by + noise(hash(name) % 97) for name, by in shift.items()}
    return bayesian_gp.Found({"a": curves(), "b": curves()}, {"a": curves(), "b": curves()})


def test_verdicts_on_draws_follow_the_numbers():
    rows = bayesian_gp.claims(bayesian_gp.Config(), bayesian_gp.SIZES["cpu"])
    verdicts = lambda **shift: [verdict.holds for verdict in judge(rows, gp_found(shift), "cpu")]
    named = lambda random, alm, qbc, mgp, bald: {
        "random": random, "B-ALM": alm, "B-QBC": qbc, "QB-MGP": mgp, "BALD": bald
    }  # fmt: skip
    assert verdicts(**named(0.5, 0.3, 0.2, 0.1, 0.4)) == [True, True, False, True]
    assert verdicts(**named(0.5, 0.3, 0.1, 0.2, 0.4)) == [True, False, True, True]
    assert verdicts(**named(0.0, 0.1, 0.2, 0.3, 0.4)) == [False, False, False, False]


def test_ranks_are_those_of_areas():
    found = gp_found({"random": 0.5, "B-ALM": 0.3, "B-QBC": 0.2, "QB-MGP": 0.1, "BALD": 0.4})
    mean = {name: values.mean() for name, values in bayesian_gp.ranks(found, "rmse").items()}
    assert mean == {"random": 5, "B-ALM": 3, "B-QBC": 2, "QB-MGP": 1, "BALD": 4}
    np.testing.assert_allclose(bayesian_gp.ahead(found, "rmse", "QB-MGP"), 1)
    np.testing.assert_allclose(bayesian_gp.ahead(found, "rmse", "B-ALM"), -2)


def test_contexts_are_sums_over_the_pool():
    random = np.random.default_rng(0)
    x, known, eligible = random.normal(size=(6, 3)), random.normal(size=(2, 3)), np.arange(6) > 1
    some = Candidates(*map(jnp.asarray, (x, np.arange(6), eligible, np.ones(6), known, np.ones(2))))
    key = jax.random.key(0)
    fisher = jax.jit(regression_kernels.as_fisher)(key, some)
    np.testing.assert_allclose(fisher.context, x.T @ x / regression_kernels.NOISE, rtol=1e-4)
    np.testing.assert_allclose(fisher.known.scale, 1000, rtol=1e-5)
    sparse = jax.jit(regression_kernels.as_sparse)(key, some)
    np.testing.assert_allclose(sparse.context.features, x[2:].sum(0), rtol=1e-5)
    np.testing.assert_allclose(sparse.context.norm, np.linalg.norm(x[2:], axis=1).sum(), rtol=1e-5)


def test_the_gradient_in_the_last_layer_is_its_input():
    network, x = mlp((5, 4), num_outputs=1), jnp.asarray(np.random.default_rng(0).normal(size=(7, 3)), jnp.float32)
    learner = ensemble(network, 1)
    state = jax.jit(learner.init)(jax.random.key(0), Data(x, jnp.zeros(7), jnp.ones(7)))
    rows = regression_kernels.last_layer(layer_gradients(tapped_members(network), jnp.ones_like))
    found = jax.jit(lambda x: rows(Posterior(state, learner), None, x))(x)
    output = lambda params, row: network.apply(params, row[None])[0][0, 0]
    params = jax.tree.map(lambda leaf: leaf[0], state.params)
    slopes = jax.tree.leaves(jax.jit(jax.vmap(jax.grad(output), (None, 0)))(params, x))
    (weights,) = [leaf[:, :, 0] for leaf in slopes if leaf.shape == (7, 4, 1)]
    (bias,) = [leaf for leaf in slopes if leaf.shape == (7, 1)]
    np.testing.assert_allclose(found, np.concatenate([weights, bias], 1), atol=1e-6)


def greedily(value, free, number):
    """The rows that raise a value of a batch most, one after the other."""
    picks = []
    for _ in range(number):
        picks.append(max(set(free) - set(picks), key=lambda row: value([*picks, row])))
    return picks


@pytest.mark.slow
def test_rules_pick_what_brute_force_picks():
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    gradients = lambda posterior, context, x: (Factors(x[:, :2], x), Factors(jnp.ones_like(x[:, :1]), x))
    log = jax.jit(ask)(empty_log(8, jnp.zeros(1)), jnp.arange(3), jnp.ones(3, bool))
    rules = regression_kernels.queries(gradients, 16, tuple(regression_kernels.PUBLISHED))

    @jax.jit
    def picked(key, pool, log):
        round = Round(Posterior(None, Learner(None, None, None)), pool, log, None)
        return {name: run_query(key, query, round, 4)[0].indices for name, query in rules.items()}

    picks = {name: rows.tolist() for name, rows in picked(jax.random.key(0), make_pool(x), log).items()}
    assert len(picks) == 15
    for name, rows in picks.items():
        assert len(set(rows) - {0, 1, 2}) == 4, name

    free, noise = range(3, 30), regression_kernels.NOISE
    phi = x.astype(np.float64) / np.sqrt((x[:3].astype(np.float64) ** 2).sum(1).mean())
    prior = np.linalg.inv(np.eye(4) + phi[:3].T @ phi[:3] / noise)
    left = phi @ prior @ phi.T
    assert picks["MaxDiag, last layer"] == sorted(free, key=lambda row: -left[row, row])[:4]
    determinant = lambda rows: np.linalg.slogdet(np.eye(len(rows)) + left[np.ix_(rows, rows)] / noise)[1]
    assert picks["MaxDet, last layer"][:2] == greedily(determinant, free, 2)
    variance = lambda rows: (
        -np.trace(np.linalg.inv(np.linalg.inv(prior) + phi[rows].T @ phi[rows] / noise) @ phi.T @ phi)
    )
    assert picks["BAIT, last layer"] == greedily(variance, free, 4)
    apart = np.linalg.norm(phi[:, None] - phi[None], axis=2)
    nearest = lambda rows: apart[rows[-1], [0, 1, 2, *rows[:-1]]].min()
    assert picks["MaxDist, last layer"] == greedily(nearest, free, 4)


@pytest.mark.parametrize("width", [4, 10])
def test_rows_of_a_table(width):
    random, sizes = np.random.default_rng(0), regression_kernels.SIZES["cpu"]
    x, y = 5 + 3 * random.normal(size=(2_000, width)), random.normal(size=2_000)
    task = regression_kernels.of_seed(x, y, sizes, seed=3)
    pool = np.asarray(task.pool.x)
    assert pool.shape == (1_000, 10)
    np.testing.assert_allclose(pool[:, :width].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(pool[:, :width].std(0), 1, rtol=1e-5)
    assert (pool[:, width:] == 0).all()
    assert not {tuple(row) for row in pool.tolist()} & {tuple(row) for row in np.asarray(task.test[0]).tolist()}
    assert task.start.tolist() == list(range(64))


def test_verdicts_on_kernels_follow_the_numbers():
    rows = regression_kernels.claims(regression_kernels.Config(), regression_kernels.SIZES["cpu"])
    published = {"random": -1.401}
    for rule, (last, full) in regression_kernels.PUBLISHED.items():
        published |= {f"{rule}, last layer": last, f"{rule}, gradient": full}
    noise = 0.001 * np.random.default_rng(0).normal(size=(20, 5))
    curves = lambda sign: {name: sign * value + noise * (1 + i) for i, (name, value) in enumerate(published.items())}
    found = lambda sign: regression_kernels.Found({"a": curves(sign)}, {"a": curves(sign)}, [], np.arange(5))
    assert [verdict.holds for verdict in judge(rows, found(1), "cpu")] == [True] * 11
    assert [verdict.holds for verdict in judge(rows, found(-1), "cpu")] == [False] * 11
    assert len(rows) == 11
