"""A cell that takes no time, to try a sweep with: ``bal sweep bal.sweep.examples:square --grid number=2,3``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Square:
    """Settings of `square`."""

    number: int = 1
    """What is squared; negative ones are refused."""


def square(config: Square, root: Path) -> dict[str, int]:
    """The square of a number, which is not written anywhere but into the summary."""
    if config.number < 0:
        raise ValueError(f"expected a number of at least 0, got {config.number}")
    return {"square": config.number**2}
