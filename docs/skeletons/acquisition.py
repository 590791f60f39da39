"""Copy me: an acquisition function.

1. The function goes into a file of bal/acquisition/, its name into `__all__` of that package.
2. The row goes into `ACQUISITIONS` of tests/cases.py. It is then tested for shape, dtype, being row-wise, its bounds,
   NaN and infinity in few and many rows, ties, float32 against float64, and lowering for CPU, CUDA and TPU.
3. The oracle goes into tests/acquisition/: the quantity once more, from its definition, in numpy and float64.
"""

import jax.numpy as jnp
import numpy as np
from cases import Acquisition, predictions, zero
from jaxtyping import Array, Float

from bal.acquisition.kinds import check_log_probs
from bal.numerics import centered_draws


def brier_gain(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """How far a label is expected to lower the Brier score of the mean prediction: ``Σ_c Var_k p_kc``.

    Between 0, where all draws agree, and ``1 - 1/min(K, C)``. The variance is that of the K draws (divisor K).

    Use it when probabilities will be judged, rather than classes.

    Args:
      log_probs: log class probabilities of K posterior draws.

    Raises:
      ValueError: anything but log probabilities of draws.

    >>> brier_gain(jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]]))).tolist()
    [0.5, 0.0]

    Brier 1950, "Verification of Forecasts Expressed in Terms of Probability".
    """
    check_log_probs("brier_gain", log_probs)
    return jnp.mean(centered_draws(jnp.exp(log_probs), axis=1) ** 2, 1).sum(-1)


ROW = Acquisition(brier_gain, "log_probs", zero, lambda k, c: 1 - 1 / min(k, c))


def test_brier_gain_is_the_drop_of_the_brier_score():
    """The score of the mean prediction less the mean score of the draws, the label being drawn by a draw."""
    p = np.exp(np.asarray(predictions("log_probs"), np.float64))
    score = lambda forecast, y: np.sum((forecast - np.eye(p.shape[-1])[y]) ** 2, -1)
    drop = np.zeros(len(p))
    for y in range(p.shape[-1]):
        before, after = score(p.mean(1), y)[:, None], score(p, y)
        drop += np.mean(p[..., y] * (before - after), 1)
    np.testing.assert_allclose(brier_gain(predictions("log_probs")), drop, rtol=1e-5, atol=1e-6)
