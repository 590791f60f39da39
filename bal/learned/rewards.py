"""How good the newest model is, from labels that strategies chose: what a bandit over strategies is rewarded with.

Both are averages with weights of the picks m = 1 ... M among N rows, given ``q_m = P(pick m | earlier picks)``: both
are unbiased for the accuracy over all N rows if the model does not depend on the picks. It does, for it was trained on
them: a bandit compares such numbers with one another and does not believe them.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def importance_weighted(
    log_q: Float[Array, "L"], place: Int[Array, "L"], num_picks: Int[Array, ""], num_rows: Int[Array, ""]
) -> Float[Array, "L"]:
    """Weights of ALBL's importance-weighted accuracy, for picks without replacement: ``(1 / q_m + M - m) / (N M)``.

    The paper sums ``1 / (n T q_m)`` over draws that may name a row again, T the horizon; here no row is asked for
    twice, so that a row picked earlier stands for itself in each later draw, and M, the picks so far, takes the place
    of T: the reward estimates accuracy from the first round on.

    Use it for the paper's reward; its variance is that of ``1 / q``, see `lure_weighted`.

    Args:
      log_q, place: of each place in the acquisition log: ``log q`` and the number m of its pick, 0 = is none.
      num_picks, num_rows: M and N.

    Returns:
      Weights, 0 where there is no pick.

    >>> importance_weighted(jnp.log(jnp.array([0.25, 0.5])), jnp.array([1, 2]), jnp.int32(2), jnp.int32(4)).tolist()
    [0.625, 0.25]

    Hsu and Lin 2015, "Active Learning by Learning"; Farquhar, Gal and Rainforth 2021 (their R_PURE).
    """
    weight = (jnp.exp(-log_q) + num_picks - place) / (num_rows * jnp.maximum(num_picks, 1))
    return jnp.where(place > 0, weight, 0.0)


def lure_weighted(
    log_q: Float[Array, "L"], place: Int[Array, "L"], num_picks: Int[Array, ""], num_rows: Int[Array, ""]
) -> Float[Array, "L"]:
    """Weights of LURE over M: `bal.evaluation.active.lure_weights` in a compiled program, whatever M.

    ``(1 + (N - M) / (N - m) (1 / ((N - m + 1) q_m) - 1)) / M``: all ``1 / M`` where picks are uniform or all rows
    labeled, so of less variance than `importance_weighted`.

    Use it for a reward that is less noisy.

    Args:
      log_q, place, num_picks, num_rows: as of `importance_weighted`.

    Returns:
      Weights, 0 where there is no pick.

    >>> weights = lure_weighted(jnp.log(jnp.array([0.5, 0.25])), jnp.array([1, 2]), jnp.int32(2), jnp.int32(4))
    >>> [round(2 * float(weight), 3) for weight in weights]
    [0.667, 1.333]

    Farquhar, Gal and Rainforth 2021, "On Statistical Bias In Active Learning: How and When to Fix It".
    """
    share = (num_rows - num_picks) / jnp.maximum(num_rows - place, 1)
    weight = 1 + share * (jnp.exp(-log_q) / (num_rows - place + 1) - 1)
    return jnp.where(place > 0, weight / jnp.maximum(num_picks, 1), 0.0)
