"""A method is a value: its name and settings are what it is."""

import collections.abc
import copy
import functools
import inspect
import pickle
import typing

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import LEARNERS
from factories import ALL, FACTORIES, of_cases, recipes
from problem import LEARNER, QUERY

from bal.acquisition import bald, straddle
from bal.kernels import given_known, linear, noisy, scaled
from bal.learners import Likelihood, Network, cold, ensemble, gaussian, mlp
from bal.learners.gp import Hyperparameters, Inference
from bal.loop.fingerprint import describe, difference
from bal.method import Method, brief, made_by, method
from bal.pool import chunked, dense
from bal.query import by_score, pool_targets, predictions, remembered, score, targets
from bal.selection import batchbald, best, max_det, power, random_uniform, shortlist, transformed
from bal.typing import Data, Learner, Over, Posterior, Query, Setup, Stage

MADE = {Hyperparameters, Inference, Learner, Likelihood, Network, Over, Query}
OF_CASES = of_cases()
PLAIN = {"log_posterior"}  # functions of arrays that return a function of them


def is_factory(thing):
    if not inspect.isfunction(thing):
        return False
    made = inspect.signature(thing).return_annotation
    return made in MADE or made is collections.abc.Callable or typing.get_origin(made) is collections.abc.Callable


@pytest.mark.parametrize("package", FACTORIES, ids=lambda package: package.__name__)
def test_every_public_factory_has_a_row(package):
    found = {name for name in package.__all__ if is_factory(getattr(package, name))}
    assert FACTORIES[package].keys() <= found
    assert found - PLAIN <= FACTORIES[package].keys() | OF_CASES.keys()


def made_again(made):
    """What the same factory makes of the same settings."""
    call = made_by(made)
    given = inspect.BoundArguments(inspect.signature(call.factory), dict(call.settings))
    return method(call.factory)(*given.args, **given.kwargs)


@pytest.mark.parametrize("name", OF_CASES)
def test_a_row_of_cases_is_what_its_factory_makes_again(name):
    again = made_again(OF_CASES[name])
    assert again == OF_CASES[name]
    assert hash(again) == hash(OF_CASES[name])
    assert again != OF_CASES[next(other for other in OF_CASES if other != name)]
    assert repr(again) == repr(OF_CASES[name])
    assert repr(again).startswith(f"{name}(")


@pytest.mark.parametrize("name", ALL)
def test_made_alike_are_equal(name):
    make, other = ALL[name]
    one, two, third = make(), make(), other()
    assert one == two
    assert hash(one) == hash(two)
    assert one is not two
    assert one != third
    short = name.split(".")[-1]
    for made in (one, third):
        assert repr(made) == brief(made)
        assert repr(made).startswith("Query((Stage(" if short == "by_score" else f"{short}(")
        assert " at 0x" not in repr(made)
    assert repr(one) == repr(two) != repr(third)
    assert difference(describe(one), describe(two)) == ""
    assert difference(describe(one), describe(third))


def test_recipes_made_alike_are_equal():
    one, two = recipes(), recipes()
    for name in one:
        assert one[name] == two[name], name
        assert hash(one[name]) == hash(two[name]), name
        assert "0x" not in repr(one[name]), name
        assert "lambda" not in repr(one[name]), name
        assert describe(one[name]) == describe(two[name]), name


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (by_score(bald, power(1.0)), "Query((Stage(score(bald), power(beta=1.0)),))"),
        (straddle(0.3), "straddle(level=0.3, width=1.96)"),
        (shortlist(3), "shortlist(size=3, select=best)"),
        (batchbald(64, 1024), "batchbald(num_configurations=64, budget=1024)"),
        (
            transformed(max_det(noisy(linear, 0.1)), scaled, given_known(0.1)),
            "transformed(max_det(kernel=noisy(linear, noise=0.1)), scaled, given_known(noise=0.1))",
        ),
        (
            targets(np.zeros((3, 2), np.float32), jnp.ones(3)),
            "targets(x_target=float32[3,2], weight=float32[3])",
        ),
        (LEARNER.fit, f"{LEARNER}.fit"),
        (mlp((8,), 3).apply, "mlp(hidden=(8,), num_outputs=3, dropout=0.0, activation=relu).apply"),
        (chunked(7, 100), "chunked(chunk_size=7, budget=100)"),
        (
            Setup(LEARNER, QUERY, 2, 4),
            f"Setup(learner={LEARNER}, query=Query((Stage(score(bald), best),)), batch_size=2, num_rounds=4)",
        ),
        (Stage(None, random_uniform), "Stage(None, random_uniform)"),
        (
            LEARNER._replace(predict=best, fit=LEARNER.init),
            f"Learner({LEARNER}.init, {LEARNER}.init, best, {LEARNER}.embed)",
        ),
    ],
)
def test_what_a_method_says(made, text):
    assert repr(made) == text


