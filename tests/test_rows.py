"""Every way to map rows gives the same rows, within its memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import KEY, SETTINGS, N, Y

from bal.labeled import make_pool
from bal.loop import no_metrics, run
from bal.rows import chunked, dense, host, num_rows, rows_within, streamed, take


def double(offset, x):
    return {"sum": offset + x["a"].sum(-1), "copy": 2 * x["b"]}


@pytest.mark.parametrize("n", [1, 6, 7, 8, 20])
@pytest.mark.parametrize("over", [chunked(7), streamed(7), host(7), chunked(budget=100), streamed(budget=100)])
def test_all_agree(over, n):
    x = {"a": np.arange(2.0 * n, dtype=np.float32).reshape(n, 2), "b": np.arange(n)}
    if over.place == "device":
        x = jax.tree.map(jnp.asarray, x)
    expected = dense.map(double, (1.0,), jax.tree.map(jnp.asarray, x))
    got = over.map(double, (1.0,), x)
    jax.tree.map(np.testing.assert_array_equal, got, expected)


def test_streaming_compiles_once_and_reads_only_slices():
    class Reader:
        """An array outside memory that counts what is read."""

        shape, dtype, ndim = (23, 2), np.dtype(np.float32), 2

        def __init__(self):
            self.sizes = []

        def __getitem__(self, rows):
            piece = np.arange(46, dtype=np.float32).reshape(23, 2)[rows]
            self.sizes.append(len(piece))
            return piece

    reader, traces = Reader(), []
    total = streamed(5).map(lambda x: traces.append(1) or x.sum(-1), (), reader)
    np.testing.assert_array_equal(total, np.arange(46).reshape(23, 2).sum(-1))
    assert reader.sizes == [5, 5, 5, 5, 5]
    assert len(traces) == 1


def test_rows_within_counts_inputs_and_results():
    x = jnp.zeros((10, 4))
    assert rows_within(lambda x: x.sum(-1), (), x, 200) == 10  # 16 bytes in, 4 out
    assert rows_within(lambda x: x.sum(-1), (), x, 1) == 1


def test_chunks_bound_the_memory_of_the_program():
    """Temporaries of a scored pool follow the chunk, not the pool."""
    x = jax.ShapeDtypeStruct((20_000, 8), jnp.float32)
    sorted_middle = lambda x: jnp.sort(jnp.tanh(x @ jnp.ones((8, 256))), -1)[:, 128]
    program = lambda over: jax.jit(lambda x: over.map(sorted_middle, (), x)).lower(x).compile()
    temporary = lambda over: program(over).memory_analysis().temp_size_in_bytes
    assert temporary(chunked(100)) < 2**20 < temporary(dense)


def test_take_clips_and_reads_host_arrays_there():
    x = np.arange(5)
    assert take(x, np.array([3, 3, 2**31 - 1])).tolist() == [3, 3, 4]
    assert take(jnp.arange(5), jnp.array([1, 2**31 - 1])).tolist() == [1, 4]


def test_rows_must_agree():
    with pytest.raises(ValueError, match="share their leading axis"):
        num_rows((np.zeros(3), np.zeros(4)))


@pytest.mark.parametrize("make", [lambda: chunked(0), lambda: streamed(0), lambda: host(0), lambda: chunked(budget=0)])
def test_sizes_are_checked(make):
    with pytest.raises(ValueError, match="at least 1"):
        make()


def test_the_pool_is_an_argument_not_a_constant():
    """A pool closed over would be baked into the program; as an argument it is not in its text."""
    marked = jnp.asarray(np.random.default_rng(0).normal(size=(N, 300)), jnp.float32)
    settings = {**SETTINGS, "evaluate": no_metrics}
    program = lambda pool: run(KEY, pool, Y, **settings).indices
    as_argument = len(jax.jit(program).lower(make_pool(marked)).as_text())
    as_constant = len(jax.jit(lambda: program(make_pool(marked))).lower().as_text())
    assert as_argument + 2 * marked.nbytes < as_constant
