"""Gaussian processes whose recorded inputs are off: the label of x is that of ``x + u``, ``u ~ N(0, diag(s²))``.

A row is ``[x, s]``, the recorded input and the standard deviation of its error in each of D dimensions (`noisy_rows`);
it is 0 where the input is exact, as at test rows. For an RBF kernel of variance a and lengthscales l, two such rows
covary by

    k((x, s), (x', s')) = a Π_d (1 + (s_d² + s'_d²) / l_d²)^-½ exp(-½ (x_d - x'_d)² / (l_d² + s_d² + s'_d²)),

which with both inputs noisy, one, or none is the two-noisy, the one-noisy and the plain kernel. A label also carries
what the function varies about its mean over u: its effective noise is ``τ² + a - k((x, s), (x, s))``. With these two,
*every* learner, acquisition and batch rule for Gaussian processes works on such rows as it stands.

Yue, Wen, Hunt and Shi 2021, "Active Learning for Gaussian Process Considering Uncertainties with Application to Shape
Control of Composite Fuselage"; formulas derived anew from the Gaussian integral, for errors that differ between rows.
"""

from typing import Any

import jax.numpy as jnp
from gpjax.kernels import RBF, AbstractKernel
from gpjax.parameters import val
from jaxtyping import Array, Float
from paramax import non_trainable

from bal.learners.gp.process import Process, process


class NoisyInputRBF(RBF):
    """The covariance above of two rows ``[x, s]``, ``[2D]``; parameters and ``active_dims`` (of x) as gpjax's RBF."""

    def __call__(self, x: Float[Array, "D2"], y: Float[Array, "D2"]) -> Float[Array, ""]:
        """Prior covariance of the function averaged over the errors of the inputs."""
        (here, error), (there, other) = (map(self.slice_input, jnp.split(row, 2)) for row in (x, y))
        square = jnp.broadcast_to(val(self.lengthscale) ** 2, here.shape)
        blurred = square + error**2 + other**2
        shrink = jnp.prod(square / blurred) ** 0.5
        return jnp.squeeze(val(self.variance) * shrink * jnp.exp(-0.5 * jnp.sum((here - there) ** 2 / blurred)))


class NoisyInputProcess(Process):
    """A `Process` on rows ``[x, s]`` whose labels have the effective noise, in step with the kernel."""

    def noise_variance(self, x: Float[Array, "n D2"]) -> Float[Array, "n"]:
        """Effective noise ``τ² + a - k((x, s), (x, s))``: of response and function."""
        return super().noise_variance(x) + self.variance(noise_free(x)) - self.variance(x)


def noisy_input_process(
    kernel: AbstractKernel, noise: Any, mean: Any = None, *, fixed: bool = False
) -> NoisyInputProcess:
    """A process on rows ``[x, s]`` of noisy inputs, for `gp_regression` and whatever else takes a `Process`.

    Fit it on rows with their input noise and predict at rows without (``noise_free``): the best linear predictor, of
    mean ``k_*ᵀ K⁻¹ y`` and variance ``a - k_*ᵀ K⁻¹ k_*``, the one-noisy ``k_*`` and K from the two-noisy kernel. At
    rows with input noise the prediction is of the function averaged over the error, with the effective noise of a label
    there: what an acquisition must see, so that ``log det K_{n+1} = log det K_n + log(variance + noise)``. The
    posterior is that of normals of the true first two moments; the labels of noisy inputs are not exactly normal.

    Args:
      kernel: gpjax's RBF, whose parameters are taken over.
      noise: variance of the response: as for `process`, a function being handed rows ``[x, s]``.
      mean: of gpjax; a constant, or blurred by the user, since it is handed rows ``[x, s]``.
      fixed: never fit anything of it.

    Raises:
      ValueError: a kernel that is not an RBF, no noise, or a noise that is not positive.

    >>> import jax
    >>> import numpy as np
    >>> made = noisy_input_process(RBF(), noise=0.25)
    >>> rows = np.array([[0.0, 2.0**0.5]])  # as `noisy_rows` makes them
    >>> round(jax.jit(made.variance)(rows).item(), 4), round(jax.jit(made.noise_variance)(rows).item(), 4)
    (0.4472, 0.8028)

    Yue, Wen, Hunt and Shi 2021, "Active Learning for Gaussian Process Considering Uncertainties".
    """
    if type(kernel) is not RBF:
        raise ValueError(f"only the RBF kernel has this form with noisy inputs, got {type(kernel).__name__}; use RBF")
    if noise is None:
        raise ValueError("noisy inputs are for regression, whose labels have a noise variance: got None")
    lengthscale, variance = kernel.lengthscale, kernel.variance
    rows_kernel = NoisyInputRBF(kernel.active_dims, lengthscale, variance, kernel.n_dims)  # pyright: ignore
    made = process(rows_kernel, noise, mean)
    return NoisyInputProcess(*(map(non_trainable, made) if fixed else made))


def noisy_rows(x: Float[Array, "n D"], deviation: float | Array) -> Float[Array, "n D2"]:
    """Rows ``[x, s]`` from inputs and the standard deviation of their errors: one number, ``[D]``, or ``[n, D]``.

    >>> noisy_rows(jnp.zeros((1, 2)), jnp.array([0.5, 1.0])).tolist()
    [[0.0, 0.0, 0.5, 1.0]]
    """
    deviation = jnp.asarray(deviation, x.dtype)
    if deviation.ndim == 1:
        deviation = deviation[None]
    return jnp.concatenate([x, jnp.broadcast_to(deviation, x.shape)], -1)


def noise_free(rows: Float[Array, "n D2"]) -> Float[Array, "n D2"]:
    """The same rows with exact inputs, ``[x, 0]``.

    >>> noise_free(jnp.ones((1, 2))).tolist()
    [[1.0, 0.0]]
    """
    num_inputs = rows.shape[-1] // 2
    return jnp.concatenate([rows[..., :num_inputs], jnp.zeros_like(rows[..., num_inputs:])], -1)
