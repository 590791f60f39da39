"""Parts of the figures on acquisition size and on stochastic batches, each by an oracle."""

import jax
import numpy as np
import pytest
import scipy.stats

from bal.datasets import digits, split
from bal.query import run_query
from paper_figures import batch_sizes, stochastic_batches
from paper_figures.batch_sizes import Run, Runs, counts, fewer, gap, quartiles, shared
from paper_figures.claims import judge, within
from paper_figures.repeated_mnist import Sizes

TOTAL = 140


def curve(size, values):
    """A run whose accuracy is a function of labels and seed."""
    labels = np.arange(20, TOTAL + 1, size)
    accuracy = np.array([[values(seed, label) for label in labels] for seed in range(20)])
    rounds = (TOTAL - 20) // size
    return Run(labels, accuracy, np.zeros((20, 20), int), np.zeros((20, rounds, size), int))


def slope(size, loss):
    """Accuracy that grows with labels, less a loss that grows with them too; seeds differ."""
    return curve(size, lambda seed, label: 0.5 + (0.003 - loss) * (label - 20) + 0.001 * np.sin(9 * seed + label))


def test_a_gap_is_averaged_over_the_labels_that_both_have():
    runs = {("bald", 1): slope(1, 0.0), ("bald", 40): slope(40, 0.001), ("bald", 10): slope(10, 0.0)}
    assert shared(runs).tolist() == [60, 100, 140]
    two = {name: runs[name] for name in (("bald", 1), ("bald", 10))}
    assert shared(two).tolist() == list(range(30, 141, 10))
    np.testing.assert_allclose(gap(runs, ("bald", 1), ("bald", 40)), 0.001 * np.mean([40, 80, 120]), atol=1e-12)
    assert gap(runs, ("bald", 1), ("batchbald", 40)) is None


def test_labels_to_a_target_are_said_in_both_ways():
    run = curve(10, lambda seed, label: 0.9 if label >= (60 if seed < 5 else 100 if seed < 15 else 999) else 0.5)
    assert counts(run, 0.9).tolist() == [60] * 5 + [100] * 10 + [np.inf] * 5
    ours, holds = quartiles(run, 10, 0.9, 120)
    assert ours == "60/100/100 in the training set, 50/90/90 before the batch"
    assert not holds
    assert quartiles(run, 10, 0.9, 110)[1]  # 20 off in their way of counting
    assert quartiles(run, 10, 0.9, None)[1] is None
    never = run._replace(accuracy=run.accuracy - 0.1)
    assert quartiles(never, 10, 0.9, 90) == (
        "> 140/> 140/> 140 in the training set, > 130/> 130/> 130 before the batch",
        False,
    )


@pytest.mark.parametrize("num_fewer", [20, 15, 14, 6, 0])
def test_fewer_labels_by_the_sign_test(num_fewer):
    ours = curve(10, lambda seed, label: 1.0 if label >= (50 if seed < num_fewer else 90) else 0.0)
    theirs = curve(10, lambda seed, label: 1.0 if label >= 70 else 0.0)
    runs = {("batchbald", 10): ours, ("bald", 10): theirs}
    p = 2 * scipy.stats.binom.sf(max(num_fewer, 20 - num_fewer) - 1, 20, 0.5)
    words, holds = fewer(runs, ("batchbald", 10), ("bald", 10), 0.9)
    assert words == f"fewer in {num_fewer}, more in {20 - num_fewer} of 20 seeds; p = {p:.3f}"
    assert holds == (p < 0.05 and num_fewer > 10)
    few = {name: run._replace(accuracy=run.accuracy[:5]) for name, run in runs.items()}
    assert fewer(few, ("batchbald", 10), ("bald", 10), 0.9)[1] is None  # five seeds cannot tell


def test_equality_takes_an_interval_within_the_margin():
    noise = 0.001 * np.sin(np.arange(20))
    told = [within(0.02).judge(shift + noise)[1] for shift in (0.0, 0.019, -0.019, 0.02, 0.03, -0.03)]
    assert told == [True, True, True, None, False, False]
    assert within(0.02).judge(np.zeros(2))[1] is None


def found(loss):
    """All settings of both figures; BALD loses with its batches."""
    settings = {*batch_sizes.SETTINGS, *stochastic_batches.SETTINGS}
    of = lambda name, size: loss * size / 40 if name == "bald" else 0.0
    return {(name, size): slope(size, of(name, size)) for name, size in settings}


