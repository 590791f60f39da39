"""Scores of rows that have several labels, each there or not.

Every function takes a `bal.typing.MultiLabel` of log odds ``[N, K, G]``, is row-wise, and higher means: label first.
The answer to a question are all G labels of a row. Given a draw they are independent, so that the information of the
answer, ``I(y_1 .. y_G; θ)``, is at most the sum of that of each label, and less where labels go together.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal.acquisition.information import bald
from bal.acquisition.kinds import check_multi_label
from bal.method import method
from bal.numerics import LOG_FLOOR, at_least, dot, in_chunks, logmeanexp, rows_per_block
from bal.numerics.divergence import divergence
from bal.typing import MultiLabel

MOST_ENUMERATED = 12
"""Labels of which all 4,096 combinations are looked at."""

_BYTES = 4 * 2**20


@method
def over_labels(acquisition: Callable[[Float[Array, "N K 2"]], Float[Array, "N"]]) -> Callable[..., Float[Array, "N"]]:
    """The sum ``Σ_g`` of a score of classes over the labels, each a class of two: absent or present.

    Use it when a score of classes is wanted for label sets: ``over_labels(predictive_entropy)``,
    ``over_labels(margin)``.

    Args:
      acquisition: of log probabilities ``[N, K, 2]``.

    >>> from bal.acquisition import least_confidence
    >>> prediction = MultiLabel(jnp.log(jnp.array([[[1.0, 3.0, 4.0]]])))  # probabilities .5, .75, .8
    >>> round(over_labels(least_confidence)(prediction).item(), 4)
    0.95

    Settles 2009, "Active Learning Literature Survey", on each label's uncertainty.
    """

    def summed(prediction: MultiLabel) -> Float[Array, "N"]:
        check_multi_label("over_labels", prediction)
        return jnp.sum(jax.vmap(acquisition, in_axes=2)(jnp.stack(_halves(prediction), -1)), 0)

    return summed


def labels_bald(prediction: MultiLabel) -> Float[Array, "N"]:
    """Sum of the information of each label about the parameters, ``Σ_g I(y_g; θ)``, in nats: `over_labels` of `bald`.

    As if labels were independent: at least `joint_labels_bald`, with equality where they are, at most
    ``G min(log 2, log K)``. What several labels say alike is counted once for each.

    Use it when labels are many or nearly independent; it costs no more than `bald`.

    >>> prediction = MultiLabel(jnp.array([[[50.0, 50.0], [-50.0, -50.0]]]))  # either both or none
    >>> round(jax.jit(labels_bald)(prediction).item(), 4), round(jax.jit(joint_labels_bald)(prediction).item(), 4)
    (1.3863, 0.6931)

    Houlsby et al. 2011, for each label.
    """
    check_multi_label("labels_bald", prediction)
    return over_labels(bald)(prediction)


def joint_labels_bald(prediction: MultiLabel) -> Float[Array, "N"]:
    """Information of all labels of a row together about the parameters, ``I(y_1 .. y_G; θ)``, in nats.

    `bald` of the 2^G label sets, exactly. At most `labels_bald`, and at most ``min(log K, G log 2)``.

    Use it when labels go together and there are few of them; of more than 12 take `sampled_labels_bald`.

    Raises:
      ValueError: more than 12 labels.

    >>> prediction = MultiLabel(jnp.array([[[0.0, 50.0], [0.0, -50.0]]]))
    >>> round(jax.jit(joint_labels_bald)(prediction).item(), 4)
    0.6931

    Houlsby et al. 2011, of label sets.
    """
    check_multi_label("joint_labels_bald", prediction)
    num_draws, num_labels = prediction.log_odds.shape[1:]
    if num_labels > MOST_ENUMERATED:
        raise ValueError(
            f"joint_labels_bald looks at all sets of at most {MOST_ENUMERATED} labels, got {num_labels}; use "
            "sampled_labels_bald(32)"
        )
    has = (np.arange(2**num_labels)[:, None] >> np.arange(num_labels) & 1).astype(prediction.log_odds.dtype)

    def block(some: MultiLabel) -> Float[Array, "n"]:
        absent, present = _halves(some)
        return bald(dot(present, jnp.asarray(has.T)) + dot(absent, jnp.asarray(1 - has.T)))

    return in_chunks(block, prediction, rows_per_block(num_draws * len(has) * 4, _BYTES))


@method
def sampled_labels_bald(num_samples: int = 32) -> Callable[[MultiLabel], Float[Array, "N"]]:
    """Estimate of `joint_labels_bald` from `num_samples` label sets of each draw, for any number of labels, in nats.

    ``mean_y KL(p(k | y) ‖ 1/K)`` over label sets y drawn from each of the K draws alike: what the labels tell about
    which draw it is. Unbiased; each term, and so the estimate, lies between 0 and log K, and is exactly 0 for draws
    that agree. All rows and draws share the random numbers, which are the same in every round, so that equal rows tie.

    Use it when labels are more than 12 and go together. It costs ``K num_samples`` times `labels_bald`.

    Args:
      num_samples: of each draw.

    Raises:
      ValueError: fewer than one sample.

    >>> prediction = MultiLabel(jnp.array([[[50.0, 50.0], [-50.0, -50.0]]]))
    >>> round(jax.jit(sampled_labels_bald(4))(prediction).item(), 4)
    0.6931

    Houlsby et al. 2011, by Monte Carlo as in Kirsch, van Amersfoort and Gal 2019, "BatchBALD".
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, got {num_samples}")

    def information(prediction: MultiLabel) -> Float[Array, "N"]:
        check_multi_label("sampled_labels_bald", prediction)
        num_draws, num_labels = prediction.log_odds.shape[1:]
        below = _latin_hypercube(num_samples, num_labels)

        def block(some: MultiLabel) -> Float[Array, "n"]:
            absent, present = _halves(some)
            has = below[None, None].astype(absent.dtype) < jnp.exp(present)[:, :, None]  # [n, K, S, G]
            sets = has.reshape(len(absent), -1, num_labels).astype(absent.dtype)
            each = lambda labels, half: dot(labels, half.transpose(0, 2, 1))  # [n, K S, J]
            log_p = each(sets, present) + each(1 - sets, absent)  # of each set under every draw j
            ratio = log_p - logmeanexp(log_p, 2)[..., None]
            return divergence(jnp.expm1(ratio)).mean((1, 2))

        size = rows_per_block(num_draws * num_samples * (num_draws + num_labels) * 4, _BYTES)
        return in_chunks(block, prediction, size)

    return information


def _halves(prediction: MultiLabel) -> tuple[Float[Array, "N K G"], Float[Array, "N K G"]]:
    """Log probabilities that a label is absent, and that it is present; at least those of 0 in `LOG_FLOOR`."""
    absent, present = jax.nn.log_sigmoid(-prediction.log_odds), jax.nn.log_sigmoid(prediction.log_odds)
    return at_least(absent, LOG_FLOOR), at_least(present, LOG_FLOOR)


def _latin_hypercube(num_samples: int, num_labels: int) -> Float[np.ndarray, "S G"]:
    """Numbers in (0, 1): those of each label one in each S-th of it, in an order of its own."""
    rng = np.random.default_rng(0)
    order = np.stack([rng.permutation(num_samples) for _ in range(num_labels)], 1)
    return (order + rng.uniform(size=order.shape)) / num_samples
