"""The Laplace approximation of a classifier with a softmax of C latent functions, in blocks of one class each.

With probabilities π at the mode and weights w the negative curvature of the log likelihood is ``W = D - Σ_i w_i π_i
π_iᵀ``, where ``D = diag(w π)`` and every label i has a block of C rows. With ``E_c = (K_c + D_c⁻¹)⁻¹`` and ``M =
Σ_c E_c`` the blocks of ``(K + W⁻¹)⁻¹`` are ``E_c δ_cd - E_c M⁻¹ E_d``: C + 1 Cholesky factors ``[L, L]`` in place of
one ``[C L, C L]``.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float

from bal.learners.gp.conditioned import factor
from bal.learners.training import map_members
from bal.numerics import dot

LENGTHS = 12
"""Steps that are tried: the whole of Newton's, a half of it, and so on."""


class ClassLabels(NamedTuple):
    """target: the share of each class in a label, 1 for the one it names; offset: prior means; weight 0 is padding."""

    target: Float[Array, "C L"]
    weight: Float[Array, "L"]
    offset: Float[Array, "C L"]


class Blocks(NamedTuple):
    """``(K + W⁻¹)⁻¹`` in parts. whiten: A_c, where ``E_c = A_cᵀ A_c``; inner: E_c; root: of M; log_det: of I + K W."""

    whiten: Float[Array, "C L L"]
    inner: Float[Array, "C L L"]
    root: Float[Array, "L L"]
    log_det: Float[Array, ""]

    def times(self, v: Float[Array, "C L"]) -> Float[Array, "C L"]:
        """``(K + W⁻¹)⁻¹ v``."""
        alone = _rows_times(self.inner, v)
        return alone - _rows_times(self.inner, jnp.broadcast_to(cho_solve((self.root, True), alone.sum(0)), v.shape))

    def coupling(self) -> Float[Array, "C L L"]:
        """V_c with ``V_cᵀ V_d = E_c M⁻¹ E_d``."""
        side_by_side = self.inner.swapaxes(0, 1).reshape(len(self.root), -1)
        found = solve_triangular(self.root, side_by_side, lower=True)
        return found.reshape(len(self.root), *self.inner.shape[:2]).swapaxes(0, 1)


class SoftmaxApproximation(NamedTuple):
    """alpha: ``K⁻¹ (f̂ - m)``; probs: π; gap: how far alpha is from ``w (y - π)``, over 1 + the largest mean."""

    blocks: Blocks
    alpha: Float[Array, "C L"]
    probs: Float[Array, "C L"]
    log_evidence: Float[Array, ""]
    gap: Float[Array, ""]


def approximate_softmax(
    gram: Float[Array, "P L L"], labels: ClassLabels, alpha: Float[Array, "C L"], num_steps: int
) -> SoftmaxApproximation:
    """The normal at the mode f̂ of the posterior, covariance ``(K⁻¹ + W)⁻¹``, with its log evidence.

    ``log p(y | f̂) - ½ (f̂ - m)ᵀ K⁻¹ (f̂ - m) - ½ log det(I + K W)``, where the determinant is ``Π_c det(I + D_c^½ K_c
    D_c^½) · det M / Π_i w_i``. The last of Newton's steps is outside the loop, so that the evidence may be
    differentiated, once: see `bal.learners.gp.laplace`.

    Args:
      gram: of the one process of all classes, or of one process a class; padded rows repeat a real one.
      labels: C times L of them.
      alpha: where to start, if that is more likely than 0.
      num_steps: at most.

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", algorithm 3.3.
    """
    held = jax.lax.stop_gradient((gram, labels, alpha))
    found = jax.lax.stop_gradient(_find_mode(*held, num_steps))
    alpha = _newton(gram, labels, jax.lax.stop_gradient(labels.offset + times_gram(gram, found)))
    mean = times_gram(gram, alpha)
    probs = jax.nn.softmax(labels.offset + mean, 0)
    blocks = _blocks(gram, labels.weight[None] * probs, labels.weight)
    evidence = _log_joint(labels, alpha, mean) - 0.5 * blocks.log_det
    return SoftmaxApproximation(blocks, alpha, probs, evidence, _gap(labels, alpha, mean))


def times_gram(gram: Float[Array, "P n L"], v: Float[Array, "C L"]) -> Float[Array, "C n"]:
    """``k(x, X) v`` for every class, whose process is its own or the one of all."""
    each = v.reshape(len(gram), -1, v.shape[1])
    return dot(each, gram.swapaxes(1, 2)).reshape(v.shape[0], gram.shape[1])


