"""The remembered-score sampler: what it scores, what it remembers, how it draws, and that every driver agrees."""

from functools import partial
from itertools import permutations

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from problem import CENTERS, CLASSES, KEY, POOL, QUERY, SIZES, N, X, Y

from bal.acquisition import bald, predictive_entropy
from bal.loop import Campaign, run, run_eager
from bal.pool import chunked, host, make_pool, streamed
from bal.pool.labeled import ask, empty_log
from bal.query import Query, Stage, by_score, predictions, remembered, run_query, score
from bal.query.remembered import draw_candidates
from bal.records import open_record
from bal.selection import best, power, shortlist
from bal.typing import Learner, Posterior, Round, Setup, Task

M, ROUNDS = 10, 4
SAMPLED = remembered(QUERY, M)


TASK = Task(POOL, Y)
RUN = Setup(CENTERS, SAMPLED, **SIZES)


@pytest.fixture(scope="module")
def compiled():
    return jax.jit(partial(run, setup=RUN))(KEY, TASK)


def same_picks(a, b) -> None:
    assert a.start.tolist() == b.start.tolist()
    assert a.indices.tolist() == b.indices.tolist()
    assert a.info["num_scored"].tolist() == b.info["num_scored"].tolist()
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-4)


def test_number_of_scored_rows(compiled):
    """N + (T - 1) M, and only what was scored may be picked."""
    assert compiled.info["num_scored"].tolist() == [N + number * M for number in range(ROUNDS)]
    assert compiled.info["num_eligible"].tolist() == [N - 4] + [M] * (ROUNDS - 1)
    assert len(set(compiled.indices.ravel().tolist())) == 2 * ROUNDS


@pytest.mark.slow  # runs that stop: tests/test_loop.py; the memory goes from round to round above
def test_memory_survives_a_stop(compiled, tmp_path):
    def stop(event):
        if event["round"] == 2:
            raise RuntimeError("stopped")

    with open_record(tmp_path, "run", {}) as record, pytest.raises(RuntimeError, match="stopped"):
        run_eager(KEY, TASK, RUN, record, on_round=stop)
    with open_record(tmp_path, "run", {}) as record:
        same_picks(run_eager(KEY, TASK, RUN, record), compiled)


@pytest.mark.parametrize(
    "over",
    [chunked(7), *(pytest.param(over, marks=pytest.mark.slow) for over in (streamed(7), host(7)))],
    ids=["chunked", "streamed", "host"],
)
def test_eager_is_compiled(compiled, over):
    pool = POOL if over.place == "device" else POOL._replace(x=np.asarray(X))
    same_picks(run_eager(KEY, Task(pool, Y), RUN._replace(over=over)), compiled)


@pytest.mark.slow  # rounds outside of a program: above; campaigns that are runs: tests/test_campaign.py
def test_campaign_is_compiled(compiled):
    campaign = Campaign(KEY, CENTERS, SAMPLED, np.asarray(X), capacity=12, num_classes=CLASSES)
    for number in range(ROUNDS + 1):
        rows = campaign.ask(4 if number == 0 else 2)
        if number > 0:
            assert rows.tolist() == compiled.indices[number - 1].tolist()
        campaign.tell(rows, np.asarray(Y)[rows])
    assert int(campaign.last_selection.info["num_scored"]) == N + (ROUNDS - 1) * M


@pytest.mark.slow  # what is scored, remembered and picked is told exactly, below
def test_all_rows_as_candidates_is_the_query_itself():
    """Random picks hang on row ids, so even they are the same; their probabilities are not known to the sampler."""
    query = by_score(bald, power(2.0))
    setups = [RUN._replace(query=query) for query in (query, remembered(query, N))]
    plain, sampled = (jax.jit(partial(run, setup=setup))(KEY, TASK) for setup in setups)
    assert plain.log_q is not None
    assert sampled.log_q is None
    assert sampled.indices.tolist() == plain.indices.tolist()
    np.testing.assert_allclose(sampled.scores, plain.scores, atol=1e-5)


def test_rows_are_not_scored_in_secret():
    """Counted where the row function runs: also under vmap over seeds, the whole pool is scored once only."""
    seen = []

    def counted(posterior, context, x):
        jax.debug.callback(lambda first: seen.append(len(x)), posterior.predict(x)[0, 0, 0])
        return bald(posterior.predict(x))

    query = remembered(Query((Stage(counted, best),)), M)
    runs = jax.jit(jax.vmap(partial(run, setup=RUN._replace(query=query)), in_axes=(0, None)))
    log = runs(jax.random.split(KEY, 2), TASK)
    jax.effects_barrier()
    assert sum(seen) == int(log.info["num_scored"][:, -1].sum()) == 2 * (N + (ROUNDS - 1) * M)
    assert max(seen[2:]) == M


@pytest.mark.slow  # tests/test_accelerator.py; its rounds are compiled above
def test_lowers_for_every_platform():
    platforms = ("cpu", "cuda", "tpu")
    sampled = jax.jit(lambda seed: run(jax.random.key(seed), TASK, RUN).indices)
    exported = jax.export.export(sampled, platforms=platforms)(jnp.int32(0))
    assert "callback" not in exported.mlir_module(), "no host work inside the compiled loop"


