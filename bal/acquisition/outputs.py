"""Acquisition functions of one output, for predictions of several."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.method import method
from bal.typing import Gaussian


@method
def over_outputs(acquisition: Callable[..., Float[Array, "N"]]) -> Callable[..., Float[Array, "N"]]:
    """The sum ``Σ_p`` of an acquisition over outputs p: every argument has leaves that end with P, as ``[N, K, P]``.

    For information (`gaussian_bald`, `gaussian_epig`) this is exact where one draw of hyper-parameters leaves the
    outputs independent: information about independent things adds. Variances should be of outputs in one unit.

    >>> from bal.acquisition.gaussian import total_variance
    >>> one = jnp.ones((4, 1, 3))
    >>> jax.jit(over_outputs(total_variance))(Gaussian(one, one, one)).tolist()
    [6.0, 6.0, 6.0, 6.0]

    Cover and Thomas 2006, "Elements of Information Theory", theorem 2.5.2 (the chain rule).
    """

    def summed(*predictions: Gaussian) -> Float[Array, "N"]:
        return jnp.sum(jax.vmap(acquisition, in_axes=-1)(*predictions), 0)

    return summed
