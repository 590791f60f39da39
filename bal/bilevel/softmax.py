"""Bilevel coresets of softmax regression: rows on which a small model is trained to say the same of the pool.

    minimize  g(w) = mean_{i in pool} ℓ(θ(w); i),   θ(w) = argmin_θ Σ_n w_n ℓ(θ; n) + ½ ridge |θ|²

with ℓ the cross entropy of a row's target under ``softmax(θᵀ φ)``. What a little weight on row n would do to the outer
loss follows from the implicit function theorem, without training anew:

    ∂g/∂w_n = -∇ℓ_n(θ)ᵀ H⁻¹ ∇g(θ),   H = Σ_n w_n ∇²ℓ_n(θ) + ridge I
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.bilevel.rows import Parts, Targeted, parts_of
from bal.learners.heads.mode import Mode, Rows, find_mode, solve, spectrum
from bal.method import method
from bal.numerics import dot
from bal.selection.rules.greedy import Greedy, greedy
from bal.typing import Candidates, PRNGKey, Select

TOLERANCE, NUM_STEPS = 1e-6, 300
"""Of the conjugate gradients that solve for the influence: residual, and steps at most."""


class Grown(NamedTuple):
    """rows: labeled ones, picks, and places for more. mode: of the small model trained on them."""

    rows: Rows
    mode: Mode
    count: Int[Array, ""]


def fitted(rows: Rows, ridge: float, start: Float[Array, "F C"]) -> Mode:
    """``θ(w)``, by Newton steps from a start."""
    return find_mode(rows, spectrum(rows), jnp.full((), ridge, start.dtype), start)


def influence(rows: Rows, mode: Mode, outer: Rows) -> Float[Array, "F C"]:
    """``H⁻¹ ∇g``: how the outer loss pulls at the small model. `outer` are the pool's rows and their weights in g."""
    p = jax.nn.softmax(dot(outer.phi, mode.weights), -1)
    slope = dot(outer.phi.T, outer.weight[:, None] * (p - outer.y))
    return solve(rows, mode, mode.precision, mode.axes, slope, TOLERANCE, NUM_STEPS)


def gains(rows: Targeted, mode: Mode, pull: Float[Array, "F C"]) -> Float[Array, "n"]:
    """``-∂g/∂w_n``, by which the outer loss falls for a little weight on each row."""
    p = jax.nn.softmax(dot(rows.features, mode.weights), -1)
    return jnp.sum((p - rows.targets) * dot(rows.features, pull), -1)


def outer_loss(mode: Mode, outer: Rows) -> Float[Array, ""]:
    """``g``, in nats."""
    log_probs = jax.nn.log_softmax(dot(outer.phi, mode.weights), -1)
    return -dot(outer.weight, jnp.sum(outer.y * log_probs, -1))


@method
def softmax_coreset(ridge: float = 1e-2) -> Select:
    """Pick the row whose weight would lower the pool's loss fastest, train on it with its pseudo-label, and again.

    Rows are `Targeted`: features of a small model, linear in them, and what a better model says of each row, a
    distribution over classes; `known` rows have their labels. The outer loss is a mean over the rows that may be
    picked. The score is ``-∂g/∂w_n`` by the implicit function theorem, nats per unit of weight, of either sign: a row
    that is told already what it says scores about 0, as does the copy of one that was trained on. Deterministic.

    A pick costs a few Newton steps on L + B rows, one linear system by conjugate gradients, and N F C for the scores.

    Use it when labels come in batches and a model of the unlabeled rows (`bal.learners.fixmatch`) says more than the
    labels alone; the query around it is `bal.bilevel.bilevel`.

    Args:
      ridge: penalty of the small model beside a sum over rows; the setting that matters most. The larger, the fewer
        directions a small batch can teach.

    Raises:
      ValueError: a penalty that is not positive.

    >>> from bal.bilevel import Targeted
    >>> from bal.selection import select
    >>> x = jnp.array([[2.0], [2.1], [2.2], [-2.0], [-2.1], [-2.2]])
    >>> picks = select(Targeted(x, jnp.repeat(jnp.eye(2), 3, 0)), None, softmax_coreset(0.1), 2).indices
    >>> sorted(i // 3 for i in picks.tolist())
    [0, 1]

    Borsos, Tagliasacchi and Krause 2021, "Semi-Supervised Batch Active Learning via Bilevel Optimization", without the
    augmented copies of a pick; Borsos, Mutný and Krause 2020, "Coresets via Bilevel Optimization for Continual Learning
    and Streaming".
    """
    check_ridge(ridge)

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        del key
        return grow(parts_of("softmax_coreset", candidates, batch_size), batch_size, ridge)

    return greedy(rule)


def grow(
    parts: Parts, batch_size: int, ridge: float, reweigh: Callable[[Grown, Rows], Grown] = lambda grown, outer: grown
) -> Greedy:
    """The rule that has met its candidates; `reweigh` is called with what was grown after each pick, and the pool."""
    outer = Rows(*parts.pool, parts.outer)
    rows = Rows(*parts.known, parts.weight)
    flat = jnp.zeros((rows.phi.shape[1], rows.y.shape[1]), rows.phi.dtype)
    start = Grown(rows, fitted(rows, ridge, flat), jnp.int32(len(rows.weight) - batch_size))

    def score(grown: Grown) -> Float[Array, "n"]:
        pull = influence(grown.rows, grown.mode, outer)
        return jnp.where(parts.finite, gains(parts.pool, grown.mode, pull), jnp.nan)

    def update(grown: Grown, position: Array) -> Grown:
        one = (parts.pool.features[position], parts.pool.targets[position], jnp.ones((), outer.phi.dtype))
        rows = Rows(*(leaf.at[grown.count].set(new) for leaf, new in zip(grown.rows, one, strict=True)))
        mode = fitted(rows, ridge, grown.mode.weights)
        return reweigh(Grown(rows, mode, grown.count + 1), outer)

    return Greedy(start, score, update)


def check_ridge(ridge: float) -> None:
    """A positive, finite penalty."""
    if not 0 < ridge < float("inf"):
        raise ValueError(f"ridge must be positive and finite, got {ridge}: without it separable rows have no optimum")
