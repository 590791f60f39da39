"""A study: several set-ups on several tasks over paired seeds, recorded, so that only what is missing is run."""

import hashlib
import itertools
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bal.evaluation.history import StoppingRule
from bal.learners.settings import check_count
from bal.loop.curves import Study, curves_of
from bal.loop.doors import check_is_setup, seed_axes
from bal.loop.fingerprint import describe
from bal.loop.finished import one_seed
from bal.loop.remaining import run_remaining
from bal.loop.round import seed_keys
from bal.loop.stacked import stacked, task_digest
from bal.loop.stopping import check_rule, where_stopped
from bal.method import brief
from bal.progress import progress
from bal.records import Record, Tracker, open_record
from bal.records.environment import environment
from bal.records.writers import written_by
from bal.selection import random_uniform
from bal.typing import Query, Setup, Stage, Task

BASELINE = "random"
TaskOf = Task | Callable[[int], Task]
"""A task that all seeds share, or a function from the number of a seed to its task."""


def study(
    root: str | Path,
    tasks: Mapping[str, TaskOf],
    setups: Mapping[str, Setup],
    num_seeds: int,
    *,
    seed: int = 0,
    seeds_per_call: int = 4,
    fresh: bool = False,
    options: Mapping[str, Any] | None = None,
    console: Any = None,
    on_progress: Callable[[str, str, int], None] | None = None,
    baseline: str | None = BASELINE,
    stop: StoppingRule | None = None,
    tracker: Callable[[Record], Tracker] | None = None,
) -> Study:
    """Run every set-up on every task for the same seeds, or read back what is on record.

    There is one record for each task and set-up, ``root/<task>/<digits>``, on which seeds are as soon as they are
    finished: a study that was killed goes on where it stopped, and grows with `num_seeds`. The digits stand for the
    data of the task, learner, query and sizes; change one of them and the set-up is run anew beside the old record.

    Seeds of a set-up are one compiled program; with a model that JAX cannot trace, or a pool outside the device, they
    are run one after the other by `run_eager`, from round to round on record.

    Use it when a table or a figure is to come of it, for one comparison or for many.

    Args:
      root: folder of records.
      tasks: by name, which is the name of a folder; a `Task` that all seeds share, or a function that makes that of a
        seed from its number (0, 1, ...), to have other pools, tests and start sets. What is the same array, or equal,
        in all of them is shared and kept once.
      setups: by name. One named "random" is the baseline; if there is none, the first set-up with a random query is
        added as such.
      num_seeds: seeds of every set-up, paired: seed s has the same task and the same key in all of them.
      seed: root of the keys.
      seeds_per_call: seeds that are run, and written down, together; rounded up to a multiple of the devices.
      fresh: nothing is read back; the records that are there are set aside.
      options: more to be said of a record, as ``config.*`` of `bal.records.table`; part of what it stands for.
      console: a `rich.console.Console` for progress, see `bal.progress`. Standard output by default.
      on_progress: called with task, set-up and number of seeds on record, whenever that changes.
      baseline: name of the set-up that is added if there is none; None = none is, where each cell of a `bal.sweep` runs
        one set-up, and random is another cell.
      stop: a rule of `bal.evaluation`; curves end where it stops a seed, and the reason is printed. Seeds run one after
        the other stop there; compiled ones run on, so that other rules can be tried on the same record.
      tracker: from a record that is not finished, a tracker to be told beside it (`bal.records.tensorboard`, say).

    Returns:
      `Curves` by task, which print as tables.

    Raises:
      ValueError, TypeError: as `run_seeds`; a task whose seeds do not have one structure; a record of other seeds.

    >>> import tempfile
    >>> import numpy as np
    >>> from rich.console import Console
    >>> from bal.learners import bayesian_linear
    >>> from bal.evaluation import compare, regression
    >>> from bal.pool import make_pool
    >>> from bal.strategies import variance
    >>> x = np.linspace(-1, 1, 30, dtype=np.float32)[:, None]
    >>> task = Task(make_pool(x), 2 * x[:, 0], (x, 2 * x[:, 0]))
    >>> setup = Setup(bayesian_linear(noise=0.1, prior=1.0), variance(), 1, 1, 2, regression())
    >>> found = study(tempfile.mkdtemp(), {"line": task}, {"variance": setup}, 2, console=Console(quiet=True))
    >>> labels, rmse = found["line"].labels, found["line"].metrics["rmse"]
    >>> labels.tolist(), {name: round(float(seeds[:, -1].mean()), 2) for name, seeds in rmse.items()}
    ([2, 3], {'random': 0.21, 'variance': 0.08})
    >>> sorted(compare(labels, rmse, higher_is_better=False))
    ['random', 'variance']
    """
    check_count("num_seeds", num_seeds)
    check_rule(stop)
    if not tasks or not setups:
        raise ValueError("a study needs at least one task and one set-up, by name: {'digits': Task(...)}")
    for setup in setups.values():
        check_is_setup(setup)
    sizes = {name: (setup.batch_size, setup.num_rounds) for name, setup in setups.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"curves are compared label by label, so all set-ups of a study need one batch_size and one num_rounds, "
            f"got {sizes}; give them the same, or make a study of each"
        )
    if baseline is not None and baseline not in setups:
        setups = {baseline: next(iter(setups.values()))._replace(query=Query((Stage(None, random_uniform),))), **setups}
    show_all = on_progress or (lambda task, setup, finished: None)
    for task_name, name in itertools.product(tasks, setups):
        show_all(task_name, name, 0)
    keys, found = seed_keys(seed, num_seeds), Study()
    for task_name, task_of in tasks.items():
        task, axes = stacked(task_of, num_seeds)
        told = {}
        with progress(console) as (show, say, _):
            for name, setup in setups.items():
                title = f"{task_name} {name}" if len(tasks) > 1 else name

                def shown(finished: int, doing: str, told: tuple = (title, task_name, name), show: Callable = show):
                    show(told[0], finished, num_seeds, f"{doing}, {finished} of {num_seeds} seeds")
                    show_all(told[1], told[2], finished)

                config = in_words(name, setup, seed, options or {})
                with open_record(root, task_name, config, task_digest(task, axes), fresh) as record:
                    words = _origin(record)
                    if tracker is not None and not record.done:
                        record.track(tracker(record))
                    run_remaining(record, keys, task, setup, axes, seeds_per_call, shown, stop)
                    prices = (one_seed(task, seed_axes(axes, task), s).pool.cost for s in range(num_seeds))
                    ends = [where_stopped(stop, record, s, setup.num_rounds, p) for s, p in enumerate(prices)]
                    last = [setup.num_rounds if end is None else end["round"] for end in ends]
                    told[name] = [record.rounds(seed)[: end + 1] for seed, end in enumerate(last)]
                say(f"{title}: {record.path}{words}{_why(ends)}")
        found[task_name] = curves_of(told)
    return found


