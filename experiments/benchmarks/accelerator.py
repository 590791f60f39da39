"""How near an accelerator's limit everything runs, and whether its numbers are right; in less than eight minutes.

    python experiments/benchmarks/accelerator.py

First what the device can do, in the same process: bandwidth of a copy, rates of matrix products. Then scores and batch
rules, whole studies by number of seeds, ensembles, dropout and Gaussian processes, each as a share of the copy or of
the float32 product at full precision (the products of a training run in the device's default precision, which may
exceed it). At last every acquisition and selector against the same computation on the CPU. A part that fails, or for
which no time is left, says so and the others go on. Times are least ones of warm calls with host transfers forbidden.

Needs jax, flax, optax, numpy, scipy and jaxtyping; gpjax for the rows of Gaussian processes, matplotlib for the
picture, scikit-learn for the real digits. Writes accelerator.json and accelerator.png into a folder. Aims: BALD at 0.5
of the copy or more, rules at 0.5 of their passes, 256 seeds of small networks in at most 8 times the time of one, an
ensemble of 64 members at width 512 at 0.3 of the float32 rate or more; docs/performance.md has what was reached on
which card, and what keeps the rest from it. On a CPU it runs at small sizes and measures little: see whole_loop.py
there.
"""

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # a checkout is enough

import jax  # noqa: E402

from experiments.benchmarks import accelerator_rules, accelerator_studies  # noqa: E402
from experiments.benchmarks.accelerator_timing import (  # noqa: E402
    Clock,
    Row,
    brief,
    is_meant,
    measured,
    measured_peaks,
)

PARTS = ("rules", "digits", "networks", "gp", "check")


class Sizes(NamedTuple):
    """copy: bytes; matrix: its side."""

    copy: int
    matrix: int
    rules: accelerator_rules.Sizes
    studies: accelerator_studies.Sizes


def sizes(name: str) -> Sizes:
    """Sizes that fill a card, that a CPU can do, or that take seconds."""
    rules, studies = accelerator_rules.Sizes, accelerator_studies.Sizes
    if name == "tiny":
        small = studies((2,), (2,), (2,), (2,), (2,), 1, 2, 8, 4, 32, 1, 1, 2)
        return Sizes(1_000, 32, rules(99, 8, 3, 600, 30, 3, 4, 5, 16, 2), small)
    if name == "cpu":
        small = studies((1, 4, 16), (1, 4), (10,), (1,), (1, 4), 5, 100, 128, 64, 2_000, 10, 5)
        return Sizes(2**26, 1_024, rules(20_000, 128, 50, 100_000, 1_000, labelings=1_000), small)
    seeds, members = (1, 4, 16, 64, 256, 512), (1, 4, 16, 64)
    full = studies(seeds, members, (10, 30, 100), (1, 5, 20), (1, 16, 64), 20, 300, 512, 256, 20_000, 100, 10)
    return Sizes(2**31, 8_192, rules(200_000, 512, 256, 1_000_000, 20_000), full)


class Report:
    """All that was found so far: printed as it comes, written once."""

    def __init__(self, folder: Path, data: str):
        device, names = jax.devices()[0], ("jax", "jaxlib", "flax", "optax", "numpy", "gpjax")
        self.folder, self.rows, self.checks, self.ended = folder, [], [], ""
        self.about = {
            "device": device.device_kind,
            "platform": device.platform,
            "packages": {name: version(name) for name in names},
            "digits": data,
        }
        packages = ", ".join(f"{name} {number}" for name, number in self.about["packages"].items())
        print(f"{device.device_kind} ({device.platform})\n{packages}\ndigits: {data}")

    def add(self, rows: Iterable[Row]) -> None:
        """Rows of one part, under a heading of their own."""
        for row in rows:
            if not self.rows or self.rows[-1].part != row.part:
                head = ("s", "rate /s", "share", "compile", "MB")
                print(f"\n{row.part:31}" + "".join(f"{name:>9}" for name in head))
            self.rows.append(row)
            for line in lines(row):
                print(line, flush=True)

    def check(self, found: Iterable[Any]) -> None:
        """Checks, of which only what is worth a word is printed."""
        print("\nchecks: largest error in units of what is allowed")
        for one in found:
            self.checks.append(one)
            error = "" if one.error is None else f"{one.error:.2g}"
            word = {True: "", False: "WRONG", None: "-"}[one.passed]
            for number, line in enumerate(wrapped(one.note) or [""]):
                print(
                    f"{one.name if not number else '':25}{error if not number else '':>9}{word:>6} {line}", flush=True
                )
                word = ""
        compared = [one for one in self.checks if one.passed is not None]
        wrong = sum(not one.passed for one in compared)
        print(f"{len(compared)} compared, {wrong} wrong, {len(self.checks) - len(compared)} without comparison")

    def write(self) -> None:
        """Leave the numbers, and a picture where it can be drawn."""
        self.folder.mkdir(parents=True, exist_ok=True)
        found = {"rows": [row._asdict() for row in self.rows], "checks": [one._asdict() for one in self.checks]}
        path = self.folder / "accelerator.json"
        path.write_text(json.dumps({**self.about, **found, "ended": self.ended}, indent=1) + "\n")
        print(f"\nnumbers: {path}")
        if find_spec("matplotlib") is None:
            print("no picture: there is no matplotlib")
        else:
            draw(self.rows, self.about["device"], self.folder / "accelerator.png")
            print(f"picture: {self.folder / 'accelerator.png'}", flush=True)

    def failed(self) -> bool:
        """Whether anything went wrong, which is another thing than having no time or no gpjax."""
        return any(one.passed is False for one in self.checks) or any("Error" in row.note for row in self.rows)


