"""Bayesian active learning on JAX.

typing        page one: the nouns that everything exchanges, and the types of the functions
method        what a factory makes is a value: equal to another made alike, printed as the call that made it
progress      how far something is: bars in a terminal or a notebook, lines in a log file
markup        values as a small table for notebooks, escaped
numerics      every numerical trick, written once
pool          the candidates: read, mapped over (dense, chunked, streamed, host), logged once they are labeled
acquisition   predictions -> scores, one number per row
kernels       what batch rules compare rows with, and transforms of rows
backbones     pretrained encoders of text and images, a small language model; the layers that adapters come into
learners      posteriors over functions: deep ensembles, Monte-Carlo dropout, Gaussian processes (`learners.gp`)
selection     scores or rows -> a batch of picks
query         the funnel of stages, and everything that plugs into a stage
strategies    recipes: every method as a query, ready for a `Setup`
loop          whole experiments: `run`, `run_seeds`, `run_eager`, `study`, `Campaign`; `task` reads one's own table
features      what a frozen encoder makes of every row: computed once, kept in a folder, read as a pool
adapters      few parameters beside frozen ones, and ensembles of them as learners
proxies       a cheap model chooses for an expensive one
tagging       a label for every token of a sentence, budgets in tokens
pairs         preferences: learners, queries over all pairs of items, `run_pairs`, `PairCampaign`
bilevel       batches on which a small model learns most about the pool; features and starts without labels
simulators    solvers as oracles: labels computed inside the compiled experiment
evaluation    metrics, learning curves, paired statistics over seeds
records       what a run leaves on disk
sweep         many cells, by many processes or machines; `grid` makes the cells
pages         what pages in a browser share: a server on this machine alone, a token in the link, a look
labeling      people give labels: the desk that hands out items and keeps every answer, and its page
watching      a folder of records seen in a browser while it grows
notebook      the same desk in a notebook
cli           the command `bal`: run, sweep, status, report, replay, export
datasets      loaders of real data, and of one's own tables
learned       selection that is itself learned: a ranking of sets, bandits over strategies, policies
stream        rows that come one at a time: rules, budgets, `run_stream`, `StreamCampaign`
testing       checks for methods of one's own: `check_acquisition`, `check_rule`, `check_learner` ...
bridges       doors to modAL, scikit-activeml, Hugging Face and safetensors

Nothing heavy is imported here: a part such as `bal.strategies`, or a name such as `bal.run_seeds`, is looked up when it
is first used.
"""

from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "pool": ("chunked", "dense", "host", "make_pool", "streamed"),
    "query": ("Query", "Stage", "by_score"),
    "loop": ("Campaign", "run", "run_eager", "run_seeds", "seed_keys", "study", "task", "use_all_cores"),
    "records": ("load", "open_record"),
    "sweep": ("grid",),
    "typing": ("Setup", "Task"),
}


_PARTS = (
    *(
        "acquisition",
        "adapters",
        "backbones",
        "bilevel",
        "bridges",
        "cli",
        "datasets",
        "evaluation",
        "features",
        "kernels",
        "labeling",
        "learned",
        "learners",
        "loop",
        "markup",
        "method",
        "notebook",
        "numerics",
        "pages",
        "pairs",
        "pool",
        "progress",
    ),
    *("proxies", "query", "records", "selection", "simulators", "strategies", "stream", "sweep", "tagging", "testing"),
    *("typing", "watching"),
)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _PARTS:
        return import_module(f"bal.{name}")
    for part, names in _WHERE.items():
        if name in names:
            return getattr(import_module(f"bal.{part}"), name)
    raise AttributeError(f"module 'bal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PARTS, *(name for names in _WHERE.values() for name in names)})
