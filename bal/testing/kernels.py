"""What a kernel promises, checked on anybody's."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bal.learners.settings import named
from bal.testing.faults import check_handed, check_lowers, expect, name_of, traced
from bal.testing.inputs import CANDIDATES, chosen
from bal.typing import Candidates, Kernel, KernelOf

SOME = (3, 0, 7)


def check_kernel(kernel_of: KernelOf, candidates: str | Callable[..., Candidates] = "features") -> None:
    """A kernel keeps its contract, as those of `bal.kernels` do.

    Columns, diagonal, blocks and parts are of one matrix, which is symmetric and positive semi-definite; noise is of
    rows and never negative; labeled rows are compared like candidates. Computed in float64.

    Args:
      kernel_of: ``candidates -> Kernel``.
      candidates: "features" ``[n, 3]``, or a function ``() -> Candidates``, with a labeled buffer.

    Raises:
      Fault: in one sentence, the promise that does not hold, where, and how to mend it.
      TypeError: no function.

    >>> from bal.kernels import linear
    >>> check_kernel(linear)
    """
    check_handed(kernel_of, None, "a kernel, candidates -> Kernel", "bal.kernels.linear")
    make, name = chosen("candidates", CANDIDATES, candidates), name_of(kernel_of)
    with jax.enable_x64(True):
        some = jax.tree.map(lambda x: x.astype(float) if x.dtype == jnp.float32 else x, make())
        compiled = jax.jit(lambda some: _read(kernel_of, some))
        found = jax.device_get(traced(compiled, some, what=name))
        n = len(some.index)
        _check_matrix(name, found, n)
        _check_noise(name, found, n)
        _check_known(name, compiled, some, found)
    check_lowers(lambda some: _read(kernel_of, some), (make(),), name)


def _read(kernel_of: KernelOf, some: Candidates) -> dict[str, jax.Array]:
    k = kernel_of(some)
    expect(
        isinstance(k, Kernel),
        f"expected a Kernel, got {named(k)} from {name_of(kernel_of)}; return bal.kernels.make_kernel(candidates, ...)",
    )
    taken = k.take(jnp.array(SOME))
    found = {"gram": k.block(k.rows), "column": k.column(k.row(5)), "diag": k.diag(), "noise": k.noise}
    found["taken"] = taken.block(taken.rows)
    return found if k.known is None else {**found, "known": k.block(k.known), "known_noise": k.known_noise}


def _check_matrix(name: str, found: dict[str, np.ndarray], n: int) -> None:
    gram = found["gram"]
    expect(
        gram.shape == (n, n),
        f"expected a number for each pair of {n} rows, got a block of shape {gram.shape} from {name}; `pair` returns a "
        "scalar for two rows",
    )
    skew = np.abs(gram - gram.T).max()
    expect(
        np.allclose(gram, gram.T, rtol=1e-9, atol=1e-12),
        f"expected a symmetric kernel, got k(a, b) and k(b, a) {skew:.2g} apart from {name}; treat both rows alike",
    )
    least = np.linalg.eigvalsh(gram).min()
    expect(
        least > -1e-9 * abs(gram).max(),
        f"expected a positive semi-definite kernel, got an eigenvalue of {least:.2g} from {name} for these rows; an "
        "inner product of features is one, a distance is none",
    )
    for part, expected in (
        ("column", gram[5]),
        ("diag", np.diagonal(gram)),
        ("taken", gram[np.ix_(SOME, SOME)]),
    ):
        expect(
            np.allclose(found[part], expected, rtol=1e-9, atol=1e-12),
            f"expected the {part} to be that of the matrix of {name}, got a difference of "
            f"{np.abs(found[part] - expected).max():.2g}; every number comes from `pair` of two rows alone",
        )


def _check_noise(name: str, found: dict[str, np.ndarray], n: int) -> None:
    expect(
        found["noise"].shape == (n,) and found["noise"].min() >= 0,
        f"expected a noise of at least 0 for each of {n} rows, got shape {found['noise'].shape} from {name}; make the "
        "kernel by bal.kernels.make_kernel, and give noise by `noisy`",
    )


def _check_known(name: str, compiled: Callable, some: Candidates, found: dict[str, np.ndarray]) -> None:
    if some.known is None or "known" not in found:
        return
    count = len(found["known"])
    if isinstance(some.known, jax.Array) and some.known.ndim == 1:  # positions in a matrix
        rows = some._replace(known=jnp.arange(count))
    else:
        rows = some._replace(known=jax.tree.map(lambda leaf: leaf[:count], some.rows))
    same = jax.device_get(compiled(rows))
    expect(
        np.allclose(same["known"], same["gram"][:count], rtol=1e-9, atol=1e-12),
        f"expected labeled rows to be compared like candidates, got other numbers from {name} for the same rows; pass "
        "candidates.known through what candidates.rows pass through",
    )
