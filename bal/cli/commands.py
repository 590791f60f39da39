"""What can be typed: the commands of `bal` and their options, as tyro reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

Words = Annotated[tuple[str, ...], arg(metavar="NAME=VALUE ...")]
Function = Annotated[Positional[str], arg(metavar="MODULE:FUNCTION")]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Run one cell: a function of a module, with the settings that it takes.

    `bal run module:function --help` lists the settings. What is done is not run again; what was stopped goes on.

    bal run experiments.study:run --data digits --strategy bald
    """

    function: Function
    """module:function; it is called with its settings and the folder of records."""
    root: Path = Path("runs")
    """Folder of records."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Run many cells, each once, with several processes or machines that share a folder.

    `bal sweep module:function --help` lists the settings. Stopped, the same command goes on; typed on another machine
    too, the cells are shared. Failed cells are listed at the end, with the command that runs them again.

    bal sweep experiments.study:run --grid data=digits,vowel strategy=random,bald --seeds 5
    """

    function: Function
    """module:function; it is called for each cell with its settings and the folder of records."""
    grid: Words = ()
    """Values of settings, separated by commas, as in width=8,16 "names=a b,c": every combination is a cell. One setting
    with several values at once has them separated by blanks."""
    file: Path | None = None
    """A TOML file with settings in [config] and lists of values in [grid]; the command line has the last word."""
    resume: bool = False
    """Run the cells that are on record under the root and not done, whatever they are; without --grid and settings."""
    root: Path = Path("runs")
    """Folder of records, which machines share."""
    engine: Literal["local", "here", "slurm", "ray", "dask"] = "local"
    """Where cells run: processes of this machine, this process, Slurm (needs submitit), Ray or Dask."""
    workers: int | None = None
    """Cells that run at a time; as many as there are cores by default. 1 where all share one accelerator."""
    with_: Annotated[Words, arg(name="with")] = ()
    """Options of the engine, as in timeout_min=60 slurm_partition=gpu, or address=... of a cluster."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """What is done, running, failed and missing under a folder. The exit code is 1 if a cell has failed.

    bal status runs
    """

    root: Positional[Path] = Path("runs")
    """Folder of records."""
    traceback: bool = False
    """The whole traceback of every failed cell."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Tables and pictures of all studies under a folder: what can be told from random, and what cannot.

    bal report runs --metric accuracy --target 0.9
    """

    root: Positional[Path] = Path("runs")
    """Folder of records."""
    metric: str | None = None
    """What is compared; accuracy, or else rmse, or else the first by default."""
    lower_is_better: bool | None = None
    """For the metric; known for those of bal.evaluation."""
    target: float | None = None
    """Value of the metric for the column "labels to"."""
    baseline: str = "random"
    """Strategy that the others are compared with."""
    out: Path = Path("report")
    """Folder for pictures and pages."""
    governance: bool = False
    """In place of that, what the records say about data, code, labels and choices: documentation, one page a record."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Make the picks of a record again and compare them. The exit code is 1 if they are others.

    bal replay runs/digits/1a2b3c4d5e6f experiments.study:problem
    """

    path: Positional[Path]
    """Folder of one record."""
    function: Function
    """module:function; called with the settings that are on record and the number of a seed, it returns the task and
    the set-up."""
    seed: int = 0
    """Which seed of the record."""
    rounds: tuple[int, ...] = ()
    """Which rounds; all by default."""
    query: str | None = None
    """Another strategy, by its name in bal.strategies: what would it have asked?"""


@dataclass(frozen=True, kw_only=True)
class Export:
    """All records under a folder as one table, for pandas, R or a spreadsheet.

    bal export runs picks.parquet
    """

    root: Positional[Path]
    """Folder of records."""
    out: Positional[Path]
    """File to write: .csv or .parquet (which needs polars)."""


COMMANDS: dict[str, tuple[type, str]] = {
    "run": (Run, "one cell: a function of a module, with its settings"),
    "sweep": (Sweep, "many cells, with several processes or machines"),
    "status": (Status, "what is done, running, failed and missing"),
    "report": (Report, "tables and pictures of all studies under a folder"),
    "replay": (Replay, "make the picks of a record again"),
    "export": (Export, "all records as one table: .csv or .parquet"),
}
