"""Digests of rows and descriptions of methods: the same in every process, other after every edit that matters."""

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from cases import LEARNERS, SELECTORS
from flax import nnx
from problem import KEY, POOL, SETUP, TASK, N
from sklearn.ensemble import RandomForestClassifier

from bal.acquisition import bald, predictive_entropy
from bal.learners import ensemble, mlp, network
from bal.loop import fingerprint
from bal.loop.fingerprint import describe, difference, row_digests, rows_digest
from bal.loop.identity import opening, run_identity, same_run
from bal.loop.labels import LabelKind
from bal.loop.opening import open_event, reopen
from bal.query import by_score
from bal.records import open_record
from bal.selection import best, power, random_uniform
from bal.typing import Learner, Selection

ROOT = Path(__file__).parent.parent
X = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)


def test_equal_rows_have_equal_digests_wherever_they_lie(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    whole = rows_digest(X)
    monkeypatch.setattr(fingerprint, "_CHUNK_BYTES", 100)  # 8 rows a chunk
    for rows in (X, jnp.asarray(X), on_disk, np.asfortranarray(X), X.astype(np.float64)):
        assert rows_digest(rows) == whole
        assert row_digests(rows, [3, 7]) == row_digests(X, [3, 7])


@pytest.mark.parametrize(
    "other",
    [X[::-1], X[:-1], X + 1e-6, X.reshape(50, 3, 1), X.astype(np.float16), {"a": X}, X[:, ::-1], (X, X)],
    ids=["order", "fewer", "values", "shape", "type", "name", "columns", "leaves"],
)
def test_other_rows_have_other_digests(other):
    assert rows_digest(other) != rows_digest(X)


def test_rows_behind_the_first_are_not_looked_at():
    longer = {"a": np.concatenate([X, X]), "b": np.arange(100)}
    assert rows_digest(longer, 50) == rows_digest({"a": X, "b": np.arange(50)})
    assert row_digests(longer, [1])[0] != row_digests({"a": X, "b": np.arange(50)}, [2])[0]


DESCRIBED = """
import sys; sys.path.insert(0, "tests")
from factories import ALL, recipes
from gpjax.kernels import RBF
from problem import LEARNER, QUERY

from bal.learners.gp import gp_regression, process
from bal.loop.fingerprint import describe

learner = gp_regression(process(RBF(lengthscale=0.3), noise=0.1))
for method in [learner, QUERY, LEARNER, *(row.make() for row in ALL.values()), *recipes().values()]:
    print(describe(method), end="\\f")
"""


@pytest.mark.slow
def test_descriptions_are_the_same_in_another_process(server):
    """Other addresses, another order of sets."""
    here = server.run(["-c", DESCRIBED], ROOT, PYTHONPATH=str(ROOT))
    command, environment = [sys.executable, "-c", DESCRIBED], {**os.environ, "PYTHONHASHSEED": "7"}
    there = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert here.returncode == 0, here.stderr
    described = here.stdout.split("\f"), there.stdout.split("\f")
    assert len(described[0]) > 100
    for ours, theirs in zip(*described, strict=True):
        assert ours == theirs


def test_no_two_methods_look_the_same():
    methods = [*(case.learner for case in LEARNERS.values()), *(selector.select for selector in SELECTORS.values())]
    assert len({describe(method) for method in methods}) == len(methods)


SOURCE = '''
"""A method."""
from functools import lru_cache, partial
import jax
import jax.numpy as jnp

SHARPNESS = 2.0

def helper(x):
    return x + 1

class Net:
    def __call__(self, x):
        return helper(x) * 3

def score(x, power=2):
    """Score."""
    inner = lambda y: y ** power
    return inner(SHARPNESS * Net()(x))

@lru_cache
def make(scale):
    @jax.jit
    def scaled(x):
        return scale * score(x)
    return scaled

method = (make(0.5), partial(score, power=3), jax.jit(score))
'''


def described(folder, source) -> str:
    folder.mkdir()
    (folder / "method.py").write_text(source)
    spec = importlib.util.spec_from_file_location("method", folder / "method.py")
    sys.modules["method"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return describe(module.method)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("return x + 1", "return x - 1", "method.helper"),
        ("return x + 1", "return x + 2", "method.helper"),
        ("* 3", "* 4", "method.Net.__call__"),
        ("SHARPNESS = 2.0", "SHARPNESS = 3.0", "method.SHARPNESS was 2.0, is 3.0"),
        ("power=2", "power=4", "defaults"),
        ("power=3", "power=4", "keywords.power was 3, is 4"),
        ("make(0.5)", "make(0.25)", "scale was 0.5, is 0.25"),
        ("y ** power", "-(y ** power)", "score"),
        ("scale * score", "scale + score", "scaled"),
        ("import jax.numpy as jnp", "import jax.numpy as jnp  # a comment\n\n\n", ""),
        ('"""Score."""', '"""Other words."""', ""),
    ],
)
def test_edits(tmp_path, old, new, where):
    assert old in SOURCE
    changed = difference(described(tmp_path / "a", SOURCE), described(tmp_path / "b", SOURCE.replace(old, new)))
    assert where in changed
    assert bool(changed) == bool(where)


