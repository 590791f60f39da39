"""What the experiment scripts share: the command line, strategies by name, and a recorded study of several strategies.

A study is one record a strategy under ``runs/<name>/``, on which seeds are as soon as they are finished. Seeds on
record are read back, not run again, so a study that was interrupted goes on where it stopped: type the same command.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from threadpoolctl import threadpool_limits

from bal.acquisition import bald, margin, mean_std, predictive_entropy, vote_variation_ratio
from bal.datasets import CorruptDataError, MissingDataError
from bal.evaluation import accuracy, brier, comparison_table, ece, learning_curves, mixture_nll, mixture_probabilities
from bal.events import log_events
from bal.loop import Log, seed_keys
from bal.query import Query, Stage, by_score
from bal.records import CorruptRecordError, Record, RecordLockedError, open_record
from bal.rows import Over, dense
from bal.seeds import SeedRuns, run_seeds
from bal.selection import best, power, random_uniform
from bal.typing import Pool, Posterior

STRATEGIES: dict[str, Query] = {
    "random": Query((Stage(None, random_uniform),)),
    "entropy": by_score(predictive_entropy, best),
    "margin": by_score(margin, best),
    "bald": by_score(bald, best),
    "power-bald": by_score(bald, power(1.0)),
    "variation-ratio": by_score(vote_variation_ratio, best),
    "mean-std": by_score(mean_std, best),
}

Config = TypeVar("Config")
ON_RECORD: dict[str, tuple[int, int]] = {}
"""Finished seeds and all seeds of every strategy of the study that runs: what `start` says when it is stopped."""
WRITING = threading.Lock()
"""Held while events are written, so that stopping leaves no half of a line."""


def start(main: Callable[[Config], None], config: type[Config], description: str | None) -> None:
    """Run a script: options from the command line, then `main` with them.

    Ctrl-C ends the process at once with one line and exit code 130, finished seeds kept. XLA compiles and runs where
    Python sees no signal, so `main` gets a thread of its own and this one waits for the signal. Nothing is cleaned up,
    for XLA's threads would crash meanwhile; records are made for that. Missing or damaged data and records, and a
    record that another process is writing, end in their one line too.
    """
    options = tyro.cli(config, description=description)
    try:
        ThreadPoolExecutor(1).submit(main, options).result()
    except KeyboardInterrupt:
        WRITING.acquire(timeout=10)
        leave()
    except (MissingDataError, CorruptDataError, RecordLockedError, CorruptRecordError) as error:
        raise SystemExit(str(error)) from None


def leave() -> None:
    """End the process as Ctrl-C does, with a line on what is kept."""
    known = [sum(part) for part in zip(*ON_RECORD.values())]
    kept = f"; type the same command again to go on: {known[0]} of {known[1]} seeds are on record" if known else ""
    if sys.__stdout__ is not None and sys.__stdout__.isatty():
        sys.__stdout__.write("\033[?25h\n")  # the cursor, which bars hide
    for stream, text in ((sys.__stdout__, ""), (sys.__stderr__, f"stopped{kept}\n")):
        if stream is not None:
            stream.write(text)
            stream.flush()
    os._exit(130)


def use_all_cores() -> None:
    """One host device a core, and a cache of compiled programs; call before any computation.

    LAPACK gets one thread: its own threads would make the small factorizations of many seeds wait for one another.
    """
    threadpool_limits(1, "blas")
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "bal" / "xla"))
    jax.config.update("jax_compilation_cache_dir", cache)


def evaluate(posterior: Posterior, test: tuple, over: Over = dense) -> dict[str, jax.Array]:
    """Metrics of the marginal prediction on test rows. `test` is (inputs, labels, rows to take of them)."""
    x, y, rows = test
    log_probs = over.map(_predict, (posterior,), x[rows])
    probs = mixture_probabilities(log_probs)
    return {
        "accuracy": accuracy(probs, y[rows]),
        "nll": mixture_nll(log_probs, y[rows]),
        "brier": brier(probs, y[rows]),
        "ece": ece(probs, y[rows]),
    }


def _predict(posterior: Posterior, x: jax.Array) -> jax.Array:
    return posterior.predict(x)


def run_study(
    name: str,
    config: Mapping[str, Any],
    fingerprint: str,
    queries: Mapping[str, Query],
    num_seeds: int,
    data: tuple,
    in_axes: tuple,
    runs: Path,
    console: Console,
    seeds_per_call: int,
    **settings: Any,
) -> dict[str, dict[str, np.ndarray]]:
    """Run (or read back) every strategy over all seeds; returns metrics ``[S, R + 1]`` by strategy and name.

    `data` is (pool, oracle, test, start), `in_axes` as in `bal.seeds.run_seeds`, `settings` the static arguments of
    `bal.loop.run` except the query. Every `seeds_per_call` seeds are written to disk.
    """
    ON_RECORD.update(dict.fromkeys(queries, (0, num_seeds)))
    curves = {}
    with _progress(console, num_seeds) as show:
        for strategy, query in queries.items():
            with open_record(runs, name, {**config, "strategy": strategy}, fingerprint) as record:
                if _num_finished(record) < num_seeds:
                    run = partial(run_seeds, seed_keys(0, num_seeds), *data, query=query, in_axes=in_axes, **settings)
                    _run_rest(record, num_seeds, partial(show, strategy), partial(run, seeds_per_call=seeds_per_call))
                else:
                    show(strategy, num_seeds, "on record")
                if not record.done:
                    record.finish({"num_seeds": num_seeds})
                curves[strategy] = _curves(record, num_seeds)
    return curves


@contextmanager
def _progress(console: Console, num_seeds: int) -> Iterator[Callable[[str, int, str], None]]:
    """Yields ``show(strategy, finished, doing)``: a bar a strategy in a terminal, lines with the time in a log file."""
    begun = time.monotonic()
    if not console.is_terminal:

        def line(strategy: str, finished: int, doing: str) -> None:
            ON_RECORD[strategy] = finished, num_seeds
            text = f"{time.monotonic() - begun:6.0f} s  {strategy}: {doing}, {finished} of {num_seeds} seeds"
            console.print(text, soft_wrap=True)

        yield line
        return
    doing = TextColumn("{task.fields[doing]}")
    columns = (TextColumn("{task.description:<17}"), BarColumn(26), MofNCompleteColumn(), TimeElapsedColumn(), doing)
    with Progress(*columns, console=console) as bars:
        tasks = {}

        def bar(strategy: str, finished: int, doing: str) -> None:
            ON_RECORD[strategy] = finished, num_seeds
            if strategy not in tasks:
                tasks[strategy] = bars.add_task(strategy, total=num_seeds, doing=doing)
            bars.update(tasks[strategy], completed=finished, doing=doing)

        yield bar


def _num_finished(record: Record) -> int:
    return len({event["seed"] for event in record.events if event["kind"] == "round"})


def _run_rest(record: Record, num_seeds: int, show: Callable[[int, str], None], run: Callable[..., SeedRuns]) -> None:
    """Run the seeds that are not on record; they are numbered on from those that are."""
    finished = _num_finished(record)

    def keep(log: Log) -> None:
        first, num = _num_finished(record), len(log.start)
        seeds = [jax.tree.map(lambda leaf, place=place: leaf[place], log) for place in range(num)]
        with WRITING:
            record.append([event for place, seed in enumerate(seeds) for event in log_events(seed, first + place)])
        show(first + num, "running" if first + num < num_seeds else "done")

    show(finished, "compiling")
    done = run(skip=finished, on_compiled=lambda seconds: show(finished, "running"), on_seeds=keep)
    seconds = {"compile_seconds": done.compile_seconds, "run_seconds": done.run_seconds}
    record.append([{"kind": "timing", **seconds, "num_seeds": num_seeds - finished}])


def _curves(record: Record, num_seeds: int) -> dict[str, np.ndarray]:
    rounds = [record.rounds(seed) for seed in range(num_seeds)]
    names = rounds[0][0]["metrics"]
    curves = {name: np.array([[event["metrics"][name] for event in seed] for seed in rounds]) for name in names}
    labels = np.array([[event["counts"]["training"] for event in seed] for seed in rounds])
    acquired = np.array([[event["acquired"] for event in seed[1:]] for seed in rounds])
    start = np.array([seed[0]["acquired"] for seed in rounds])
    return {**curves, "labels": labels, "acquired": acquired, "start": start}


class Distinct(NamedTuple):
    """Share of distinct originals in a batch, with its interval over seeds, and of picks already labeled in a copy."""

    mean: float
    low: float
    high: float
    repeats: float


def distinct_share(acquired: np.ndarray, start: np.ndarray) -> Distinct:
    """From the originals of all picks ``[S, R, B]`` and of the start set ``[S, S0]``."""
    per_seed = np.array([[len(set(batch)) / len(batch) for batch in seed] for seed in acquired.tolist()]).mean(1)
    if len(per_seed) > 1:
        sem = scipy.stats.sem(per_seed)
        low, high = per_seed.mean() + sem * np.array([-1, 1]) * scipy.stats.t.ppf(0.975, len(per_seed) - 1)
    else:
        low = high = per_seed.mean()
    flat = np.concatenate([start, acquired.reshape(len(acquired), -1)], 1)
    new = np.array([len(set(seed)) for seed in flat.tolist()]) - np.array([len(set(s)) for s in start.tolist()])
    return Distinct(per_seed.mean(), low, high, 1 - (new / acquired[0].size).mean())


def report(
    name: str,
    curves: dict[str, dict[str, np.ndarray]],
    target: float | None,
    figures: Path,
    console: Console,
    metric: str = "accuracy",
    higher_is_better: bool = True,
) -> None:
    """Print the table of one metric against random and draw its learning curves."""
    labels = next(iter(curves.values()))["labels"][0]
    chosen = {strategy: values[metric] for strategy, values in curves.items()}
    title = f"{name}: test {metric} against labels"
    console.print(
        comparison_table(labels, chosen, target=target, higher_is_better=higher_is_better, metric=metric, title=title)
    )
    figures.mkdir(parents=True, exist_ok=True)
    picture = figures / f"{name}.png"
    num_seeds = len(next(iter(chosen.values())))
    learning_curves(picture, labels, chosen, f"test {metric}", f"{name}: mean over {num_seeds} seeds")
    console.print(f"learning curves: {picture}")


def make_data(
    x: np.ndarray, y: np.ndarray, pools: np.ndarray, tests: np.ndarray, starts: np.ndarray
) -> tuple[tuple, tuple]:
    """Arrays and axes for `run_study` when every seed has its own pool rows ``[S, N]`` (bool), test rows and start."""
    pool = Pool(jnp.asarray(x), jnp.asarray(pools), jnp.ones(len(x)))
    labels = jnp.asarray(y, jnp.int32)
    data = (pool, labels, (pool.x, labels, jnp.asarray(tests)), jnp.asarray(starts, jnp.int32))
    axes: Any = {"x": None, "present": 0, "cost": None}
    return data, (Pool(**axes), None, (None, None, 0), 0)
