"""A bandit over strategies: which of several queries to believe, learned while labels come in (ALBL)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.acquisition.kinds import check_log_probs
from bal.learned.exp4 import Pace, law, pace, rewarded
from bal.learned.rewards import importance_weighted
from bal.learners.settings import named
from bal.method import brief, method
from bal.numerics import first_argmax, mask_scores, row_gumbel
from bal.pool.labeled import is_waiting
from bal.pool.over import take
from bal.query.funnel import all_equal, is_scores
from bal.query.rows import predictions
from bal.strategies.categories import category
from bal.typing import Candidates, Over, Pool, Posterior, PRNGKey, PyTree, Query, Round, Selection, Stage

PROPOSE, DRAW, ROW = 0, 1, 2


class Trust(NamedTuple):
    """What is carried from round to round, of A arms and N pool rows.

    log_weights: of the arms; probs, stood: their law in the last round, and how much they stood behind its picks.
    place, log_q: of each row the number of its pick, 1, 2, ..., and the law that it was drawn by; 0 for other rows.
    num_picks, num_rows: picks so far, and the rows that could be picked when the first one was.
    """

    log_weights: Float[Array, "A"]
    probs: Float[Array, "A"]
    stood: Float[Array, "A"]
    place: Int[Array, "N"]
    log_q: Float[Array, "N"]
    num_picks: Int[Array, ""]
    num_rows: Int[Array, ""]


class _Now(NamedTuple):
    """The context of the stage: that of each arm, the reward of the last batch, and what is trusted since."""

    arms: tuple
    reward: Float[Array, ""]
    trust: Trust


@category("learned")
@method
def bandit(*arms: Query, num_rounds: int, estimate: Callable = importance_weighted, delta: float = 0.1) -> Query:
    """Active learning by learning (ALBL): every pick asks an arm that EXP4.P draws, one query or a uniform draw.

    Arms propose a batch each. A pick draws an arm by its probability p and takes the arm's first proposal that is not
    picked yet; the uniform arm, the last, is always there, so that every row may be picked. A row is thus picked with
    probability ``q = Σ_a p_a [it is a's proposal] + p_u / (rows left)``, which is the `log_q` of the picks: all of
    `bal.evaluation.active` can be used on them. What an arm draws at random is drawn before, and q is given that. Once
    the labels have trained a model, its accuracy as `estimate` has it from all picks so far is the reward, in [0, 1],
    of the arms that stood behind the batch, ``a: mean over picks of [it was a's proposal] / q``, and EXP4.P moves their
    weights (`bal.learned.exp4`). With batches of one this is the paper's algorithm but for the reward's normalisation
    (see `importance_weighted`); that a batch shares one reward is an extension.

    `info` has, each round, `arm_probs`, the `reward` of the batch before (0 in the first round), `stood` and, of each
    pick, `arm`. `scores` are those of the arm that was drawn, NaN for the uniform arm.

    Use it when it is not known which strategy suits the data. Accuracies of successive models differ by little, so the
    law stays near a blend: expect about the mean of the arms, seldom the best, and leave out arms known to be bad.

    Args:
      arms: queries of one stage, without a memory.
      num_rounds: the horizon T that EXP4.P is paced for, about that of the set-up.
      estimate: `importance_weighted`, the paper's, or `lure_weighted`.
      delta: of EXP4.P.

    Raises:
      ValueError: no arm, an arm of several stages or with a memory, a setting out of range; when it runs, predictions
        that are not log probabilities.

    >>> from bal.learned import bandit
    >>> from bal.strategies import bald, margin
    >>> bandit(bald(), margin(), num_rounds=30)
    bandit(bald(select=best), margin(), num_rounds=30, estimate=importance_weighted, delta=0.1)

    Hsu and Lin 2015, "Active Learning by Learning".
    """
    _check_arms(arms)
    if not callable(estimate):
        raise TypeError(f"expected importance_weighted or lure_weighted as estimate, got {named(estimate)}")
    speed, stages = pace(len(arms) + 1, num_rounds, delta), tuple(arm.stages[0] for arm in arms)

    def context(key: PRNGKey, round: Round, over: Over) -> _Now:
        inner = tuple(
            None if stage.context is None else stage.context(jax.random.fold_in(key, number), round, over)
            for number, stage in enumerate(stages)
        )
        reward = accuracy(estimate, round, over)
        return _Now(inner, reward, _move(round, reward, speed))

    def rows(posterior: Posterior, context: _Now, x: PyTree) -> tuple:
        found = zip(stages, context.arms, strict=True)
        return tuple(None if stage.rows is None else stage.rows(posterior, own, x) for stage, own in found)

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        return _blend(key, stages, candidates, batch_size)

    def memory(pool: Pool) -> Trust:
        whole, count = len(pool.present), jnp.zeros((), jnp.int32)
        each, places = jnp.zeros(len(arms) + 1), jnp.zeros(whole, jnp.int32)
        return Trust(each, law(each, speed), each, places, jnp.zeros(whole), count, count)

    needs_rows = any(stage.rows is not None for stage in stages)
    return Query((Stage(rows if needs_rows else None, select, context),), memory, _remember)


def accuracy(estimate: Callable, round: Round, over: Over) -> Float[Array, ""]:
    """Accuracy over the pool as the bandit's own picks tell it, in [0, 1]; 0 before there are any. NaN is not right."""
    labeled, trust = round.labeled, round.memory
    log_probs = over.map(predictions, (round.posterior, None), take(round.pool.x, labeled.indices))
    check_log_probs("bandit", log_probs)
    y = labeled.y if labeled.y.ndim == 1 else labeled.y.argmax(-1)
    right = jax.nn.logsumexp(log_probs, 1).argmax(-1) == y.astype(jnp.int32)
    right &= ~jnp.isnan(log_probs).any((1, 2))
    ids = jnp.minimum(labeled.indices, len(trust.place) - 1)
    answers = jnp.zeros(len(trust.place)).at[labeled.indices].add(labeled.weight, mode="drop")
    share = jnp.where(labeled.weight > 0, labeled.weight / jnp.maximum(answers[ids], 1e-9), 0.0)  # of several answers
    place = jnp.where(labeled.weight > 0, trust.place[ids], 0)
    weights = estimate(trust.log_q[ids], place, trust.num_picks, trust.num_rows)
    found = jnp.sum(weights * right * share).astype(trust.log_weights.dtype)
    return jnp.where(trust.num_picks > 0, jnp.clip(found, 0.0, 1.0), 0.0)


def _move(round: Round, reward: Array, speed: Pace) -> Trust:
    trust: Trust = round.memory
    begun = trust.num_picks > 0
    moved = rewarded(trust.log_weights, trust.probs, trust.stood, reward, speed)
    log_weights = jnp.where(begun, moved, trust.log_weights)
    waiting = is_waiting(round.pool, round.labeled).sum().astype(jnp.int32)
    num_rows = jnp.where(begun, trust.num_rows, waiting)
    return trust._replace(log_weights=log_weights, probs=law(log_weights, speed), num_rows=num_rows)


def _blend(key: PRNGKey, stages: tuple[Stage, ...], candidates: Candidates, batch_size: int) -> Selection:
    now, eligible, n = candidates.context, candidates.eligible, len(candidates.index)
    rows, known = (part or (None,) * len(stages) for part in (candidates.rows, candidates.known))
    proposed, equal = [], []
    for number, stage in enumerate(stages):
        seen = candidates._replace(rows=rows[number], known=known[number], context=now.arms[number])
        proposed.append(stage.select(jax.random.fold_in(jax.random.fold_in(key, PROPOSE), number), seen, batch_size))
        if isinstance(seen.rows, jax.Array) and is_scores(seen.rows):
            equal.append(all_equal(seen.rows, eligible, batch_size))
    lists, valid = (jnp.stack([getattr(one, name) for one in proposed]) for name in ("indices", "valid"))
    scores = jnp.stack([one.scores for one in proposed]).astype(now.trust.probs.dtype)
    key_draw, key_row = (jax.random.fold_in(key, purpose) for purpose in (DRAW, ROW))
    noise, named = row_gumbel(key_row, candidates.index), jnp.arange(len(stages))

    def pick(taken: Array, number: Array) -> tuple[Array, tuple]:
        free = valid & ~taken[lists]
        first = free.argmax(1)
        wants = jnp.where(free.any(1), lists[named, first], n)
        left = eligible & ~taken
        count = left.sum()
        probs = jnp.where(free.any(1), now.trust.probs[:-1], 0.0)
        probs = jnp.append(probs, 1 - probs.sum())  # an arm with nothing to propose leaves it to the uniform one
        arm = jax.random.categorical(jax.random.fold_in(key_draw, number), jnp.log(probs))
        row = jnp.append(wants, first_argmax(mask_scores(noise, left)))[arm]
        share = jnp.where(left[row], 1 / jnp.maximum(count, 1), 0.0)
        stands = jnp.append((wants == row).astype(share.dtype), share)
        q = jnp.dot(probs, stands, precision="highest")
        score = jnp.append(scores[named, first], jnp.nan)[arm]
        found = count > 0
        told = (row, score, found, jnp.where(found, jnp.log(q), -jnp.inf), arm, jnp.where(found, stands / q, 0.0))
        return taken.at[row].set(True), told

    start = jnp.zeros(n, bool)
    _, (indices, gains, found, log_q, arm, stands) = jax.lax.scan(pick, start, jnp.arange(batch_size))
    info = {"arm": arm, "arm_probs": now.trust.probs, "reward": now.reward}
    info["stood"] = stands.sum(0) / jnp.maximum(found.sum(), 1)
    if equal:
        info["all_equal"] = jnp.stack(equal).any()
    return Selection(indices, gains, found, log_q, info)


def _remember(memory: Trust, seen: tuple) -> Trust:
    del memory
    candidates, picks = seen[0]
    trust: Trust = candidates.context.trust
    number = trust.num_picks + jnp.cumsum(picks.valid).astype(jnp.int32)
    where = jnp.where(picks.valid, candidates.index[picks.indices], len(trust.place))
    return trust._replace(
        stood=picks.info["stood"].astype(trust.stood.dtype),
        place=trust.place.at[where].set(number, mode="drop"),
        log_q=trust.log_q.at[where].set(picks.log_q.astype(trust.log_q.dtype), mode="drop"),
        num_picks=number[-1],
    )


def _check_arms(arms: tuple[Any, ...]) -> None:
    if not arms:
        raise ValueError(
            "a bandit needs a query to draw beside the uniform one, got none: bandit(bald(), margin(), ...)"
        )
    for arm in arms:
        if not isinstance(arm, Query):
            raise TypeError(f"each arm of a bandit is a query, got {brief(arm)}; see bal.strategies")
        if len(arm.stages) != 1 or arm.memory is not None:
            raise ValueError(
                f"an arm of a bandit has one stage and no memory, but {brief(arm)} has {len(arm.stages)} stages"
                f"{'' if arm.memory is None else ' and a memory'}; take a query that scores the pool once"
            )
