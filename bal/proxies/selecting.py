"""A cheap model selects, an expensive one is trained on what it selected: SVP, SVPp and ASVP."""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.evaluation.history import History
from bal.loop.compiled import Log
from bal.loop.eager import run_eager
from bal.loop.round import fold
from bal.pool.over import dense, num_rows, take
from bal.proxies.costs import Cost, costs_of, fit_flops, row_flops
from bal.proxies.switch import Final, Switch, when_flat
from bal.proxies.training import answers, first_state, fitted, measured
from bal.records import Record
from bal.typing import Learner, Over, Pool, Posterior, PRNGKey, PyTree, Setup, Task, Values

TARGET, ALIGN, AFTER = 101, 102, 103


class Selected(NamedTuple):
    """What was selected by proxy, and what came of it.

    rows, y: pool rows in the order in which they were labeled, and their labels.
    logs: of the proxy: one, or one before the switch and one behind it, which begins with all labels so far.
    switched: labels at the switch; None where it was not thrown.
    posterior: the target trained on all labels; metrics: what the set-up's `evaluate` says of it.
    costs: of all parts, in order.
    """

    rows: np.ndarray
    y: Any
    logs: tuple[Log, ...]
    switched: int | None
    posterior: Posterior
    metrics: dict[str, Any]
    costs: tuple[Cost, ...]


def svp(key: PRNGKey, task: Task, setup: Setup, target: Learner, *, record: Record | None = None) -> Selected:
    """Selection via proxy: the set-up's learner selects in every round, the target is trained once, on the result.

    The proxy may be anything cheaper on the same inputs: fewer layers, fewer steps, a linear model. The run of the
    proxy is `bal.loop.run_eager`, so a proxy that is the target picks what the target would.

    Use it where training the target is what costs; for a pretrained network and its features see `asvp`.

    Args:
      key: key of this seed.
      task, setup: as in `bal.loop.run_eager`; the set-up's learner is the proxy, its `evaluate` is asked of both.
      target: any learner.
      record: keeps the proxy's rounds.

    Raises:
      ValueError, TypeError: as `bal.loop.run_eager`.

    Coleman, Yeh, Mussmann, Mirzasoleiman, Bailis, Liang, Leskovec, Zaharia 2020, "Selection via Proxy: Efficient Data
    Selection for Deep Learning".
    """
    log, costs = _timed_run(key, task, setup, None, record, 0)
    rows, y = _labeled([log])
    posterior, cost = _target(key, target, task.pool, rows, y, _capacity(log, setup))
    metrics = measured(setup, posterior, task.test)
    return Selected(rows, y, (log,), None, posterior, metrics, (*costs, cost))


def asvp(
    key: PRNGKey,
    task: Task,
    setup: Setup,
    target: Learner,
    *,
    switch: Switch = when_flat(),  # noqa: B008 - a value
    final: Final | None = None,
    features: tuple[Values, Values | None] | None = None,
    over: Over | None = None,
    record: Record | None = None,
) -> Selected:
    """Active learning of a pretrained network through its features, which are aligned once: ASVP.

    Features of the pool are computed once by the pretrained network (`Learner.embed` of the target's first state); the
    set-up's learner, some small network, runs the whole loop on them. Where the switch is thrown, the target is
    fine-tuned on the labels so far, the features are made anew, and the loop goes on from the same labels. At the end
    the target is trained on all labels. With ``switch=never`` features stay frozen: SVPp.

    The released code of the paper begins again from no label at the switch; here it goes on, as the text says.

    Use it where a big network is to be fine-tuned on few labels and every fine-tuning counts; `costs` tells what was
    saved, and `bal.proxies.costs_of` what the network itself would have spent as the learner of every round.

    Args:
      key: key of this seed.
      task: inputs as the target takes them; a test is ``(x, y)``.
      setup: of the proxy, which sees features ``[n, F]``; its `evaluate` is asked of proxy and target.
      target: with `embed`; `bal.proxies.fine_tuned`, most often.
      switch: `when_flat()`, `at_labels(n)`, `never`, or one's own.
      final: chooses the learner of the last training, as `by_evidence`; the target itself by default.
      features: those of pool and test by the pretrained network, where they have been computed already.
      over: how the network meets the pool, as `bal.pool.streamed()` for images on disk.
      record: keeps the proxy's rounds, those before the switch as its seed 0, those behind it as 1.

    Raises:
      ValueError: a target without `embed`; a test that is no ``(x, y)``; features of other rows than the pool's; all
        that `bal.loop.run_eager` refuses.

    Wen, Pizarro, Williams 2024, "Feature Alignment: Rethinking Efficient Active Learning via Proxy in the Context of
    Pre-trained Models".
    """
    if target.embed is None:
        raise ValueError("a proxy looks at the target's features, but this target has no `embed`; use fine_tuned(...)")
    if task.test is not None and not (isinstance(task.test, tuple) and len(task.test) == 2):
        raise ValueError(f"expected a test of inputs and labels, (x, y), got {type(task.test).__name__}")
    encode = lambda state, x: _features(target, over or dense, state, x)
    raw, num_first = task.pool, setup.num_initial if task.start is None else len(task.start)
    began, costs = time.perf_counter(), []
    start = None
    if features is None:
        start = first_state(key, target, raw)
        features = encode(start, raw.x), None if task.test is None else encode(start, task.test[0])
        costs.append(_cost("encode", 0, row_flops(target.embed, start, raw.x).times(num_rows(raw.x)), began))
    seen = _seen(task, *features)
    fires = lambda history: switch(history, np.asarray(seen.pool.x)[history.rows])
    log, rounds = _timed_run(key, seen, setup, fires, record, 0)
    costs += rounds
    logs, (rows, y), switched = [log], _labeled([log]), None
    capacity = int(num_first or 0) + max(setup.num_rounds, 1) * setup.batch_size
    left = setup.num_rounds - len(log.indices)
    if left:
        began, switched = time.perf_counter(), len(rows)
        data = answers(raw, rows, y, capacity)
        state = fitted(fold(key, ALIGN), target, data)
        test = None if task.test is None else encode(state, task.test[0])
        seen = _seen(task, encode(state, raw.x), test)._replace(start=rows)
        work = fit_flops(target, data) + row_flops(target.embed, state, raw.x).times(num_rows(raw.x))
        costs.append(_cost("align", switched, work, began))
        again = setup._replace(num_rounds=left, num_initial=None)
        log, rounds = _timed_run(fold(key, AFTER), _remembering(seen, rows, y), again, None, record, 1)
        costs += [rounds[0]._replace(labels=0, price=0.0), *rounds[1:]]  # those it begins with have been paid for
        logs.append(log)
        rows, y = _labeled([log])
    learner = target if final is None else final(np.asarray(seen.pool.x)[rows], np.asarray(y))
    posterior, cost = _target(key, learner, raw, rows, y, capacity)
    metrics = measured(setup, posterior, task.test)
    return Selected(rows, y, tuple(logs), switched, posterior, metrics, (*costs, cost))


