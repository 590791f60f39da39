"""Two bells: two classes in the plane on either side of a hyperbolic tangent, and inputs with heavy tails."""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, ndtr

from bal.datasets.dataset import Dataset

DEGREES_OF_FREEDOM, SHAPE, TEMPERATURE = 5, 0.8, 0.05


def two_bells(num_rows: int, num_test: int = 0, seed: int = 0) -> Dataset:
    """Inputs from a multivariate t (5 degrees of freedom, shape 0.8 I), classes from a steep logistic boundary.

    ``y ~ Bernoulli(σ((x₂ - tanh 2x₁) / 0.05))``. Half of the rows lie within 1.1 of the center, but the longest of
    10,000 typically at 15. Equal seeds give equal rows: a smaller set is the beginning of a larger one, and the test
    rows are the same beside any of them.

    Raises ValueError if num_rows < 1 or num_test < 0.
    Source: F. Bickford Smith et al., Prediction-oriented Bayesian active learning, AISTATS 2023.

    >>> two_bells(100, num_test=20).x_test.shape
    (20, 2)
    """
    if num_rows < 1 or num_test < 0:
        raise ValueError(f"expected at least 1 row and no negative number of test rows, got {num_rows} and {num_test}")
    x, y = _draw(np.random.default_rng([seed, 0]), num_rows)
    test = _draw(np.random.default_rng([seed, 1]), num_test) if num_test else (None, None)
    return Dataset(x, y, *test, "two bells", 2, f"drawn from seed {seed}")


def _draw(random: np.random.Generator, num: int) -> tuple[Float[np.ndarray, "n 2"], Int[np.ndarray, "n"]]:
    """Every row from normals of its own: two for its direction, five whose squares are the chi-square, one for y."""
    normal = random.standard_normal((num, 2 + DEGREES_OF_FREEDOM + 1))
    chi_square = np.sum(normal[:, 2:-1] ** 2, 1, keepdims=True)
    x = (np.sqrt(SHAPE) * normal[:, :2] / np.sqrt(chi_square / DEGREES_OF_FREEDOM)).astype(np.float32)
    y = ndtr(normal[:, -1]) < expit((x[:, 1] - np.tanh(2 * x[:, 0])) / TEMPERATURE)
    return x, y.astype(np.int32)
