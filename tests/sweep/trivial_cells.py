"""Cells that take no time, for processes that must not import JAX: a common log says when each begins and ends."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Cell:
    number: int = 0
    what: Literal["return", "print", "raise", "exit", "interrupt", "die", "die once", "hold"] = "return"
    names: tuple[str, ...] = ()


def log(root: Path, text: str) -> None:
    with open(root / "log", "a", encoding="ascii") as file:
        file.write(f"{text}\n")


def hold(root: Path, number: int) -> None:
    """Wait to be killed, once; the next one goes on."""
    mark = root / f"holding-{number}"
    if not mark.exists():
        (root / f".{number}").write_text(str(os.getpid()))
        (root / f".{number}").rename(mark)
        time.sleep(60)


def run(cell: Cell, root: Path) -> dict[str, Any]:
    log(root, f"begin {cell.number}")
    if cell.what == "print":
        print("hello")
        os.write(2, b"from below\n")
    if cell.what == "raise":
        raise RuntimeError(f"cell {cell.number} is ill")
    if cell.what == "exit":
        raise SystemExit("--rounds must be at least 1")
    if cell.what == "interrupt":
        raise KeyboardInterrupt
    if cell.what == "hold":
        hold(root, cell.number)
    first = not (root / f"died-{cell.number}").exists()
    if cell.what == "die" or (cell.what == "die once" and first):
        (root / f"died-{cell.number}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    log(root, f"end {cell.number}")
    return {"number": cell.number, "jax": "jax" in sys.modules, "threads": os.environ.get("NPROC", "")}


@dataclass(frozen=True)
class Needing:
    number: int
    what: str = "return"


def needing(cell: Needing, root: Path) -> dict[str, Any]:
    if cell.number < 0:
        raise ValueError("a number below zero")
    return {"number": cell.number}


def not_annotated(cell, root):
    return None
