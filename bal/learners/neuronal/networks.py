"""Two networks of one hidden layer, whose sum are the scores of the classes, and their losses.

f1 predicts the loss of each class from x (exploitation), f2 what f1 gets wrong from an embedding of x by f1
(exploration). A class of small score is likely.

Ban, Agarwal, Wu, Cheng, Weldemariam, Tong and He 2024, "Neural Active Learning Beyond Bandits" (ICLR).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.typing import PRNGKey


class Layers(NamedTuple):
    """Weights of ``√m relu(x W) V``, which has no biases."""

    hidden: Float[Array, "D m"]
    out: Float[Array, "m C"]


class Networks(NamedTuple):
    """f1 and f2."""

    exploit: Layers
    explore: Layers


Embedding = Callable[[Layers, Float[Array, "n D"]], Float[Array, "n F"]]
"""``f1, x -> φ(x)``, rows of unit norm."""


class Outputs(NamedTuple):
    """What f1 and f2 say of each class, and the embedding between them."""

    exploit: Float[Array, "n C"]
    explore: Float[Array, "n C"]
    embedding: Float[Array, "n F"]

    @property
    def scores(self) -> Float[Array, "n C"]:
        """``f = f1 + f2``: the loss that is expected of each class."""
        return self.exploit + self.explore


def start(key: PRNGKey, x: Float[Array, "n D"], num_classes: int, width: int, embedding: Embedding) -> Networks:
    """First weights: N(0, 2/m) in the hidden layer, N(0, 1/(C m)) in the last, as the paper has them."""
    key_exploit, key_explore = jax.random.split(key)
    exploit = _layers(key_exploit, x.shape[1], num_classes, width, x.dtype)
    size = jax.eval_shape(embedding, exploit, x).shape[1]
    return Networks(exploit, _layers(key_explore, size, num_classes, width, x.dtype))


def _layers(key: PRNGKey, num_inputs: int, num_classes: int, width: int, dtype: Any) -> Layers:
    key_hidden, key_out = jax.random.split(key)
    normal = lambda key, shape, variance: jnp.sqrt(variance).astype(dtype) * jax.random.normal(key, shape, dtype)
    hidden = normal(key_hidden, (num_inputs, width), 2 / width)
    return Layers(hidden, normal(key_out, (width, num_classes), 1 / (num_classes * width)))


def hidden_units(layers: Layers, x: Float[Array, "n D"]) -> Float[Array, "n m"]:
    """``relu(x W)``."""
    return jax.nn.relu(x @ layers.hidden)


def apply(layers: Layers, x: Float[Array, "n D"]) -> Float[Array, "n C"]:
    """``√m relu(x W) V``."""
    return jnp.sqrt(layers.out.shape[0]).astype(x.dtype) * (hidden_units(layers, x) @ layers.out)


def outputs(networks: Networks, x: Float[Array, "n D"], embedding: Embedding) -> Outputs:
    """f1(x), f2(φ(x)) and φ(x), through which no gradient goes back to f1."""
    phi = jax.lax.stop_gradient(embedding(networks.exploit, x))
    return Outputs(apply(networks.exploit, x), apply(networks.explore, phi), phi)


def class_losses(y: Array, num_classes: int, dtype: Any) -> Float[Array, "n C"]:
    """The 0-1 loss of each class, ``1 - one hot``, from class numbers ``[n]`` or soft labels ``[n, C]``.

    >>> class_losses(jnp.array([1]), 3, jnp.float32).tolist()
    [[1.0, 0.0, 1.0]]
    """
    soft = y.ndim == 2 and jnp.issubdtype(y.dtype, jnp.floating)
    return 1.0 - (y.astype(dtype) if soft else jax.nn.one_hot(y, num_classes, dtype=dtype))


def losses(found: Outputs, target: Float[Array, "n C"]) -> Float[Array, "n"]:
    """``L1 + L2``, with ``L1 = ½ Σ_c (f1_c - l_c)²`` and ``L2 = ½ Σ_c (f2_c - (l_c - f1_c))²``; L2 does not move f1."""
    missed = target - jax.lax.stop_gradient(found.exploit)
    return 0.5 * jnp.sum((found.exploit - target) ** 2 + (found.explore - missed) ** 2, -1)
