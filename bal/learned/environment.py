"""The loop as an environment: `reset` and `step` in the style of gymnax, to train what chooses rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.learners.settings import check_count
from bal.loop.doors import check_is_setup, check_is_task, check_setup
from bal.loop.round import (
    QUERY,
    Carry,
    begin,
    capacity_of,
    first_rows,
    fit,
    given_start,
    measure,
    record_answers,
    reveal,
)
from bal.method import brief, method
from bal.pool.labeled import is_waiting
from bal.pool.over import dense
from bal.query.funnel import run_query
from bal.selection import random_uniform
from bal.typing import Candidates, Posterior, PRNGKey, Query, Round, Select, Setup, Stage, Task


class Episode(NamedTuple):
    """The state of an environment: what the loop carries, rounds so far, and the metric after the last fit."""

    carry: Carry
    number: Int[Array, ""]
    value: Float[Array, ""]


class Environment(NamedTuple):
    """Active learning as a game against a task, pure functions to be jitted and mapped over keys and tasks.

    reset: ``key, task -> candidates, episode``: fits the start set.
    step: ``key, episode, action, task -> candidates, episode, reward, done, info``.
    batch_size, num_rounds: rows of an action, and steps of an episode.
    """

    reset: Callable[[PRNGKey, Task], tuple[Candidates, Episode]]
    step: Callable[..., tuple[Candidates, Episode, Array, Array, dict[str, Any]]]
    batch_size: int
    num_rounds: int


class Played(NamedTuple):
    """An episode of R steps.

    values: the metric before the first step and after each; rewards: their differences; actions: rows that were asked
    for; log_q: log probability of each, None where the policy is deterministic.
    """

    values: Float[Array, "E"]
    rewards: Float[Array, "R"]
    actions: Int[Array, "R B"]
    log_q: Float[Array, "R B"] | None


@method
def environment(setup: Setup, metric: str = "accuracy") -> Environment:
    """The experiment of a set-up, one round a step; whoever acts takes the place of its selector.

    What is seen are the `Candidates` of the query's stage, so that a policy *is* a selector, ``key, candidates,
    batch_size -> Selection``, and once trained goes into that stage as it is. An action are the rows to ask for, by
    their position in the pool: any strategy can be said in rows, while an action that is the number of a strategy could
    not say what a network that scores rows wants; choosing among strategies is `bandit`, or a `jax.lax.switch` of
    selectors in front of `step`. A row that may not be asked for, or twice in an action, is not labeled, and its label
    is lost. Parameters are a `Task`: with other tasks of the same shapes nothing is compiled again.

    Rewards are gains of the metric on the task's test data, and add up to last minus first. An episode has as many
    steps as the set-up has rounds; `done` says that it is over, after which a step changes nothing and is worth 0 (it
    does not reset by itself). ``info`` has all metrics, and `valid`, the rows of the action that were labeled.

    Keys are folded by round: with the same key for `reset` and all steps an episode is `bal.loop.run` with that key,
    number by number.

    Use it to train a policy by REINFORCE, evolution or search on simulated tasks; `play` runs an episode.

    Args:
      setup: learner, sizes, `evaluate`, and a query of one stage without a memory, whose selector is not used.
      metric: which of the metrics is rewarded; higher is better.

    Raises:
      ValueError: a query of several stages or with a memory, a set-up without `evaluate` or rounds; when traced, a
        metric that `evaluate` does not return.

    >>> from bal.evaluation import classification
    >>> from bal.learners import ensemble, linear
    >>> from bal.strategies import entropy
    >>> game = environment(Setup(ensemble(linear(2), 2), entropy(), 1, 5, 4, classification()))
    >>> game.num_rounds, game.batch_size
    (5, 1)

    Lange 2022, "gymnax: A JAX-based Reinforcement Learning Environment Library" (the interface).
    """
    check_is_setup(setup)
    query, learner, pieces = setup.query, setup.learner, setup.over or dense
    check_setup(learner, query, pieces)
    check_count("num_rounds", setup.num_rounds)
    if len(query.stages) != 1 or query.memory is not None or pieces.place != "device":
        raise ValueError(f"an environment sees what one compiled stage without a memory sees, got {brief(query)}")
    if setup.evaluate is None:
        raise ValueError("an environment rewards what the set-up's `evaluate` measures, and there is none; give one")
    seen = Query(
        (Stage(query.stages[0].rows, random_uniform, query.stages[0].context),), None, lambda _, seen: seen[0][0]
    )

    def look(key_round: PRNGKey, carry: Carry, task: Task) -> Candidates:
        round = Round(Posterior(carry.state, learner), task.pool, carry.labeled, None)
        return run_query(jax.random.fold_in(key_round, QUERY), seen, round, setup.batch_size, pieces)[1]

    def fitted(key: PRNGKey, number: Any, carry: Carry, task: Task) -> tuple[Candidates, Carry, dict[str, Array]]:
        key_round = jax.random.fold_in(key, number)
        carry = carry._replace(state=fit(key_round, learner, task.pool, carry.labeled, carry.state))
        metrics = measure(setup, Posterior(carry.state, learner), task.test)
        if metric not in metrics:
            raise ValueError(f"the set-up measures {', '.join(metrics) or 'nothing'}, not {metric}; name one of these")
        return look(key_round, carry, task), carry, metrics

    def reset(key: PRNGKey, task: Task) -> tuple[Candidates, Episode]:
        task = _on_device(task)
        first = first_rows(key, task, setup)
        y = reveal(key, 0, task, first)
        carry = begin(key, learner, seen, task.pool, y, capacity_of(first, setup))
        carry = carry._replace(labeled=record_answers(carry.labeled, task.pool, first, y, 0))
        candidates, carry, metrics = fitted(key, 0, carry, task)
        return candidates, Episode(carry, jnp.zeros((), jnp.int32), metrics[metric])

    def step(key: PRNGKey, episode: Episode, action: Int[Array, "B"], task: Task) -> tuple:
        task = _on_device(task)
        carry, number = episode.carry, episode.number
        running = number < setup.num_rounds
        picks = given_start(action)._replace(valid=_askable(action, is_waiting(task.pool, carry.labeled)) & running)
        labeled = record_answers(carry.labeled, task.pool, picks, reveal(key, number + 1, task, picks), number + 1)
        candidates, after, metrics = fitted(key, number + 1, carry._replace(labeled=labeled), task)
        later = Episode(after, number + 1, metrics[metric])
        kept = jax.tree.map(lambda new, old: jnp.where(running, new, old), later, episode)
        info = {**metrics, metric: kept.value, "valid": picks.valid}
        return candidates, kept, kept.value - episode.value, kept.number >= setup.num_rounds, info

    return Environment(reset, step, setup.batch_size, setup.num_rounds)


def play(key: PRNGKey, task: Task, game: Environment, policy: Select) -> Played:
    """An episode in which a policy acts, as one `lax.scan`: to be mapped over keys, tasks and parameters of policies.

    Use it inside of a training; `bal.loop.run` of a set-up with the policy for a selector is the same experiment.

    Args:
      key: of the episode. task: its parameters. game: an `environment`.
      policy: ``key, candidates, batch_size -> Selection``.

    >>> from bal.evaluation import classification
    >>> from bal.learners import ensemble, linear
    >>> from bal.pool import make_pool
    >>> from bal.selection import best
    >>> from bal.strategies import entropy
    >>> learner = ensemble(linear(2), 2, num_steps=3)
    >>> game = environment(Setup(learner, entropy(), 2, 3, 4, classification()))
    >>> x, y = jnp.linspace(-1, 1, 20)[:, None], jnp.arange(20) // 10
    >>> task = Task(make_pool(x), y, (x, y))
    >>> jax.eval_shape(lambda key: play(key, task, game, best), jax.random.key(0)).actions.shape
    (3, 2)
    """

    def one(now: tuple[Candidates, Episode], number: Array) -> tuple:
        candidates, episode = now
        key_policy = jax.random.fold_in(jax.random.fold_in(key, number), QUERY)
        picks = policy(jax.random.split(jax.random.fold_in(key_policy, 0))[1], candidates, game.batch_size)
        candidates, episode, reward, _, _ = game.step(key, episode, picks.indices, task)
        return (candidates, episode), (reward, picks.indices, picks.log_q, episode.value)

    candidates, episode = game.reset(key, task)
    _, (rewards, actions, log_q, values) = jax.lax.scan(one, (candidates, episode), jnp.arange(game.num_rounds))
    return Played(jnp.append(episode.value, values), rewards, actions, log_q)


def _on_device(task: Any) -> Task:
    check_is_task(task)
    told = task.oracle if callable(task.oracle) else jax.tree.map(jnp.asarray, task.oracle)
    pool, test, start = jax.tree.map(jnp.asarray, (task.pool, task.test, task.start))
    return Task(pool, told, test, start)


def _askable(action: Int[Array, "B"], waiting: Bool[Array, "N"]) -> Bool[Array, "B"]:
    """Which rows of an action may be asked for: in the pool and waiting, the first of equal ones."""
    inside = (action >= 0) & (action < len(waiting))
    earlier = jnp.tril(action[:, None] == action[None], -1).any(1)
    return inside & waiting[jnp.clip(action, 0, len(waiting) - 1)] & ~earlier
