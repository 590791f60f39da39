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
        h = hidden_units(layers, x)
        back = jnp.where(h > 0, layers.out.sum(1)[None], 0.0)
        return _unit(_block_sums(x, back, h, layers.out.shape[1], size))  # √m and the mean go with the norm

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


def _block_sums(
    x: Float[Array, "n D"], back: Float[Array, "n m"], h: Float[Array, "n m"], num_classes: int, size: int
) -> Float[Array, "n F"]:
    """Sums over blocks of ``x ⊗ back`` and then ``h`` once for each class, flattened, without ``[n, D, m]``.

    A block begins within a row of the outer product, may hold whole rows, and ends within another: which columns of the
    first and the last row are its own is known beforehand, and so are its shares of h.
    """
    (num_rows, m), number = (x.shape[1], h.shape[1]), lambda mask: jnp.asarray(mask, x.dtype)
    ends = np.arange(0, num_rows * m + m * num_classes + size, size)
    row, column = np.divmod(np.minimum(ends, num_rows * m), m)
    (i, j), (k, l) = (row[:-1], column[:-1]), (row[1:], column[1:])
    place, longer = np.arange(m)[:, None], i < k
    begins, finishes = (place >= j) & ((place < l) | longer), (place < l) & longer
    rows = jnp.pad(x, ((0, 0), (0, 1))).T
    sums = rows[i].T * (back @ number(begins)) + rows[k].T * (back @ number(finishes))
    between = (np.arange(num_rows)[:, None] > i) & (np.arange(num_rows)[:, None] < k)
    if between.any():
        sums += back.sum(1, keepdims=True) * (x @ number(between))
    beyond = ends - num_rows * m
    shared = np.minimum((place + 1) * num_classes, beyond[1:]) - np.maximum(place * num_classes, beyond[:-1])
    first = int(np.argmax(beyond[1:] > 0))
    return sums.at[:, first:].add(h @ number(np.maximum(shared[:, first:], 0)))


def _unit(rows: Float[Array, "n F"]) -> Float[Array, "n F"]:
    """Rows of norm 1; a row of zeros stays."""
    norm = jnp.sqrt(jnp.sum(rows**2, 1, keepdims=True))
    return jnp.where(norm > 0, rows / jnp.where(norm > 0, norm, 1.0), rows)