def version(name: str) -> str:
    """Of an installed package."""
    return metadata.version(name) if find_spec(name) else "missing"


def wrapped(text: str, width: int = 38) -> list[str]:
    """Words in lines."""
    found = [""]
    for word in text.split():
        found = [*found[:-1], f"{found[-1]} {word}".strip()] if len(found[-1]) + len(word) < width else [*found, word]
    return [line for line in found if line]


def lines(row: Row) -> list[str]:
    """A row as text of at most 80 columns: numbers, and below them the model that the share is of, or what happened."""
    if row.seconds is None:
        return [f"{row.name:31}", *(f"    {line}" for line in wrapped(row.note, 70))]
    share = "" if row.share is None else f"{row.share:.2g}"
    numbers = (f"{row.seconds:.3g}", f"{row.rate:.3g}", share, f"{row.compile_seconds:.2g}", f"{row.megabytes:.0f}")
    of = f"share of {row.of}, " if share else ""
    return [f"{row.name:31}" + "".join(f"{number:>9}" for number in numbers), f"    {row.unit}; {of}{row.model}"]


def draw(rows: list[Row], device: str, path: Path) -> None:
    """Shares as bars, and seconds by number of seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    shown = [row for row in rows if row.share is not None][::-1]
    colors = ["#0077bb" if row.of == "copy" else "#ee7733" for row in shown]
    left.barh([row.name for row in shown], [row.share or 0 for row in shown], color=colors)
    left.set(xlabel="share: blue of the copy bandwidth, orange of the float32 matrix rate", title=device)
    left.tick_params(axis="y", labelsize="small")
    for start, label in (("digits", "digits study"), ("small", "with small networks"), ("GP", "GP regression")):
        some = [row for row in rows if row.name.startswith(start)]
        by_seeds = [(row.rate * row.seconds, row.seconds) for row in some if row.rate and row.seconds]
        if by_seeds:
            right.loglog(*zip(*by_seeds), marker="o", label=label)
            right.legend()
    right.set(xlabel="seeds in one program", ylabel="seconds, warm")
    figure.savefig(path, dpi=150)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", choices=("card", "cpu", "tiny"), help="by default what suits the device")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="by default all; peaks come first")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="works and checks by first letters")
    parser.add_argument("--budget", type=float, default=450, help="seconds that all may take (450)")
    parser.add_argument("--threads", type=int, help="programs compiled at a time; by default half the cores, up to 8")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of numbers and picture (figures)")
    found = parser.parse_args(arguments)
    if not found.budget > 0 or (found.threads is not None and found.threads < 1):
        parser.error("--budget must be above 0 and --threads at least 1")
    return found


def main(given: argparse.Namespace) -> int:
    """Measure, print and write; 1 where something failed."""
    platform, clock = jax.default_backend(), Clock(given.budget)
    threads = given.threads or max(1, min(8, len(os.sched_getaffinity(0)) // 2))
    what = sizes(given.sizes or ("cpu" if platform == "cpu" else "card"))
    report = Report(given.out, accelerator_studies.digits_data()[2])
    stop = threading.Timer(given.budget + 20, give_up, (report,))
    stop.daemon = True
    stop.start()
    peaks, rows = measured_peaks(what.copy, what.matrix, clock)
    report.add(rows)
    works: dict[str, Callable[[], list]] = {
        "rules": lambda: accelerator_rules.works(what.rules),
        "digits": lambda: accelerator_studies.digits_works(what.studies, platform),
        "networks": lambda: accelerator_studies.network_works(what.studies),
        "gp": lambda: accelerator_studies.gp_works(what.studies, platform),
    }
    for part in (part for part in works if part in given.parts):
        try:
            some = [work for work in works[part]() if is_meant(work.name, given.only)]
            report.add(measured(part, some, peaks, clock, threads))
        except ModuleNotFoundError as error:
            missing = (error.name or str(error)).partition(".")[0]
            report.add([Row(part, part, note=f"not run: it needs {missing}, which is not installed")])
        except Exception as error:  # the other parts go on
            report.add([Row(part, part, note=brief(error))])
    if "check" in given.parts:
        try:
            from experiments.benchmarks.accelerator_check import checks

            report.check(checks(given.only, threads, clock))
        except Exception as error:  # the numbers are written all the same
            report.add([Row("check", "check", note=brief(error))])
    stop.cancel()
    report.write()
    if clock.left() == 0:  # what still compiles would keep the process alive
        sys.stdout.flush()
        os._exit(int(report.failed()))
    return int(report.failed())


def give_up(report: Report) -> None:
    """What is there when the time is long over, and an end: XLA cannot be interrupted otherwise."""
    report.ended = "before all was measured: the time was over"
    print(f"\nended {report.ended}")
    report.write()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(options()))
