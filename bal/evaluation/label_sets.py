"""What to measure where a row has several labels."""

from functools import cache
from typing import Any

from bal.evaluation.measures import Evaluate, _predicted


@cache
def label_sets(over: Any = None) -> Evaluate:
    """``evaluate(posterior, test)`` for learners that predict a `bal.typing.MultiLabel`, of the mean over draws.

    accuracy: share of labels that are right. exact: share of rows with all labels right. f1: of all labels of all rows
    together, ``2 TP / (2 TP + FP + FN)``, 0 without any. nll (nats): of a row, the labels taken one by one.
    A label is said to be there where its probability is above 1/2. The test and `over` are as in `classification`, with
    labels ``[M, G]`` of 0 and 1.

    Use it when labels are not exclusive; f1 where most are absent, since saying "none" is then often right.

    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> sure = SimpleNamespace(predict=lambda x: SimpleNamespace(log_odds=np.tile([2.0, -2.0], (len(x), 1, 1))))
    >>> found = label_sets()(sure, (np.zeros((2, 1)), np.array([[1, 0], [1, 1]])))
    >>> {name: round(float(value), 3) for name, value in found.items()}
    {'accuracy': 0.75, 'exact': 0.5, 'f1': 0.8, 'nll': 1.254}
    """

    def evaluate(posterior: Any, test: Any) -> dict[str, Any]:
        prediction, y = _predicted(posterior, test, over)
        odds = prediction.log_odds
        xp = odds.__array_namespace__()
        if y.shape != (odds.shape[0], odds.shape[2]):
            raise ValueError(f"expected test labels {(odds.shape[0], odds.shape[2])}, a row of 0 and 1, got {y.shape}")
        there = xp.astype(y, odds.dtype)[:, None, :]
        chance = xp.mean(1 / (1 + xp.exp(-odds)), axis=1)
        said, is_there = chance > 0.5, y > 0.5
        right = said == is_there
        both = xp.sum(xp.astype(said & is_there, odds.dtype))
        either = xp.sum(xp.astype(said, odds.dtype)) + xp.sum(xp.astype(is_there, odds.dtype))
        log_p = -xp.logaddexp(xp.zeros_like(odds), xp.where(there > 0.5, -odds, odds))
        top = xp.max(log_p, axis=1, keepdims=True)
        log_mean = top[:, 0] + xp.log(xp.mean(xp.exp(log_p - top), axis=1))
        return {
            "accuracy": xp.mean(xp.astype(right, odds.dtype)),
            "exact": xp.mean(xp.astype(xp.all(right, axis=1), odds.dtype)),
            "f1": xp.where(either > 0, 2 * both / xp.where(either > 0, either, 1), 0.0),
            "nll": -xp.mean(xp.sum(log_mean, axis=1)),
        }

    return evaluate
