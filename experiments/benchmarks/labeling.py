"""Labeling: what an annotator waits for, while a model refits and while it does not.

    python experiments/benchmarks/labeling.py

A desk over scikit-learn's digits, with the softmax regression of `experiments/labeling.py` and many draws, so that fits
take their time. A script answers item after item as fast as it can; `answer` (to the disk) and the `next` after it are
timed together, apart for answers during a fit and between fits; the CPU time of the thread stands beside it, since a
machine may be busy with other things.

Expected: 20 ms at most, in the median, while a fit runs. The rest is Python's own lock, which the fit holds while it is
compiled, and the disk.
"""

import sys
import tempfile
import time
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from bal.datasets import digits as bundled
from bal.labeling import Desk, Item
from bal.records import open_record
from experiments.benchmarks.timing import at_least, start, table
from experiments.labeling import digits


@dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    labels: int = 120
    """Answers to give."""
    draws: int = 100
    """Posterior draws of a fit."""
    batch_size: int = 20
    """Rows that one fit asks for."""
    pause: float = 0.05
    """Seconds between two answers."""


def main(config: Config) -> None:
    at_least(config, 1, "labels", "draws", "batch_size")
    at_least(config, 0, "pause")
    sys.setswitchinterval(1e-3)  # as `bal label` does
    truth, spent = bundled().y, {True: [], False: []}
    labeling = digits(test_rows=0, batch_size=config.batch_size, draws=config.draws)
    labeling = labeling._replace(budget=config.labels, repeat=0.0)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_record(folder, "label", {}) as record,
        Desk(labeling, record) as desk,
    ):
        desk.settle()
        while desk.progress().stopped is None:
            item = desk.next("script")
            if not isinstance(item, Item):
                desk.settle(0.5)
                continue
            before = desk.progress().refitting
            begun, busy = time.perf_counter(), time.thread_time()
            desk.answer("script", item, str(truth[item.row]))
            desk.next("script")
            seconds = time.perf_counter() - begun, time.thread_time() - busy
            if before == desk.progress().refitting:
                spent[before].append(1e3 * np.array(seconds))
            time.sleep(config.pause)
        fits = desk.progress().round
    shown = table(
        "", "answers", "median ms", "95 %", "longest", "median CPU ms", title=f"answer and next item, {fits} fits"
    )
    for name, values in (("during a fit", spent[True]), ("between fits", spent[False])):
        if values:
            wall, busy = np.stack(values, 1)
            numbers = (np.median(wall), np.quantile(wall, 0.95), wall.max(), np.median(busy))
            shown.add_row(name, str(len(values)), *(f"{number:.1f}" for number in numbers))
    Console().print(shown)


if __name__ == "__main__":
    start(main, Config, __doc__)
