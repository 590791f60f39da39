"""Hostile arrays against every selector: what comes back must be a batch all the same.

    python experiments/fuzz_selectors.py

Candidates of the contract tests, with NaN, infinities, huge, tiny and equal numbers put into rows, labeled rows,
weights and contexts, and few or no rows eligible. A pick is bad if it is marked valid and may not be picked, was picked
before, or has a row with NaN; a batch is bad if a place that is not valid comes before one that is, or if selecting
raises an error. Every selector is compiled once a dtype. A selection that takes over a minute ends the program.

Takes about four minutes for 1,000 arrays on two quiet cores. Expected: 0 in every column, exit code 0.
"""

import faulthandler
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from cases import SELECTORS, Selector  # pyright: ignore[reportMissingImports]

from bal.typing import Candidates, Selection

HOSTILE = (np.nan, np.nan, np.inf, -np.inf, 3e38, -3e38, 1e25, 1e19, 1e-40, 0.0, -0.0, 1.0, 1e4)
FAULTS = ("ineligible", "repeated", "NaN row", "hole", "error")
BATCH_SIZE = 3


@dataclass(frozen=True)
class Config:
    """How much to try."""

    arrays: int = 1000
    """Hostile arrays a selector and dtype."""
    selectors: tuple[str, ...] = ()
    """Names in `cases.SELECTORS`; all by default."""
    dtypes: tuple[str, ...] = ("float32", "float64")
    """Types of the arrays."""
    seed: int = 0
    """Seed of the arrays."""


def spoiled(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """A copy with hostile numbers in some entries, some rows, or everywhere."""
    x = np.array(x)
    flat = x.reshape(len(x), -1) if x.ndim else x.reshape(1, 1)
    value = rng.choice(HOSTILE)
    kind = rng.integers(6)
    if kind == 0:
        flat[rng.random(flat.shape) < rng.choice([0.02, 0.3])] = value
    elif kind == 1:
        flat[rng.random(len(flat)) < 0.3] = value
    elif kind == 2:
        many = rng.random(flat.shape) < 0.2
        flat[many] = rng.choice(HOSTILE, many.sum())
    elif kind == 3:
        flat *= rng.choice([1e19, 1e30, 1e-30, 0.0, -1.0])
    elif kind == 4:
        flat[:] = flat[rng.integers(len(flat), size=len(flat))]  # copies of rows
    else:
        flat[rng.integers(len(flat))] = value
    return flat.reshape(x.shape).astype(x.dtype)


def hostile(rng: np.random.Generator, some: Candidates, dtype: str) -> Candidates:
    """The same shapes, with hostile numbers in the rows and in one other place or two; fewer rows are eligible."""

    def spoil(tree: Any, probability: float) -> Any:
        leaf = lambda x: spoiled(rng, x) if x.dtype == dtype and rng.random() < probability else x
        return jax.tree.map(leaf, tree)

    some = jax.tree.map(lambda x: np.asarray(x, dtype) if x.dtype.kind == "f" else np.asarray(x), some)
    with np.errstate(all="ignore"):
        fields = {name: spoil(getattr(some, name), 0.3) for name in ("known", "known_weight", "context")}
        rows = spoil(some.rows, 0.8)
    eligible = rng.random(len(some.index)) < rng.choice([0.1, 0.5, 1.0])
    return some._replace(rows=rows, eligible=eligible, **fields)


def faults(name: str, some: Candidates, picks: Selection) -> Iterator[str]:
    """What is wrong with a batch."""
    valid, indices = np.asarray(picks.valid), np.asarray(picks.indices)
    picked = indices[valid]
    if (valid[1:] & ~valid[:-1]).any():
        yield "hole"
    if not (np.isin(picked, np.arange(len(some.index))).all() and np.asarray(some.eligible)[picked].all()):
        yield "ineligible"
    if len(set(picked.tolist())) < len(picked):
        yield "repeated"
    read = some.rows.features if name == "frank_wolfe" else some.rows  # which does not look at variances
    nan = np.any([np.isnan(leaf).reshape(len(leaf), -1).any(1) for leaf in jax.tree.leaves(read)], 0)
    if name != "random_uniform" and nan[picked].any():
        yield "NaN row"


def fuzz(name: str, case: Selector, arrays: int, dtype: str, seed: int = 0) -> Counter:
    """How often each fault was found with one selector."""
    found, rng = Counter(), np.random.default_rng(seed)
    with jax.enable_x64(dtype == "float64"):
        some = jax.device_get(case.candidates())
        for number in range(arrays):
            tried = hostile(rng, some, dtype)
            faulthandler.dump_traceback_later(60, exit=True)
            try:
                picks = jax.device_get(case.select(jax.random.key(number), tried, BATCH_SIZE))
            except Exception as error:
                print(f"{name}, array {number}: {type(error).__name__}: {error}")
                found["error"] += 1
            else:
                found.update(faults(name, tried, picks))
            faulthandler.cancel_dump_traceback_later()
    return found


def main(config: Config) -> int:
    table = Table("selector", "dtype", *FAULTS, title=f"{config.arrays} hostile arrays each")
    bad = 0
    todo = [(name, dtype) for name in config.selectors or sorted(SELECTORS) for dtype in config.dtypes]
    for name, dtype in track(todo, console=Console(stderr=True)):
        found = fuzz(name, SELECTORS[name], config.arrays, dtype, config.seed)
        bad += found.total()
        table.add_row(name, dtype, *(str(found[fault]) for fault in FAULTS))
    Console().print(table)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config, description=__doc__)))
