"""The split strategy: some rows by chance, which show drift as it is, the others by a rule."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from bal.learners.settings import named
from bal.method import method
from bal.stream.detection import Detector, ddm
from bal.stream.method import Outcome
from bal.stream.rule import Rule, Wish
from bal.stream.settings import check_share
from bal.typing import PRNGKey, PyTree


class Split(NamedTuple):
    """States of the rule and of the detector."""

    rule: PyTree
    detector: PyTree


class ByChance(NamedTuple):
    """by_chance: the row was left to chance; inner: `info` of the rule."""

    by_chance: Bool[Array, ""]
    inner: Any


@method
def split(rule: Rule, share: float, chance: float = 0.2, detector: Detector | None = None) -> Rule:
    """With probability `chance` a row is left to chance, which asks it with probability `share`; else to the rule.

    Only the labels that chance asked tell the detector whether the model errs more than before: those of the rule are
    chosen where it errs. At a drift all labels from before the warning are forgotten and the learner starts anew (the
    paper grows a second learner since the warning, and replaces the first by it).

    Use it when the stream drifts, above all where the model is sure and a rule alone never looks.

    Args:
      rule: as `variable_threshold(minus_confidence, -1.0)`, that of the paper.
      share: with what probability chance asks, the labels a row that are paid for.
      chance: share of rows left to chance, ν.
      detector: of drift; `ddm()` unless given.

    Raises:
      ValueError: a share or chance outside [0, 1]; a rule that forgets by itself.
      TypeError: what is no rule, or no detector.

    >>> from bal.stream.thresholds import minus_confidence, variable_threshold
    >>> rule = split(variable_threshold(minus_confidence, -1.0), share=0.1)
    >>> rule.forget(rule.init()).item()
    0

    Zliobaite, Bifet, Pfahringer and Holmes 2014, "Active Learning With Drifting Streaming Data", section IV-E.
    """
    if not isinstance(rule, Rule):
        raise TypeError(f"expected a Rule, got {named(rule)}; use variable_threshold(minus_confidence, -1.0), say")
    if detector is not None and not isinstance(detector, Detector):
        raise TypeError(f"expected a Detector, got {named(detector)}; call its factory, as ddm()")
    check_share("share", share)
    check_share("chance", chance)
    if rule.forget is not None:
        raise ValueError("this rule forgets by itself; split a rule that does not")
    watch = ddm() if detector is None else detector

    def decide(key: PRNGKey, state: Split, predictions: Array, time: Int[Array, ""] | int) -> Wish:
        key_rule, key_chance = jax.random.split(key)
        wish = rule.decide(key_rule, state.rule, predictions, time)
        left, drawn = jax.random.uniform(key_chance, (2,))
        by_chance = left < chance
        ask = jnp.where(by_chance, drawn < share, wish.ask)
        return Wish(ask, wish.score, wish.threshold, ByChance(by_chance, wish.info))

    def update(state: Split, outcome: Outcome, time: Int[Array, ""] | int) -> Split:
        by_chance, inner = outcome.decision.info
        told = outcome._replace(decision=outcome.decision._replace(info=inner))
        wrong = outcome.y != outcome.decision.prediction
        choose = lambda which, new, old: jax.tree.map(lambda a, b: jnp.where(which, a, b), new, old)
        return Split(
            choose(by_chance, state.rule, rule.update(state.rule, told, time)),
            choose(by_chance & outcome.asked, watch.update(state.detector, wrong, time), state.detector),
        )

    begin = lambda: Split(rule.init(), watch.init())
    return Rule(begin, decide, update, rule.num_targets, lambda state: watch.since(state.detector))
