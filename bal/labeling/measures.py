"""How good the model is, how far people agree, and how fast they are."""

from collections.abc import Iterable
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import scipy.stats

from bal.evaluation.active import active_inference
from bal.evaluation.stopping import kappa
from bal.labeling.forms import Form, label, stored
from bal.labeling.nouns import Agreement, Entry, Quality

BREAK = 120.0
"""Seconds between two answers from which on it was a break."""


def quality(form: Form, believed: np.ndarray, held: list[Any], num_rows: int) -> Quality | None:
    """Accuracy on test rows that were drawn uniformly and are answered, with an interval of confidence 95 %.

    The mean and interval of `bal.evaluation.active.active_inference` where every chance is 1: about new rows, not only
    about these. What is right or wrong has the exact interval of Clopper and Pearson, because the normal one has no
    width as long as no error was seen.

    Args:
      form: what answers are.
      believed: what the model says of the same rows, probabilities ``[n, C]`` or numbers ``[n]``.
      held: their labels as on record.
      num_rows: test rows in all.

    >>> form = Form(("cat", "dog"), False, False, None, 99, ())
    >>> quality(form, np.array([[0.9, 0.1], [0.2, 0.8]]), [0, 1], 20)
    Quality(name='accuracy', value=1.0, low=0.1581, high=1.0, num_labels=2, num_rows=20)

    Clopper and Pearson 1934, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial".
    """
    if len(held) < 2:
        return None
    truth = np.asarray(held, np.float64)
    exact = False
    if form.number is not None:
        values = abs(believed - truth)
    elif form.several:
        values = ((believed >= 0.5) == (truth >= 0.5)).mean(1)
    else:
        truth = truth.argmax(-1) if truth.ndim == 2 else truth
        values, exact = (believed.argmax(-1) == truth).astype(np.float64), True
    every = np.ones(len(values))
    found = active_inference(every, values, np.zeros(len(values)), every > 0)
    low, high = float(found.low), float(found.high)
    if exact:
        low, high = scipy.stats.binomtest(int(values.sum()), len(values)).proportion_ci(0.95, "exact")
    if form.number is None:
        low, high = max(low, 0.0), min(high, 1.0)
    name = "accuracy" if form.number is None else "mean absolute error"
    value, low, high = (round(float(each), 4) for each in (found.mean, max(low, 0.0), high))
    return Quality(name, value, low, high, num_labels=len(values), num_rows=num_rows)


def agreement(form: Form, entries: Iterable[Entry], with_self: bool = False) -> Agreement:
    """How far people agree on rows that several answered; `with_self`: how far each agrees with themself.

    Of soft answers the likeliest class counts.

    >>> form = Form(("cat", "dog"), False, False, None, 9, ())
    >>> said = [(0, "ada", "cat"), (0, "bob", "cat"), (1, "ada", "dog"), (1, "bob", "cat"), (2, "ada", "dog")]
    >>> agreement(form, [Entry(row, who, answer, 1.0, 0.0, "first") for row, who, answer in said])
    Agreement(num_rows=2, share=0.5, kappa=0.0, difference=None)

    Cohen 1960, "A Coefficient of Agreement for Nominal Scales"; Light 1971, "Measures of Response Agreement for
    Qualitative Data".
    """
    said: dict[Any, dict[int, Any]] = {}
    for entry in entries:
        if entry.state == "stands" and entry.answer is not None and entry.what != "test":
            who = (entry.annotator, entry.what == "again")
            said.setdefault(who, {})[entry.row] = stored(form, label(form, entry.answer))
    rows, same, kappas, apart = set[int](), [], [], []
    for one, two in combinations(sorted(said, key=str), 2):
        if (one[0] == two[0]) != with_self or (not with_self and (one[1] or two[1])):
            continue
        shared = sorted(said[one].keys() & said[two].keys())
        if not shared:
            continue
        rows |= set(shared)
        first, second = (np.array([said[who][row] for row in shared], float) for who in (one, two))
        if form.number is not None:
            apart += abs(first - second).tolist()
            continue
        if first.ndim == 2 and not form.several:
            first, second = first.argmax(-1), second.argmax(-1)
        same += (first == second).reshape(len(shared), -1).all(-1).tolist()
        columns = [(first, second)] if first.ndim == 1 else list(zip(first.T, second.T))
        kappas += [(kappa(a.astype(int), b.astype(int)), len(shared)) for a, b in columns]
    known = [(value, weight) for value, weight in kappas if np.isfinite(value)]
    share = float(np.mean(same)) if same else None
    of_chance = (
        float(sum(value * weight for value, weight in known) / sum(weight for _, weight in known)) if known else None
    )
    return Agreement(len(rows), share, of_chance, float(np.mean(apart)) if apart else None)


def labels_per_hour(entries: Iterable[Entry], last: int = 100) -> float | None:
    """By the times of the last answers, breaks left out.

    >>> labels_per_hour([Entry(row, "ada", "cat", None, 10.0 * row, "first") for row in range(5)])
    360.0
    """
    times = sorted(entry.at for entry in entries if entry.answer is not None)[-last:]
    gaps = [after - before for before, after in pairwise(times) if after - before <= BREAK]
    return 3600.0 * len(gaps) / sum(gaps) if sum(gaps) > 0 else None
