"""Gaussian process regression through M inducing rows, for labeled sets too large for a Cholesky factor of their own.

With ``k_uu + jitter = R Rᵀ`` of the inducing rows and features ``φ(x) = R⁻¹ k(Z, x)``, Q = ΦΦᵀ replaces the prior
covariance of the labels. Labels of precision ``w_i`` give ``B = I + Σ_i w_i φ_i φ_iᵀ``, the posterior covariance
``k(x, x') - φ(x)ᵀ(I - B⁻¹)φ(x')`` and the mean ``m(x) + φ(x)ᵀ B⁻¹ Σ_i w_i φ_i r_i``. Written with the eigenvectors V
and eigenvalues λ of B - I, ``A = diag(√(λ/(1+λ))) Vᵀ R⁻¹`` plays the whitener of the exact posterior, [M, M] in place
of [L, L]: prediction is that of `bal.learners.gp.conditioned`.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float

from bal.learners.gp.conditioned import GPState, observe
from bal.learners.gp.hyperparameters import Choose, Hyperparameters, given
from bal.learners.gp.learner import Model, gp_learner
from bal.learners.gp.priors import LogPrior
from bal.learners.gp.process import Process, as_dtype, join, split
from bal.learners.padding import real_rows
from bal.learners.training import map_members
from bal.method import method
from bal.numerics import cholesky_row, dot, first_argmax
from bal.typing import Data, Learner, PyTree


@method
def sparse_gp(
    process: Process,
    num_inducing: int,
    hyperparameters: Hyperparameters = given,
    *,
    log_prior: LogPrior | None = None,
) -> Learner:
    """The variational posterior of a Gaussian process through inducing rows: `gp_regression` at O(L M²) a fit.

    The inducing rows are M of the labeled rows, chosen by greedy conditional variance: for the hyper-parameters that
    the process was made with, then anew for the (first draw of the) chosen ones. While there are no more than M
    labels the posterior is the exact one. Hyper-parameters are chosen by the collapsed bound, which never exceeds the
    log evidence. A prediction costs O(n M²); draws, labels ``[L, P]``, dtype and padding as in `gp_regression`.

    Args:
      process: prior and noise, see `process`.
      num_inducing: M, at most the capacity L of the labeled set is used.
      hyperparameters: `given`, `maximum_likelihood(...)`, or a sampler of several draws.
      log_prior: of the process as a whole, added to the bound.

    Raises:
      ValueError: fewer than 1 inducing row.

    >>> import jax, gpjax
    >>> import numpy as np
    >>> from bal.learners.gp import process
    >>> learner = sparse_gp(process(gpjax.kernels.RBF(), noise=1.0), num_inducing=1)
    >>> data = Data(np.zeros((2, 1)), np.ones(2), np.array([1.0, 0.0]))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> found = jax.jit(learner.predict)(fit(jax.random.key(0), data), data.x[:1])
    >>> [round(part.item(), 3) for part in found]  # mean and variance of f, noise
    [0.5, 0.5, 1.0]

    Titsias 2009, "Variational Learning of Inducing Variables in Sparse Gaussian Processes"; the choice of rows from
    Burt, Rasmussen and van der Wilk 2020, "Convergence of Sparse Variational Inference in Gaussian Processes
    Regression".
    """
    if num_inducing < 1:
        raise ValueError(f"expected at least 1 inducing row, got {num_inducing}")
    rest = split(process)[1]

    def fit(choose: Choose, state: GPState, data: Data, model: Model) -> GPState:
        (x, y, weight, *_), size = data, len(state.x)
        inducing = lambda params: choose_inducing(model(params), x, weight, size)
        initial = as_dtype(split(process)[0], x.dtype)
        first = inducing(initial)

        def objective(params: PyTree) -> Float[Array, ""]:
            bound = project(model(params), first, x, y, weight).bound
            return bound if log_prior is None else bound + log_prior(join(params, rest, x.dtype))

        params, converged, chain = choose(initial, state.params, objective)
        found = inducing(jax.tree.map(lambda leaf: leaf[0], params))
        one_draw = lambda params, _: _whitened(project(model(params), found, x, y, weight))
        whiten, alpha = map_members(one_draw, params, jnp.arange(hyperparameters.num_draws))
        gap = jnp.zeros(hyperparameters.num_draws, x.dtype)
        converged = converged & jnp.isfinite(real_rows(x, weight)).all()  # rows that are not finite leave the prior
        return GPState(params, found.x, whiten, alpha, gap, converged, state.num_labels, state.units, chain)

    return gp_learner(process, hyperparameters, fit, capacity=num_inducing)


class Inducing(NamedTuple):
    """Inducing rows; weight 0 where there were not enough labels."""

    x: Float[Array, "M D"]
    weight: Float[Array, "M"]


class Projection(NamedTuple):
    """What the labels say through the inducing rows. root: R; gram: B - I; target: ``Σ_i w_i φ_i r_i``."""

    root: Float[Array, "M M"]
    gram: Float[Array, "M M"]
    target: Float[Array, "M *P"]
    weight: Float[Array, "M"]
    bound: Float[Array, ""]


def choose_inducing(process: Process, x: Float[Array, "L D"], weight: Float[Array, "L"], size: int) -> Inducing:
    """The rows of largest prior variance given those before them: a pivoted Cholesky factor of the prior covariance."""
    x = real_rows(x, weight)

    def pick(carry: tuple[Array, Array, Array], place: Array) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
        variance, is_left, factor = carry
        i = first_argmax(jnp.where(is_left, variance, -jnp.inf))
        pivot = jnp.maximum(variance[i], jnp.finfo(x.dtype).eps * jnp.abs(process.variance(x[i][None])[0]))
        row, _ = cholesky_row(process.covariance(x, x[i][None])[:, 0], factor, i, pivot)
        carry = (variance - row**2, is_left & (jnp.arange(len(x)) != i), factor.at[place].set(row))
        return carry, (x[i], is_left[i].astype(x.dtype))

    start = (process.variance(x), weight > 0, jnp.zeros((size, len(x)), x.dtype))
    _, (picked, is_real) = jax.lax.scan(pick, start, jnp.arange(size))
    return Inducing(picked, is_real)


def project(
    process: Process, inducing: Inducing, x: Float[Array, "L D"], y: Float[Array, "L *P"], weight: Float[Array, "L"]
) -> Projection:
    """Titsias' collapsed bound, ``log N(y; m, Q + W⁻¹) - ½ Σ_i w_i (k_ii - q_ii)``, and what it is made of.

    The jitter on the inducing covariance is the least for which its Cholesky factor cannot fail, M² times the rounding
    of the variance; it loosens the bound and never breaks it.
    """
    seen, size, is_real = observe(process, x, y, weight), len(inducing.weight), inducing.weight > 0
    within = process.covariance(inducing.x, inducing.x)
    jitter = size**2 * jnp.finfo(x.dtype).eps * jnp.max(jnp.diagonal(within))
    within = jnp.where(is_real[:, None] & is_real[None, :], within, 0.0)
    within = within + jnp.diag(jnp.where(is_real, jitter, 1.0))
    root = jnp.linalg.cholesky(within)
    cross = jnp.where(is_real[:, None], process.covariance(inducing.x, seen.x), 0.0)
    features = solve_triangular(root, cross, lower=True)

    weighted = features * seen.precision[None, :]
    gram, target = dot(weighted, features.T), dot(weighted, seen.residual)
    factor = jnp.linalg.cholesky(gram + jnp.eye(size, dtype=gram.dtype))
    explained = solve_triangular(factor, target, lower=True)
    log_det = 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))
    lost = jnp.sum(seen.precision * (process.variance(seen.x) - jnp.sum(features**2, 0)))
    square = jnp.sum(dot(seen.precision[None, :], seen.residual**2)) - jnp.sum(explained**2)
    bound = -0.5 * (square + math.prod(y.shape[1:]) * (log_det + seen.log_noise + lost))
    return Projection(root, gram, target, inducing.weight, bound)


def _whitened(found: Projection) -> tuple[Float[Array, "M M"], Float[Array, "M *P"]]:
    """The whitener and alpha of `GPState`, with the inducing rows in the place of the labels."""
    identity = jnp.eye(len(found.root), dtype=found.root.dtype)
    inverse = solve_triangular(found.root, identity, lower=True)
    eigenvalues, axes = jnp.linalg.eigh(found.gram)
    eigenvalues, axes = jnp.maximum(eigenvalues[::-1], 0.0), axes[:, ::-1]  # largest first: those of padding are last
    shrink = jnp.sqrt(eigenvalues / (1 + eigenvalues))
    whiten = shrink[:, None] * dot(axes.T, inverse) * found.weight[None, :]
    factor = jnp.linalg.cholesky(found.gram + identity)
    return whiten, dot(inverse.T, cho_solve((factor, True), found.target))
