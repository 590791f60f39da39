"""Information through an annotator who errs: of the label that is given, not of the class that is true.

`confusion [C, A]` holds the probability of each of A answers for each true class; rows sum to 1.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from bal.acquisition.epig import epig
from bal.acquisition.information import bald
from bal.acquisition.kinds import check_log_probs, check_matrix, check_shape
from bal.method import method
from bal.numerics import at_least, dot, in_row_blocks
from bal.numerics.divergence import relative
from bal.typing import Values


@method
def annotated_bald(confusion: Values) -> Callable[[Float[Array, "N K C"]], Float[Array, "N"]]:
    """Information of an annotator's answer about the parameters, ``I(answer; θ)``, in nats.

    `bald` of ``p̃_ka = Σ_c p_kc confusion_ca``. At most `bald`, which it is for the identity; exactly 0 where all rows
    of the confusion are the same, and for draws that agree.

    Use it when annotators differ: divided by the price of an answer it says whom to ask. For one annotator who errs
    alike in all classes it ranks rows nearly as `bald` does.

    Args:
      confusion: probabilities of answers ``[C, A]``, a row for each true class.

    Raises:
      ValueError: rows that are not probabilities, or not as many as there are classes.

    >>> log_probs = jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]]]))
    >>> score = lambda error: annotated_bald([[1 - error, error], [error, 1 - error]])
    >>> [round(jax.jit(score(error))(log_probs).item(), 4) for error in (0.0, 0.2, 0.5)]
    [0.6931, 0.1927, 0.0]

    Houlsby et al. 2011 through a channel, as Cover and Thomas 2006, "Elements of Information Theory", theorem 2.8.1.
    """
    matrix = _checked(confusion)

    def information(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
        return bald(_heard("annotated_bald", matrix, log_probs))

    return information


@method
def annotated_epig(confusion: Values) -> Callable[..., Float[Array, "N"]]:
    """Weighted mean over targets of ``I(answer; y_z)``, in nats: what an annotator's answer tells about true labels.

    ``annotated_epig(confusion)(log_probs, target_log_probs, weight)`` is `epig` of ``p̃_ka = Σ_c p_kc confusion_ca``
    and the targets as they are. At most `epig`, which it is for the identity, and at most `annotated_bald`; exactly 0
    where all rows of the confusion are the same.

    Use it when annotators differ and the inputs to predict are known; in a stage as
    ``bal.query.score_about(annotated_epig(confusion))``.

    Args:
      confusion: probabilities of answers ``[C, A]``, a row for each true class.

    Raises:
      ValueError: rows that are not probabilities, or not as many as there are classes.

    >>> log_probs = jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]]]))
    >>> score = jax.jit(annotated_epig([[0.8, 0.2], [0.2, 0.8]]))
    >>> round(score(log_probs, log_probs).item(), 4)
    0.1927

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning", through a channel.
    """
    matrix = _checked(confusion)

    def information(
        log_probs: Float[Array, "N K C"],
        target_log_probs: Float[Array, "M _ T"],
        weight: Float[Array, "M"] | None = None,
    ) -> Float[Array, "N"]:
        check_log_probs("annotated_epig", target_log_probs, "targets")
        if weight is not None:
            check_shape("annotated_epig", "one weight per target, an array", weight, target_log_probs.shape[:1])
        return epig(_heard("annotated_epig", matrix, log_probs), target_log_probs, weight)

    return information


def _checked(confusion: Values) -> Any:
    """The confusion as an array ``[C, A]``, its rows probabilities; one that is traced is taken as it is."""
    matrix = confusion if isinstance(confusion, jax.Array) else np.asarray(confusion, np.float64)
    check_matrix("information through an annotator", "a confusion [classes, answers]", matrix)
    if isinstance(matrix, Tracer):
        return matrix
    given = np.asarray(matrix)
    if (given < 0).any() or not np.allclose(given.sum(1), 1, atol=1e-3):
        sums = given.sum(1)
        raise ValueError(
            "expected a confusion [classes, answers] whose rows are probabilities, got a row that sums to "
            f"{sums[np.argmax(abs(sums - 1))]:.4g} or an entry of {given.min():.4g}; divide each row by its sum"
        )
    return matrix


def _heard(name: str, confusion: Float[Any, "true A"], log_probs: Any) -> Float[Array, "N K A"]:
    """Log probabilities of the answers, seen from their marginal: equal draws, or equal rows, give equal draws."""
    check_log_probs(name, log_probs)
    num_draws, num_classes = log_probs.shape[1:]
    if confusion.shape[0] != num_classes:
        raise ValueError(
            f"{name} needs a confusion with a row for each of the {num_classes} classes; got shape {confusion.shape}"
        )
    matrix = jnp.asarray(confusion, log_probs.dtype)
    telling = matrix - matrix.min(0, keepdims=True)  # what all classes have in common cancels against the marginal

    def block(some: Float[Array, "n K C"]) -> Float[Array, "n K A"]:
        marginal, excess = relative(some)
        shift = (marginal[None] * excess).reshape(num_draws, -1, num_classes)
        heard = dot(marginal.reshape(-1, num_classes), matrix)[None]
        shift = dot(shift.reshape(-1, num_classes), telling).reshape(num_draws, *heard.shape[1:])
        ratio = jnp.where(heard == 0, 0.0, shift / jnp.where(heard == 0, 1.0, heard))
        return (jnp.log(heard) + jnp.log1p(at_least(ratio, -1.0))).transpose(1, 0, 2)

    return in_row_blocks(block, log_probs)
