"""What NeurONAL's second network sees of the first: functions ``f1, x -> φ(x)``, of unit norm, without autodiff.

Ban et al. 2024, "Neural Active Learning Beyond Bandits" (ICLR), Definition 1.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal.learners.neuronal.networks import Embedding, Layers, apply, hidden_units
from bal.learners.settings import check_count
from bal.method import method


def paper_embedding(layers: Layers, x: Float[Array, "n D"]) -> Float[Array, "n F"]:
    """``[h ; ∇_V Σ_c f1_c]``, F = m + C m, as the paper defines it.

    The gradient of the summed output is C copies of ``√m h``, so with one hidden layer it tells f2 nothing but the
    direction of h; `gradient_embedding` tells which classes compete.
    """
    h = hidden_units(layers, x)
    return _unit(jnp.concatenate([h, _outer(h, jnp.ones((len(h), layers.out.shape[1]), h.dtype))], 1))


def gradient_embedding(layers: Layers, x: Float[Array, "n D"]) -> Float[Array, "n F"]:
    """``[h ; ∇_V (f1_best - f1_second)]``, F = m + C m: ``√m h`` at the class of least score, ``-√m h`` at the next."""
    h, (best, second) = hidden_units(layers, x), two_least(apply(layers, x))
    one_hot = lambda c: jax.nn.one_hot(c, layers.out.shape[1], dtype=h.dtype)
    return _unit(jnp.concatenate([h, _outer(h, one_hot(best) - one_hot(second))], 1))


@method
def block_embedding(size: int = 51) -> Embedding:
    """The gradient of ``Σ_c f1_c`` in all weights, averaged over blocks of numbers: ``F = ⌈(D m + m C) / size⌉``.

    What the authors' code has in place of the paper's embedding. The last block is filled up with zeros.

    >>> layers = Layers(jnp.ones((3, 4)), jnp.ones((4, 2)))
    >>> jax.eval_shape(block_embedding(5), layers, jnp.ones((1, 3))).shape
    (1, 4)
    """
    check_count("size", size)

    def embed(layers: Layers, x: Float[Array, "n D"]) -> Float[Array, "n F"]:
        h, num_classes = hidden_units(layers, x), layers.out.shape[1]
        back = jnp.where(h > 0, layers.out.sum(1)[None], 0.0)
        first, last = layers.hidden.size, layers.out.size
        ends = np.arange(0, first + last + size, size)
        in_first, in_last = np.minimum(ends, first), np.clip(ends - first, 0, last)
        sums = _sums_of_outer(x, back, in_first) + _sums_of_outer(h, jnp.ones((len(h), num_classes), h.dtype), in_last)
        return _unit(sums)  # √m and the size of a block go with the norm

    return embed


def two_least(scores: Float[Array, "n C"]) -> tuple[Array, Array]:
    """The classes of least score and of the one after it; ties go to the lower number.

    >>> [one.tolist() for one in two_least(jnp.array([[3.0, 1.0, 2.0], [0.0, 0.0, 1.0]]))]
    [[1, 0], [2, 1]]
    """
    best = scores.argmin(1)
    others = jnp.where(jnp.arange(scores.shape[1])[None] == best[:, None], jnp.inf, scores)
    return best, others.argmin(1)


def _outer(h: Float[Array, "n m"], direction: Float[Array, "n C"]) -> Float[Array, "n F"]:
    """The gradient in V of ``direction · f1``, flattened."""
    scale = jnp.sqrt(h.shape[1]).astype(h.dtype)
    return (scale * h[:, :, None] * direction[:, None, :]).reshape(len(h), -1)


def _sums_of_outer(rows: Float[Array, "n D"], columns: Float[Array, "n m"], ends: np.ndarray) -> Float[Array, "n F"]:
    """Sums of ``rows ⊗ columns``, flattened, between successive ends: by cumulative sums, without ``[n, D, m]``."""
    before = lambda x: jnp.pad(jnp.cumsum(x, 1), ((0, 0), (1, 0)))
    to_row, to_column, x = before(rows), before(columns), jnp.pad(rows, ((0, 0), (0, 1)))
    row, column = np.divmod(ends, columns.shape[1])
    (i, j), (k, l) = (row[:-1], column[:-1]), (row[1:], column[1:])
    within = x[:, i] * (to_column[:, l] - to_column[:, j])
    whole = to_column[:, -1:] * (to_row[:, k] - to_row[:, np.minimum(i + 1, rows.shape[1])])
    across = x[:, i] * (to_column[:, -1:] - to_column[:, j]) + whole + x[:, k] * to_column[:, l]
    return jnp.where((i == k)[None], within, across)


def _unit(rows: Float[Array, "n F"]) -> Float[Array, "n F"]:
    """Rows of norm 1; a row of zeros stays."""
    norm = jnp.sqrt(jnp.sum(rows**2, 1, keepdims=True))
    return jnp.where(norm > 0, rows / jnp.where(norm > 0, norm, 1.0), rows)