def test_verdicts_on_acquisition_sizes_follow_the_numbers():
    rows = batch_sizes.claims(batch_sizes.Config(), batch_sizes.SIZES["cpu"])
    verdicts = lambda loss, stand_in="": [one.holds for one in judge(rows, Runs(found(loss), True), "cpu", stand_in)]
    assert verdicts(0.002)[:6] == [True] * 6
    assert verdicts(-0.002)[:6] == [False, False, True, False, False, False]
    assert not any(verdict is not None for verdict in verdicts(0.002)[6:])  # numbers in print are left to `paper`
    assert not any(verdict is not None for verdict in verdicts(0.002, "8 x 8 digits"))
    paper = batch_sizes.claims(batch_sizes.Config(scale="paper"), batch_sizes.SIZES["paper"])
    assert sum("(quartiles)" in row.statement and row.published != "not in print" for row in paper) == 10
    assert [row.published for row in paper if row.statement.startswith("batchbald, 10: labels to")] == [
        "100 in the training set",
        "210 in the training set",
    ]


def test_verdicts_on_stochastic_batches_follow_the_numbers():
    rows = stochastic_batches.claims(stochastic_batches.Config(), stochastic_batches.SIZES["cpu"])
    slow = {("power-bald", 10): 0.010, ("power-bald", 100): 0.016, ("batchbald", 10): 1.0, ("batchbald", 100): 1.5}
    verdicts = lambda loss: [
        verdict.holds for verdict in judge(rows, stochastic_batches.Runs(found(loss), slow, True, 3), "cpu")
    ]
    assert verdicts(0.002) == [True, True, True, True, True, True, True, False, None]
    assert verdicts(-0.002)[2:5] == [False, False, False]
    assert not stochastic_batches.flat({**slow, ("power-bald", 100): 0.017})[1]
    assert stochastic_batches.ratio(slow, 100)[0] == "1.5 s against 0.016 s: 94 times"


def test_copies_are_counted_over_all_picks():
    start, picks = np.array([[0, 1]]), np.array([[[5, 2], [7, 3]]])  # of four images: 5 and 7 are 1 and 3 again
    run = Run(np.array([2, 4, 6]), np.zeros((1, 3)), start, picks)
    np.testing.assert_allclose(stochastic_batches.copies(run, 4), [2 / 4])


def test_a_pool_of_its_own_in_every_seed():
    data = split(digits(), seed=0, num_test=597)
    one, again, other = (batch_sizes.of_seed(data, 100, 50, seed) for seed in (1, 1, 2))
    assert np.asarray(one.pool.x).shape == (100, *data.x.shape[1:])
    rows = {row.tobytes(): label for row, label in zip(data.x, data.y)}
    assert [rows[row.tobytes()] for row in np.asarray(one.pool.x)] == one.oracle.tolist()
    assert len({row.tobytes() for row in np.asarray(one.pool.x)}) >= 99  # digits hold hardly a copy
    assert np.bincount(one.oracle[one.start]).tolist() == [2] * 10
    np.testing.assert_array_equal(one.pool.x, again.pool.x)
    assert not np.array_equal(one.pool.x, other.pool.x)


def test_published_sizes_go_to_the_labels_of_the_paper():
    for module in (batch_sizes, stochastic_batches):
        paper = module.SIZES["paper"]
        assert paper.num_picks + 20 == 300
        assert all(sizes.num_picks % size == 0 for sizes in module.SIZES.values() for _, size in sizes.settings)
        assert isinstance(paper.each, Sizes)
        assert module.work(paper) > 100 * module.work(module.SIZES["cpu"])


@pytest.mark.slow  # compiles three selections
def test_what_is_timed_picks_what_the_strategies_pick():
    round = stochastic_batches.synthetic(stochastic_batches.Timing(60, 5, 100, (3,)))
    log_probs = np.asarray(round.posterior.state, np.float64)
    entropy = lambda p: -(p * np.log(p)).sum(-1)
    bald = entropy(np.exp(log_probs).mean(1)) - entropy(np.exp(log_probs)).mean(1)
    queries = stochastic_batches.timed_queries(100)
    pick = lambda name: np.asarray(jax.jit(lambda key: run_query(key, queries[name], round, 3)[0].indices)(key))
    key = jax.random.key(0)
    assert set(pick("bald").tolist()) == set(np.argsort(-bald)[:3].tolist())
    assert pick("batchbald")[0] == bald.argmax()
    assert len(set(pick("power-bald").tolist())) == 3
    assert set(stochastic_batches.seconds(stochastic_batches.Timing(60, 5, 100, (3,)), 3)) == set(queries)
