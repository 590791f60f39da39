"""References that peek, against every choice tried out, and against the strategies they choose from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import CENTERS, CLASSES, MOVING, POOL, TASK, TEST, X, Y, evaluate

from bal import strategies
from bal.evaluation import compare
from bal.loop import best_of_queries, greedy_oracle, run_seeds, seed_keys
from bal.typing import Setup, Task

SETUP = Setup(CENTERS, strategies.random(), 2, 2, 4, evaluate)
PEEKING = "greedy oracle (peeks)"


def nll_of(rows):
    """Test nll of the learner CENTERS, fitted to some rows, in float64."""
    x, y = np.asarray(X, np.float64), np.asarray(Y)
    means = np.stack([x[[r for r in rows if y[r] == c]].sum(0) / (1 + sum(y[rows] == c)) for c in range(CLASSES)])
    squared = np.square(np.asarray(TEST[0], np.float64)[:, None] - means).sum(-1)
    likely = [np.exp(-width * squared) / np.exp(-width * squared).sum(1, keepdims=True) for width in (0.2, 1.0)]
    return -np.log(np.mean(likely, 0)[np.arange(len(squared)), np.asarray(TEST[1])]).mean()


def test_greedy_oracle_is_brute_force():
    found = greedy_oracle({"t": TASK}, SETUP, 2, metric="nll", higher_is_better=False, num_candidates=40)["t"]
    assert found.labels.tolist() == [4, 6, 8]
    for seed in range(2):
        rows = found.start[PEEKING][seed].tolist()
        for picked in found.acquired[PEEKING][seed].ravel():
            left = [row for row in range(40) if row not in rows]
            values = {row: nll_of([*rows, row]) for row in left}
            assert values[picked] == pytest.approx(min(values.values()), abs=1e-6)
            rows.append(int(picked))
        np.testing.assert_allclose(found.metrics["nll"][PEEKING][seed, -1], nll_of(rows), rtol=1e-5)


def noisy(key, indices, x):
    """A label of its own for each row and round, wrong for a third."""
    wrong = jax.vmap(lambda row: jax.random.bernoulli(jax.random.fold_in(key, row), 0.3))(indices)
    return jnp.where(wrong, (Y[indices] + 1) % CLASSES, Y[indices])


@pytest.mark.slow
def test_what_it_saw_comes_true_and_seeds_are_paired():
    """For a learner that hangs on its key and its last fit, and an oracle whose labels hang on the round."""
    setup, task = SETUP._replace(learner=MOVING, batch_size=1), Task(POOL, noisy, TEST)
    found = greedy_oracle({"t": task}, setup, 2, num_candidates=3, metric="nll", higher_is_better=False)["t"]
    plain = run_seeds(seed_keys(0, 2), task, setup).log
    assert found.start[PEEKING].tolist() == plain.start.tolist()
    np.testing.assert_allclose(found.metrics["nll"][PEEKING][:, 0], plain.metrics["nll"][:, 0], rtol=1e-5)
    assert (found.metrics["nll"][PEEKING][:, -1] < plain.metrics["nll"][:, -1]).all()


@pytest.mark.slow
def test_best_of_queries_takes_the_better_batch():
    """After one round it is, seed by seed, the better of the experiments of each query."""
    queries = {"random": strategies.random(), "bald": strategies.bald()}
    setup = SETUP._replace(num_rounds=1)
    found = best_of_queries({"t": TASK}, setup, queries, 4, metric="nll", higher_is_better=False)["t"]
    ((name, values),) = found.metrics["nll"].items()
    keys = seed_keys(0, 4)
    own = [run_seeds(keys, TASK, setup._replace(query=query)).log for query in queries.values()]
    last = np.stack([log.metrics["nll"][:, -1] for log in own])
    assert len(set(last.argmin(0))) == 2  # each of them is best for some seed
    np.testing.assert_allclose(values[:, -1], last.min(0), rtol=1e-5)
    picks = np.stack([log.indices for log in own])[last.argmin(0), np.arange(4)]
    assert found.acquired[name].tolist() == picks.tolist()


def test_a_reference_is_never_judged():
    curves = {"random": np.array([[0.1, 0.2]] * 20), "margin": np.array([[0.1, 0.3]] * 20)}
    alone, both = compare(np.array([1, 2]), curves), compare(np.array([1, 2]), curves | {PEEKING: curves["margin"]})
    assert both["margin"] == alone["margin"]  # no test more to correct for
    assert both[PEEKING].judgment == "peeks: no strategy"
    assert both[PEEKING].adjusted_p is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metric": "f1"}, "measures accuracy, nll, not f1"),
        ({"setup": SETUP._replace(evaluate=None)}, "measures nothing"),
        ({"setup": SETUP._replace(learner=CENTERS._replace(host=True))}, "use a JAX learner"),
    ],
)
def test_greedy_oracle_refuses(change, words):
    with pytest.raises(ValueError, match=words):
        greedy_oracle(**{"tasks": {"t": TASK}, "setup": SETUP, "num_seeds": 1} | change)


def test_best_of_queries_refuses_memories():
    with pytest.raises(ValueError, match="remembers with a memory"):
        best_of_queries({"t": TASK}, SETUP, {"remembers": strategies.bald()._replace(memory=lambda pool: 0)}, 1)
