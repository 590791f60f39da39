"""Each check fails on what is planted for it, and says in words what is wrong; sound methods pass elsewhere."""

import itertools
from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import problem
import pytest

from bal.acquisition import bald, predictive_entropy
from bal.kernels import linear, make_kernel
from bal.method import method
from bal.numerics import mask_scores
from bal.query import by_score
from bal.selection import best, greedy
from bal.selection.rules.greedy import Greedy
from bal.testing import (
    Fault,
    check_acquisition,
    check_kernel,
    check_learner,
    check_oracle,
    check_query,
    check_rule,
    check_value,
)
from bal.testing.queries import CLASSES, example_task
from bal.typing import Candidates, Data, Query, Selection, Stage

calls = itertools.count()
mean, squares = lambda p: p.mean(1), lambda p: (p**2).mean(1)
far = lambda log_probs: jnp.exp(log_probs) + 1000

SCORES = {
    "row alone": lambda x: bald(x) / bald(x).max(),
    "one score a row": lambda x: predictive_entropy(x)[:, None],
    "type float32": lambda x: (bald(x) * 100).astype(jnp.int32),
    "NaN where a prediction is NaN": lambda x: jnp.nan_to_num(bald(x)),
    "order of the posterior draws": lambda x: bald(x) + jnp.exp(x[:, 0]).max(-1),
    "finite where a class has probability zero": lambda x: (jnp.exp(x) * x).sum((1, 2)),
    "cannot be traced": lambda x: bald(x) if x.sum() > 0 else -bald(x),
    "of at most": lambda x: 10 * bald(x),
    "spoil no other": lambda x: bald(x) - jnp.float32(0) * bald(x).sum(),
    "the same scores twice": lambda x: bald(x) + jax.pure_callback(
        lambda: np.float32(next(calls)), jax.ShapeDtypeStruct((), jnp.float32)
    ),
    "within 1e-4 of those in float64": lambda x: (squares(far(x)) - mean(far(x)) ** 2).sum(-1),
}  # fmt: skip


@pytest.mark.parametrize("promise", SCORES)
def test_an_acquisition(promise):
    with pytest.raises(Fault, match=promise):
        check_acquisition(SCORES[promise], upper=np.log(4), any_order="float64" not in promise)


def nan_wins(key, candidates, batch_size):
    scores = jnp.where(candidates.eligible, candidates.rows, -jnp.inf)
    order = jnp.argsort(-scores)[:batch_size]  # argsort puts NaN last, the maximum first
    order = order.at[0].set(jnp.argmax(scores))
    return Selection(order, scores[order], candidates.eligible[order])


def again(key, candidates, batch_size):
    top = jnp.argmax(mask_scores(candidates.rows, candidates.eligible))
    return Selection(jnp.full(batch_size, top), jnp.ones(batch_size), jnp.ones(batch_size, bool))


def anything(key, candidates, batch_size):
    return best(key, candidates._replace(eligible=jnp.ones_like(candidates.eligible)), batch_size)


def one_key(key, candidates, batch_size):
    return best(key, candidates._replace(rows=jax.random.uniform(jax.random.key(7), candidates.rows.shape)), batch_size)


def by_place(key, candidates, batch_size):
    scores = jax.random.uniform(key, candidates.rows.shape) + candidates.rows
    return best(key, candidates._replace(rows=scores), batch_size)


def shorter(key, candidates, batch_size):
    picks = best(key, candidates, batch_size)
    return picks._replace(indices=picks.indices[:2])


def last_first(key, candidates, batch_size):
    turned = jax.tree.map(lambda leaf: leaf[::-1], tuple(candidates[:4]))
    picks = best(key, candidates._replace(**dict(zip(candidates._fields, turned))), batch_size)
    return picks._replace(indices=len(candidates.index) - 1 - picks.indices)


def uncounted(key, candidates, batch_size):
    return best(key, candidates, batch_size)._replace(info={})


