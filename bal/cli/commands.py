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
    """True or False, for a metric of your own; known for those of bal.evaluation."""
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

    Of a record of labels that people gave, the answers that stand; as .json Label Studio imports them.

    bal export runs picks.parquet

    bal export runs/label labels.json
    """

    root: Positional[Path]
    """Folder of records."""
    out: Positional[Path]
    """File to write: .csv, .parquet (which needs polars), or .json for labels."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """Label rows by hand in a browser while a model chooses them: from files, or what a function returns.

    Every answer is kept before the next row is shown. Stopped, the same command goes on. A folder holds pictures; of a
    table the texts are read, or the columns. Needs nicegui: pip install 'bal-jax[ui]'.

    bal label mails.csv --classes spam ham --text body

    bal label pictures/ --classes cat dog --test-rows 50

    bal label experiments.labeling:digits test_rows=100
    """

    source: Annotated[Positional[str], arg(metavar="SOURCE")]
    """A .csv file, a folder of pictures, or module:function that returns a bal.labeling.Labeling."""
    settings: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME=VALUE ...")] = ()
    """What the function is called with."""
    root: Path = Path("runs/label")
    """Folder of the record."""
    classes: tuple[str, ...] = ()
    """Names of the classes."""
    several: bool = False
    """A row has any number of the classes."""
    number: tuple[float, float] | None = None
    """Least and largest answer, in place of classes."""
    text: str | None = None
    """Column of texts; the first one of sentences by default."""
    columns: tuple[str, ...] = ()
    """Columns that the model sees, numbers and categories; all by default."""
    id: str | None = None
    """Column with the names of rows."""
    annotators: tuple[str, ...] = ()
    """Who may label; anybody who has the link by default."""
    batch_size: int | None = None
    """Rows that one fit asks for; 10 by default."""
    budget: int | None = None
    """Labels after which it ends."""
    repeat: float | None = None
    """Share of rows shown twice, to see how far people agree."""
    test_rows: int | None = None
    """Rows held out, which are shown too: what the accuracy is estimated from."""
    load: Path | None = None
    """Answers to begin with: a .csv file, or a .json file of Label Studio."""
    export: Path | None = None
    """File to write at the end: .csv, or .json for Label Studio. bal export writes it at any time."""
    host: str = "127.0.0.1"
    """Address to serve on: this machine alone, unless you say otherwise."""
    port: int = 0
    """A free one by default."""
    open: bool = True
    """Open the page in a browser."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """A page in the browser on a folder of records, while it grows; nothing there is written or locked.

    Needs nicegui: pip install 'bal-jax[ui]'

    bal watch runs --pool experiments.study:problem --picture 8 8
    """

    root: Positional[Path] = Path("runs")
    """Folder of records."""
    pool: Annotated[str | None, arg(metavar="MODULE:FUNCTION")] = None
    """module:function as of bal replay: called with the settings that are on record and the number of a seed, it
    returns the task and the set-up. Its pool is drawn as a map, and its rows beside their scores."""
    picture: tuple[int, ...] = ()
    """Shape of a row that is a picture and lies in one line, as in 28 28."""
    port: int = 0
    """Port; a free one by default."""
    host: str = "127.0.0.1"
    """Address to listen on: this machine alone by default."""
    open: bool = True
    """Open the page in a browser, where there is a screen."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """Features of texts or pictures by a pretrained encoder: computed once, kept in a folder.

    Stopped, the same command goes on. bal.features.open_features reads the folder. Texts need tokenizers and
    safetensors: pip install 'bal-jax[text]'.

    bal features minilm messages.csv --column text --out cache/messages

    bal features efficientnet-lite0 pictures/ --out cache/pictures
    """

    encoder: Annotated[Positional[str], arg(metavar="ENCODER")]
    """minilm, efficientnet-lite0, a folder with a checkpoint of BERT, DistilBERT or RoBERTa; to try things tiny-text or
    tiny-image, whose weights are random."""
    source: Annotated[Positional[str], arg(metavar="SOURCE")]
    """A .csv file, a .txt file with a text a line, a folder of pictures, or sms_spam, mnist or fashion_mnist."""
    out: Path
    """Folder of the features."""
    column: str | None = None
    """Column of texts of a .csv file."""
    id: str | None = None
    """Column with the names of rows; their numbers by default."""
    size: int | None = None
    """Pixels of a side that pictures are brought to by efficientnet-lite0: 224 by default; 112 take a quarter of the
    time."""
    truncate: int | None = None
    """Tokens that are kept of a longer text; one longer than the model is refused by default."""
    download: bool = False
    """Fetch minilm or efficientnet-lite0 from Hugging Face if it is nowhere else."""


COMMANDS: dict[str, tuple[type, str]] = {
    "run": (Run, "one cell: a function of a module, with its settings"),
    "sweep": (Sweep, "many cells, with several processes or machines"),
    "status": (Status, "what is done, running, failed and missing"),
    "report": (Report, "tables and pictures of all studies under a folder"),
    "replay": (Replay, "make the picks of a record again"),
    "export": (Export, "all records as one table: .csv or .parquet; labels as .csv or .json"),
    "label": (Label, "label rows by hand in a browser while a model chooses them"),
    "watch": (Watch, "a page in the browser on a folder of records, while it grows"),
    "features": (Features, "features of texts or pictures by a pretrained encoder, kept in a folder"),
}
