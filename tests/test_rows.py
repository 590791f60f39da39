"""Every way to map rows gives the same rows, within its memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import KEY, SETUP, N, Y

from bal.learners import ensemble, lenet
from bal.loop import run
from bal.pool import chunked, dense, host, make_pool, num_rows, streamed, take
from bal.pool.over import rows_within
from bal.query import predictions
from bal.typing import Data, Posterior, Task


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


def hidden(x):
    """32 bytes in, 4 out, and 4 kB of activations in between."""
    return jnp.sort(jnp.tanh(jnp.matmul(x, jnp.ones((8, 1024)))), -1)[:, 128]


def peak_bytes(fn, *args):
    memory = jax.jit(fn).lower(*args).compile().memory_analysis()
    return memory.temp_size_in_bytes


@pytest.mark.parametrize("chunks", [1, 2])
def test_rows_within_counts_what_is_between_inputs_and_results(chunks):
    """The compiler's own figure for a chunk of the size that was chosen is within the budget, and near it."""
    x, budget = jax.ShapeDtypeStruct((10**6, 8), jnp.float32), 2**22
    size = rows_within(hidden, (), x, budget, chunks)
    taken = chunks * (peak_bytes(hidden, jax.ShapeDtypeStruct((size, 8), jnp.float32)) + 36 * size)
    assert 0.7 * budget < taken < 1.3 * budget


def test_convolutions_are_counted():
    """Activations of a LeNet on an image of 3 kB are 340 kB: a budget of 16 MB is fifty images, not five thousand."""
    learner = ensemble(lenet(), 2)
    data = Data(jnp.zeros((1, 28, 28, 1)), jnp.zeros(1, int), jnp.ones(1))
    fixed = (Posterior(jax.eval_shape(learner.init, KEY, data), learner), None)
    images = jax.ShapeDtypeStruct((60_000, 28, 28, 1), jnp.float32)
    assert 25 < rows_within(predictions, fixed, images, 2**24) < 75


def test_a_pool_within_the_budget_is_one_chunk():
    assert rows_within(hidden, (), jnp.zeros((10, 8)), 2**22) == 10


def test_chunks_are_even():
    """Fifteen rows of which ten would fit are eight and eight: hardly any row is mapped twice."""
    size = lambda n: rows_within(lambda x: x + 1, (), jnp.zeros((n, 4)), 10 * 32)
    assert [size(n) for n in (10, 11, 15, 21, 100)] == [10, 6, 8, 7, 10]


def test_a_function_may_close_over_traced_arrays():
    total = jax.jit(lambda a, x: chunked(budget=1000).map(lambda x: a * x, (), x))
    assert total(2.0, jnp.arange(300.0)).tolist() == [2.0 * n for n in range(300)]


@pytest.mark.parametrize("over", [chunked(budget=100), streamed(budget=100)], ids=["chunked", "streamed"])
def test_a_budget_below_one_row_is_refused(over):
    with pytest.raises(
        ValueError, match=r"budget=100 bytes is too small: .* take.? \d{4,5} bytes of inputs, temporaries"
    ):
        over.map(hidden, (), np.ones((9, 8), np.float32))


def test_chunks_bound_the_memory_of_the_program():
    """Temporaries of a scored pool follow the budget, not the pool."""
    x = jax.ShapeDtypeStruct((20_000, 8), jnp.float32)
    temporary = lambda over: peak_bytes(lambda x: over.map(hidden, (), x), x)
    assert temporary(chunked(budget=2**20)) < 1.3 * 2**20 < 2**25 < temporary(dense)


def test_a_stream_has_two_chunks_in_work():
    """Chunk c is read only when chunk c - 2 is done, and every result lands in its place."""
    done, read = [], []

    class Reader:
        shape, dtype = (7, 1), np.dtype(np.float32)

        def __getitem__(self, rows):
            read.append((rows.start, len(done)))
            return np.arange(7, dtype=np.float32)[rows, None]

    def fn(x):
        jax.debug.callback(lambda first: done.append(float(first)), x[0, 0], ordered=True)
        return 3 * x[:, 0]

    assert streamed(1).map(fn, (), Reader()).tolist() == [0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0]
    assert all(finished >= start - 1 for start, finished in read)


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
    setup = SETUP._replace(evaluate=None)
    program = lambda pool: run(KEY, Task(pool, Y), setup).indices
    as_argument = len(jax.jit(program).lower(make_pool(marked)).as_text())
    as_constant = len(jax.jit(lambda: program(make_pool(marked))).lower().as_text())
    assert as_argument + 2 * marked.nbytes < as_constant
