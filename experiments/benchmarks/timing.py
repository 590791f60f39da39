"""How every benchmark measures: compiled ahead of time, timed in turn, and the least of several calls."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import rich.box
from rich.table import Table

from experiments.common import start
from experiments.options import at_least, picture

__all__ = ["Program", "at_least", "compiled", "least_seconds", "picture", "start", "table"]


class Program(NamedTuple):
    """A compiled program with its arguments.

    call: runs it; compile_seconds: what compiling took; megabytes: its temporary memory, in units of 2^20 bytes.
    """

    call: Callable[[], Any]
    compile_seconds: float
    megabytes: float


def table(*columns: str, title: str | None = None) -> Table:
    """A table with little around its numbers, for terminals of 80 columns; names on the left."""
    made = Table(title=title, box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for place, column in enumerate(columns):
        made.add_column(column, justify="right" if place else "left", no_wrap=True)
    return made


def compiled(function: Callable, *arguments: Any) -> Program:
    """Compile ahead of time, so that compilation is timed apart."""
    begun = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - begun
    memory: Any = program.memory_analysis()
    return Program(lambda: program(*arguments), seconds, memory.temp_size_in_bytes / 2**20)


def least_seconds(programs: Mapping[str, Program], repeats: int) -> dict[str, float]:
    """Least wall-clock seconds of every program, timed in turn so that a busy machine is fair to all.

    A first call of each, which touches fresh memory, is not counted.
    """
    least = dict.fromkeys(programs, float("inf"))
    for number in range(repeats + 1):
        for name, program in programs.items():
            begun = time.perf_counter()
            jax.block_until_ready(program.call())
            if number > 0:
                least[name] = min(least[name], time.perf_counter() - begun)
    return least
