"""A batch of different molecules out of a million fingerprints that lie on disk.

    python experiments/benchmarks/tanimoto.py

Made-up fingerprints of 2,048 bits, some 60 of them set: copies of a thousand scaffolds that lack a quarter of their
bits and have others of their own. They are written to a file, packed (256 bytes each), and read in chunks
(`bal.pool.streamed`) by a query whose rule is MaxDet on the Tanimoto kernel with noise. Printed, in units of 2^20
bytes: the file, and what the process held beside it at the peak of reading and picking, above what it held before
(memory of its own, pages of the file in the cache aside; sampled every 5 ms); seconds; and half the log-determinant of
the batch, by numpy in float64 on the bits, beside that of random batches.

Expected: some 1,000 for a file of 244, about 200 of them for compiling: the rows that the rule holds, and what its
compiled loops keep of them; two to three minutes. Linux only.

For a glance: ``--rows 5000 --picks 5``.
"""

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bal import Query, Setup, Stage, Task, make_pool, run_eager, seed_keys
from bal.kernels import noisy, tanimoto
from bal.pool import streamed
from bal.query import inputs
from bal.selection import max_det
from bal.typing import Gaussian, Learner

MB = 2**20
CHUNK = 50_000
NOISE = 0.1


@dataclass(frozen=True)
class Config:
    """What to measure."""

    rows: int = 1_000_000
    """Fingerprints."""
    bits: int = 2048
    """Bits of each, a multiple of 32."""
    picks: int = 100
    """Size of the batch."""
    scaffolds: int = 1000
    """Sets of bits that fingerprints share."""


NOTHING = Learner(
    lambda key, data: jnp.zeros(()),
    lambda key, state, data: state,
    lambda state, x: Gaussian(*(jnp.full((x.shape[0], 1), value) for value in (0.0, 1.0, 1.0))),
)
"""A learner that learns nothing: what is picked hangs on the inputs alone."""


class Peak(threading.Thread):
    """The most memory of its own that this process holds while the thread runs, in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before, self.most, self.ended = own_memory(), 0, threading.Event()

    def run(self) -> None:
        """Look every 5 ms."""
        while not self.ended.wait(0.005):
            self.most = max(self.most, own_memory())

    def above(self) -> int:
        """End, and tell what was held above the start."""
        self.ended.set()
        self.join()
        return self.most - self.before


def own_memory() -> int:
    """Resident bytes of this process that are not pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def write(path: Path, config: Config) -> np.memmap:
    """Random fingerprints in a file."""
    rng, words = np.random.default_rng(0), config.bits // 32
    random = lambda *shape: rng.integers(0, 2**32, shape, np.uint32)
    scaffolds = random(config.scaffolds, words) & random(config.scaffolds, words)
    for _ in range(3):  # a 32nd of the bits
        scaffolds &= random(config.scaffolds, words)
    whole = np.memmap(path, np.uint32, "w+", shape=(config.rows, words))
    for start in range(0, config.rows, CHUNK):
        n = min(CHUNK, config.rows - start)
        own = random(n, words) & random(n, words)
        for _ in range(5):  # a 128th
            own &= random(n, words)
        kept = random(n, words) | random(n, words)  # three quarters
        whole[start : start + n] = (scaffolds[rng.integers(0, config.scaffolds, n)] & kept) | own
    whole.flush()
    return np.memmap(path, np.uint32, "r", shape=(config.rows, words))


def information(words: np.ndarray) -> float:
    """``½ log det(I + K / σ²)`` of a batch, in float64 on its bits."""
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1).astype(np.float64)
    both = bits @ bits.T
    either = bits.sum(1)[:, None] + bits.sum(1)[None] - both
    return float(np.linalg.slogdet(np.eye(len(words)) + both / either / NOISE)[1] / 2)


def main(config: Config) -> None:
    if config.bits % 32 or config.picks >= config.rows:
        raise SystemExit(
            f"--bits must be a multiple of 32 and --picks below the rows, got {config.bits}, {config.picks}"
        )
    with tempfile.TemporaryDirectory() as folder:
        x = write(Path(folder) / "fingerprints", config)
        query = Query((Stage(inputs, max_det(noisy(tanimoto, NOISE))),))
        setup = Setup(NOTHING, query, config.picks, 1, 1, over=streamed())
        task, key = Task(make_pool(x), np.zeros(config.rows, np.float32)), seed_keys(0, 1)[0]
        peak, begun = Peak(), time.perf_counter()
        peak.start()
        picked = np.asarray(run_eager(key, task, setup).indices[0])
        taken, above = time.perf_counter() - begun, peak.above()
        rng = np.random.default_rng(1)
        others = [information(x[np.sort(rng.choice(config.rows, config.picks, False))]) for _ in range(5)]
        ours = information(x[np.sort(picked)])
    table = Table(title=f"MaxDet: {config.picks} of {config.rows:,} x {config.bits:,} bits", box=SIMPLE_HEAD)
    table.add_column("what")
    table.add_column("number", justify="right")
    table.add_row("the file, 2^20 bytes", f"{x.nbytes / MB:,.0f}")
    table.add_row("held at the peak, 2^20 bytes", f"{above / MB:,.0f}")
    table.add_row("seconds, compiling included", f"{taken:,.1f}")
    table.add_row("information of the batch, nats", f"{ours:.3f}")
    table.add_row("of random batches, at most", f"{max(others):.3f}")
    Console().print(table)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
