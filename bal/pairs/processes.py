"""A Gaussian process of rewards, seen through pairs: its differences are a Gaussian process again.

gpjax, which starts JAX when it is imported, is imported at the first call.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from bal.learners.settings import named
from bal.method import method
from bal.numerics import as_floats
from bal.pairs.networks import check_pairs
from bal.typing import Learner, PyTree


class _DifferenceKernel(eqx.Module):
    """``k(a, a') - k(a, b') - k(b, a') + k(b, b')`` of pairs that lie side by side, ``[2 D]``."""

    base: Any

    def __call__(self, one: Float[Array, "E"], other: Float[Array, "E"]) -> Float[Array, ""]:
        (a, b), (c, d) = one.reshape(2, -1), other.reshape(2, -1)
        return self.base(a, c) - self.base(a, d) - self.base(b, c) + self.base(b, d)


class _DifferenceMean(eqx.Module):
    """``m(a) - m(b)``."""

    base: Any

    def __call__(self, x: Float[Array, "n E"]) -> Float[Array, "n 1"]:
        both = x.reshape(len(x), 2, -1)
        return self.base(both[:, 0]) - self.base(both[:, 1])


def difference_process(process: Any) -> Any:
    """The process of ``d = r(a) - r(b)`` of a process of rewards, on pairs that lie side by side, ``[n, 2 D]``.

    Covariance ``k(a, a') - k(a, b') - k(b, a') + k(b, b')``; hyper-parameters stay those of the rewards. A constant
    mean cancels.

    >>> import jax.numpy as jnp
    >>> from gpjax.kernels import RBF
    >>> from bal.learners.gp import process
    >>> made = difference_process(process(RBF()))
    >>> round(float(made.variance(jnp.array([[0.0, 9.0]]))[0]), 4), float(made.variance(jnp.array([[3.0, 3.0]]))[0])
    (2.0, 0.0)
    """
    return process._replace(kernel=_DifferenceKernel(process.kernel), mean=_DifferenceMean(process.mean))


@method
def gp_reward(
    process: Any,
    inference: Any = None,
    hyperparameters: Any = None,
    *,
    link: Callable | None = None,
) -> Learner:
    """A Gaussian process of rewards from pairs ``[n, 2, D]``: ``predict`` gives a `Latent` ``[N, K]`` of differences.

    It is `bal.learners.gp.gp_classification` of the `difference_process`, so the posterior of differences is that which
    a process of rewards on the items has by the same approximation, without a matrix of items. ``embed`` and
    ``kernel`` give the posterior covariance of differences.

    Args:
      process: of the reward of an item, made without noise, see `bal.learners.gp.process`.
      inference, hyperparameters, link: as of `gp_classification`, with its defaults: Laplace's approximation, given
        hyper-parameters and the link `probit`, which is `thurstone`; `logit` is `bradley_terry`.

    Raises:
      ValueError: a process with noise; from `init`, inputs that are no pairs of vectors.

    >>> import gpjax, jax
    >>> import jax.numpy as jnp
    >>> from bal.learners.gp import process
    >>> from bal.typing import Data
    >>> learner, x = gp_reward(process(gpjax.kernels.RBF())), jnp.array([[[0.0], [9.0]]])
    >>> data = Data(x, jnp.ones(1, jnp.int32), jnp.ones(1))
    >>> state = jax.jit(learner.init)(jax.random.key(0), data)
    >>> jax.eval_shape(learner.predict, state, x).mean.shape
    (1, 1)

    Chu and Ghahramani 2005, "Preference Learning with Gaussian Processes".
    """
    from bal.learners.gp import Process, gp_classification

    if not isinstance(process, Process):
        raise TypeError(f"expected a process, got {named(process)}; bal.learners.gp.process(gpjax.kernels.RBF()), say")
    chosen = {"inference": inference, "hyperparameters": hyperparameters, "link": link}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    base = gp_classification(difference_process(process), **chosen)
    seen = lambda data: data._replace(x=_side_by_side(data.x))
    on_data = lambda function, *rest: function(*rest[:-1], seen(rest[-1]))
    on_inputs = lambda function, state, x: function(state, _side_by_side(x))
    return Learner(
        partial(on_data, base.init),
        partial(on_data, base.fit),
        partial(on_inputs, base.predict),
        partial(on_inputs, base.embed),
        base.kernel,
        condition=partial(on_data, base.condition),
    )


def _side_by_side(x: PyTree) -> Float[Array, "n E"]:
    if not hasattr(x, "ndim") or x.ndim != 3:
        got = list(x.shape) if hasattr(x, "shape") else type(x).__name__
        raise ValueError(f"a process of rewards compares vectors: expected pairs [n, 2, D], got {got}; flatten items")
    return as_floats(check_pairs(x)).reshape(len(x), -1)
