"""When a switch is thrown, and which training is the last."""

import numpy as np
import pytest

from bal.evaluation.history import History
from bal.proxies import aligned_logme, at_labels, by_evidence, logme, never, ped, when_flat
from bal.typing import Learner

FEW, MANY = Learner(None, None, None), Learner(print, print, print)


def history(*sizes):
    """A log of batches of these sizes, the first a start set, the last not labeled yet."""
    query = np.repeat(np.arange(-1, len(sizes) - 1), sizes)
    labels = np.cumsum(sizes[:-1])
    answered = query < len(labels) - 1
    return History(labels, rows=np.arange(len(query)), query=query, y=np.arange(len(query)), answered=answered)


def by_count(values):
    """An indicator that is known for each number of labels; it looks at those that are told alone."""
    return lambda features, y: values[len(y)] + 0 * features[:, 0].sum() + 0 * y.sum()


def test_the_rule_looks_back_over_its_rounds():
    values = {4: 1.0, 6: 1.4, 8: 1.5, 10: 1.503, 12: 1.507, 14: 1.4989}
    thrown = []
    for number in range(1, 7):
        log = history(4, *[2] * number)
        reason = when_flat(by_count(values), num_rounds=2, change=0.01)(log, np.zeros((len(log.rows), 1)))
        thrown.append(reason)
    assert thrown[:4] == [None] * 4  # 1.4 -> 1.503 in two rounds is no rest
    assert thrown[4] == "moved from 1.5 to 1.507 in 2 rounds"
    assert thrown[5] is not None


def test_an_indicator_below_zero_is_judged_by_its_size():
    log = history(4, 2, 2)
    rule = when_flat(by_count({4: -2.0, 6: -1.99}), num_rounds=1, change=0.01)
    assert rule(log, np.zeros((8, 1))) == "moved from -2 to -1.99 in 1 rounds"
    rule = when_flat(by_count({4: -2.0, 6: -1.97}), num_rounds=1, change=0.01)
    assert rule(log, np.zeros((8, 1))) is None


def test_labels_and_never():
    log = history(4, 3, 3, 3)
    assert at_labels(10)(log, np.zeros((13, 1))) == "10 labels"
    assert at_labels(11)(log, np.zeros((13, 1))) is None
    assert never(log, np.zeros((13, 1))) is None
    assert at_labels(11) == at_labels(num_labels=11)


def overlapping(count, apart=0.2):
    random, y = np.random.default_rng(0), np.arange(count) % 2
    return random.normal(size=(count, 2)) + apart * y[:, None], y


def test_the_last_training_follows_labels_and_evidence():
    x, y = overlapping(40)
    assert aligned_logme(x, y) == logme(ped(x, y), y) > logme(x, y)
    assert by_evidence(FEW, MANY)(x, y) is MANY
    assert by_evidence(FEW, MANY)(x[:18], y[:18]) is FEW  # nine a class
    assert by_evidence(FEW, MANY, margin=1.0)(x, y) is FEW
    assert by_evidence(FEW, MANY)(*overlapping(40, 20.0)) is FEW  # apart as they are: nothing would move


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: at_labels(0), "num_labels must be at least 1"),
        (lambda: when_flat(num_rounds=0), "num_rounds must be at least 1"),
        (lambda: when_flat(change=-1.0), "change must be finite and at least 0"),
        (lambda: by_evidence(FEW, MANY, margin=-1.0), "margin must be finite and at least 0"),
    ],
)
def test_settings_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
