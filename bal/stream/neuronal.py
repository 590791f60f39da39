"""NeurONAL-S: a label is wanted while the two best classes are closer than what is uncertain of their scores.

Ban, Agarwal, Wu, Cheng, Weldemariam, Tong and He 2024, "Neural Active Learning Beyond Bandits" (ICLR).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from bal.learners.neuronal import paper_embedding
from bal.learners.neuronal.embeddings import two_least
from bal.learners.neuronal.learner import flat
from bal.learners.neuronal.networks import Embedding, Networks, class_losses, losses, outputs, start
from bal.learners.settings import check_count, check_factor
from bal.method import method
from bal.stream.method import Decision, Outcome, StreamMethod, class_said
from bal.typing import PRNGKey, PyTree

Threshold = Callable[[Int[Array, ""]], Float[Array, ""]]
"""``t -> gap``: how close, at row t = 1, 2, ..., the two best classes must be for a label to be wanted."""


class NeuronalStreamState(NamedTuple):
    """Both networks, the optimizer's moments, and the last M rows that taught them, overwritten in turn.

    weight: 1 for a label, `pseudo_weight` for a prediction in its place, 0 for an empty place; count: rows so far.
    """

    networks: Networks
    moments: PyTree
    x: Float[Array, "M D"]
    y: Int[Array, "M"]
    weight: Float[Array, "M"]
    count: Int[Array, ""]


@method
def shrinking_gap(
    num_classes: int, horizon: int, gamma: float = 1.0, complexity: float = 1.0, delta: float = 0.1
) -> Threshold:
    """The paper's threshold ``2 γ β_t``, with ``β_t = √(C S² / t) + √(2 log(3 T / δ) / t)``; it falls as 1/√t.

    Where the gap stays at Δ, labels are wanted until ``t* = (2 γ (√(C S²) + √(2 log(3 T / δ))) / Δ)²``.

    Use it when wrong predictions are what counts and the gap is to be believed late rather than early.

    Args:
      num_classes, horizon: C and T, the length of the stream.
      gamma: γ, how much exploration; complexity: S, of the problem, which nobody knows; delta: δ in (0, 1].

    Raises:
      ValueError: a setting out of range.

    >>> round(shrinking_gap(2, 1000)(jnp.int32(100)).item(), 3)
    1.191
    """
    check_count("num_classes", num_classes, least=2)
    check_count("horizon", horizon)
    check_factor("gamma", gamma)
    check_factor("complexity", complexity)
    if not 0 < delta <= 1:
        raise ValueError(f"delta is the probability of a wrong interval, in (0, 1], got {delta}; 0.1 is usual")
    numerator = 2 * gamma * (math.sqrt(num_classes) * complexity + math.sqrt(2 * math.log(3 * horizon / delta)))
    return lambda t: numerator / jnp.sqrt(t.astype(jnp.float32))


@method
def constant_gap(gap: float = 0.6) -> Threshold:
    """The same at every row; 0.6 in the authors' code.

    Raises ValueError for a gap that is negative or not finite.

    >>> constant_gap(0.5)(jnp.int32(1)).item()
    0.5
    """
    check_factor("gap", gap)
    return lambda t: jnp.full(t.shape, gap, jnp.float32)


@method
def neuronal_s(
    num_classes: int,
    threshold: Threshold,
    *,
    width: int = 100,
    embedding: Embedding = paper_embedding,
    optimizer: optax.GradientTransformation | None = None,
    capacity: int = 1_000,
    minibatch_size: int = 64,
    num_steps: int = 1,
    pseudo_weight: float = 1.0,
) -> StreamMethod:
    """Streams by two networks whose sum scores the classes: ask where the gap of the two least scores is small.

    ``f = f1(x) + f2(φ(x))`` is the loss expected of each class (`bal.learners.neuronal`); the class of least score is
    predicted, and its label wanted where ``f_second - f_best < threshold(t)``. Then both networks are taught, the
    prediction standing for a label that was not asked: `num_steps` minibatches of the newest row and others drawn from
    the last rows kept. The score of a decision is minus the gap.

    The paper's algorithm takes a gradient step a row and draws its networks from all of the past; minibatches on what
    was seen are what its experiments do. Its code trains for up to 128 epochs at every label and on labels alone:
    ``pseudo_weight=0``. `capacity=1, minibatch_size=1` is a step a row.

    Use it when a stream has two to some tens of classes and predictions count from the start. With a small gap and
    predictions of full weight it can teach itself its own mistakes, as it does on the 8 x 8 digits.

    Args:
      num_classes: C.
      threshold: `shrinking_gap(...)` of the paper, or `constant_gap(0.6)` of its code.
      width, embedding: as in `bal.learners.neuronal`; rows of unit norm suit the first weights.
      optimizer: Adam at 1e-4, as in the code, unless given.
      capacity: rows kept for minibatches.
      minibatch_size, num_steps: rows of a step, and steps a row.
      pseudo_weight: how much a prediction counts beside a label; 0 = such rows are not kept.

    Raises:
      ValueError: a setting out of range.
      TypeError: a setting of the wrong kind.

    >>> neuronal_s(2, constant_gap(0.1), capacity=50)
    neuronal_s(num_classes=2, threshold=constant_gap(gap=0.1), width=100, embedding=paper_embedding, capacity=50, \
minibatch_size=64, num_steps=1, pseudo_weight=1.0)

    Ban et al. 2024, "Neural Active Learning Beyond Bandits" (ICLR), algorithm 1.
    """
    check_count("num_classes", num_classes, least=2)
    if not callable(threshold):
        raise TypeError(f"expected a threshold, a function of t, got {threshold!r}; use constant_gap({threshold!r})")
    for name, value in (("width", width), ("capacity", capacity), ("minibatch_size", minibatch_size)):
        check_count(name, value)
    check_count("num_steps", num_steps, least=0)
    check_factor("pseudo_weight", pseudo_weight)
    optimizer = optax.adam(1e-4) if optimizer is None else optimizer

    def init(key: PRNGKey, x: PyTree) -> NeuronalStreamState:
        row = flat(x[None])
        networks = start(key, row, num_classes, width, embedding)
        empty = jnp.zeros(capacity, row.dtype)
        rows = jnp.zeros((capacity, row.shape[1]), row.dtype)
        zero = jnp.zeros((), jnp.int32)
        return NeuronalStreamState(networks, optimizer.init(networks), rows, empty.astype(jnp.int32), empty, zero)

    def decide(key: PRNGKey, state: NeuronalStreamState, x: PyTree, time: Int[Array, ""] | int) -> Decision:
        del key
        scores = outputs(state.networks, flat(x[None]), embedding).scores
        (best,), (second,) = two_least(scores)
        gap, wide = scores[0, second] - scores[0, best], threshold(jnp.asarray(time + 1))
        return Decision(gap < wide, class_said(best, scores), -gap, -wide)

    def update(
        key: PRNGKey, state: NeuronalStreamState, x: PyTree, outcome: Outcome, time: Int[Array, ""] | int
    ) -> NeuronalStreamState:
        del time
        state = keep(state, flat(x[None])[0], outcome)
        shape = (num_steps, minibatch_size)
        rows = jax.random.randint(key, shape, 0, jnp.clip(state.count, 1, capacity))
        rows = rows.at[:, 0].set(jnp.maximum(state.count - 1, 0) % capacity)
        (networks, moments), _ = jax.lax.scan(lambda carry, rows: (descend(carry, state, rows), None), state[:2], rows)
        return state._replace(networks=networks, moments=moments)

    def keep(state: NeuronalStreamState, x: Float[Array, "D"], outcome: Outcome) -> NeuronalStreamState:
        weight = jnp.where(outcome.asked, 1.0, pseudo_weight).astype(x.dtype)
        kept, place = (weight > 0) & (outcome.y >= 0), state.count % capacity
        put = lambda old, new: old.at[place].set(jnp.where(kept, new, old[place]))
        x, y, weight = put(state.x, x), put(state.y, outcome.y.astype(jnp.int32)), put(state.weight, weight)
        return state._replace(x=x, y=y, weight=weight, count=state.count + kept)

    def descend(carry: tuple, state: NeuronalStreamState, rows: Int[Array, "b"]) -> tuple:
        networks, moments = carry
        weight, target = state.weight[rows], class_losses(state.y[rows], num_classes, state.x.dtype)

        def loss(networks: Networks) -> Float[Array, ""]:
            each = losses(outputs(networks, state.x[rows], embedding), target)
            return jnp.sum(weight * each) / jnp.maximum(weight.sum(), 1e-12)

        updates, moments = optimizer.update(jax.grad(loss)(networks), moments, networks)
        return optax.apply_updates(networks, updates), moments

    return StreamMethod(init, decide, update, num_classes)
