"""What records, sweeps and selectors promise, put to the test as often as it takes to believe it.

    python experiments/reliability.py            # about three minutes on two cores
    python experiments/reliability.py --quick    # a glance

Kills: a writer is killed (SIGKILL) at a random moment, `kills` times; no round that was said to be on disk may be lost,
at most one be done again, and the last log must be, byte for byte, that of a writer that nobody killed. Cuts: of a log,
at every byte; what is read must be its longest whole prefix. Bits: one flipped in every byte of every file of a record;
reading must refuse it, or read no more than was before it. Races: eight processes share 64 cells, two are killed while
they hold one; every cell must be done, none twice. Disk: no room for the next event, and a folder that is none; the
error must name the file, earlier rounds stay. Arrays: hostile ones for every selector (`fuzz_selectors.py`).

Printed: how often each was tried and how often the promise was broken. The exit code is 1 if one was.
"""

import contextlib
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bal.records import CorruptRecordError, Record, open_record, read_events
from bal.records.log import parse
from bal.sweep import grid, store, sweep
from experiments.options import at_least

TESTS = Path(__file__).parent.parent / "tests"
sys.path[:0] = [str(TESTS / "records"), str(TESTS / "sweep")]
import record_cases  # noqa: E402  # pyright: ignore[reportMissingImports]
import trivial_cells  # noqa: E402  # pyright: ignore[reportMissingImports]
from record_cases import CONFIG, continue_run, make_round  # noqa: E402  # pyright: ignore[reportMissingImports]

PROCESSES, CELLS = 8, 64


@dataclass(frozen=True)
class Config:
    """How often."""

    kills: int = 100
    """Writers that are killed."""
    arrays: int = 1_000
    """Hostile arrays for each selector."""
    step: int = 1
    """Every how many bytes a file is cut, and a bit of it flipped."""
    quick: bool = False
    """Few of everything: 5 kills, one array, every hundredth byte."""


class Tried(NamedTuple):
    """How often a promise was put to the test, and how often it was broken."""

    tried: int
    broken: int


def killed(config: Config, folder: Path) -> Tried:
    """Writers that die at any moment, in the middle of a write too."""
    draw, broken, number = random.Random(0), 0, 0
    command = [sys.executable, record_cases.__file__, str(folder / "killed")]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, bufsize=1
    ) as writers:
        assert writers.stdin is not None
        assert writers.stdout is not None
        for _ in range(config.kills):
            writers.stdin.write("go\n")
            process, last = map(int, writers.stdout.readline().split())
            time.sleep(draw.uniform(0, 0.03))
            os.kill(process, signal.SIGKILL)
            while (line := writers.stdout.readline().split())[0] != "ended":
                last = int(line[1])
            events, _ = read_events(next((folder / "killed" / "digits").iterdir()))
            lost = not max(last, number) < len(events) <= last + 2
            broken += lost or events != [make_round(place) for place in range(len(events))]
            number = len(events)
        writers.stdin.close()
    with warnings.catch_warnings(), silent():
        warnings.simplefilter("ignore")
        found = continue_run(str(folder / "killed"), number + 3).path
    with open_record(folder / "whole", "digits", CONFIG, "data") as whole:
        whole.append([make_round(place) for place in range(number + 3)])
    same = (found / "events.jsonl").read_bytes() == (whole.path / "events.jsonl").read_bytes()
    return Tried(config.kills, broken + (not same))


@contextlib.contextmanager
def silent():
    """Without what a writer says to its parent by the file descriptor."""
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


def written(folder: Path, finished: bool = True) -> Record:
    """A record with all of its files."""
    with open_record(folder, "run", CONFIG) as record:
        record.append([{"kind": "note", "text": "start"}])
        record.append([make_round(0), make_round(1)])
        record.save_state(1, {"w": np.arange(3.0)})
        if finished:
            record.finish({"accuracy": 0.9})
    return record


