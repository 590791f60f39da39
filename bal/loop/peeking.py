"""References above all strategies: experiments whose picks are made with the labels of the pool and the test set.

They say how much there is to gain, and can never be used: their names end in "(peeks)", which tables and reports
neither test nor judge (`bal.evaluation.references`). A `Query` cannot see labels, so they are drivers of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bal.evaluation.references import PEEKS
from bal.learners.settings import check_count
from bal.loop.compiled import Log, run_asking
from bal.loop.curves import Curves
from bal.loop.doors import check_task
from bal.loop.round import QUERY, Carry, acquire, fit, measure, record_answers, reveal, seed_keys
from bal.loop.seeds import over_seeds, seed_rows
from bal.loop.stacked import stacked
from bal.loop.study import TaskOf
from bal.numerics import first_argmax, mask_scores
from bal.pool.labeled import is_waiting
from bal.pool.over import over_of
from bal.selection import random_uniform
from bal.typing import Candidates, Labeled, Posterior, PRNGKey, Query, Selection, Setup, Stage, Task

RANDOM = Query((Stage(None, random_uniform),))
GREEDY = f"greedy oracle{PEEKS}"


def greedy_oracle(
    tasks: Mapping[str, TaskOf],
    setup: Setup,
    num_seeds: int,
    *,
    metric: str = "accuracy",
    higher_is_better: bool = True,
    num_candidates: int = 20,
    seed: int = 0,
) -> dict[str, Curves]:
    """Curves of a greedy oracle that peeks: of some candidates, the one whose label improves the test metric most.

    Each pick of a batch draws candidates at random, adds each with its label, fits, measures the test set, and takes
    the best: ``num_rounds * batch_size * num_candidates`` fits a seed, all in one program over seeds. Seeds, start sets
    and fits are paired with those of a `study` of the same tasks and seed. Greedy is not optimal: with few
    candidates, or a metric as coarse as accuracy, a strategy can come near it or pass it.

    Use it when a gain over random is to be called small or large (`bal.evaluation.headroom`), with a learner that is
    quick to fit; for no other purpose: it chooses by the test set.

    Args:
      tasks: as for `study`.
      setup: its query is not used; `evaluate` must measure the metric.
      num_seeds: seeds, 0 first.
      metric: what is improved; higher_is_better: False for losses.
      num_candidates: drawn at each pick; as many as the pool has rows looks at all.
      seed: root of the keys, as in `study`.

    Returns:
      `Curves` by task, of the one name "greedy oracle (peeks)".

    Raises:
      ValueError, TypeError: as `study`; a metric that is not measured; a learner or pool that cannot be compiled.

    >>> from bal.evaluation import regression
    >>> from bal.learners import bayesian_linear
    >>> from bal.pool import make_pool
    >>> x = np.linspace(-1, 1, 30, dtype=np.float32)[:, None]
    >>> task = Task(make_pool(x), 2 * x[:, 0], (x, 2 * x[:, 0]))
    >>> setup = Setup(bayesian_linear(noise=0.1, prior=1.0), RANDOM, 1, 1, 2, regression())
    >>> found = greedy_oracle({"line": task}, setup, 2, metric="rmse", higher_is_better=False)
    >>> {name: round(float(seeds[:, -1].mean()), 2) for name, seeds in found["line"].metrics["rmse"].items()}
    {'greedy oracle (peeks)': 0.08}

    Werner et al. 2024, "A Cross-Domain Benchmark for Active Learning".
    """
    check_count("num_candidates", num_candidates)
    propose = _Some(num_candidates)
    return _peeking(GREEDY, tasks, setup._replace(query=RANDOM), num_seeds, metric, higher_is_better, propose, seed)


def best_of_queries(
    tasks: Mapping[str, TaskOf],
    setup: Setup,
    queries: Mapping[str, Query],
    num_seeds: int,
    *,
    metric: str = "accuracy",
    higher_is_better: bool = True,
    seed: int = 0,
) -> dict[str, Curves]:
    """Curves of a peeking choice between queries: in each round the batch of that one which improves the test most.

    Every query proposes its batch from the same labels; each batch is added with its labels, fitted and measured, and
    the best is kept: one fit a query and round.

    Use it when a choice between strategies, or switching, is to be judged: how much there is to gain by it.

    Args:
      tasks, num_seeds, metric, higher_is_better, seed: as in `greedy_oracle`.
      setup: its query is not used.
      queries: by name; those that remember from round to round are refused.

    Returns:
      `Curves` by task, of the one name "best of <queries> (peeks)".

    Raises:
      ValueError, TypeError: as `greedy_oracle`; no queries, or one with a memory.

    Hacohen and Weinshall 2023, "How to Select Which Active Learning Strategy is Best Suited for Your Specific Problem
    and Budget".
    """
    remembering = [name for name, query in queries.items() if query.memory is not None]
    if not queries or remembering:
        found = f"{', '.join(remembering)} with a memory" if remembering else "none"
        raise ValueError(
            f"expected queries without a memory, each judged anew in every round, got {found}; leave it out"
        )
    name = f"best of {', '.join(queries)}{PEEKS}"
    propose = _Queries(tuple(queries.values()))
    return _peeking(name, tasks, setup._replace(query=RANDOM), num_seeds, metric, higher_is_better, propose, seed)


@dataclass(frozen=True)
class _Some:
    """Single rows drawn at random, for each place of a batch anew."""

    number: int

    def steps(self, setup: Setup) -> int:
        return setup.batch_size

    def __call__(self, key_round: PRNGKey, place: Array, setup: Setup, task: Task, carry: Carry) -> Selection:
        waiting = is_waiting(task.pool, carry.labeled)
        rows = Candidates(None, jnp.arange(len(waiting), dtype=jnp.int32), waiting, task.pool.cost)
        key = jax.random.fold_in(jax.random.fold_in(key_round, QUERY), place)
        drawn = random_uniform(key, rows, self.number)
        return Selection(drawn.indices[:, None], drawn.scores[:, None], drawn.valid[:, None])


@dataclass(frozen=True)
class _Queries:
    """The batch of each query."""

    queries: tuple[Query, ...]

    def steps(self, setup: Setup) -> int:
        del setup
        return 1

    def __call__(self, key_round: PRNGKey, place: Array, setup: Setup, task: Task, carry: Carry) -> Selection:
        asked = [acquire(key_round, setup._replace(query=query), task.pool, carry)[0] for query in self.queries]
        stack = lambda *leaves: jnp.stack(leaves)
        return jax.tree.map(stack, *(Selection(each.indices, each.scores, each.valid) for each in asked))


@dataclass(frozen=True)
class _OneSeed:
    """The experiment of one seed; equal for equal settings, so that nothing is compiled twice."""

    setup: Setup
    metric: str
    higher_is_better: bool
    propose: _Some | _Queries

    def __call__(self, key: PRNGKey, task: Task) -> Log:
        return run_asking(key, task, self.setup, partial(self._ask, key))

    def _of(self, metrics: dict[str, Array]) -> Array:
        if self.metric not in metrics:
            raise ValueError(
                f"the set-up measures {', '.join(metrics)}, not {self.metric}; name one of these as metric"
            )
        return metrics[self.metric]

    def _ask(self, key: PRNGKey, key_round: PRNGKey, number: Array, task: Task, carry: Carry) -> tuple[Selection, Any]:
        """The best proposals, one step after the other; scores are the metric once they are in the training set."""
        setup, pool = self.setup, task.pool

        def added(labeled: Labeled, picks: Selection) -> Labeled:
            return record_answers(labeled, pool, picks, reveal(key, number + 1, task, picks), number + 1)

        def step(labeled: Labeled, place: Array) -> tuple[Labeled, Selection]:
            proposed = self.propose(key_round, place, setup, task, carry._replace(labeled=labeled))

            def value(picks: Selection) -> Array:  # by the fit that the next round makes
                state = fit(
                    jax.random.fold_in(key, number + 1), setup.learner, pool, added(labeled, picks), carry.state
                )
                return self._of(measure(setup, Posterior(state, setup.learner), task.test))

            values = jax.vmap(value)(proposed)
            ranked = mask_scores(values if self.higher_is_better else -values, proposed.valid.any(1))
            best = first_argmax(ranked)
            picks = jax.tree.map(lambda leaf: leaf[best], proposed)
            picks = picks._replace(scores=jnp.full_like(picks.scores, values[best]))
            return added(labeled, picks), picks

        _, picks = jax.lax.scan(step, carry.labeled, jnp.arange(self.propose.steps(setup)))
        return jax.tree.map(lambda leaf: leaf.reshape(-1), picks), carry.memory


def _peeking(
    name: str,
    tasks: Mapping[str, TaskOf],
    setup: Setup,
    num_seeds: int,
    metric: str,
    higher_is_better: bool,
    propose: _Some | _Queries,
    seed: int,
) -> dict[str, Curves]:
    check_count("num_seeds", num_seeds)
    if setup.evaluate is None:
        raise ValueError(f"the set-up measures nothing, and {metric} is to be improved; give it an evaluate")
    if over_of(setup.learner, setup.over).place != "device":
        raise ValueError(
            "a reference fits once for every candidate, which only compiled programs do; use a JAX learner"
        )
    keys, found = seed_keys(seed, num_seeds), {}
    for task_name, task_of in tasks.items():
        task, axes = stacked(task_of, num_seeds)
        task = check_task(task, setup, axes)
        mapped = over_seeds(_OneSeed(setup, metric, higher_is_better, propose), (keys, task), (0, axes))
        size = -(-num_seeds // mapped.num_devices) * mapped.num_devices
        log = mapped.fn(mapped.shared, seed_rows(mapped.per_seed, 0, size))
        log = jax.tree.map(lambda leaf: np.asarray(leaf)[:num_seeds], log)
        if not log.valid.all():
            raise ValueError(f"the pool of {task_name} ran out of rows; ask for fewer, or for fewer rounds")
        metrics = {each: {name: values.astype(np.float64)} for each, values in log.metrics.items()}
        found[task_name] = Curves(log.num_training[0], metrics, {name: log.indices}, {name: log.start})
    return found
