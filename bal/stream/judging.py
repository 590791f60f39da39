"""How good a run on a stream was: each row is a test before it is a lesson."""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter

from bal.typing import Values


def prequential_accuracy(correct: Values, fading: float = 0.999) -> Float[np.ndarray, "*S T"]:
    """Accuracy so far, what is long ago faded: ``Σ_i α^(t-i) correct_i / Σ_i α^(t-i)``, at every row.

    Between 0 and 1. With ``fading=1`` the mean of all rows so far; an accuracy of late over about ``1 / (1 - α)`` rows
    otherwise. All rows count, whether or not they were asked: that takes labels that the method never sees.

    Args:
      correct: of a `StreamLog`, ``[T]`` or leading with seeds.
      fading: α in (0, 1].

    Returns:
      An array of the same shape, in float64.

    Raises:
      ValueError: a factor outside (0, 1], numbers outside [0, 1].

    >>> prequential_accuracy([True, False, True], fading=0.5).round(4).tolist()
    [1.0, 0.3333, 0.7143]

    Gama, Sebastiao and Rodrigues 2013, "On Evaluating Stream Learning Algorithms".
    """
    if not 0 < fading <= 1:
        raise ValueError(f"expected a fading factor in (0, 1], got {fading}; 0.999 looks at some 1,000 rows")
    right = np.asarray(correct, np.float64)
    if ((right < 0) | (right > 1)).any():
        raise ValueError("expected whether each prediction was right, 0 or 1; compare predictions with labels first")
    faded: Any = lambda values: lfilter([1.0], [1.0, -fading], values, axis=-1)
    return faded(right) / faded(np.ones_like(right))


def regret(correct: Values, reference: Values) -> Float[np.ndarray, "*S T"]:
    """Mistakes beyond those of a reference on the same rows, summed up: ``Σ_{i<=t} (reference_i - correct_i)``.

    The reference may be the method when it sees every label, or whoever knows the law of the stream. Negative where
    the reference was worse.

    Raises ValueError for logs of different shapes.

    >>> regret([True, False, False], [True, True, False]).tolist()
    [0.0, 1.0, 1.0]

    Ban et al. 2024, "Neural Active Learning Beyond Bandits", with the Bayes-optimal classifier as the reference.
    """
    ours, theirs = np.asarray(correct, np.float64), np.asarray(reference, np.float64)
    if ours.shape != theirs.shape:
        raise ValueError(f"expected two logs of the same rows, got shapes {ours.shape} and {theirs.shape}")
    return np.cumsum(theirs - ours, -1)
