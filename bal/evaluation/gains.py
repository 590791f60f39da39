"""What labels were expected to tell, and what they told: whether information that is predicted comes true."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Gains(NamedTuple):
    """Information of R rounds and S seeds, in nats.

    expected: by the scores of the picks, before their labels came; realized: drop of what was measured.
    ratio: of the sums over all rounds and seeds, realized over expected; standard_error: of the ratio, over seeds.
    """

    expected: Float[np.ndarray, "S R"]
    realized: Float[np.ndarray, "S R"]
    ratio: float
    standard_error: float


def gains(scores: Float[Any, "S R B"], values: Float[Any, "S R1"], valid: Bool[Any, "S R B"] | None = None) -> Gains:
    """Predicted against realized gain of each round, and their ratio: 1 where the model is right.

    Expected is the sum over a batch of the scores by which it was picked, realized the drop of `values` from one round
    to the next. In expectation they are the same, by the model's own predictions, for

    - BALD and the entropy of the posterior (a conjugate model's own ``evaluate``);
    - EPIG about a test set and `regression` or `classification`'s nll of its labels, or `remaining_entropy` there.

    So a ratio below 1 says that the model promises more than labels hold: that it is wrong, or that its draws are.
    Scores of a batch add up where each is a gain after the picks before it (`bal.selection.batchbald`, ``max_det``,
    ``epig_batch``); of the best of BALD their sum is an upper bound, and the ratio says what batches repeat.

    Use it when a run's information is to be believed: ``gains(log.scores, log.metrics["nll"], log.valid)`` of the log
    of `bal.loop.run_seeds`, which holds both for every round.

    Args:
      scores: of the picks of each round, in nats.
      values: of each of the R + 1 evaluations, in nats; less means that more is known.
      valid: of the picks; others count for nothing.

    Raises:
      ValueError: fewer than 2 seeds, or values that are not one more than the rounds; an expected gain of 0.

    >>> found = gains(np.ones((2, 2, 1)), np.array([[3.0, 2.0, 1.2], [3.0, 1.9, 1.1]]))
    >>> found.realized.round(1).tolist(), round(found.ratio, 3), round(found.standard_error, 3)
    ([[1.0, 0.8], [1.1, 0.8]], 0.925, 0.025)

    Lindley 1956, "On a Measure of the Information Provided by an Experiment".
    """
    scores, values = np.asarray(scores, np.float64), np.asarray(values, np.float64)
    if scores.ndim != 3 or values.shape != (scores.shape[0], scores.shape[1] + 1) or len(scores) < 2:
        raise ValueError(
            "expected scores [seeds, rounds, picks] of 2 seeds at least and values [seeds, rounds + 1], got shapes "
            f"{scores.shape} and {values.shape}; give log.scores and log.metrics[name] of run_seeds"
        )
    expected = np.sum(scores if valid is None else np.where(np.asarray(valid), scores, 0.0), -1)
    realized = -np.diff(values, axis=1)
    mean = expected.sum(1).mean()
    if mean == 0:
        raise ValueError("expected scores that promise information, but their sum is 0: there is no ratio to it")
    ratio = realized.sum(1).mean() / mean
    apart = realized.sum(1) - ratio * expected.sum(1)
    error = apart.std(ddof=1) / np.sqrt(len(apart)) / abs(mean)
    return Gains(expected, realized, float(ratio), float(error))
