"""What every script asks of its options: refused in one sentence before any work, or turned into names of files."""

import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from bal.datasets import start_set
from bal.records import identity


def at_least(config: Any, least: float, *names: str) -> None:
    """Refuse numbers among the options (or tuples of them) that are below `least`, NaN or infinite; None is none."""
    for name in names:
        value = getattr(config, name)
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None and not least <= one < math.inf:
                raise SystemExit(f"--{name.replace('_', '-')} must be at least {least:g}, got {one:g}")


def positive(config: Any, *names: str) -> None:
    """Refuse numbers among the options that are not above 0, NaN or infinite; None is none."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            raise SystemExit(f"--{name.replace('_', '-')} must be above 0, got {value:g}")


def check_pool(size: int, start_size: int, rounds: int, batch_size: int) -> None:
    """Refuse to ask for more labels than the pool of `size` rows has."""
    asked = start_size + rounds * batch_size
    if asked > size:
        raise SystemExit(
            f"{start_size} labels at the start and {rounds} rounds of {batch_size} need {asked} rows, but "
            f"{max(size, 0)} are left for the pool; ask for fewer rounds, smaller batches or fewer test rows"
        )


def start_rows(y: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Rows of a start set balanced over classes, `bal.datasets.start_set`; one that cannot be drawn ends the script."""
    try:
        return start_set(y, size, seed)
    except ValueError as error:
        raise SystemExit(f"no start set for seed {seed}: {error}") from None


def recorded(config: Any) -> dict[str, Any]:
    """Options that name a record: all but what to print, where to keep it, and how many strategies and seeds to run."""
    others = ("strategies", "seeds", "target", "cache", "runs", "figures", "fresh")
    return {name: value for name, value in asdict(config).items() if name not in others}


def picture(config: Any, name: str) -> Path:
    """Where to draw: ``<name>.png``, or with six digits that stand for options which are not the defaults."""
    others = ("cache", "runs", "figures", "fresh")
    changed = {field.name: getattr(config, field.name) for field in fields(config) if field.name not in others}
    changed = {name: value for name, value in changed.items() if value != getattr(type(config), name)}
    return config.figures / (f"{name}-{identity(changed)[:6]}.png" if changed else f"{name}.png")
