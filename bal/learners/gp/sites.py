"""The fixed point that the Laplace and the variational approximation of a classifier share.

Both replace every label by a site ``exp(b f - ½ λ f²)`` of ``f - m``, so that the posterior of the labeled f is normal
with precision ``K⁻¹ + diag λ``. At the solution ``α = K⁻¹(mean - m)`` and λ are slope and negative curvature of the log
likelihood: at the mean itself for Laplace, where the iteration is Newton's, and in expectation for the variational
posterior, where it is natural gradient ascent. Both ascend a concave objective.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float

from bal.learners.gp.links import Link
from bal.method import brief_repr
from bal.numerics import dot


class Labels(NamedTuple):
    """sign: 1 for class 1, -1 for class 0; offset: the prior mean; weight 0 is padding."""

    sign: Float[Array, "L"]
    weight: Float[Array, "L"]
    offset: Float[Array, "L"]


class Sites(NamedTuple):
    """shift: b; precision: λ."""

    shift: Float[Array, "L"]
    precision: Float[Array, "L"]


class Fitted(NamedTuple):
    """Normal of the labeled f given sites. log_det: ``log det(I + λ^½ K λ^½)``; mean: less the prior mean, ``K α``."""

    log_det: Float[Array, ""]
    alpha: Float[Array, "L"]
    mean: Float[Array, "L"]
    variance: Float[Array, "L"]


class Terms(NamedTuple):
    """Log likelihood of every label, its slope and its negative curvature (or their expectations); 0 for padding."""

    value: Float[Array, "L"]
    slope: Float[Array, "L"]
    precision: Float[Array, "L"]


class Approximation(NamedTuple):
    """whiten, alpha: see `bal.learners.gp.conditioned`; precision: λ; log_evidence: of the labels, or its bound.

    gap: see `mismatch`; far above rounding where the ascent ended early.
    """

    whiten: Float[Array, "L L"]
    alpha: Float[Array, "L"]
    precision: Float[Array, "L"]
    log_evidence: Float[Array, ""]
    gap: Float[Array, ""]


class Inference(NamedTuple):
    """How the posterior of a classifier is approximated by a normal.

    approximate: ``link, gram [L, L], labels, alpha [L] -> Approximation``, started at an alpha.
    """

    approximate: Callable[[Link, Array, Labels, Array], Approximation]

    __repr__ = brief_repr


Expect = Callable[[Labels, Fitted], Terms]
Objective = Callable[[Fitted, Terms, Sites], Array]


class _Ascent(NamedTuple):
    """sites, target: `Sites`, stacked; step: what part of the way to go."""

    sites: Float[Array, "2 L"]
    target: Float[Array, "2 L"]
    value: Float[Array, ""]
    step: Float[Array, ""]
    gap: Float[Array, ""]
    count: Array


def given_sites(gram: Float[Array, "L L"], sites: Sites) -> Fitted:
    """The normal of the labeled f, without an inverse of K or of a precision (both may vanish).

    Mean and variance are solved for apart: a Laplace step, which asks for no variance, then costs a Cholesky factor and
    two solves of one vector, and the compiler drops the rest.
    """
    root = jnp.sqrt(sites.precision)
    scaled = root[:, None] * gram
    cholesky = jnp.linalg.cholesky(jnp.eye(len(root), dtype=gram.dtype) + scaled * root[None])
    alpha = sites.shift - root * cho_solve((cholesky, True), dot(scaled, sites.shift))
    variance = jnp.diagonal(gram) - jnp.sum(solve_triangular(cholesky, scaled, lower=True) ** 2, 0)
    log_det = 2 * jnp.sum(jnp.log(jnp.diagonal(cholesky)))
    return Fitted(log_det, alpha, dot(gram, alpha), variance)


def weighted(labels: Labels, value: Array, slope: Array, precision: Array) -> Terms:
    """Terms of the signed f as terms of f, times the weight: 0 for padding."""
    return Terms(*(labels.weight * t for t in (value, labels.sign * slope, precision)))


def mismatch(at: Fitted, terms: Terms, sites: Sites) -> Float[Array, ""]:
    """How far slopes and curvatures are from what the sites say, at most, over 1 + the largest mean: 0 = solved."""
    slope, precision = jnp.abs(terms.slope - at.alpha), jnp.abs(terms.precision - sites.precision)
    return jnp.maximum(slope.max(), precision.max()) / (1 + jnp.abs(at.mean).max())


def find_sites(
    gram: Float[Array, "L L"],
    labels: Labels,
    alpha: Float[Array, "L"],
    expect: Expect,
    objective: Objective,
    num_steps: int,
) -> Sites:
    """The solution, a step behind: what the best point found asks the sites to be.

    A step that lowers the objective is taken back and halved, so that the ascent is monotone to rounding; others are as
    long as the last two gaps say (Barzilai and Borwein 1988), at most full. It ends where slopes and curvatures agree
    with the sites. It is not to be differentiated through.
    """
    gram, labels, alpha = jax.lax.stop_gradient((gram, labels, alpha))
    epsilon = jnp.finfo(gram.dtype).eps

    def visit(both: Float[Array, "2 L"]) -> tuple[Array, Array, Array]:
        sites = Sites(*both)
        at = given_sites(gram, sites)
        terms = expect(labels, at)
        target = jnp.stack(Sites(terms.slope + terms.precision * at.mean, terms.precision))
        return target, objective(at, terms, sites), mismatch(at, terms, sites)

    def step(now: _Ascent) -> _Ascent:
        moved = now.step * (now.target - now.sites)
        target, value, gap = visit(now.sites + moved)
        better = value >= now.value - epsilon**0.75 * (1 + jnp.abs(now.value))  # False for NaN
        closer = jnp.sum(moved * (moved - target + now.target))
        length = jnp.where(closer > 0, jnp.clip(jnp.sum(moved**2) / closer, 0.05, 1.0), 1.0)
        there = _Ascent(now.sites + moved, target, value, length, gap, now.count)
        back = now._replace(step=0.5 * now.step)
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), there, back)._replace(count=now.count + 1)

    sites = _first_sites(gram, labels, alpha, expect)
    target, value, gap = visit(sites)
    start = _Ascent(sites, target, value, jnp.ones_like(value), gap, jnp.zeros((), jnp.int32))
    going = lambda now: (now.count < num_steps) & (now.gap > epsilon**0.6)
    return Sites(*jax.lax.while_loop(going, step, start).target)


def _first_sites(gram: Array, labels: Labels, alpha: Array, expect: Expect) -> Float[Array, "2 L"]:
    """Sites whose mean is ``K α``, or 0 where that is less likely or not a number; their precision is the one there."""
    real, zero = jnp.where(labels.weight > 0, alpha, 0.0), jnp.zeros_like(alpha)

    def at(alpha: Array) -> tuple[Array, Array, Array]:
        mean = dot(gram, alpha)
        terms = expect(labels, Fitted(zero[0], alpha, mean, zero))
        return terms.value.sum() - 0.5 * jnp.sum(alpha * mean), alpha + terms.precision * mean, terms.precision

    (warm, *sites), (cold, *others) = at(real), at(zero)
    return jnp.where(warm > cold, jnp.stack(sites), jnp.stack(others))
