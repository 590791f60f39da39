"""Expected predictive information gain: what the label of a row tells about the labels of target rows.

Pool and targets are predicted by the same K posterior draws. Bickford Smith, Kirsch, Farquhar, Gal, Foster and
Rainforth 2023, "Prediction-Oriented Bayesian Active Learning" (AISTATS).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.gaussian import total_variance
from bal.acquisition.kinds import check_draws, check_log_probs, check_matrix, check_moments, check_shape, target_weights
from bal.numerics import at_most, centered_draws, dot, entropy, in_row_blocks, mean_log_probs, rows_per_block
from bal.numerics.divergence import JOINT_BYTES, event_block, mean_divergence, relative, rows_in_block, sum_classes
from bal.typing import Gaussian


def epig(
    log_probs: Float[Array, "N K C"],
    target_log_probs: Float[Array, "M _ T"],
    weight: Float[Array, "M"] | None = None,
    *,
    log_draw_weight: Float[Array, "K"] | None = None,
    budget: int = JOINT_BYTES,
) -> Float[Array, "N"]:
    """Weighted mean over targets z of ``I(y; y_z)``, in nats; the T classes of targets may be others than those of y.

    Computed as ``Σ_z w_z Σ p̄ p̄_z φ(ρ)`` with ``ρ = p(y, y_z) / (p̄ p̄_z)`` and ``φ(ρ) = ρ log ρ - ρ + 1 >= 0``: never
    negative, exactly 0 where either side's draws agree, accurate where they nearly do. At most `bald` of the row, of
    the targets, and log C. A mean over few targets is noisy: 256 are usual.

    Args:
      log_probs, target_log_probs: predictions by the same draws.
      weight: importance of each target; normalized here. All equal unless given.
      log_draw_weight: log weights of the draws, normalized; uniform unless given. With the likelihood of labels added,
        this is EPIG after those labels.
      budget: bytes of one block of the joint of rows and targets; changes speed only.

    Raises:
      ValueError: pool and targets have different numbers of draws.

    >>> pool = jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]], [[0.3, 0.7], [0.3, 0.7]]]))
    >>> [round(score, 4) for score in jax.jit(epig)(pool, pool[:1]).tolist()]
    [0.6931, 0.0]

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning".
    """
    check_log_probs("epig", log_probs)
    check_log_probs("epig", target_log_probs, "targets")
    num_targets, target_classes = _check(log_probs, target_log_probs)
    num_draws, num_classes = log_probs.shape[1:]
    if log_draw_weight is not None:
        check_shape("epig", "one log weight per draw, an array", log_draw_weight, (num_draws,))
    target = relative(target_log_probs, log_draw_weight)
    draw_weight = 1.0 / num_draws if log_draw_weight is None else jnp.exp(log_draw_weight)[:, None]
    tilt = (target.excess * draw_weight).T
    weight = target_weights("epig", weight, num_targets, log_probs.dtype)
    weight = jnp.repeat(weight, target_classes) * target.marginal

    def block(some: Float[Array, "r K C"]) -> Float[Array, "r"]:
        marginal, excess = relative(some, log_draw_weight)
        return sum_classes(marginal * mean_divergence(excess, tilt, weight), num_classes)

    return in_row_blocks(block, log_probs, rows_in_block(len(weight), log_probs, budget))


def epig_by_entropies(
    log_probs: Float[Array, "N K C"],
    target_log_probs: Float[Array, "M _ T"],
    weight: Float[Array, "M"] | None = None,
    *,
    budget: int = JOINT_BYTES,
) -> Float[Array, "N"]:
    """`epig` as ``H[p̄] + Σ_z w_z (H[p̄_z] - H[joint])``, in nats: the form found in most code, as a cross-check.

    A difference of entropies: rounding (about 1e-6 in float32) may make it negative, and it ranks rows whose draws
    nearly agree at random. No faster than `epig`.

    >>> pool = jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]]]))
    >>> round(jax.jit(epig_by_entropies)(pool, pool).item(), 4)
    0.6931

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning".
    """
    check_log_probs("epig_by_entropies", log_probs)
    check_log_probs("epig_by_entropies", target_log_probs, "targets")
    num_targets, target_classes = _check(log_probs, target_log_probs)
    num_draws = log_probs.shape[1]
    weight = target_weights("epig_by_entropies", weight, num_targets, log_probs.dtype)
    apart = jnp.sum(weight * entropy(mean_log_probs(target_log_probs)))
    targets = jnp.exp(target_log_probs).transpose(0, 2, 1).reshape(-1, num_draws)
    weight = jnp.repeat(weight, target_classes)
    size = event_block(len(weight))
    padding = -len(weight) % size
    targets = jnp.pad(targets, ((0, padding), (0, 0))).reshape(-1, size, num_draws)
    weight = jnp.pad(weight, (0, padding)).reshape(-1, size)

    def block(some: Float[Array, "r K C"]) -> Float[Array, "r"]:
        rows = jnp.exp(some).transpose(1, 0, 2).reshape(num_draws, -1) / num_draws

        def add(total: Array, event: tuple) -> tuple[Array, None]:
            joint = dot(event[0], rows)
            term = joint * jnp.log(jnp.maximum(joint, jnp.finfo(joint.dtype).tiny))
            return total - dot(event[1], term), None

        together, _ = jax.lax.scan(add, jnp.zeros_like(rows[0]), (targets, weight))
        return entropy(mean_log_probs(some)) + apart - sum_classes(together, some.shape[-1])

    return in_row_blocks(block, log_probs, rows_in_block(weight.size, log_probs, budget))


def gaussian_epig(
    prediction: Gaussian, target: Gaussian, weight: Float[Array, "M"] | None = None, *, budget: int = JOINT_BYTES
) -> Float[Array, "N"]:
    """Weighted mean over targets of ``-½ log(1 - ρ²)``, in nats, ρ being the correlation of the two labels over draws.

    ``ρ² = Cov_k(mean, mean_z)² / (total_variance total_variance_z)``: the information of the normal that has the
    moments of the K draws. Given a draw, rows are taken as independent, as they are for a network; the covariances of
    a Gaussian process are not in its marginal predictions. At least 0 and at most `gaussian_bald`: ``1 - ρ²`` is taken
    as no less than the share of either label's variance that the draws do not explain.

    >>> zero, one = jnp.zeros((1, 2)), jnp.ones((1, 2))
    >>> draws = Gaussian(jnp.array([[-1.0, 1.0]]), zero, one)
    >>> round(jax.jit(gaussian_epig)(draws, draws).item(), 4)  # ρ = 1/2
    0.1438

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning", its regression form.
    """
    check_moments("gaussian_epig", prediction)
    check_moments("gaussian_epig", target, rows="targets")
    num_targets, num_draws = target.mean.shape
    check_draws(prediction.mean.shape[1], num_draws)
    weight = target_weights("gaussian_epig", weight, num_targets, target.mean.dtype)
    away, most_away = (_standard(target) / num_draws).T, _most(target)

    def block(some: tuple[Array, Array]) -> Float[Array, "r"]:
        information = -0.5 * jnp.log1p(-at_most(dot(some[0], away) ** 2, 1.0))
        return jnp.sum(at_most(at_most(information, some[1][:, None]), most_away[None]) * weight[None], 1)

    rows = rows_per_block(num_targets * target.mean.dtype.itemsize, budget)
    return in_row_blocks(block, (_standard(prediction), _most(prediction)), rows)


def jepig(
    log_probs: Float[Array, "N K C"], log_draw_weight: Float[Array, "S _"], *, budget: int = JOINT_BYTES
) -> Float[Array, "N"]:
    """Information about the labels of all targets *jointly*, ``I(y; y_1 ... y_M)``, in nats.

    ``mean_s KL(p(y | labeling s) ‖ p̄)`` over S labelings of the whole target set drawn from the joint prediction, each
    given by the posterior weights it leaves on the draws (`bal.query.joint_targets`). At least `epig` over the same
    targets and at most `bald`, up to the noise of the S labelings; with many targets, which identify the draw, it
    becomes `bald`.

    >>> pool = jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]]]))
    >>> round(jax.jit(jepig)(pool, pool[0]).item(), 4)
    0.6931

    Kirsch, Farquhar and Gal 2021, "Test Distribution-Aware Active Learning"; reconstructed from its definition.
    """
    check_log_probs("jepig", log_probs)
    num_labelings, num_draws = check_matrix("jepig", "log draw weights [labelings, draws]", log_draw_weight)
    check_draws(log_probs.shape[1], num_draws)
    tilt = jnp.exp(log_draw_weight) - 1.0 / num_draws
    weight = jnp.full(num_labelings, 1.0 / num_labelings, log_probs.dtype)

    def block(some: Float[Array, "r K C"]) -> Float[Array, "r"]:
        marginal, excess = relative(some)
        return sum_classes(marginal * mean_divergence(excess, tilt, weight), some.shape[-1])

    return in_row_blocks(block, log_probs, rows_in_block(num_labelings, log_probs, budget))


def _check(log_probs: Array, target_log_probs: Array) -> tuple[int, int]:
    check_draws(log_probs.shape[1], target_log_probs.shape[1])
    num_targets, _, num_classes = target_log_probs.shape
    return num_targets, num_classes


def _most(prediction: Gaussian) -> Float[Array, "N"]:
    """The most that a label can have in common with another given the same draws, ``½ log (total / unexplained)``."""
    unexplained = prediction.variance.mean(1) + prediction.noise.mean(1)
    return 0.5 * jnp.log(total_variance(prediction) / unexplained)


def _standard(prediction: Gaussian) -> Float[Array, "N K"]:
    """Means of the draws, centered, in standard deviations of the label."""
    return centered_draws(prediction.mean) / jnp.sqrt(total_variance(prediction))[:, None]
