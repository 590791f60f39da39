"""NaN and infinity pass through every numerical helper, in loops of every size that XLA compiles in its own way."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal import numerics
from bal.numerics import information

HELPERS = {
    "entropy": jax.jit(lambda x: numerics.entropy(x[:, 0])),
    "logmeanexp": jax.jit(lambda x: numerics.logmeanexp(x, 1)),
    "mean_log_probs": jax.jit(numerics.mean_log_probs),
    "mean_divergence_of_draws": jax.jit(numerics.mean_divergence_of_draws),
    "the same for a GPU": jax.jit(information._mean_divergence_by_draws),
    "xlogx": jax.jit(numerics.xlogx),
    "at_least": jax.jit(lambda x: numerics.at_least(jnp.exp(x).sum(-1), 0.5)),
    "at_most": jax.jit(lambda x: numerics.at_most(jnp.exp(x).sum(-1), 0.5)),
}


def log_probs(num_rows, dtype):
    draws = np.random.default_rng(0).dirichlet(np.ones(3), size=(num_rows, 7))
    return np.log(draws).astype(dtype)


@pytest.mark.parametrize(("num_rows", "dtype"), [(24, "float32"), (10_000, "float32"), (2_000, "float64")])
@pytest.mark.parametrize("name", HELPERS)
def test_nan_stays_in_its_row(name, num_rows, dtype):
    inputs = log_probs(num_rows, dtype)
    inputs[2], inputs[5, 0, 1], inputs[num_rows - 3] = np.nan, np.nan, np.nan
    with jax.enable_x64(dtype == "float64"):
        found = np.asarray(HELPERS[name](jnp.asarray(inputs)))
    assert found.dtype == dtype
    broken = np.isnan(found.reshape(num_rows, -1)).any(1)
    assert np.flatnonzero(broken).tolist() == [2, 5, num_rows - 3]


@pytest.mark.parametrize(
    "name", ["entropy", "logmeanexp", "mean_log_probs", "mean_divergence_of_draws", "the same for a GPU"]
)
def test_an_infinite_log_probability_is_nobodys(name):
    inputs = log_probs(24, "float32")
    inputs[5, 0, 1] = np.inf
    found = np.asarray(HELPERS[name](jnp.asarray(inputs))).reshape(24, -1)
    assert np.flatnonzero(np.isnan(found).any(1)).tolist() == [5]


def test_a_gpu_computes_the_same_divergence_in_its_own_way(monkeypatch):
    draws = np.random.default_rng(2).dirichlet(np.full(4, 0.1), size=(99, 20)).astype(np.float32)
    with np.errstate(divide="ignore"):
        x = np.log(np.concatenate([draws, np.repeat(draws[:, :1], 20, 1)]))  # zeros among them, and equal draws
    found, plain = HELPERS["the same for a GPU"](x), HELPERS["mean_divergence_of_draws"](x)
    np.testing.assert_allclose(found, plain, rtol=1e-5, atol=1e-7)
    assert (np.asarray(found[99:]) == 0).all()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for platform, barriers in (("cuda", 1), ("cpu", 0), ("tpu", 0)):
        program = jax.jit(lambda x: numerics.mean_divergence_of_draws(x)).trace(x).lower(lowering_platforms=(platform,))
        assert program.as_text().count("optimization_barrier") == barriers


@pytest.mark.parametrize("num_draws", [3, 49])
def test_a_class_that_no_draw_believes_in_contributes_nothing(num_draws):
    """Also where 1/K is rounded, so that K times 1/K is not 1."""
    possible = np.random.default_rng(1).dirichlet(np.ones(3), size=(8, num_draws)).astype(np.float32)
    impossible = np.concatenate([np.log(possible), np.full((8, num_draws, 1), -np.inf, np.float32)], -1)
    found, exact = (HELPERS["mean_divergence_of_draws"](jnp.asarray(x)) for x in (impossible, np.log(possible)))
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_one_draw_of_many_that_believes_in_a_class_counts():
    """The least belief that is not none: one certain draw of K, whose information is that of 1/K against 0."""
    num_draws = 500
    certain = np.where(np.arange(num_draws)[:, None] == [[0]], [[-np.inf, 0.0]], [[0.0, -np.inf]]).astype(np.float32)
    share = 1 / num_draws
    exact = -share * np.log(share) - (1 - share) * np.log1p(-share)
    assert float(HELPERS["mean_divergence_of_draws"](jnp.asarray(certain[None]))[0]) == pytest.approx(exact, rel=1e-5)


def test_nan_in_a_small_matrix_is_nan_in_what_is_solved_with_it():
    matrices = np.tile(np.eye(3, dtype=np.float32) * 2, (9_000, 1, 1))
    matrices[5, 0, 2] = matrices[5, 2, 0] = np.nan
    broken = lambda x: np.flatnonzero(np.isnan(np.asarray(x)).reshape(9_000, -1).any(1)).tolist()
    assert broken(jax.jit(numerics.small_log_determinants)(matrices)) == [5]
    assert broken(jax.jit(numerics.small_solves)(matrices, jnp.ones((9_000, 3, 1)))) == [5]


def test_nan_never_passes_the_door_to_a_ranking():
    scores = jnp.zeros(9_000).at[5].set(jnp.nan).at[7].set(-jnp.inf)
    masked = numerics.mask_scores(scores, jnp.arange(9_000) != 3)
    assert np.flatnonzero(np.isneginf(masked)).tolist() == [3, 5]
    assert int(numerics.first_argmax(masked)) == 0


RAW = {
    "dot": (r'precision="highest"', 'jnp.matmul(a, b, precision="highest")'),
    "centered_draws": (r"(\w[\w.]*) - \1\[(:, )?:1\]", "x.mean - x.mean[:, :1]"),
    "normalized": (r"(\S*weight) / \1\.sum\(\)", "found.weight / found.weight.sum()"),
    "rounding_error": (r"8 \* jnp\.finfo", "8 * jnp.finfo(x.dtype).eps"),
    "LOG_FLOOR": (r"-1e3\b", "jnp.maximum(x, -1e3)"),
    "rows_per_block": (r"max\(\w+ // .*, 1\)", "max(budget // row_bytes, 1)"),
    "positions_at": (r"cumsum\(.*(weight|mass)", "jnp.cumsum(mass)"),
    "inverse_root": (r"rsqrt\(.*pivot", "jax.lax.rsqrt(pivot)"),
    "in_float64": (r"enable_x64\(", "with jax.enable_x64(True):"),
}
"""Raw forms of what `bal.numerics` has a name for, each with an example of what is not to be written anew."""


@pytest.mark.parametrize("home", RAW)
def test_a_numerical_trick_has_one_home(home):
    raw, example = RAW[home]
    assert hasattr(numerics, home)
    assert re.search(raw, example)
    bal = Path(numerics.__file__).parent.parent
    files = [
        file
        for part in ("acquisition", "kernels", "learners", "query", "selection")
        for file in (bal / part).rglob("*.py")
    ]
    files = [file for file in files if file.parent.name != "networks"]
    copies = [
        f"{file.name}: {line}" for file in files for line in file.read_text().splitlines() if re.search(raw, line)
    ]
    assert not copies, f"use bal.numerics.{home}: {copies}"


def test_dot_is_matmul_of_any_rank():
    """Vectors, matrices and batches of them, in float64; compiled and mapped inside `in_float64` it stays float64."""
    rng = np.random.RandomState(0)
    for left, right in [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((5, 2, 3), (5, 3, 4)),
    ]:
        a, b = rng.randn(*left).astype(np.float32), rng.randn(*right).astype(np.float32)
        np.testing.assert_allclose(
            numerics.dot(jnp.asarray(a), jnp.asarray(b)), a.astype(float) @ b, rtol=1e-5, atol=1e-6
        )
    third = lambda x: numerics.dot(x.astype(jnp.float64) / 3, x.astype(jnp.float64)) - 1 / 3
    found = jax.vmap(jax.jit(numerics.in_float64(lambda x: 1e9 * jax.jit(third)(x))))(jnp.eye(2))
    assert np.abs(found).max() < 1e-6


def test_positions_of_shares_follow_the_weights():
    """As often as the weights say, never a row of weight 0, also where a float32 cumulative sum stands still."""
    weight = jnp.ones(300_000).at[:100_000].set(0.0).at[0].set(2e7)
    share = (np.arange(1000) + 0.5) / 1000
    found = np.asarray(numerics.positions_at(weight, jnp.asarray(share, jnp.float32)))
    exact = np.searchsorted(
        np.cumsum(np.asarray(weight, np.float64)), share.astype(np.float32).astype(float) * (2e7 + 2e5), "right"
    )
    np.testing.assert_array_equal(found, exact)
    assert (found > 0).sum() == 10
    assert numerics.positions_at(jnp.array([1.0, 0.0]), jnp.array([1.0])).tolist() == [0]


def test_blocks_of_rows_are_wider_where_there_is_no_cpu():
    """A block that fits a cache of a CPU would leave an accelerator waiting for launches; a chunk keeps to its size."""
    rows = jnp.arange(500.0)
    of = {
        "blocks": lambda x: numerics.in_row_blocks(jnp.sin, x, 4),
        "chunks": lambda x: numerics.in_chunks(jnp.sin, x, 4),
    }
    for platform, wide in (("cpu", False), ("cuda", True), ("tpu", True)):
        for name, function in of.items():
            text = jax.jit(function).trace(rows).lower(lowering_platforms=(platform,)).as_text()
            sizes = set(re.findall(r"stablehlo.sine .*tensor<(\d+)xf32>", text))
            assert sizes == {str(4 * numerics.blocks.WIDER if wide and name == "blocks" else 4)}
    np.testing.assert_array_equal(numerics.in_row_blocks(jnp.sin, rows, 4), jnp.sin(rows))