LINEN = """
from flax import linen

class Net(linen.Module):
    width: int

    @linen.compact
    def __call__(self, x):
        return linen.Dense(3)(linen.Dense(self.width)(x))

class Set(linen.Module):
    def setup(self):
        self.net = Net(8)

    def __call__(self, x):
        return self.net(x)

method = (Net(4), Set())
"""


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("Dense(3)", "Dense(5)", "method.0.type.__call__"),
        ("self.net(x)", "self.net(x) + 1", "method.1.type.__call__"),
        ("Net(8)", "Net(9)", "method.1.type.setup"),
        ("Net(4)", "Net(5)", "method.0.width was 4, is 5"),
        ("method", "others = [Net(i) for i in range(5)]\nmethod", ""),
    ],
)
def test_edits_of_linen_modules(tmp_path, old, new, where):
    assert LINEN.count(old) == 1
    changed = difference(described(tmp_path / "a", LINEN), described(tmp_path / "b", LINEN.replace(old, new)))
    assert where in changed
    assert bool(changed) == bool(where)


class Plain(nnx.Module):
    def __init__(self, width, rngs):
        self.layer = nnx.Linear(2, width, rngs=rngs)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (by_score(bald, best), by_score(predictive_entropy, best)),
        (by_score(bald, best), by_score(bald, random_uniform)),
        (by_score(bald, power(1.0)), by_score(bald, power(2.0))),
        (ensemble(mlp((8,), num_outputs=2), 3), ensemble(mlp((9,), num_outputs=2), 3)),
        (ensemble(mlp((8,), num_outputs=2), 3), ensemble(mlp((8,), num_outputs=2), 3, num_steps=7)),
        (optax.adam(1e-3), optax.adam(1e-2)),
        (optax.adam(1e-3), optax.sgd(1e-3)),
        (RandomForestClassifier(10), RandomForestClassifier(20)),
        (Plain(3, nnx.Rngs(0)), Plain(3, nnx.Rngs(1))),
        (np.arange(3), np.arange(4)),
        (jax.random.key(0), jax.random.key(1)),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}),
        ({1, 2}, {1, 3}),
    ],
)
def test_settings(one, two):
    assert difference(describe(one), describe(two))
    assert describe(one) == describe(one)


def test_equal_settings_made_twice_look_the_same():
    make = lambda: (ensemble(network(functools.partial(Plain, 3)), 3), {"a": X, "b": {"x", "y", "z"}})
    assert describe(make()) == describe(make())


def test_a_field_that_came_later_is_told_only_where_it_is_set():
    plain, other = (Learner(len, max, min, unlabeled=given) for given in (False, True))
    text = str(describe(plain))
    assert "of 7" in text
    assert "unlabeled" not in text
    assert "unlabeled" in str(describe(other))


def test_cycles_end():
    def loop(n):
        return loop(n - 1) if n else knot

    knot = [loop]
    knot.append(knot)
    assert "itself" in describe(loop)


def test_a_method_that_was_used_is_still_the_same():
    """What objects of other libraries remember once they are used is no part of what they are."""
    prior = dist.LogNormal(0.0, 1.0)
    before = describe(prior)
    prior.log_prob(1.0)
    assert describe(prior) == before != describe(dist.LogNormal(0.0, 2.0))


EARLIER = "python: 3.11\nmethod: bal.typing.Learner of 5\nmethod.init: bal.learners.ensemble.init 0123456789ab"
START = Selection(jnp.array([1, 2]), jnp.zeros(2), jnp.ones(2, bool))


def test_a_description_of_an_earlier_version_is_named_not_refused(tmp_path):
    """Records tell methods in other words than before; whose they are can then not be said, and is not guessed."""
    now = run_identity(KEY, TASK, START, SETUP)
    with open_record(tmp_path, "earlier", {}) as record:
        record.append([opening(0, {**now, "learner": EARLIER})])
        with pytest.warns(UserWarning, match="earlier version or another Python: its learner cannot be compared"):
            assert same_run(record, 0, now)
    opened = open_event(KEY, SETUP.learner, SETUP.query, POOL, N, 10, LabelKind(3))
    with pytest.warns(UserWarning, match="another version: whether the query is the same could not be compared"):
        assert reopen([{**opened, "query": EARLIER}], opened, POOL) == {"query"}


def test_a_method_made_anew_goes_on_and_another_is_refused(tmp_path):
    setup = lambda steps: SETUP._replace(learner=ensemble(mlp((8,), num_outputs=3), 3, num_steps=steps))
    identity = lambda steps: run_identity(KEY, TASK, START, setup(steps))
    with open_record(tmp_path, "run", {}) as record:
        record.append([opening(0, identity(7))])
        assert same_run(record, 0, identity(7))
        with pytest.raises(ValueError, match=r"another learner \(method.num_steps was 7, is 8\)"):
            same_run(record, 0, identity(8))
