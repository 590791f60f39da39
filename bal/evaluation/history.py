"""The log of a run so far, as a stopping rule sees it, and where in a finished log a rule would have stopped."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

NONE: Any = np.zeros(0)


class History(NamedTuple):
    """The log so far: E evaluations, each followed by a query; n rows in the order in which they left the pool.

    A rule is asked when the last query has picked its rows and nobody has labeled them yet.

    labels: in the training set at each evaluation; spent: what all answers cost until then.
    metrics: what was measured at each evaluation, arrays included.
    rows: of the start set and of all queries; query: which one picked a row, -1 for the start set and rows that nobody
    asked for. scores, log_q: NaN where there are none.
    y: labels, zeros where `answered` is False: the rows of the last query, and rows that were skipped.
    price: what labels of the last query would cost.
    """

    labels: Int[np.ndarray, "E"]
    spent: Float[np.ndarray, "E"] = NONE
    metrics: dict[str, np.ndarray] = {}  # noqa: RUF012 - never written to
    rows: Int[np.ndarray, "n"] = NONE
    query: Int[np.ndarray, "n"] = NONE
    scores: Float[np.ndarray, "n"] = NONE
    log_q: Float[np.ndarray, "n"] = NONE
    y: Any = NONE
    answered: Bool[np.ndarray, "n"] = NONE
    price: float = 0.0

    @property
    def proposed(self) -> Bool[np.ndarray, "n"]:
        """Which rows the last query picked."""
        return self.query == len(self.labels) - 1


StoppingRule = Callable[[History], bool | str | None]
"""``log so far -> reason``: a sentence (or True) where labeling should stop before the proposed rows are labeled."""


class Stopped(NamedTuple):
    """Where a rule stopped a run: after evaluation `round`, with `labels` in the training set, and why."""

    round: int
    labels: int
    reason: str


def reason_to_stop(rule: StoppingRule, history: History) -> str | None:
    """What the rule says of the log so far; None where labeling goes on.

    Raises:
      TypeError: it says neither True, False, None nor a sentence.
    """
    found = rule(history)
    if isinstance(found, str) and found:
        return found
    if found is None or isinstance(found, bool | np.bool_):
        return "the stopping rule says so" if found else None
    raise TypeError(f"a stopping rule returns True, False, None or a sentence, got {found!r}; say why in words")


def stopped_at(log: Any, rule: StoppingRule, cost: Float[Any, "N"] | None = None) -> Stopped | None:
    """Where a rule would have stopped the run of a finished log; None where it lets the run go on to its end.

    The first r rounds of a run do not depend on later ones, so this is, exactly, what `bal.loop.run_eager` does with
    the rule, and ``log.metrics[name][found.round]`` what would have come of it.

    Use it when a run is compiled, whose shapes are fixed: run to the largest budget, and compare rules on one log.

    Args:
      log: that of one seed, of `bal.loop.run` or `run_eager`; of `run_seeds`, ``tree.map(lambda a: a[seed], log)``.
      rule: ``History -> reason``, see `bal.evaluation.stopping`.
      cost: price of each pool row's label, 1 by default.

    Raises:
      ValueError: a log of several seeds.
    """
    if np.ndim(log.num_training) != 1:
        raise ValueError(
            f"expected the log of one seed, got num_training of shape {np.shape(log.num_training)}; give "
            "jax.tree.map(lambda leaf: leaf[seed], log)"
        )
    for number in range(len(log.indices)):
        so_far = history(log, number, cost)
        reason = reason_to_stop(rule, so_far)
        if reason is not None:
            return Stopped(number, int(so_far.labels[-1]), reason)
    return None


def history(log: Any, number: int, cost: Float[Any, "N"] | None = None) -> History:
    """The log as it was after evaluation `number` and the query behind it; arguments as in `stopped_at`."""
    start, y_start = np.asarray(log.start), np.asarray(log.y_start)
    picked, valid = np.asarray(log.indices)[: number + 1], np.asarray(log.valid)[: number + 1].ravel()
    of_start = np.full(len(start), np.nan)
    kept = np.concatenate([np.ones(len(start), bool), valid])
    joined = lambda first, more: np.concatenate([first, np.asarray(more).reshape(-1, *first.shape[1:])])[kept]
    known = np.asarray(log.y)[:number]
    y = np.zeros((picked.size, *y_start.shape[1:]), known.dtype)
    y[: number * picked.shape[1]] = known.reshape(-1, *y_start.shape[1:])
    rows = joined(start, picked)
    query = joined(np.full(len(start), -1), np.repeat(np.arange(len(picked)), picked.shape[1]))
    prices = np.ones(len(rows)) if cost is None else np.asarray(cost, np.float64)[rows]
    log_q = np.full(picked.size, np.nan) if log.log_q is None else np.asarray(log.log_q, np.float64)[: number + 1]
    return History(
        labels=np.asarray(log.num_training)[: number + 1],
        spent=np.array([prices[query < before].sum() for before in range(number + 1)]),
        metrics={name: np.asarray(values)[: number + 1] for name, values in log.metrics.items()},
        rows=rows,
        query=query,
        scores=joined(of_start, np.asarray(log.scores, np.float64)[: number + 1]),
        log_q=joined(of_start, log_q),
        y=joined(y_start, y),
        answered=query < number,
        price=float(prices[query == number].sum()),
    )