def test_a_learner_says_its_settings():
    text = repr(ensemble(mlp((8,), 3), 5, num_steps=7, likelihood=gaussian(0.1), optimizer=optax.adam(1e-3)))
    for part in ("ensemble(mlp(hidden=(8,),", "num_members=5", "num_steps=7", "gaussian(noise=0.1)", "restart=cold"):
        assert part in text
    assert "bootstrap" not in text


def test_equal_methods_compile_once():
    traces = []

    @method
    def doubled(by):
        def select(key, candidates, batch_size):
            traces.append(by)
            return by * candidates

        return select

    @functools.partial(jax.jit, static_argnums=(1, 2))
    def run(x, query, over):
        return query.stages[0].select(None, x, 1)

    for by in (2.0, 2.0, 3.0, 2.0):
        query = Query((Stage(score(straddle(0.1)), doubled(by)),))
        assert run(jnp.ones(2), query, chunked(3)).tolist() == [by, by]
    assert traces == [2.0, 3.0]
    for _ in range(2):
        jax.jit(doubled(5.0), static_argnums=(0, 2))(None, jnp.ones(2), 1)
    assert traces == [2.0, 3.0, 5.0]


def test_a_posterior_of_an_equal_learner_is_not_compiled_again():
    traces = []

    @jax.jit
    def predict(posterior, x):
        traces.append(1)
        return posterior.predict(x)

    data = Data(jnp.ones((4, 2)), jnp.zeros(4, int), jnp.ones(4))
    for _ in range(2):
        learner = ensemble(mlp((4,), num_outputs=2), 2, optimizer=optax.adam(1e-3))
        predict(Posterior(learner.init(jax.random.key(0), data), learner), data.x)
    assert len(traces) == 1


@method
def of_one(setting=None):
    return lambda: setting


class Point(typing.NamedTuple):
    x: float


class Module(eqx.Module):
    weight: jax.Array
    name: str = eqx.field(static=True, default="a")


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.ones((2, 3)),
        lambda: np.float32(1.0),
        lambda: jnp.ones((2, 3)),
        lambda: jax.random.key(0),
        lambda: [1, {"a": (2.0, {3})}],
        lambda: functools.partial(np.sum, axis=0),
        lambda: Point(1.0),
        lambda: Module(jnp.ones(2)),
        lambda: slice(1, 2),
        lambda: float("nan"),
        lambda: jnp.dtype("float32"),
        lambda: optax.sgd(0.1, momentum=0.9),
        lambda: optax.chain(optax.clip(1.0), optax.adam(optax.cosine_decay_schedule(1.0, 10))),
        lambda: max,
        lambda: dense,
        lambda: cold,
    ],
)
def test_equal_settings(make):
    assert of_one(make()) == of_one(make())
    assert hash(of_one(make())) == hash(of_one(make()))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        ((1, 2), [1, 2]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (np.ones(3), np.ones(3, np.float32)),
        (np.ones(3), jnp.ones(3)),
        (np.ones((2, 3)), np.ones((3, 2))),
        (np.zeros(2), np.array([0.0, -0.0])),
        (jnp.ones(3), jnp.array([1.0, 1.0, 2.0])),
        (jnp.asarray(1.0), jnp.float32(1.0)),  # a weak type and a strong one
        (jax.random.key(0), jax.random.key(1)),
        (Point(1.0), (1.0,)),
        (Module(jnp.ones(2)), Module(jnp.zeros(2))),
        (Module(jnp.ones(2)), Module(jnp.ones(2), "b")),
        (lambda: 1, lambda: 1),
        (optax.adam(1e-3), optax.adam(1e-2)),
        (optax.adam(1e-3), optax.sgd(1e-3)),
        (optax.masked(optax.adam(1e-3), {"a": True}), optax.masked(optax.adam(1e-3), {"a": True})),
        (optax.add_decayed_weights(np.ones(2)), optax.add_decayed_weights(np.ones(2))),
        (power(1.0), power(2.0)),
        (object(), object()),
    ],
)
def test_other_settings(one, two):
    assert of_one(one) != of_one(two)
    assert of_one(one) == of_one(one)