@pytest.mark.slow
def test_a_batch_rule_may_follow():
    """The sampler as the first stage of a funnel, with a context of its own for the stage that it wraps."""
    sees_context = lambda posterior, context, x: context * predictive_entropy(posterior.predict(x))
    first = Stage(sees_context, shortlist(5), lambda key, round, over: jnp.float32(3))
    query = remembered(Query((first, Stage(score(bald), best))), M)
    setup = RUN._replace(query=query)
    log, same = jax.jit(partial(run, setup=setup))(KEY, TASK), run_eager(KEY, TASK, setup)
    assert log.indices.tolist() == same.indices.tolist()
    assert len(set(log.indices.ravel().tolist())) == 2 * ROUNDS


# A learner whose score of a row is a table looked up by round: what is remembered can be told exactly.
TABLE = Learner(None, None, lambda state, x: state[x.astype(int)])
POOL_OF_IDS = make_pool(jnp.arange(N, dtype=jnp.float32))


def rounds_of(query, tables, labeled):
    """The memories after each round and the picks, for scores given by round."""
    memory = query.memory(POOL_OF_IDS)
    one = jax.jit(lambda key, round: run_query(key, query, round, 2))
    for number, table in enumerate(tables):
        round = Round(Posterior(jnp.asarray(table, jnp.float32), TABLE), POOL_OF_IDS, labeled, memory)
        selection, memory = one(jax.random.key(number), round)
        yield selection, jax.tree.map(np.asarray, memory)


def test_memory_is_the_last_score_of_each_row():
    """Each round's scores name the round and the row, so every remembered score says where it came from."""
    tables = [10 * number + np.arange(N) / N for number in range(6)]
    labeled = ask(empty_log(4, jnp.zeros(1)), jnp.array([3, 8]), jnp.ones(2, bool))
    expected = np.ones(N)
    query = remembered(Query((Stage(predictions, best),)), M, exponent=0.1)
    for number, (selection, memory) in enumerate(rounds_of(query, tables, labeled)):
        renewed = np.flatnonzero(memory.scores != expected.astype(np.float32))
        assert len(renewed) == (N - 2 if number == 0 else M)
        assert not {3, 8} & set(renewed.tolist())
        expected[renewed] = tables[number][renewed]
        np.testing.assert_array_equal(memory.scores, expected.astype(np.float32))
        top = renewed[np.argsort(-tables[number][renewed])[:2]]
        assert selection.indices.tolist() == top.tolist(), "the best of what was scored"
    assert len(np.unique(np.floor(expected / 10))) > 3, "rows were last scored in different rounds"


def test_a_score_that_is_not_a_number_is_counted_not_remembered():
    table = np.where(np.arange(N) % 2, np.nan, 5.0)
    query = remembered(Query((Stage(predictions, best),)), M)
    selection, memory = next(rounds_of(query, [table], empty_log(4, jnp.zeros(1))))
    assert int(selection.info["num_nan"]) == N // 2
    np.testing.assert_array_equal(memory.scores, np.where(np.arange(N) % 2, 1.0, 5.0))


def sequence_probability(weights, order) -> float:
    left, probability = weights.sum(), 1.0
    for row in order:
        probability *= weights[row] / left
        left -= weights[row]
    return probability


@pytest.mark.parametrize("scores", [(0.0, 0.5, 1.0, 1.5, 2.3), (-1.0, -0.2, 0.0, 0.7, 1.0)], ids=["entropy", "margin"])
def test_draws_are_sequential_softmax_sampling(scores):
    """Frequencies of ordered pairs against enumeration; row 2 is labeled. Negative scores have a probability too."""
    h = np.array(scores)
    weights = np.exp(np.sign(h) * np.abs(h) ** 1.2 / 0.7) * (np.arange(5) != 2)
    draw = lambda key: draw_candidates(key, jnp.asarray(h, jnp.float32), jnp.arange(5) != 2, 2, temperature=0.7)
    rows, valid = jax.jit(jax.vmap(draw))(jax.random.split(KEY, 20_000))
    assert bool(valid.all())
    pairs = np.asarray(rows) @ np.array([5, 1])
    for order in permutations([0, 1, 3, 4], 2):
        share = (pairs == 5 * order[0] + order[1]).mean()
        p = sequence_probability(weights, order)
        assert abs(share - p) < 4.5 * np.sqrt(p / 20_000)


def test_candidates_come_in_random_order():
    """What the test of the memory rests on: a table written in pool order would be wrong."""
    rows, _ = draw_candidates(KEY, jnp.ones(N), jnp.ones(N, bool), M)
    assert rows.tolist() != sorted(rows.tolist())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: remembered(QUERY, 0), "at least 1"),
        (lambda: remembered(SAMPLED, 5), "memory already"),
        (lambda: remembered(Query((Stage(None, best),)), 5), "no row function"),
        (lambda: next(rounds_of(remembered(Query((Stage(lambda p, c, x: x[:, None], best),)), 5), [np.ones(N)],
                                empty_log(1, jnp.zeros(1)))), "one score a row"),
    ],
)  # fmt: skip
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