def cut(config: Config, folder: Path) -> Tried:
    """A log that ends anywhere is read up to its last whole line."""
    record = written(folder)
    data = (record.path / "events.jsonl").read_bytes()
    ends = [0] + [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    broken, lengths = 0, range(0, len(data) + 1, config.step)
    for length in lengths:
        lines, report = parse(data[:length])
        whole = sum(end <= length for end in ends) - 1
        right = [line.event for line in lines] == record.events[:whole]
        broken += not (right and report == (ends[whole], length - ends[whole], 0, 0))
    return Tried(len(lengths), broken)


def flipped(config: Config, folder: Path) -> Tried:
    """No changed bit of any file is read as what was written."""
    tried = broken = 0
    for name in ("config.json", "done.json", "state.npz", "env.json", "events.jsonl"):
        root = folder / name
        file = written(root, finished=name != "env.json").path / name  # which only a continuation reads
        data = file.read_bytes()
        for place in range(0, len(data), config.step):
            changed = bytearray(data)
            changed[place] ^= 1 << (place % 8)
            file.write_bytes(changed)
            tried += 1
            with contextlib.suppress(CorruptRecordError):
                with open_record(root, "run", CONFIG) as record:
                    record.load_state()
                broken += 1
        file.write_bytes(data)
    return Tried(tried, broken)


def raced(config: Config, folder: Path) -> Tried:
    """Cells that many processes want, of which two die with one in their hands."""
    del config
    held = [CELLS - 2, CELLS - 1]
    cells = grid(trivial_cells.Cell(), number=range(CELLS - 2)) + grid(trivial_cells.Cell(what="hold"), number=held)
    racers = []
    for number in range(PROCESSES):
        process = os.fork()
        if not process:
            mine = cells[PROCESSES * number :] + cells[: PROCESSES * number]
            quiet = Console(quiet=True)
            states = {end.state for end in sweep(folder, trivial_cells.run, mine, engine="here", console=quiet)}
            os._exit(states != {"done"})
        racers.append(process)
    for number in held:
        while not (folder / f"holding-{number}").exists():
            time.sleep(0.01)
        os.kill(int((folder / f"holding-{number}").read_text()), signal.SIGKILL)
    codes = Counter(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in racers)
    ended = Counter(line.split()[1] for line in (folder / "log").read_text().splitlines() if line.startswith("end"))
    known = [store.known(cell).state for cell in store.cells(folder)]
    twice = sum(number != 1 for number in ended.values())
    lost = CELLS - len(ended) + sum(state != "done" for state in known)
    return Tried(CELLS, twice + lost + (codes != {0: PROCESSES - 2, -signal.SIGKILL: 2}))


def refused(config: Config, folder: Path) -> Tried:
    """A disk that is full in the middle of an event, and a root that is a file: named, and nothing is lost."""
    del config
    record = written(folder, finished=False)
    log = record.path / "events.jsonl"
    data, broken = log.read_bytes(), 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    again = open_record(folder, "run", CONFIG)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(data) + 50, hard))
        again.append([make_round(2)])
        broken += 1
    except OSError as error:
        broken += "events.jsonl" not in str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    broken += log.read_bytes() != data
    with open_record(folder, "run", CONFIG) as again:
        again.append([make_round(2)])
    (folder / "file").write_text("no folder")
    try:
        open_record(folder / "file", "run", {})
        broken += 1
    except OSError as error:
        broken += "file" not in str(error)
    return Tried(2, broken)


def fuzzed(config: Config, folder: Path) -> Tried:
    """Selectors on arrays with NaN, infinities, ties and nothing left to pick."""
    script = Path(__file__).with_name("fuzz_selectors.py")
    options = ["--arrays", str(config.arrays), *(["--selectors", "best", "power"] if config.quick else [])]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, script, *options], cwd=folder, env=environment, capture_output=True, text=True
    )
    rows = [
        list(map(int, re.findall(r"\b\d+\b", line.split("float")[-1])[1:]))
        for line in done.stdout.splitlines()
        if "float" in line
    ]
    if not rows:
        raise SystemExit(f"fuzz_selectors.py printed no table: {done.stderr.strip()}")
    return Tried(len(rows) * config.arrays, max(sum(map(sum, rows)), int(done.returncode != 0)))


PROMISES: dict[str, Callable[[Config, Path], Tried]] = {
    "races: each cell once": raced,  # first: it forks, which goes before threads
    "kills: no round lost": killed,
    "cuts: the longest whole prefix": cut,
    "bits: none flipped unnoticed": flipped,
    "disk: named, nothing lost": refused,
    "arrays: no pick that may not be": fuzzed,
}


def main(config: Config) -> int:
    at_least(config, 1, "kills", "arrays", "step")
    if config.quick:
        config = Config(kills=5, arrays=1, step=100, quick=True)
    table, bad = Table("promise", "tried", "broken", "seconds", title="reliability", box=SIMPLE_HEAD), 0
    with tempfile.TemporaryDirectory() as root:
        for number, (name, test) in enumerate(track(PROMISES.items(), console=Console(stderr=True))):
            folder, begun = Path(root) / str(number), time.monotonic()
            folder.mkdir()
            found = test(config, folder)
            bad += found.broken
            table.add_row(name, f"{found.tried:,}", str(found.broken), f"{time.monotonic() - begun:.0f}")
    Console().print(table)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config, description=__doc__)))
