"""Acquisition functions that are not information quantities: margins, votes and spreads of class probabilities.

Every function takes ``log_probs [N, K, C]``, is row-wise, and higher means: label first.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import entr
from jaxtyping import Array, Float

from bal.acquisition.information import bald
from bal.acquisition.kinds import check_log_probs
from bal.numerics import LOG_FLOOR, at_least, centered_draws, defined, in_row_blocks, mean_log_probs


def least_confidence(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """One minus the marginal probability of the likeliest class, ``1 - max_c p̄_c``; between 0 and ``1 - 1/C``.

    >>> import numpy as np
    >>> round(jax.jit(least_confidence)(np.log([[[0.8, 0.2], [0.6, 0.4]]])).item(), 4)
    0.3

    Lewis and Gale 1994, "A Sequential Algorithm for Training Text Classifiers".
    """
    check_log_probs("least_confidence", log_probs)

    def block(x: Array) -> Array:
        others = (-jnp.expm1(x.transpose(1, 2, 0))).mean(0)  # 1 - p̄
        return defined(others.min(0), others.sum(0))

    return in_row_blocks(block, log_probs)


def variation_ratio(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """Variation ratio of the *marginal*, ``1 - max_c p̄_c``: the formula printed in Gal et al. 2017.

    The same number as `least_confidence`, under the name by which most papers on deep active learning plot it. The
    archived code of Gal et al. computes `vote_variation_ratio`, which ranks differently.

    >>> import numpy as np
    >>> round(jax.jit(variation_ratio)(np.log([[[0.8, 0.2], [0.6, 0.4]]])).item(), 4)
    0.3

    Freeman 1965; Gal, Islam and Ghahramani 2017, "Deep Bayesian Active Learning with Image Data".
    """
    check_log_probs("variation_ratio", log_probs)
    return least_confidence(log_probs)


def vote_variation_ratio(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """Variation ratio of the *votes*: one minus the share of draws whose likeliest class is the modal one.

    Between 0 and ``1 - 1/min(K, C)``, in steps of 1/K, so ties are common. A draw that is itself tied votes for its
    lowest class.

    >>> import numpy as np
    >>> round(jax.jit(vote_variation_ratio)(np.log([[[0.8, 0.2], [0.6, 0.4], [0.4, 0.6]]])).item(), 4)
    0.3333

    Freeman 1965, "Elementary Applied Statistics"; as computed in the code of Gal et al. 2017.
    """
    check_log_probs("vote_variation_ratio", log_probs)
    shares = _vote_shares(log_probs)
    return defined(1.0 - shares.max(-1), shares.sum(-1))


def vote_entropy(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """Entropy of the committee's votes, ``-Σ_c v_c log v_c`` with v the share of draws that vote for c, in nats.

    Between 0 and ``log min(K, C)``.

    >>> import numpy as np
    >>> round(jax.jit(vote_entropy)(np.log([[[0.8, 0.2], [0.4, 0.6]]])).item(), 4)
    0.6931

    Dagan and Engelson 1995, "Committee-Based Sampling for Training Probabilistic Classifiers".
    """
    check_log_probs("vote_entropy", log_probs)
    shares = _vote_shares(log_probs)
    return entr(shares).sum(-1)


def consensus_kl(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """Mean divergence of the committee from its consensus, ``mean_k KL(p_k ‖ p̄)``, in nats: equal to `bald`.

    >>> round(jax.jit(consensus_kl)(jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]]]))).item(), 4)
    0.6931

    McCallum and Nigam 1998, "Employing EM and Pool-Based Active Learning for Text Classification".
    """
    check_log_probs("consensus_kl", log_probs)
    return bald(log_probs)


def margin(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """Minus the gap between the two likeliest classes, ``p̄_second - p̄_first``; between -1 and 0.

    >>> import numpy as np
    >>> round(jax.jit(margin)(np.log([[[0.7, 0.2, 0.1]]])).item(), 4)
    -0.5

    Scheffer, Decomain and Wrobel 2001, "Active Hidden Markov Models for Information Extraction".
    """
    check_log_probs("margin", log_probs)
    probs = jnp.exp(mean_log_probs(log_probs))
    first, second = _two_largest(probs)
    return defined(second - first, probs.sum(-1))


def log_margin(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """Minus the log odds of the likeliest class against the second, ``log p̄_second - log p̄_first``; at most 0.

    Where ``p = softmax(-f)`` for scores f of classes it is minus the gap between the two smallest scores. The log of 0
    counts as -1000.

    >>> import numpy as np
    >>> round(jax.jit(log_margin)(np.log([[[0.8, 0.1, 0.1]]])).item(), 4)
    -2.0794

    Ban et al. 2024, "Neural Active Learning Beyond Bandits", of scores that are losses.
    """
    check_log_probs("log_margin", log_probs)
    logs = at_least(mean_log_probs(log_probs), LOG_FLOOR)
    first, second = _two_largest(logs)
    return defined(second - first, logs.sum(-1))


def mean_std(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """Standard deviation over draws, averaged over classes: ``mean_c sqrt(Var_k p_kc)``; between 0 and 1/2.

    The variance is that of the K draws themselves (divisor K), so one draw, or identical draws, give exactly 0.

    >>> round(jax.jit(mean_std)(jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]]]))).item(), 4)
    0.5

    Kampffmeyer, Salberg and Jenssen 2016; Gal, Islam and Ghahramani 2017.
    """
    check_log_probs("mean_std", log_probs)

    def block(x: Array) -> Array:
        variance = jnp.mean(centered_draws(jnp.exp(x.transpose(1, 2, 0)), axis=0) ** 2, 0)
        positive = variance > 0  # the square root has no gradient at 0
        return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), variance).mean(0)

    return in_row_blocks(block, log_probs)


def _two_largest(x: Float[Array, "N C"]) -> tuple[Float[Array, "N"], Float[Array, "N"]]:
    first = x.max(-1)
    is_first = jnp.cumsum(x == first[:, None], -1) == 1
    is_first &= x == first[:, None]
    return first, jnp.where(is_first, -jnp.inf, x).max(-1)


def _vote_shares(log_probs: Float[Array, "N K C"]) -> Float[Array, "N C"]:
    votes = jax.nn.one_hot(log_probs.argmax(-1), log_probs.shape[-1], dtype=log_probs.dtype)
    known = (log_probs < jnp.inf).all((1, 2))[:, None]  # argmax would take NaN for the winner
    return jnp.where(known, votes.mean(1), jnp.nan)
