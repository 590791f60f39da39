"""BAIT against its definition: the trace of the pool's Fisher information under an inverse taken anew for every set."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal import query
from bal.pool import chunked, make_pool
from bal.pool.labeled import ask, empty_log
from bal.selection import FisherRows, bait, regression_fisher, softmax_fisher, sum_fisher
from bal.typing import Candidates, Learner, Posterior, Round

KEY = jax.random.key(0)
N, F, C, B, PRIOR = 12, 3, 3, 3, 0.7
RNG = np.random.RandomState(0)
LOGITS, H = RNG.randn(N, C).astype(np.float32), RNG.randn(N, F).astype(np.float32)
KNOWN = np.array([0, 0, 0, 1.0], np.float32)


def candidates(rows, eligible=None):
    """Rows 5 to 8 stand for the labeled buffer too, of which only the last place is real."""
    one = jnp.ones(len(rows.features))
    eligible = one > 0 if eligible is None else jnp.asarray(eligible)
    known = FisherRows(rows.scale[5:9], rows.features[5:9])
    context = sum_fisher(rows, one)
    return Candidates(rows, jnp.arange(len(one)), eligible, one, known, jnp.asarray(KNOWN), context)


SOFTMAX = candidates(softmax_fisher(jax.nn.log_softmax(LOGITS)[:, None], jnp.asarray(H)))
REGRESSION = candidates(regression_fisher(jnp.asarray(H), 0.4))


def fisher_by_definition(kind):
    """``Σ_y p_y g_y g_yᵀ`` over gradients of the log likelihood of a softmax layer; ``h hᵀ / noise`` for regression."""
    if kind == "regression":
        return [np.outer(h, h) / 0.4 for h in H.astype(np.float64)]
    out = []
    for logits, h in zip(LOGITS.astype(np.float64), H.astype(np.float64), strict=True):
        p = np.exp(logits) / np.exp(logits).sum()
        gradients = [np.outer(np.eye(C)[y] - p, h).ravel() for y in range(C)]
        out.append(sum(p[y] * np.outer(gradients[y], gradients[y]) for y in range(C)))
    return out


def loss(fisher, chosen):
    m = PRIOR * np.eye(len(fisher[0])) + fisher[8] + sum((fisher[n] for n in chosen), np.zeros_like(fisher[0]))
    return np.trace(np.linalg.inv(m) @ sum(fisher))


def forward_by_definition(fisher, size, backward):
    chosen, gains = [], []
    for _ in range(2 * size if backward else size):
        values = [np.inf if n in chosen else loss(fisher, [*chosen, n]) for n in range(N)]
        gains.append(loss(fisher, chosen) - min(values))
        chosen.append(int(np.argmin(values)))
    kept = list(chosen)
    while len(kept) > size:
        kept.remove(min(kept, key=lambda n: loss(fisher, [m for m in kept if m != n])))
    return kept, [gains[chosen.index(n)] for n in kept]


SELECT = {flag: jax.jit(lambda c, flag=flag: bait(PRIOR, backward=flag)(KEY, c, B)) for flag in (False, True)}


@pytest.fixture(scope="module")
def picked():
    kinds = {"softmax": SOFTMAX, "regression": REGRESSION}
    return {(kind, flag): SELECT[flag](some) for kind, some in kinds.items() for flag in SELECT}


@pytest.mark.parametrize("kind", ["softmax", "regression"])
def test_factors_are_the_fisher_information(kind):
    context = (SOFTMAX if kind == "softmax" else REGRESSION).context
    np.testing.assert_allclose(context, sum(fisher_by_definition(kind)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "backward"), list(itertools.product(["softmax", "regression"], [False, True])))
def test_woodbury_is_direct_inversion(picked, kind, backward):
    fisher = fisher_by_definition(kind)
    rows, gains = forward_by_definition(fisher, B, backward)
    got = picked[kind, backward]
    assert got.indices.tolist() == rows
    np.testing.assert_allclose(got.scores, gains, rtol=2e-4)
    np.testing.assert_allclose(got.info["objective"], loss(fisher, rows), rtol=1e-4)
    assert len(set(got.indices.tolist())) == B


def test_forward_backward_is_near_the_best_batch(picked):
    fisher = fisher_by_definition("softmax")
    best = min(loss(fisher, rows) for rows in itertools.combinations(range(N), B))
    reached = loss(fisher, picked["softmax", True].indices.tolist())
    assert best <= reached * (1 + 1e-9)
    assert loss(fisher, []) - reached > 0.95 * (loss(fisher, []) - best)


def test_regression_picks_what_alc_picks(picked):
    """Cohn's criterion: always the row whose label lowers the pool's mean posterior variance most, refitted."""
    labeled, noise, picks = [H[8]], 0.4, []
    variance = lambda rows: np.mean(
        [h @ np.linalg.inv(PRIOR * np.eye(F) + np.array(rows).T @ np.array(rows) / noise) @ h for h in H]
    )
    for _ in range(B):
        values = [np.inf if n in picks else variance([*labeled, H[n]]) for n in range(N)]
        picks.append(int(np.argmin(values)))
        labeled.append(H[picks[-1]])
    assert picked["regression", False].indices.tolist() == picks


def test_few_rows_left_are_all_kept():
    """Fewer than 2 B to go forward with: nothing is removed below B, and every row at most once."""
    for left, expected in ((4, 3), (2, 2)):
        eligible = jnp.arange(N) < left
        got = SELECT[True](SOFTMAX._replace(eligible=eligible))
        assert int(got.valid.sum()) == expected
        valid = np.asarray(got.indices)[np.asarray(got.valid)].tolist()
        assert len(set(valid)) == expected
        assert max(valid) < left


def test_long_batches_stay_accurate():
    """Two hundred updates of nearly equal numbers: the objective by updates is the objective by one inversion."""
    rng = np.random.RandomState(1)
    h = (rng.randn(220, 2) * [1.0, 1e-3]).astype(np.float32)
    rows, one = regression_fisher(jnp.asarray(h), 1e-4), jnp.ones(220)
    some = Candidates(rows, jnp.arange(220), one > 0, one, context=sum_fisher(rows, one))
    got = jax.jit(lambda c: bait(1e-3, backward=False)(KEY, c, 200))(some)
    assert len(set(got.indices.tolist())) == 200
    full = np.asarray(some.context, np.float64)
    start = np.trace(full) / 1e-3
    np.testing.assert_allclose(
        start - np.asarray(got.scores, np.float64).sum(), got.info["objective"], atol=1e-6 * start
    )
    assert (np.asarray(got.scores) > 0).all()


def test_pool_fisher_is_of_the_whole_pool():
    """Labeled rows count too, absent ones do not."""
    learner = Learner(None, None, lambda state, x: None, lambda state, x: x[:, None])
    rows = lambda posterior, context, x: regression_fisher(posterior.embed(x)[:, 0], 0.4)
    pool = make_pool(jnp.asarray(H))._replace(present=jnp.arange(N) != 2)
    labeled = ask(empty_log(4, jnp.zeros(N)), jnp.array([1, 3]), jnp.ones(2) > 0)
    got = query.pool_fisher(rows)(KEY, Round(Posterior(None, learner), pool, labeled, None), chunked(5))
    fisher = fisher_by_definition("regression")
    np.testing.assert_allclose(got, sum(f for n, f in enumerate(fisher) if n != 2), rtol=1e-5)


def test_errors_teach():
    with pytest.raises(ValueError, match="prior_precision must be positive"):
        bait(0.0)
    with pytest.raises(ValueError, match="use pool_fisher"):
        bait()(KEY, SOFTMAX._replace(context=None), 2)