def in_words(name: str, setup: Setup, seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a record stands for beside its data: a set-up in words, and a digest of all that they stand for."""
    methods = (setup.learner, setup.query, setup.evaluate)
    text = "\n".join(describe(method).split("\n", 1)[-1] for method in methods)  # the first line is of versions
    words = {
        "strategy": name,
        "learner": brief(setup.learner),
        "query": brief(setup.query),
        "batch_size": setup.batch_size,
        "num_rounds": setup.num_rounds,
        "num_initial": setup.num_initial,
        "evaluate": brief(setup.evaluate),
        "root": seed,
        "methods": hashlib.sha256(text.encode()).hexdigest()[:12],
    }
    taken = sorted(name for name in words.keys() & options.keys() if options[name] != words[name])
    if taken:
        raise ValueError(f"a study says {taken} of every record by itself; give the options other names")
    return {**options, **words}


def _origin(record: Record) -> str:
    """Who recorded what is there, and what has changed since, in words; nothing of an empty record."""
    if not record.events:
        return ""
    words = f", recorded by {record.written_by}"
    if not record.changes:
        return words
    return f"{words}; this is {_present()}, changed: {', '.join(record.changes)}; fresh=True (--fresh) runs it anew"


@cache
def _present() -> str:
    return written_by([environment()])


def _why(ends: list[dict[str, Any] | None]) -> str:
    """How many seeds stopped, and why the first of them did."""
    reasons = [end["reason"] for end in ends if end is not None]
    return f"; {len(reasons)} of {len(ends)} seeds stopped early ({reasons[0]})" if reasons else ""
