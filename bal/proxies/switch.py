"""When frozen features have done their part, and how the final network is to be trained.

A switch is a function of the log so far and of the features of its rows; a final rule one of the features and labels
of all labeled rows. The rules of Wen et al. are not in their released code: those here are ours, after their text.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from bal.evaluation.history import History
from bal.learners.settings import check_count, check_factor, named
from bal.method import method
from bal.proxies.logme import logme
from bal.proxies.ped import ped
from bal.typing import Learner, Values

Indicator = Callable[[Any, Any], float]
"""``features [n, D], y [n] -> number``: how well features explain labels."""

Switch = Callable[[History, np.ndarray], bool | str | None]
"""``log so far, features of its rows -> reason``: a sentence (or True) where the network is to be fine-tuned now, on
the labels so far, and the features made anew."""

Final = Callable[[Any, Any], Learner]
"""``features [n, D], y [n] -> learner``: what the last training is, from all labels and the proxy's features."""


def aligned_logme(features: Values, y: Values) -> float:
    """LogME of features as fine-tuning would leave them: `logme` after `ped`.

    The indicator of `when_flat`; nats a row, of either sign.

    >>> x, y = np.sin(np.arange(40)).reshape(20, 2), np.arange(20) % 2
    >>> aligned_logme(x, y) >= logme(x, y)
    True

    Li, Hu, Ge, Shan, Duan 2023, "Exploring Model Transferability through the Lens of Potential Energy".
    """
    return logme(ped(features, y), y)


def never(history: History, features: Float[np.ndarray, "n D"]) -> None:
    """The switch that is never thrown: selection by frozen features to the end (SVPp).

    >>> never(History(np.array([10])), np.zeros((10, 2))) is None
    True
    """
    del history, features


@method
def at_labels(num_labels: int) -> Switch:
    """The switch that is thrown once there are so many labels.

    Use it where a budget is planned: before it the network is not touched, behind it features are aligned.

    Raises ValueError for fewer than 1 label.

    >>> at_labels(20)(History(np.array([10, 20])), np.zeros((20, 2)))
    '20 labels'
    """
    check_count("num_labels", num_labels)

    def fires(history: History, features: Float[np.ndarray, "n D"]) -> str | None:
        del features
        return f"{history.labels[-1]} labels" if history.labels[-1] >= num_labels else None

    return fires


@method
def when_flat(indicator: Indicator = aligned_logme, *, num_rounds: int = 3, change: float = 0.01) -> Switch:
    """The switch that is thrown once an indicator of the frozen features has stopped moving.

    With ``q_r`` the indicator on the labeled rows of evaluation r: where ``|q_r - q_{r - num_rounds}| < change
    |q_{r - num_rounds}|``. Not before there are as many rounds. The paper says that such an indicator decides, but its
    code has no rule: this one, and its numbers, are ours. It knows no scale of its own: an indicator that passes
    through 0 makes it late, one that is large and flat from the start makes it early.

    Use it with `bal.proxies.asvp`; `at_labels` where the moment is known.

    Args:
      indicator: ``features, y -> number``; `aligned_logme`, `logme` or one's own.
      num_rounds: over how many rounds the change is taken.
      change: relative change below which it is flat.

    Raises:
      ValueError: settings out of range. TypeError: an indicator that is no function.

    >>> query, answered = np.array([-1, -1, 0, 1]), np.arange(4) < 3
    >>> history = History(np.array([2, 3]), query=query, y=np.zeros(4, int), answered=answered)
    >>> when_flat(lambda features, y: len(y), num_rounds=1, change=0.6)(history, np.zeros((4, 1)))
    'moved from 2 to 3 in 1 rounds'

    Wen, Pizarro, Williams 2024, "Feature Alignment: Rethinking Efficient Active Learning via Proxy in the Context of
    Pre-trained Models", in its spirit.
    """
    if not callable(indicator):
        raise TypeError(f"expected an indicator, got {named(indicator)}; use bal.proxies.logme, say")
    check_count("num_rounds", num_rounds)
    check_factor("change", change)

    def fires(history: History, features: Float[np.ndarray, "n D"]) -> str | None:
        latest = len(history.labels) - 1
        if latest < num_rounds:
            return None
        before, now = (indicated(history, features, indicator, at) for at in (latest - num_rounds, latest))
        flat = abs(now - before) < change * abs(before)
        return f"moved from {before:.4g} to {now:.4g} in {num_rounds} rounds" if flat else None

    return fires


def indicated(history: History, features: Float[np.ndarray, "n D"], indicator: Indicator, number: int) -> float:
    """What an indicator says of the labeled rows as of an evaluation."""
    known = (history.query < number) & history.answered
    return float(indicator(features[known], history.y[known]))


@method
def by_evidence(few: Learner, many: Learner, *, margin: float = 0.0, per_class: int = 10) -> Final:
    """The final training by how far features would move: the probe's way (LP-FT) where they need not, else plain FT.

    `few` where there are fewer than `per_class` labels a class on average, or where ``logme(Z) >= aligned_logme(Z) -
    margin``: the classes of the proxy's features are apart as they are. Else `many`. The rule is ours: the paper says
    that LP-FT is ahead with few labels and FT with many, and that features tell which.

    Args:
      few, many: `bal.proxies.fine_tuned` with steps of a probe and without, most often.
      margin: in nats a row. per_class: labels.

    Raises:
      ValueError: settings out of range.

    Wen, Pizarro, Williams 2024; Kumar, Raghunathan, Jones, Ma, Liang 2022, "Fine-Tuning can Distort Pretrained Features
    and Underperform Out-of-Distribution".
    """
    check_factor("margin", margin)
    check_count("per_class", per_class, least=0)

    def choose(features: Values, y: Values) -> Learner:
        if len(np.asarray(y)) < per_class * len(np.unique(y)):
            return few
        return few if logme(features, y) >= aligned_logme(features, y) - margin else many

    return choose