@lru_cache(maxsize=16)
def _vectors(learner: Learner) -> Callable:
    embed: Any = learner.embed

    def vectors(state: PyTree, x: PyTree) -> jax.Array:
        rows = embed(state, x)
        return rows.reshape(len(rows), -1)

    return jax.jit(vectors)


def _features(target: Learner, over: Over, state: PyTree, x: PyTree) -> jax.Array:
    return over.map(_vectors(target), (state,), x)


def _seen(task: Task, pool: Any, test: Any) -> Task:
    """The task as the proxy sees it: features in place of inputs, but for the oracle."""
    if len(pool) != num_rows(task.pool.x):
        raise ValueError(f"expected features of the {num_rows(task.pool.x)} rows of the pool, got {len(pool)}")
    if task.test is not None and (test is None or len(test) != num_rows(task.test[0])):
        raise ValueError(f"expected features of the {num_rows(task.test[0])} test rows beside those of the pool")
    oracle = task.oracle
    if callable(oracle):
        oracle = lambda key, rows, z: task.oracle(key, rows, take(task.pool.x, np.asarray(rows)))
    return Task(task.pool._replace(x=jnp.asarray(pool)), oracle,
                None if task.test is None else (jnp.asarray(test), task.test[1]), task.start)  # fmt: skip


def _remembering(task: Task, rows: np.ndarray, y: Any) -> Task:
    """Nobody is asked again for the labels that there are."""
    if not callable(task.oracle):
        return task
    place = {int(row): number for number, row in enumerate(rows)}

    def oracle(key: PRNGKey, indices: Any, z: PyTree) -> Any:
        found = [place.get(int(row)) for row in np.asarray(indices)]
        return task.oracle(key, indices, z) if None in found else take(y, np.array(found, int))

    return task._replace(oracle=oracle)


def _timed_run(
    key: PRNGKey, task: Task, setup: Setup, stop: Callable[[History], Any] | None, record: Record | None, seed: int
) -> tuple[Log, list[Cost]]:
    ends = [time.perf_counter()]
    log = run_eager(key, task, setup, record, seed, stop=stop, on_round=lambda event: ends.append(time.perf_counter()))
    ends = ends[:1] * (len(log.num_training) + 1 - len(ends)) + ends  # rounds that were on record took no time now
    return log, costs_of(task, setup, log, np.diff(ends).tolist())


def _labeled(logs: Sequence[Log]) -> tuple[np.ndarray, Any]:
    """Rows in the order in which they were labeled, and their labels."""
    log = logs[-1]
    valid = np.asarray(log.valid).ravel()
    rows = np.concatenate([np.asarray(log.start), np.asarray(log.indices).ravel()[valid]]).astype(np.int64)
    of_picks = lambda leaf: np.asarray(leaf).reshape(-1, *leaf.shape[2:])[valid]
    return rows, jax.tree.map(
        lambda first, more: np.concatenate([np.asarray(first), of_picks(more)]), log.y_start, log.y
    )


def _target(
    key: PRNGKey, learner: Learner, pool: Pool, rows: np.ndarray, y: Any, capacity: int
) -> tuple[Posterior, Cost]:
    began, data = time.perf_counter(), answers(pool, rows, y, capacity)
    state = jax.block_until_ready(fitted(fold(key, TARGET), learner, data))
    return Posterior(state, learner), _cost("target", len(rows), fit_flops(learner, data), began)


def _cost(part: str, at: int, work: Any, began: float) -> Cost:
    return Cost(part, at, 0, 0.0, work.count, work.unknown_loops, time.perf_counter() - began)


def _capacity(log: Log, setup: Setup) -> int:
    return len(log.start) + max(setup.num_rounds, 1) * setup.batch_size