def _rows_times(matrices: Float[Array, "C L L"], v: Float[Array, "C L"]) -> Float[Array, "C L"]:
    return dot(matrices, v[:, :, None])[:, :, 0]


def _blocks(gram: Float[Array, "P L L"], precision: Float[Array, "C L"], weight: Float[Array, "L"]) -> Blocks:
    each, real = len(precision) // len(gram), weight > 0

    def of_class(number: Array, precision: Float[Array, "L"]) -> tuple:
        found = factor(gram[number // each], precision)
        return *found, dot(found.whiten.T, found.whiten)

    whiten, log_det, inner = map_members(of_class, jnp.arange(len(precision)), precision)
    root = jnp.linalg.cholesky(inner.sum(0) + jnp.diag(jnp.where(real, 0.0, 1.0).astype(gram.dtype)))
    over = jnp.sum(jnp.log(jnp.where(real, weight, 1.0)))
    return Blocks(whiten, inner, root, log_det.sum() + 2 * jnp.sum(jnp.log(jnp.diagonal(root))) - over)


def _newton(gram: Float[Array, "P L L"], labels: ClassLabels, f: Float[Array, "C L"]) -> Float[Array, "C L"]:
    """Alpha of the mode that the likelihood would have, were it its second-order expansion at f."""
    probs, apart = jax.nn.softmax(f, 0), f - labels.offset
    precision = labels.weight[None] * probs
    centered = apart - jnp.sum(probs * apart, 0, keepdims=True)
    aim = precision * centered + labels.weight[None] * (labels.target - probs)
    return aim - _blocks(gram, precision, labels.weight).times(times_gram(gram, aim))


class _Ascent(NamedTuple):
    """mean: ``K α``."""

    alpha: Float[Array, "C L"]
    mean: Float[Array, "C L"]
    gap: Float[Array, ""]
    count: Array


def _find_mode(
    gram: Float[Array, "P L L"], labels: ClassLabels, alpha: Float[Array, "C L"], num_steps: int
) -> Float[Array, "C L"]:
    """Newton's method. A step is the best of a few lengths, which cost little beside its direction; the whole of it
    where that is as good to rounding."""
    epsilon = jnp.finfo(gram.dtype).eps
    lengths = 0.5 ** jnp.arange(LENGTHS, dtype=gram.dtype)

    def step(now: _Ascent) -> _Ascent:
        toward = _newton(gram, labels, labels.offset + now.mean) - now.alpha
        across = times_gram(gram, toward)
        value = _log_joint(labels, now.alpha, now.mean)
        values = jax.vmap(lambda t: _log_joint(labels, now.alpha + t * toward, now.mean + t * across))(lengths)
        values = values.at[0].add(epsilon**0.75 * (1 + jnp.abs(value)))
        best = jnp.argmax(jnp.where(values >= value, values, -jnp.inf))  # False for NaN
        length = jnp.where((values >= value).any(), lengths[best], 0.0)
        alpha = jnp.where(length > 0, now.alpha + length * toward, now.alpha)
        mean = times_gram(gram, alpha)
        return _Ascent(alpha, mean, _gap(labels, alpha, mean), now.count + 1)

    real, zero = jnp.where(labels.weight[None] > 0, alpha, 0.0), jnp.zeros_like(alpha)
    mean = times_gram(gram, real)
    likely = _log_joint(labels, real, mean) > _log_joint(labels, zero, zero)  # False for NaN
    real, mean = jnp.where(likely, real, zero), jnp.where(likely, mean, zero)
    start = _Ascent(real, mean, _gap(labels, real, mean), jnp.zeros((), jnp.int32))
    going = lambda now: (now.count < num_steps) & (now.gap > epsilon**0.6)
    return jax.lax.while_loop(going, step, start).alpha


def _log_joint(labels: ClassLabels, alpha: Float[Array, "C L"], mean: Float[Array, "C L"]) -> Float[Array, ""]:
    log_probs = jax.nn.log_softmax(labels.offset + mean, 0)
    return jnp.sum(labels.weight[None] * labels.target * log_probs) - 0.5 * jnp.sum(alpha * mean)


def _gap(labels: ClassLabels, alpha: Float[Array, "C L"], mean: Float[Array, "C L"]) -> Float[Array, ""]:
    slope = labels.weight[None] * (labels.target - jax.nn.softmax(labels.offset + mean, 0))
    return jnp.abs(slope - alpha).max() / (1 + jnp.abs(mean).max())
