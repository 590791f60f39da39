"""Are the numbers right on this device? Every acquisition and selector of the tests against another computation.

On an accelerator the other computation is that of the CPU, on the same inputs in the same process. On a CPU it is the
same function in float64; selectors that draw random numbers have none there, since float64 draws others, and say so.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from cases import ACQUISITIONS, SELECTORS, predictions  # pyright: ignore[reportMissingImports] - the tests

from bal.numerics import dot, in_float64
from experiments.benchmarks.accelerator_timing import NO_TIME, Clock, brief, is_meant

RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""What scores may differ by: some roundings of float32, far below what TF32 or bfloat16 products would leave."""
PICKS = 5
NOTHING = "nothing to compare: float64 draws other numbers"


class Check(NamedTuple):
    """error: largest difference of scores in units of what is allowed, so at most 1. passed: None = not compared."""

    name: str
    error: float | None
    passed: bool | None
    note: str = ""


class Case(NamedTuple):
    """A function with its inputs; those of selectors are a key and candidates."""

    name: str
    function: Any
    make: Callable[[], Any]


def cases() -> list[Case]:
    """Every row of the two tables of the tests."""
    some = [
        Case(name, jax.jit(row.function), lambda row=row: (predictions(row.inputs),))
        for name, row in ACQUISITIONS.items()
    ]
    for name, row in SELECTORS.items():
        pick = jax.jit(lambda key, rows, row=row: row.select.__wrapped__(key, rows, PICKS))
        some.append(Case(name, pick, lambda row=row: (jax.random.key(5), row.candidates())))
    return some


def in_units(found: Any, expected: Any) -> np.ndarray:
    """Differences in units of what is allowed; NaN or an infinity on one side alone is infinitely far."""
    found, expected = (np.asarray(x, np.float64) for x in (found, expected))
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    apart = np.abs(found - expected) / (ABSOLUTE + RELATIVE * np.abs(expected))
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))


def compare(found: Any, expected: Any) -> tuple[float, str]:
    """Scores; of a selection the scores of all picks up to the first that is another, which has to be a tie.

    Where two computations pick different rows, both report the gain of their pick: if these agree the margin was below
    what is allowed, and what follows is another batch. If they do not, the pick is wrong.
    """
    if not hasattr(found, "indices"):
        return float(in_units(found, expected).max()), ""
    apart = in_units(found.scores, expected.scores)
    other = np.flatnonzero(np.asarray(found.indices) != np.asarray(expected.indices))
    if not len(other):
        return float(apart.max()), ""
    return float(apart[: other[0] + 1].max()), f"pick {other[0] + 1} is another of the same gain"


def double(leaf: jax.Array) -> jax.Array:
    """Float32 as float64."""
    return leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf


def elsewhere(case: Case, arguments: tuple, device: Any) -> Any:
    """The same by another computation."""
    if device.platform != "cpu":
        return case.function(*jax.device_put(arguments, jax.local_devices(backend="cpu")[0]))
    with jax.enable_x64(True):
        return case.function(*jax.tree.map(double, arguments))


def flags(lowered: str) -> str:
    """What a program has no business to hold: float32 products in the precision of the device, or a call to Python."""
    products = re.findall(r"stablehlo\.dot_general.*", lowered)
    loose = [product for product in products if "HIGHEST" not in product and re.search(r"xf32>|<f32>", product)]
    said = [f"{len(loose)} of {len(products)} products in default precision"] if loose else []
    said += ["a host callback"] * ("callback" in lowered)
    return ", ".join(said)


def is_random(found: Any, compiled: Callable, arguments: tuple) -> bool:
    """Whether another key gives a selector other scores: its picks are drawn, or it samples what it scores by."""
    if not hasattr(found, "scores"):
        return False
    return bool(np.any(in_units(compiled(jax.random.key(6), *arguments[1:]).scores, found.scores) > 0))


def checked(case: Case) -> Check:
    """One case, in both computations."""
    device = jax.devices()[0]
    arguments = jax.device_put(case.make())
    lowered = case.function.lower(*arguments)
    wrong = flags(lowered.as_text())
    compiled = lowered.compile()
    with jax.transfer_guard("disallow"):
        found = jax.block_until_ready(compiled(*arguments))
    if device.platform == "cpu" and is_random(found, compiled, arguments):
        return Check(case.name, None, False if wrong else None, wrong or NOTHING)
    error, note = compare(found, elsewhere(case, arguments, device))
    return Check(case.name, error, error <= 1 and not wrong, ", ".join(filter(None, (note, wrong))))


def product_check() -> Check:
    """Products in full precision, against float64 of numpy; products of the device's own precision beside them."""
    a = jax.random.normal(jax.random.key(0), (256, 512))
    exact = np.asarray(a, np.float64) @ np.asarray(a, np.float64).T
    scale = np.sqrt(np.mean(exact**2))
    error = lambda product: float(np.sqrt(np.mean((np.asarray(product, np.float64) - exact) ** 2)) / scale)
    full, default = error(jax.jit(dot)(a, a.T)), error(jax.jit(jnp.matmul)(a, a.T))
    note = f"relative error {full:.1e}, of the default precision {default:.1e}"
    return Check("products", full / 1e-6, full <= 1e-6, note)


def double_check() -> Check:
    """A float64 Cholesky factor inside a float32 program, of a matrix that float32 takes for singular."""

    def log_det(x: jax.Array, noise: jax.Array) -> jax.Array:
        x, noise = x.astype(jnp.float64), noise.astype(jnp.float64)
        distance = (x[:, None] - x[None]) ** 2
        matrix = jnp.exp(-0.5 * distance / 0.3**2) + noise * jnp.eye(len(x), dtype=jnp.float64)
        return jnp.sum(jnp.log(jnp.diagonal(jnp.linalg.cholesky(matrix)))).astype(jnp.float32)

    both = jax.jit(jax.vmap(in_float64(log_det), (0, None)))
    single = np.linspace(0, 1, 24, dtype=np.float32)
    noise, x = np.float32(1e-9), single.astype(np.float64)
    gram = np.exp(-0.5 * (x[:, None] - x[None]) ** 2 / 0.3**2) + float(noise) * np.eye(24)
    expected = np.sum(np.log(np.diagonal(np.linalg.cholesky(gram))))
    found = both(jnp.stack([single, single[::-1]]), noise)
    error = float(in_units(found, [expected, expected]).max())
    return Check("float64", error, error <= 1, "log-determinant of condition 1e10")


def checks(names: Sequence[str], threads: int, clock: Clock) -> Iterator[Check]:
    """All checks, or those whose names begin so; one that fails to run says how."""
    works: list[tuple[str, Callable[[], Check]]] = [("products", product_check), ("float64", double_check)]
    works += [(case.name, partial(checked, case)) for case in cases()]
    works = [work for work in works if is_meant(work[0], names)]
    pool = ThreadPoolExecutor(threads)
    for (name, _), future in zip(works, [pool.submit(work) for _, work in works]):
        try:
            yield future.result(timeout=max(clock.left(), 0.0))
        except TimeoutError:
            yield Check(name, None, None, f"not run: {NO_TIME}")
        except Exception as error:  # the others go on
            yield Check(name, None, False, brief(error))
    pool.shutdown(wait=False, cancel_futures=True)