def test_a_copy_of_a_method_is_the_method():
    query = recipes()["power_bald"]
    assert copy.deepcopy(query) == query
    rows = query.stages[0].rows
    assert copy.copy(rows) is rows


@pytest.mark.parametrize("name", ALL)
def test_what_a_factory_makes_travels(name):
    """As to the workers of a cluster: made anew there by the same call, whatever closures and caches it holds."""
    here = ALL[name].make()
    hash(here)
    try:
        there = pickle.loads(pickle.dumps(here))
    except (AttributeError, pickle.PicklingError):  # functions inside of objects, as in optimizers of optax
        there = pickle.loads(pytest.importorskip("cloudpickle").dumps(here))
    assert repr(there) == repr(here)
    assert describe(there) == describe(here)  # a record of here goes on there


def test_a_factory_of_ones_own_travels_by_cloudpickle():
    cloudpickle = pytest.importorskip("cloudpickle")
    here = power_of(3.0)
    there = pickle.loads(cloudpickle.dumps(here))
    assert repr(there) == repr(here)
    assert there(2.0) == here(2.0)
    assert made_by(there) is there.made


def test_a_method_does_not_change_with_what_it_was_made_of():
    array, nested, settings = np.ones(3), [1], {"a": 2}
    made = of_one((array, settings, nested))
    array[0], settings["a"] = 7.0, 3
    nested.append(2)
    assert made() == made.__wrapped__()
    assert made()[0].tolist() == [1.0, 1.0, 1.0]
    assert made()[1:] == ({"a": 2}, [1])
    assert made == of_one((np.ones(3), {"a": 2}, [1]))
    with pytest.raises(ValueError, match="read-only"):
        made()[0][0] = 5.0


def test_traced_settings_are_equal_to_themselves_only():
    @jax.jit
    def total(x):
        one, two, third = of_one(x), of_one(x), of_one(x + 0.0)
        assert one == two
        assert one != third
        return one() + third()

    assert total(1.5) == 3.0


@method
def power_of(exponent=2.0):
    """A factory."""

    def raised(x):
        """A function."""
        return x**exponent

    return raised


def test_a_method_is_a_function():
    raised = power_of(3.0)
    assert (raised.__name__, raised.__doc__, raised.__module__) == ("raised", "A function.", __name__)
    assert list(inspect.signature(raised).parameters) == ["x"]
    assert raised.__wrapped__(2.0) == raised(2.0) == functools.partial(raised, 2.0)() == 8.0
    assert power_of.__doc__ == "A factory."
    assert jax.vmap(raised)(jnp.arange(3.0)).tolist() == [0.0, 1.0, 8.0]
    assert jax.grad(raised)(2.0) == 12.0
    batched = jax.custom_batching.custom_vmap(raised)
    batched.def_vmap(lambda size, axes, x: (-raised(x), True))
    assert jax.vmap(batched)(jnp.arange(2.0)).tolist() == [0.0, -1.0]
    with pytest.raises(TypeError, match=r"power_of\(\) got an unexpected keyword argument 'exponnt'"):
        power_of(exponnt=1.0)
    with pytest.raises(AttributeError, match="cannot be set"):
        raised.made = None


def test_factories_of_factories():
    """The outermost gives the name; what came in as an argument stays what it is."""

    @method
    def cubed():
        return power_of(3.0)

    @method
    def passed(function):
        return function

    assert repr(cubed()) == "cubed()"
    assert cubed() == cubed() != power_of(3.0)
    assert passed(power_of(3.0)) == power_of(3.0)
    inner = lambda key, candidates, batch_size: best(key, candidates, batch_size)
    query = remembered(Query((*by_score(bald, best).stages, Stage(predictions, inner))), 8)
    assert query.stages[1].rows is predictions
    assert query.stages[1].select is inner
    assert isinstance(query.stages[0].select, Method)


def test_what_made_a_tuple():
    assert made_by(LEARNER).settings["num_members"] == 3
    assert made_by(LEARNER._replace(fit=best)) is None
    assert made_by(LEARNER.fit) is None
    assert made_by(pool_targets(8)).settings == {"num_targets": 8}
    assert made_by(QUERY) is made_by(best) is None


def test_learners_of_the_tables_are_distinct():
    learners = [case.learner for case in LEARNERS.values()]
    assert len({*learners}) == len(learners) == len({*map(repr, learners)})
