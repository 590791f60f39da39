"""A learner's own posterior covariance as a kernel: the door for Gaussian processes."""

from jaxtyping import Array

from bal.kernels.kernel import make_kernel
from bal.typing import Candidates, Kernel, Posterior, PyTree


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


def _learner_pair(posterior: Posterior, a: PyTree, b: PyTree) -> Array:
    return posterior.kernel(a, b)
