"""How `accelerator.py` measures: programs compiled ahead of time, run with host transfers forbidden, least time counts.

Every figure is a share of what the device itself can do, measured first: the bandwidth of a copy, or the rate of a
float32 matrix product at full precision.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

NO_TIME = "no time left"


class Work(NamedTuple):
    """A program and how much it has to do at least.

    function, make: what is compiled, and what makes its arguments on the device.
    items, unit: what is counted by the second, such as rows.
    model: in words, what bytes have to be read and written, or what flops multiplied and added; the share is taken of
    the latter if there are any. growth: times that it may take, in terms of the work before it.
    """

    name: str
    function: Callable
    make: Callable[[], tuple]
    items: float
    unit: str
    model: str
    bytes: float = 0.0
    flops: float = 0.0
    growth: float = 0.0


class Row(NamedTuple):
    """What became of a work. share: of the copy bandwidth or of the float32 matrix rate, as `of` says."""

    part: str
    name: str
    seconds: float | None = None
    rate: float | None = None
    unit: str = ""
    share: float | None = None
    of: str = ""
    compile_seconds: float | None = None
    megabytes: float | None = None
    model: str = ""
    note: str = ""


class Clock:
    """What is left of the time that the whole script may take."""

    def __init__(self, budget: float):
        self.begun, self.budget = time.perf_counter(), budget

    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(self.budget - (time.perf_counter() - self.begun), 0.0)


class Program(NamedTuple):
    """A compiled program with its arguments, what compiling took, and its memory in units of 2^20 bytes."""

    call: Callable[[], Any]
    compile_seconds: float
    megabytes: float


def program(work: Work) -> Program:
    """Compile ahead of time; memory is that of arguments, results and temporaries."""
    arguments = jax.block_until_ready(jax.jit(work.make)())
    begun = time.perf_counter()
    compiled = jax.jit(work.function).lower(*arguments).compile()
    seconds = time.perf_counter() - begun
    found: Any = compiled.memory_analysis()
    sizes = (found.argument_size_in_bytes, found.output_size_in_bytes, found.temp_size_in_bytes) if found else ()
    return Program(lambda: compiled(*arguments), seconds, sum(sizes) / 2**20)


def seconds_of(call: Callable[[], Any], enough: float = 0.5, most: int = 20) -> float:
    """Least seconds of calls after a first one, which stands for them if it took long; host transfers are errors."""
    times: list[float] = []
    with jax.transfer_guard("disallow"):
        while not times or (sum(times[1:]) < enough and len(times) < most and times[0] < 20 * enough):
            begun = time.perf_counter()
            jax.block_until_ready(call())
            times.append(time.perf_counter() - begun)
    return min(times[1:] or times)


def measured(
    part: str, works: Sequence[Work], peaks: dict[str, float], clock: Clock, threads: int = 1
) -> Iterator[Row]:
    """A row a work, one after the other as they are there; all are compiled first, `threads` at a time.

    A work that fails says how in its row, and one for which no time is left says that.
    """
    pool = ThreadPoolExecutor(threads)
    futures: list[Future] = [pool.submit(program, work) for work in works]
    made: list[Any] = [_result(future, clock) for future in futures]  # timed when nothing is compiled beside it
    pool.shutdown(wait=False, cancel_futures=True)
    before = 0.0
    for number, work in enumerate(works):
        row = Row(part, work.name, unit=work.unit, model=work.model)
        ready, made[number] = made[number], None  # its arguments are freed behind it
        if isinstance(ready, str):
            yield row._replace(note=ready)
        elif (left := clock.left()) <= work.growth * before:
            late = f"about {work.growth * before:.0f} s, {left:.0f} s left" if left else NO_TIME
            yield row._replace(note=f"not run: {late}")
        else:
            try:
                before = seconds_of(ready.call)
                yield _row(row, work, ready, before, peaks)
            except Exception as error:  # the other rows go on
                yield row._replace(note=brief(error))


def _result(future: Future, clock: Clock) -> Program | str:
    try:
        return future.result(timeout=clock.left())
    except TimeoutError:
        return f"not run: {NO_TIME}"
    except Exception as error:  # the other rows go on
        return brief(error)


def _row(row: Row, work: Work, ready: Program, seconds: float, peaks: dict[str, float]) -> Row:
    amount, of = (work.flops, "float32") if work.flops else (work.bytes, "copy")
    return row._replace(
        seconds=seconds,
        rate=work.items / seconds,
        share=amount / seconds / peaks[of] if of in peaks and amount else None,
        of=of if amount else "",
        compile_seconds=ready.compile_seconds,
        megabytes=ready.megabytes,
    )


def is_meant(name: str, names: Sequence[str]) -> bool:
    """Whether a name begins with one of those; with none, every one is meant."""
    return not names or name.startswith(tuple(names))


def brief(error: Exception) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


def peak_works(num_bytes: int, size: int) -> list[Work]:
    """What the device can do: a copy of `num_bytes`, and products of square matrices in three precisions."""
    whole = lambda: (jax.random.normal(jax.random.key(0), (num_bytes // 4,)),)
    works = [Work("copy", lambda x: x + 1.0, whole, 2.0 * num_bytes, "B", "reads and writes all", 2.0 * num_bytes)]
    settings: dict[str, tuple] = {
        "float32": (jnp.float32, "highest"),
        "default": (jnp.float32, "default"),
        "bfloat16": (jnp.bfloat16, "default"),
    }
    for name, (dtype, precision) in settings.items():
        matrix = lambda dtype=dtype: (jax.random.normal(jax.random.key(0), (size, size), dtype),)
        multiply = lambda a, precision=precision: jnp.matmul(a, a, precision=precision)
        model = f"2 n³ flops, n = {size}, precision {precision}"
        works.append(Work(name, multiply, matrix, 2.0 * size**3, "flop", model, flops=2.0 * size**3))
    return works


def measured_peaks(num_bytes: int, size: int, clock: Clock) -> tuple[dict[str, float], list[Row]]:
    """Bytes and flops a second by name, and the rows that say so."""
    rows = list(measured("peaks", peak_works(num_bytes, size), {}, clock))
    return {row.name: row.rate for row in rows if row.rate}, rows
