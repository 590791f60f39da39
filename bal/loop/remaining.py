"""What is missing of a set-up on record: its seeds compiled together, or one after the other where they cannot be."""

from collections.abc import Callable

from jaxtyping import Array

from bal.evaluation.history import StoppingRule
from bal.loop.compiled import Log
from bal.loop.doors import seed_axes
from bal.loop.eager import run_eager
from bal.loop.finished import identities, num_finished, one_seed
from bal.loop.seeds import run_seeds
from bal.loop.stopping import where_stopped
from bal.pool.over import over_of
from bal.records import Record
from bal.typing import Setup, Task


def run_remaining(
    record: Record,
    keys: Array,
    task: Task,
    setup: Setup,
    axes: Task | None,
    seeds_per_call: int,
    show: Callable[[int, str], None],
    stop: StoppingRule | None = None,
) -> None:
    """Run the seeds that are not on record; `show` is told how many there are and what is being done.

    Compiled seeds go on to their end whatever the rule says, others stop.
    """
    num_seeds, per_seed = len(keys), seed_axes(axes, task)
    price = lambda seed: one_seed(task, per_seed, seed).pool.cost
    has_stopped = lambda seed: where_stopped(stop, record, seed, setup.num_rounds, price(seed)) is not None
    finished = num_finished(record, identities(keys, task, setup, per_seed), setup.num_rounds, has_stopped)
    if finished < num_seeds:
        if record.done:
            record.reopen()
        if over_of(setup.learner, setup.over).place == "device":
            _together(record, keys, task, setup, axes, seeds_per_call, show, finished)
        else:
            _in_turn(record, keys, task, setup, axes, show, finished, stop)
    else:
        show(num_seeds, "on record")
    if not record.done:
        record.finish({"num_seeds": num_seeds})


def _together(
    record: Record,
    keys: Array,
    task: Task,
    setup: Setup,
    axes: Task | None,
    seeds_per_call: int,
    show: Callable[[int, str], None],
    finished: int,
) -> None:
    num_seeds, known = len(keys), [finished]

    def kept(log: Log) -> None:
        known[0] += len(log.start)
        show(known[0], "running" if known[0] < num_seeds else "done")

    show(finished, "compiling")
    run_seeds(
        keys,
        task,
        setup,
        axes,
        record=record,
        seeds_per_call=seeds_per_call,
        on_compiled=lambda seconds: show(finished, "running"),
        on_seeds=kept,
    )


def _in_turn(
    record: Record,
    keys: Array,
    task: Task,
    setup: Setup,
    axes: Task | None,
    show: Callable[[int, str], None],
    finished: int,
    stop: StoppingRule | None,
) -> None:
    per_seed, num_seeds = seed_axes(axes, task), len(keys)
    show(finished, "running")
    for number in range(finished, num_seeds):
        run_eager(keys[number], one_seed(task, per_seed, number), setup, record, number, stop=stop)
        show(number + 1, "running" if number + 1 < num_seeds else "done")
