"""What a Gaussian process is before it has seen a label: gpjax's kernel and mean function, and noise of the labels."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from gpjax.kernels import AbstractKernel
from gpjax.mean_functions import Zero
from gpjax.parameters import PositiveReal, val
from jaxtyping import Array, Float
from paramax import NonTrainable, non_trainable

from bal.typing import PyTree


class Process(NamedTuple):
    """A prior over functions and the noise of its observations; a pytree whose arrays are the hyper-parameters.

    kernel, mean: of gpjax. noise: variance of y given f, a parameter or a function ``x [n, D] -> [n]``.
    Whatever is wrapped in ``paramax.non_trainable`` is never fitted.
    """

    kernel: Any
    noise: Any
    mean: Any

    def prior_mean(self, x: Float[Array, "n D"], outputs: tuple[int, ...] = ()) -> Float[Array, "n *P"]:
        """``m(x)``, for ``(P,)`` outputs one or all the same."""
        mean = self.mean(x)
        return jnp.broadcast_to(mean, (x.shape[0], *outputs)) if outputs else mean[:, 0]

    def noise_variance(self, x: Float[Array, "n D"]) -> Float[Array, "n"]:
        """Variance of y given f; 0 where the labels are classes, which have none."""
        if self.noise is None:
            return jnp.zeros(x.shape[0], x.dtype)
        return jnp.asarray(self.noise(x)) if callable(self.noise) else jnp.broadcast_to(val(self.noise), x.shape[:1])

    def covariance(self, a: Float[Array, "n D"], b: Float[Array, "m D"]) -> Float[Array, "n m"]:
        """Prior covariance of f."""
        return jax.vmap(jax.vmap(self.kernel, (None, 0)), (0, None))(a, b)

    def variance(self, x: Float[Array, "n D"]) -> Float[Array, "n"]:
        """Prior variance of f."""
        return jax.vmap(self.kernel)(x, x)


def process(kernel: AbstractKernel, noise: Any = None, mean: Any = None, *, fixed: bool = False) -> Process:
    """A `Process` from gpjax's parts.

    Args:
      kernel: of `gpjax.kernels`, whose lengthscale may be one number a dimension (ARD).
      noise: variance of y given f: a positive number, a parameter of gpjax, or for noise that depends on the input a
        function ``x [n, D] -> [n]`` (an equinox module, if it has parameters to be fitted). None for a classifier.
      mean: of `gpjax.mean_functions`, zero unless given.
      fixed: never fit anything of it.

    Raises:
      ValueError: a noise that is not positive and finite.

    >>> from gpjax.kernels import RBF
    >>> import numpy as np
    >>> made, x = process(RBF(variance=2.0), noise=0.5), np.zeros((1, 3))
    >>> round(jax.jit(made.variance)(x).item(), 4), round(jax.jit(made.noise_variance)(x).item(), 4)
    (2.0, 0.5)
    """
    if isinstance(noise, int | float) or (hasattr(noise, "dtype") and np.ndim(noise) == 0):
        if not 0 < noise < float("inf"):
            raise ValueError(f"noise is the variance of the labels and must be positive and finite, got {noise}")
        noise = PositiveReal(float(noise))
    made = Process(kernel, noise, Zero() if mean is None else mean)
    return Process(*map(non_trainable, made)) if fixed else made


def split(process: PyTree) -> tuple[PyTree, PyTree]:
    """The hyper-parameters of a process, or of a part of one, that may be fitted (arrays, unconstrained); the rest."""
    frozen = lambda node: isinstance(node, NonTrainable)

    def trainable(node: Any) -> PyTree:
        return jax.tree.map(lambda leaf: eqx.is_inexact_array(leaf) and not frozen(node), node)

    return eqx.partition(process, jax.tree.map(trainable, process, is_leaf=frozen))


def join(params: PyTree, rest: PyTree, dtype: Any) -> Process:
    """The process again, all its arrays in one dtype."""
    return as_dtype(eqx.combine(params, rest), dtype)


def as_dtype(tree: PyTree, dtype: Any) -> PyTree:
    """Every floating-point array of a tree in one dtype."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, tree)
