"""Posterior covariances of a learner at embedded rows."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.typing import Posterior, PyTree


def cross_covariance(posterior: Posterior, a: PyTree, b: PyTree) -> Float[Array, "n m"]:
    """The learner's posterior covariances of f at two sets of embedded rows.

    >>> import jax.numpy as jnp
    >>> from bal.typing import Learner
    >>> posterior = Posterior(jnp.array(2.0), Learner(None, None, None, None, lambda state, a, b: state * a @ b))
    >>> cross_covariance(posterior, jnp.eye(2), jnp.ones((1, 2))).tolist()
    [[2.0], [2.0]]
    """
    return jax.vmap(jax.vmap(posterior.kernel, (None, 0)), (0, None))(a, b)


def posterior_variance(posterior: Posterior, rows: PyTree) -> Float[Array, "n"]:
    """The learner's posterior variance of f at embedded rows; rounding below 0 counts as 0.

    >>> import jax.numpy as jnp
    >>> from bal.typing import Learner
    >>> posterior = Posterior(jnp.array(2.0), Learner(None, None, None, None, lambda state, a, b: state * a @ b))
    >>> posterior_variance(posterior, jnp.eye(2)).tolist()
    [2.0, 2.0]
    """
    return jnp.maximum(jax.vmap(posterior.kernel)(rows, rows), 0.0)
