"""Seconds of the parts of a round, compilation told apart; and the peak of memory."""

import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from typing import Any

import jax

_COMPILING = "/jax/core/compile/"
_running: ContextVar["Clock | None"] = ContextVar("clock", default=None)


class Clock:
    """Sums of seconds by part, for one thread: ``clock.part("fit", fn, *args)`` returns ``fn(*args)``, awaited.

    A part inside of a part counts to itself alone. ``compile`` is tracing, lowering and compiling, wherever it occurs.
    """

    def __init__(self):
        _listen()
        self.seconds: dict[str, float] = {"compile": 0.0}
        self._inside = 0.0  # seconds of the part now running that belong to parts in it, or to compilation
        self._compiled: list[tuple[float, float]] = []

    def part(self, name: str, fn: Callable, *args: Any) -> Any:
        """What `fn` returns, its arrays there; its seconds are added to those of the part."""
        token, around, self._inside, self._compiled = _running.set(self), self._inside, 0.0, []
        begun = time.perf_counter()
        try:
            return jax.block_until_ready(fn(*args))
        finally:
            _running.reset(token)
            whole = time.perf_counter() - begun
            self.seconds[name] = self.seconds.get(name, 0.0) + max(whole - self._inside, 0.0)
            self._inside, self._compiled = around + whole, []

    def compiled(self, seconds: float) -> None:
        """A piece of compilation that ends now; one that took place inside of it has been counted already."""
        end = time.perf_counter()
        begun = end - seconds
        while self._compiled and self._compiled[-1][0] >= begun:
            first, last = self._compiled.pop()
            seconds -= last - first
        self._compiled.append((begun, end))
        self.seconds["compile"] += seconds
        self._inside += seconds

    def read(self) -> dict[str, float]:
        """The sums since the last reading, to the microsecond."""
        found, self.seconds = self.seconds, {"compile": 0.0}
        return {name: round(seconds, 6) for name, seconds in found.items()}


def call(name: str, fn: Callable, *args: Any) -> Any:
    """As `Clock.part`, without a clock and without waiting."""
    del name
    return fn(*args)


def timed(name: str, fn: Callable) -> Callable:
    """The function, as a part of the clock that runs when it is called, if one does."""

    def timed_fn(*args: Any) -> Any:
        clock = _running.get()
        return fn(*args) if clock is None else clock.part(name, fn, *args)

    return timed_fn


def peak_memory() -> int | None:
    """Peak in bytes so far: of the devices where they say so, else of the process; None where neither is known."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [found["peak_bytes_in_use"] for found in stats if "peak_bytes_in_use" in found]
    if peaks:
        return max(peaks)
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@cache
def _listen() -> None:
    jax.monitoring.register_event_duration_secs_listener(_heard)


def _heard(event: str, duration_secs: float, **kwargs: Any) -> None:
    del kwargs
    clock = _running.get()
    if clock is not None and event.startswith(_COMPILING):
        clock.compiled(duration_secs)
