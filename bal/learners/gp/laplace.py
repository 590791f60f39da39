"""The Laplace approximation of a Gaussian process classifier: a normal at the mode of the posterior."""

import jax
from jaxtyping import Array, Float

from bal.learners.gp.conditioned import factor
from bal.learners.gp.links import Link, derivatives
from bal.learners.gp.sites import (
    Approximation,
    Fitted,
    Inference,
    Labels,
    Sites,
    Terms,
    find_sites,
    given_sites,
    mismatch,
    weighted,
)
from bal.method import method
from bal.numerics import dot


@method
def laplace(num_steps: int = 50) -> Inference:
    """A normal at the mode f̂ of the posterior, with its curvature: covariance ``(K⁻¹ + W)⁻¹``.

    Here ``W = -∂² log p(y | f̂)``; the log evidence is
    ``log p(y | f̂) - ½ (f̂ - m)ᵀ K⁻¹ (f̂ - m) - ½ log det(I + W^½ K W^½)``.
    Newton's method, whose steps are halved where they would descend, finds the mode within rounding in 5 to 13 steps,
    each of O(L³); the last step is outside the loop, where the evidence may be differentiated through it: at the mode
    the first derivative of a Newton step is that of the mode (the second is not).

    Raises:
      ValueError: a largest number of steps below 1.

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", algorithms 3.1 and 5.1.
    """
    if num_steps < 1:
        raise ValueError(f"Newton's method needs at least 1 step, got num_steps={num_steps}; 50 are seldom used up")

    def approximate(link: Link, gram: Float[Array, "L L"], labels: Labels, alpha: Float[Array, "L"]) -> Approximation:
        expect = lambda labels, at: _at_mean(link, labels, at)
        sites = find_sites(gram, labels, alpha, expect, _log_joint, num_steps)
        moved = labels.offset - jax.lax.stop_gradient(labels.offset)  # 0, but not its derivative: f̂ is held, not f̂ - m
        mode = given_sites(gram, sites._replace(shift=sites.shift - sites.precision * moved))
        terms = expect(labels, mode)
        found = factor(gram, terms.precision)
        evidence = _log_joint(mode, terms, None) - 0.5 * found.log_det
        return Approximation(found.whiten, mode.alpha, terms.precision, evidence, mismatch(mode, terms, sites))

    return Inference(approximate)


def _at_mean(link: Link, labels: Labels, at: Fitted) -> Terms:
    return weighted(labels, *derivatives(link, labels.sign * (labels.offset + at.mean)))


def _log_joint(at: Fitted, terms: Terms, sites: Sites | None) -> Float[Array, ""]:
    del sites
    return terms.value.sum() - 0.5 * dot(at.alpha, at.mean)
