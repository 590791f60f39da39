"""Streams that drift: an order of concepts, two generators of the literature, and drift put into data of one's own."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bal.learners.settings import check_count, check_factor
from bal.loop.checks import check_labels
from bal.stream.settings import check_share
from bal.typing import PRNGKey, Values

SEA_THRESHOLDS = (8.0, 9.0, 7.0, 9.5)
"""Of the four concepts, in the order of the paper."""


class Stream(NamedTuple):
    """Rows in order, their labels, and the concept that each was labeled by."""

    x: Float[Array, "T D"]
    y: Int[Array, "T"]
    concept: Int[Array, "T"]


def concepts(key: PRNGKey, num_rows: int, order: Sequence[int], width: float = 0.0) -> Int[Array, "T"]:
    """Which concept each row belongs to: the numbers of `order`, each for an equal stretch of the stream.

    Abrupt drift with ``width=0``; gradual with a width, where a row around a change at ``t_0`` is of the new concept
    with probability ``1 / (1 + exp(-4 (t - t_0) / width))``; recurring where the order comes back, as (0, 1, 0, 1).

    Args:
      key: for the rows of a gradual change.
      num_rows: T.
      order: numbers of concepts.
      width: rows that a change takes.

    Raises:
      ValueError: no concept, a width that is negative, less than one row.

    >>> concepts(jax.random.key(0), 6, (0, 1, 0)).tolist()
    [0, 0, 1, 1, 0, 0]

    Bifet, Holmes, Pfahringer, Kirkby and Gavalda 2009, "New Ensemble Methods for Evolving Data Streams", on gradual
    changes as sigmoids.
    """
    check_count("num_rows", num_rows)
    if not all(isinstance(number, int | np.integer) for number in order):
        raise TypeError(f"expected the numbers of concepts as order, whole numbers such as (0, 1, 0), got {order}")
    check_factor("width", width)
    if not len(order):
        raise ValueError("expected at least one concept, got none; (0, 1) is a change in the middle")
    time, stretch = jnp.arange(num_rows), num_rows / len(order)
    if not width:
        return jnp.asarray(order)[(time / stretch).astype(jnp.int32).clip(0, len(order) - 1)]
    changes = jnp.arange(1, len(order)) * stretch
    passed = jax.nn.sigmoid(4.0 * (time[:, None] - changes[None]) / width)
    drawn = jax.random.uniform(key, (num_rows, 1))  # one number a row, so that it is behind all changes or before
    return jnp.asarray(order)[(drawn < passed).sum(1)]


def sea(key: PRNGKey, concept: Int[Array, "T"], noise: float = 0.1) -> Stream:
    """The SEA concepts: three features uniform in [0, 10], class 1 where ``x_1 + x_2 <= θ``, the third irrelevant.

    θ is 8, 9, 7 or 9.5 for concepts 0 to 3; higher numbers start over.

    Args:
      key: of the features and the noise.
      concept: as `concepts` gives it.
      noise: share of labels that are turned around.

    Raises:
      ValueError: a noise outside [0, 1].

    >>> jax.eval_shape(sea, jax.random.key(0), jnp.zeros(5, int)).x.shape
    (5, 3)

    Street and Kim 2001, "A Streaming Ensemble Algorithm (SEA) for Large-Scale Classification".
    """
    check_share("noise", noise)
    key_x, key_noise = jax.random.split(key)
    x = jax.random.uniform(key_x, (len(concept), 3), maxval=10.0)
    y = x[:, 0] + x[:, 1] <= jnp.asarray(SEA_THRESHOLDS)[concept % 4]
    return Stream(x, _turned(key_noise, y, noise), concept)


def hyperplane(
    key: PRNGKey,
    num_rows: int,
    num_features: int = 10,
    num_drifting: int = 2,
    magnitude: float = 0.001,
    turn: float = 0.1,
    noise: float = 0.05,
) -> Stream:
    """The rotating hyperplane: features uniform in [0, 1], class 1 where ``Σ_i w_i x_i >= ½ Σ_i w_i``.

    Weights begin uniform in [0, 1]; after each row the first `num_drifting` of them move by `magnitude`, each in its
    own direction, which turns around with probability `turn`. The concept is 0 throughout: it never stands still.

    Args:
      key: of features, weights, turns and noise.
      num_rows, num_features: T and D.
      num_drifting, magnitude, turn: of the drift.
      noise: share of labels that are turned around.

    Raises:
      ValueError: no rows, more drifting features than there are, a noise or turn outside [0, 1].

    >>> jax.eval_shape(lambda key: hyperplane(key, 7), jax.random.key(0)).x.shape
    (7, 10)

    Hulten, Spencer and Domingos 2001, "Mining Time-Changing Data Streams".
    """
    check_count("num_rows", num_rows)
    check_count("num_features", num_features)
    check_factor("magnitude", magnitude)
    check_count("num_drifting", num_drifting, 0)
    if num_drifting > num_features:
        raise ValueError(f"expected at most {num_features} drifting features, got {num_drifting}; add features")
    check_share("noise", noise)
    check_share("turn", turn)
    key_x, key_w, key_turn, key_noise = jax.random.split(key, 4)
    x = jax.random.uniform(key_x, (num_rows, num_features))
    turned = jax.random.bernoulli(key_turn, turn, (num_rows, num_features))
    direction = jnp.cumprod(jnp.where(turned, -1.0, 1.0), 0) * (jnp.arange(num_features) < num_drifting)[None]
    moved = jnp.cumsum(direction, 0) - direction
    weight = jax.random.uniform(key_w, (1, num_features)) + magnitude * moved
    y = (weight * x).sum(1) >= 0.5 * weight.sum(1)
    return Stream(x, _turned(key_noise, y, noise), jnp.zeros(num_rows, jnp.int32))


def relabeled(x: Values, y: Values, concept: Values, num_classes: int) -> Stream:
    """Rows of one's own whose classes change their meaning: class c of concept k is ``(c + k) mod C``.

    What a row looks like stays: only labels tell of the drift.

    Raises ValueError for rows, labels and concepts of different numbers, and for labels that are not classes below C.

    >>> relabeled(jnp.zeros((3, 1)), jnp.array([0, 1, 2]), jnp.array([0, 1, 1]), 3).y.tolist()
    [0, 2, 0]
    """
    num_rows = len(np.asarray(x))
    y = jnp.asarray(check_labels(y, num_rows, check_count("num_classes", num_classes, 2)))
    x, concept = jnp.asarray(x), jnp.asarray(concept)
    if concept.shape != (num_rows,) or not jnp.issubdtype(concept.dtype, jnp.integer):
        raise ValueError(
            f"expected the concept of each of {num_rows} rows, as concepts(...) gives it, got {concept.dtype} "
            f"{list(concept.shape)}"
        )
    return Stream(x, (y + concept) % num_classes, concept)


def _turned(key: PRNGKey, y: Array, noise: float) -> Int[Array, "T"]:
    return (y ^ jax.random.bernoulli(key, noise, y.shape)).astype(jnp.int32)