@pytest.mark.parametrize(
    ("select", "settings", "promise"),
    [
        (nan_wins, {}, "NaN never to be picked"),
        (again, {}, "distinct picks"),
        (anything, {}, "eligible picks"),
        (one_key, {"deterministic": False}, "random rule to pick by its key"),
        (by_place, {}, "deterministic rule"),
        (by_place, {"deterministic": False}, "rows in another order"),
        (shorter, {}, "indices of shape"),
        (last_first, {}, "equal rows to be picked by position"),
        (uncounted, {}, "count rows with NaN"),
    ],
)
def test_a_rule(select, settings, promise):
    with pytest.raises(Fault, match=promise):
        check_rule(select, **settings)


def test_a_sound_rule_passes():
    rule = lambda key, c, batch_size: Greedy((), lambda state: c.rows, lambda state, i: state)
    check_rule(greedy(rule))


def paired(pair):
    return lambda candidates: make_kernel(candidates, lambda rows: rows, (), pair)


@pytest.mark.parametrize(
    ("pair", "promise"),
    [
        (lambda params, a, b: a[0] * b[1], "symmetric"),
        (lambda params, a, b: jnp.sum((a - b) ** 2), "positive semi-definite"),
        (lambda params, a, b: jnp.dot(a, b) + 0.1 * jnp.sign(a[0]), "symmetric"),
    ],
)
def test_a_kernel(pair, promise):
    with pytest.raises((Fault, TypeError, ValueError), match=promise):
        check_kernel(paired(pair))


def test_labeled_rows_of_a_kernel():
    other = lambda c: linear(c._replace(known=2 * c.known))
    with pytest.raises(Fault, match="labeled rows to be compared like candidates"):
        check_kernel(other)


def fixed(**parts):
    return problem.CENTERS._replace(init=lambda key, data: jnp.zeros((CLASSES, 2)), **parts)


NOISE = lambda key, shape: 0.3 * jax.random.uniform(key, shape)
MEANS = problem.class_means
LEARNERS = {
    "weight 0 to change nothing": ({"fit": lambda key, state, data: state + data.x.mean(0)[None]}, {"keyed": False}),
    "labels nobody has given": ({"fit": lambda key, s, d: MEANS(key, s, d) + 0.1 * d.y.sum()}, {"keyed": False}),
    "another key to give another posterior": ({"fit": lambda key, s, d: MEANS(key, s, d)}, {}),
    "the same posterior": ({"fit": lambda key, s, d: MEANS(key, s, d) + NOISE(key, s.shape)}, {"keyed": False}),
    "draws that differ": (
        {"predict": lambda means, x: jnp.repeat(problem.two_widths(means, x)[:, :1], 2, 1)},
        {"keyed": False},
    ),
    "prediction of a row to be its own": (
        {"predict": lambda means, x: problem.two_widths(means, x - x.mean(0)[None])},
        {"keyed": False},
    ),
    "sound predictions": ({"predict": lambda means, x: jnp.exp(problem.two_widths(means, x))}, {"keyed": False}),
    "a state like that of `init`": (
        {"fit": lambda key, s, d: (MEANS(key, s, d) > 0).astype(jnp.int32)},
        {"keyed": False},
    ),
    "NaN in a training row to show": (
        {"fit": lambda key, s, d: MEANS(key, s, d._replace(x=jnp.nan_to_num(d.x)))},
        {"keyed": False},
    ),
}


def ten_rows():
    task, weight = example_task(), (np.arange(10) < 6).astype(np.float32)
    return jax.device_put(Data(np.asarray(task.pool.x)[:10], np.asarray(task.oracle)[:10], weight))


@pytest.mark.parametrize("promise", LEARNERS)
def test_a_learner(promise):
    parts, settings = LEARNERS[promise]
    with pytest.raises(Fault, match=promise):
        check_learner(fixed(**parts), data=ten_rows(), **settings)


def test_a_learner_of_the_pool_is_handed_one():
    fit = lambda key, state, data: (MEANS(key, state, data) + 0 * data.unlabeled.x.sum()).astype(jnp.float16)
    with pytest.raises(Fault, match="a state like that of `init`"):  # a fault that comes after many fits
        check_learner(fixed(fit=fit, unlabeled=True), data=ten_rows(), keyed=False)


X = np.arange(16, dtype=np.float32).reshape(8, 2)


