"""A learner's own posterior covariance as a kernel: the door for Gaussian processes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.kernels.kernel import Kernel, make_kernel
from bal.typing import Candidates, Posterior, PRNGKey, PyTree, Round


def learner_covariance(candidates: Candidates) -> Kernel:
    """The learner's own posterior covariance: rows are its embeddings, the stage's context is its `Posterior`.

    Use it in ``Stage(embeddings, select, context=posterior_context)``. It is conditioned on the labels already.

    Raises ValueError if the context is not a `Posterior`, or the learner has no `kernel`.

    >>> import jax.numpy as jnp
    >>> from bal.typing import Learner
    >>> learner = Learner(None, None, None, None, lambda state, a, b: state * a @ b)
    >>> context = Posterior(jnp.array(2.0), learner)
    >>> candidates = Candidates(jnp.eye(2), jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2), context=context)
    >>> learner_covariance(candidates).diag().tolist()
    [2.0, 2.0]
    """
    if not isinstance(candidates.context, Posterior):
        raise ValueError(
            "learner_covariance needs the learner's Posterior as the stage's context, got "
            f"{type(candidates.context).__name__}: use Stage(embeddings, select, context=posterior_context)"
        )
    return make_kernel(candidates, lambda rows: rows, candidates.context, _learner_pair)


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


def posterior_context(key: PRNGKey, round: Round, over: PyTree) -> Posterior:
    """The context of a stage whose kernel is the learner's: the posterior itself."""
    del key, over
    return round.posterior


def _learner_pair(posterior: Posterior, a: PyTree, b: PyTree) -> Array:
    return posterior.kernel(a, b)
