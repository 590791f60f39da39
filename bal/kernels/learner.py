"""A learner's own posterior covariance as a kernel: the door for Gaussian processes."""

from jaxtyping import Array

from bal.kernels.kernel import make_kernel, noisy
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


def posterior_covariance(candidates: Candidates) -> Kernel:
    """The learner's posterior covariance where every row is observed with the noise of a label: that of a process.

    ``noisy(learner_covariance, noise)`` with the mean noise over draws, for a learner whose embedded rows carry
    ``noise [n, K]``, as `bal.learners.gp.GPRows` do.

    Use it in ``Stage(embeddings, max_det(posterior_covariance), context=posterior_context)``: a batch by the
    information in its labels together.

    Raises:
      ValueError: the context is not a `Posterior`, the learner has no `kernel`, or embedded rows have no noise.

    >>> import jax.numpy as jnp
    >>> from bal.learners.gp import GPRows
    >>> from bal.typing import Learner
    >>> learner = Learner(None, None, None, None, lambda state, a, b: state * a.x @ b.x)
    >>> rows = GPRows(jnp.eye(2), jnp.zeros((2, 1, 1)), jnp.zeros((2, 1)), jnp.full((2, 1), 0.5))
    >>> context = Posterior(jnp.array(2.0), learner)
    >>> kernel = posterior_covariance(Candidates(rows, jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2), context=context))
    >>> kernel.diag().tolist(), kernel.noise.tolist()
    ([2.0, 2.0], [0.5, 0.5])
    """
    return noisy(learner_covariance, _mean_noise)(candidates)


def _mean_noise(rows: PyTree) -> Array:
    if not hasattr(rows, "noise"):
        got = "one array" if hasattr(rows, "shape") else f"a {type(rows).__name__}"
        raise ValueError(
            f"posterior_covariance needs noise [rows, draws] in the learner's embedded rows, but they are {got}; use a "
            "learner of bal.learners.gp, or noisy(learner_covariance, noise) with a kernel and a noise of your own"
        )
    return rows.noise.mean(-1)


def _learner_pair(posterior: Posterior, a: PyTree, b: PyTree) -> Array:
    return posterior.kernel(a, b)