@pytest.mark.parametrize(
    ("oracle", "settings", "promise"),
    [
        (lambda key, i, x: x[:, 0] + jax.random.normal(key, (len(x),)), {}, "label of a row to be its own"),
        (lambda key, i, x: x[:, 0] - x[:, 0].mean(), {}, "label of a row to be its own"),
        (lambda key, i, x: x[:1, 0], {}, "labels for 6 rows"),
        (lambda key, i, x: x[:, 0] / 0, {}, "finite real labels"),
        (lambda key, i, x: i, {"num_classes": 3}, "class numbers"),
        (lambda key, i, x: np.asarray(x)[:, 0] + next(calls), {"compiled": False}, "same labels for the same key"),
    ],
)
def test_an_oracle(oracle, settings, promise):
    with pytest.raises(Fault, match=promise):
        check_oracle(oracle, X, **settings)


def test_an_oracle_with_noise_of_its_row_passes():
    def noisy(key, indices, x):
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, indices)
        return x[:, 0] + jax.vmap(jax.random.normal)(keys)

    check_oracle(noisy, X)
    with pytest.raises(ValueError, match="at least 8 rows, got 5"):
        check_oracle(noisy, X[:5])


def own_labels(task):
    y = task.oracle
    rows = lambda posterior, context, x: context
    return Query((Stage(rows, best, lambda key, round, over: 1.0 * y),))


@method
def by_labels(y):
    return Query((Stage(lambda posterior, context, x: context, best, lambda key, round, over: 1.0 * y),))


def clock(task):
    rows = lambda posterior, context, x: jnp.sin(7.0 * x[:, 0] + next(calls))
    return Query((Stage(rows, best),))


@pytest.mark.parametrize(
    ("query", "promise"),
    [
        (own_labels, "made alike to be equal"),
        (clock(None), "asked for once each|ask alike"),
        (Query((Stage(lambda posterior, context, x: x[:, 0], anything),)), "asked for once each"),
    ],
)
def test_a_query(query, promise):
    with pytest.raises(Fault, match=promise):
        check_query(query, problem.CENTERS)


def test_a_query_that_keeps_labels_to_itself():
    with pytest.raises(Fault, match="labels that were not asked for to change nothing"):
        check_query(lambda task: by_labels(task.oracle), problem.CENTERS)


@pytest.mark.slow  # as the example of `check_query` does
def test_a_sound_query_passes():
    check_query(lambda task: by_score(bald), problem.CENTERS)


def test_a_factory_without_a_name():
    def plain(scale):
        return lambda x: scale * bald(x)

    check_value(lambda: named(2.0))
    with pytest.raises(Fault, match=r"@bal\.method\.method"):
        check_value(lambda: plain(2.0))


@method
def named(scale):
    return lambda x: scale * bald(x)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (check_acquisition, "expected an acquisition.*bald, say"),
        (check_kernel, "expected a kernel.*linear, say"),
        (check_learner, "expected a Learner.*ensemble"),
        (check_query, "expected a Query.*margin"),
        (check_rule, "expected a selector.*greedy"),
        (lambda thing: unwrap(check_oracle)(thing, np.ones((8, 2))), "expected an oracle.*burgers"),
    ],
)
def test_what_is_no_method_is_told_so(check, words):
    with pytest.raises(TypeError, match=words) as told:
        unwrap(check)(3)
    assert "got an object of type int" in str(told.value)


def test_rows_in_place_of_what_makes_them_are_told_so():
    rows = Candidates(jnp.ones(4), jnp.arange(4), jnp.ones(4) > 0, jnp.ones(4))
    with pytest.raises(TypeError, match=r"expected candidates to be one of scores, .*got Candidates; checks make them"):
        unwrap(check_rule)(greedy(lambda *arguments: None), rows)
    with pytest.raises(TypeError, match=r"expected predictions to be one of log_probs, .*got ArrayImpl"):
        unwrap(check_acquisition)(bald, jnp.ones((4, 3, 2)))


def test_what_returns_nothing_is_told_what_to_return():
    nothing = lambda *arguments: None
    with pytest.raises(Fault, match=r"expected a Selection, got None.*return Selection"):
        unwrap(check_rule)(nothing)
    with pytest.raises(Fault, match=r"expected a Kernel, got None.*make_kernel"):
        unwrap(check_kernel)(nothing)
    with pytest.raises(TypeError, match="expected a Query from the function of a task, got None"):
        unwrap(check_query)(nothing)
