"""What bilevel rules work on: features of rows, and what a model is to say of them."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.acquisition.kinds import check_log_probs
from bal.numerics import mean_log_probs
from bal.selection.kinds import check_type
from bal.typing import Candidates, Gaussian, PyTree


class Targeted(NamedTuple):
    """Rows of a bilevel rule.

    features: where the small model is linear. targets: pseudo-labels, or labels of known rows: distributions over
    classes, or real numbers.
    """

    features: Float[Array, "n F"]
    targets: Float[Array, "n C"]


class Parts(NamedTuple):
    """Candidates with a one for the bias; what is not finite is cleared, and is neither asked for nor taught.

    pool: all candidates. known: L rows, followed by B empty places. weight: of those. outer: of each candidate in the
    loss that counts, a mean over the rows that may be picked. finite: candidates that have a score.
    """

    pool: Targeted
    known: Targeted
    weight: Float[Array, "L+B"]
    outer: Float[Array, "n"]
    finite: Bool[Array, "n"]


def parts_of(rule: str, candidates: Candidates, batch_size: int) -> Parts:
    """What a rule needs of its candidates; ValueError if they are no `Targeted` rows of two axes."""
    check_type(rule, candidates.rows, Targeted)
    shapes = [jnp.shape(leaf) for leaf in candidates.rows]
    if [len(shape) for shape in shapes] != [2, 2]:
        raise ValueError(
            f"{rule} works on features [n, F] and targets [n, C], got shapes {shapes[0]} and {shapes[1]}: class "
            "numbers are jax.nn.one_hot(y, C), real labels y[:, None]"
        )
    pool, finite = _cleared(candidates.rows)
    dtype = pool.features.dtype
    empty = Targeted(*(jnp.zeros((batch_size, leaf.shape[1]), dtype) for leaf in pool))
    weight = jnp.zeros(batch_size, dtype)
    known = empty
    if candidates.known is not None and candidates.known_weight is not None:
        told, sound = _cleared(candidates.known)
        known = Targeted(*(jnp.concatenate([one, none]) for one, none in zip(told, empty, strict=True)))
        weight = jnp.concatenate([jnp.where(sound, candidates.known_weight, 0).astype(dtype), weight])
    counted = (candidates.eligible & finite).astype(dtype)
    return Parts(pool, known, weight, counted / jnp.maximum(counted.sum(), 1), finite)


def pseudo_targets(predictions: PyTree) -> Float[Array, "n C"]:
    """What the posterior expects of rows: class probabilities, or means ``[n, 1]`` (of several outputs ``[n, P]``).

    >>> pseudo_targets(Gaussian(*[jnp.array([[1.0, 3.0]])] * 3)).tolist()
    [[2.0]]
    """
    if isinstance(predictions, Gaussian):
        return predictions.mean.mean(1).reshape(len(predictions.mean), -1)
    check_log_probs("a bilevel coreset", predictions)
    return jnp.exp(mean_log_probs(predictions))


def _cleared(rows: Targeted) -> tuple[Targeted, Bool[Array, "n"]]:
    finite = jnp.isfinite(rows.features).all(1) & jnp.isfinite(rows.targets).all(1)
    dtype = rows.features.dtype
    features = jnp.where(finite[:, None], rows.features, 0)
    ones = jnp.ones((len(features), 1), dtype)
    targets = jnp.where(finite[:, None], rows.targets, 0).astype(dtype)
    return Targeted(jnp.concatenate([features, ones], 1), targets), finite
