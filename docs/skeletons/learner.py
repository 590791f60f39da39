"""Copy me: a learner.

1. The learner goes into a file of bal/learners/, its name into `__all__`.
2. The row goes into `LEARNERS` of tests/cases.py. It is then tested for predictions that are sound and row-wise,
   padding that changes nothing, a state of one structure, keys, and for being equal to another made alike.
3. The oracle goes into tests/learners/: the posterior in another form, in float64.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from cases import Case
from jaxtyping import Array, Float

from bal.method import method
from bal.typing import Data, Gaussian, Learner, PRNGKey


class Weights(NamedTuple):
    """Posterior of the weights of a linear model: mean, and Cholesky factor of the precision."""

    mean: Float[Array, "F"]
    factor: Float[Array, "F F"]


class Rows(NamedTuple):
    """Embedded rows: inputs with a one for the bias, and the variance of a label given the function."""

    x: Float[Array, "n F"]
    noise: Float[Array, "n 1"]


@method
def bayesian_linear(noise: float = 0.1, prior: float = 1.0) -> Learner:
    """Linear regression in closed form: ``y = w·(x, 1) + e``, weights ~ N(0, `prior`), errors ~ N(0, `noise`).

    A `Gaussian` of one draw, exact, and its covariance: every score and batch rule for processes works.

    Use it when a function is linear, or as the last layer of features that are fixed.

    Args:
      noise, prior: variances.

    >>> learner = bayesian_linear()
    >>> data = Data(jnp.array([[0.0], [1.0]]), jnp.array([1.0, 3.0]), jnp.array([1.0, 0.0]))
    >>> state = learner.fit(jax.random.key(0), learner.init(jax.random.key(0), data), data)
    >>> learner.predict(state, jnp.array([[0.0]])).mean.round(3).tolist()
    [[0.909...]]
    """

    def init(key: PRNGKey, data: Data) -> Weights:
        size = _with_one(data.x).shape[1]
        return Weights(jnp.zeros(size, data.x.dtype), jnp.eye(size, dtype=data.x.dtype))

    def fit(key: PRNGKey, state: Weights, data: Data) -> Weights:
        x = jnp.where(data.weight[:, None] > 0, _with_one(data.x), 0.0)  # padding may hold anything
        y = jnp.where(data.weight > 0, data.y, 0.0)
        precision = jnp.eye(x.shape[1], dtype=x.dtype) / prior + x.T @ (x * data.weight[:, None]) / noise
        factor = jnp.linalg.cholesky(precision)
        return Weights(jax.scipy.linalg.cho_solve((factor, True), x.T @ (data.weight * y) / noise), factor)

    def predict(state: Weights, x: Float[Array, "n D"]) -> Gaussian:
        rows = embed(state, x)
        variance = jax.vmap(lambda row: kernel(state, row, row))(rows)[:, None]
        return Gaussian((rows.x @ state.mean)[:, None], variance, rows.noise)

    def embed(state: Weights, x: Float[Array, "n D"]) -> Rows:
        return Rows(_with_one(x), jnp.full((len(x), 1), noise, x.dtype))

    def kernel(state: Weights, a: Rows, b: Rows) -> Float[Array, ""]:
        return a.x @ jax.scipy.linalg.cho_solve((state.factor, True), b.x)

    return Learner(init, fit, predict, embed, kernel)


def _with_one(x: Float[Array, "n D"]) -> Float[Array, "n F"]:
    return jnp.concatenate([x, jnp.ones((len(x), 1), x.dtype)], 1)


ROW = Case(bayesian_linear(), labels="real", keyed=False)


def test_the_same_as_a_process_with_a_linear_kernel():
    """The posterior by functions in place of weights, ``K_* (K + σ² I)⁻¹ y``."""
    draw = np.random.default_rng(0).normal
    x, y, x_new = draw(size=(7, 3)), draw(size=7), draw(size=(4, 3))
    k = lambda a, b: 2.0 * (a @ b.T + 1)
    gain = k(x_new, x) @ np.linalg.inv(k(x, x) + 0.3 * np.eye(7))
    learner, data = bayesian_linear(0.3, 2.0), Data(jnp.float32(x), jnp.float32(y), jnp.ones(7))
    found = learner.predict(learner.fit(jax.random.key(0), None, data), jnp.float32(x_new))
    np.testing.assert_allclose(found.mean[:, 0], gain @ y, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        found.variance[:, 0], np.diag(k(x_new, x_new) - gain @ k(x, x_new)), rtol=1e-3, atol=1e-5
    )
