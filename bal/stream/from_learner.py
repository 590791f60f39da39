"""A learner, a rule and a memory make a method for streams."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from bal.learners.settings import check_count
from bal.method import method
from bal.numerics import mean_log_probs
from bal.stream.method import Decision, Outcome, StreamMethod, class_said
from bal.stream.replay import Replay, empty, forget, remember
from bal.stream.rule import Rule
from bal.typing import Learner, PRNGKey, PyTree


class Learning(NamedTuple):
    """What `from_learner` carries along.

    model: the state of the learner; fresh: as it was at first, where the rule may want to start anew.
    rule: its state. replay: rows to learn from. recent: the latest rows, asked or not, for rules that look at them.
    """

    model: PyTree
    fresh: PyTree
    rule: PyTree
    replay: Replay
    recent: PyTree


@method
def from_learner(
    learner: Learner,
    rule: Rule,
    num_classes: int,
    *,
    capacity: int = 256,
    every: int = 1,
    num_first: int = 0,
    num_pseudo: int = 0,
    pseudo_weight: float = 0.1,
) -> StreamMethod:
    """A method for streams from any learner that JAX traces: `committee`, or one of `bal.learners`.

    A row is predicted by the marginal ``mean_k p_k``, and asked as the rule says. Then it is put into memory, if it has
    a label, and the learner is fitted to what the memory holds.

    Args:
      learner: its `fit` starts from the state before; of one that starts cold a large `every` is wanted.
      rule: `quantile(bald, 0.1)`, `split(...)`, ...
      num_classes: C of its predictions ``[N, K, C]``.
      capacity: the latest labels that are remembered.
      every: rows between two fits.
      num_first: rows at the front whose labels are wanted whatever the rule says.
      num_pseudo: the latest rows that were not asked and are learned from all the same, each with the class that was
        predicted when it came; 0 = none.
      pseudo_weight: how much such a row counts beside one with a label.

    Raises:
      ValueError: a number out of range, a learner on the host. TypeError: a learner or rule that is none.

    >>> from bal.acquisition import bald
    >>> from bal.learners import mlp
    >>> from bal.stream import committee, quantile
    >>> method = from_learner(committee(mlp((8,), 3), 5), quantile(bald, 0.1), num_classes=3)
    >>> jax.eval_shape(method.init, jax.random.key(0), jnp.zeros(2)).replay.y.shape
    (256,)
    """
    if not isinstance(learner, Learner):
        raise TypeError(f"expected a Learner, got {type(learner).__name__}; use bal.stream.committee, say")
    if not isinstance(rule, Rule):
        raise TypeError(f"expected a Rule, got {type(rule).__name__}; use bal.stream.quantile(bald, 0.1), say")
    if learner.host:
        raise ValueError("a stream is one compiled program, which a learner in plain Python cannot be part of")
    check_count("num_classes", num_classes, 2)
    for name, value in (("capacity", capacity), ("every", every)):
        check_count(name, value)
    for name, value in (("num_first", num_first), ("num_pseudo", num_pseudo)):
        check_count(name, value, 0)
    if not 0 < pseudo_weight < float("inf"):
        raise ValueError(f"expected a positive pseudo_weight, got {pseudo_weight}; num_pseudo=0 is without such rows")
    num_targets = rule.num_targets

    def init(key: PRNGKey, x: PyTree) -> Learning:
        replay = empty(x, capacity + num_pseudo)
        model = learner.init(key, replay.data)
        recent = empty(x, num_targets).x if num_targets else None
        return Learning(model, None if rule.forget is None else model, rule.init(), replay, recent)

    def decide(key: PRNGKey, state: Learning, x: PyTree, time: Int[Array, ""] | int) -> Decision:
        rows = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], x)
        if num_targets:
            seen = jnp.arange(num_targets) < time
            rows = jax.tree.map(lambda row, late: jnp.concatenate([row, _filled(seen, late, row)]), rows, state.recent)
        log_probs = learner.predict(state.model, rows)
        shape = getattr(log_probs, "shape", type(log_probs).__name__)
        if len(shape) != 3 or shape[2] != num_classes:
            raise ValueError(
                f"expected log probabilities [rows, draws, {num_classes}], got {shape}; use a classifier with "
                "posterior draws, and its num_classes"
            )
        wish = rule.decide(key, state.rule, log_probs, time)
        mean = mean_log_probs(log_probs[:1])[0]
        prediction = class_said(mean.argmax(), mean)
        return Decision(wish.ask | (time < num_first), prediction, wish.score, wish.threshold, wish.info)

    def update(key: PRNGKey, state: Learning, x: PyTree, outcome: Outcome, time: Int[Array, ""] | int) -> Learning:
        ruled, model, replay, recent = rule.update(state.rule, outcome, time), state.model, state.replay, state.recent
        if rule.forget is not None:
            since = rule.forget(ruled)
            anew = since > rule.forget(state.rule)
            model = jax.tree.map(lambda first, now: jnp.where(anew, first, now), state.fresh, model)
            replay = forget(replay, since)
        replay = remember(replay, x, outcome.y, outcome.asked, time, num_pseudo, pseudo_weight)
        if num_targets:
            recent = jax.tree.map(lambda late, row: late.at[time % num_targets].set(row), recent, x)
        fit = lambda model: learner.fit(key, model, replay.data)
        model = fit(model) if every == 1 else jax.lax.cond(time % every == 0, fit, lambda model: model, model)
        return Learning(model, state.fresh, ruled, replay, recent)

    return StreamMethod(init, decide, update, num_classes)


def _filled(seen: Array, late: Array, row: Array) -> Array:
    """The latest rows, or the present one in place of those that have not come yet."""
    return jnp.where(seen.reshape(-1, *(1,) * (late.ndim - 1)), late, jnp.broadcast_to(row, late.shape))
