"""The acquisition log in numpy, as a campaign keeps it: what people asked for, answered and gave up on, as events.

One function serves the next call and the replay of a whole record, so that both end in the same log. Places, weights
and sources mean what they mean in `bal.pool.labeled`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bal.typing import Labeled


def advance(log: Labeled, events: Iterable[Mapping[str, Any]]) -> Labeled:
    """The log after some events of kind "ask", "tell" and "skip"; others change nothing.

    Raises:
      ValueError: the events take more places than the log has.

    >>> log = Labeled(np.full(2, 9), np.zeros(2), np.zeros(2), np.zeros(2, int), np.array(0))
    >>> log = advance(log, [{"kind": "ask", "rows": [7]}, {"kind": "tell", "rows": [3, 7], "labels": [0.5, 1.5]}])
    >>> log.indices.tolist(), log.y.tolist(), log.count.item()
    ([7, 3], [1.5, 0.5], 2)
    """
    indices, y, weight, source = (np.array(leaf) for leaf in log[:4])
    places = {row: place for place, row in enumerate(indices[: int(log.count)].tolist())}
    for event in events:
        kind = event["kind"]
        if kind not in ("ask", "tell", "skip"):
            continue
        rows = np.asarray(event["rows"]).tolist()
        if kind != "skip":
            for row in rows:
                places.setdefault(row, len(places))
        if len(places) > len(indices):
            raise ValueError(
                f"the capacity of {len(indices)} labels is below the {len(places)} rows that the record has asked for; "
                "open with a larger capacity"
            )
        at = [places[row] for row in rows]
        if kind == "ask":
            indices[at] = rows
        elif kind == "tell":
            indices[at], y[at], weight[at], source[at] = rows, event["labels"], 1, 0  # a skipped row may be answered
        else:
            source[at] = -1
    arrays: Any = (indices, y, weight, source, np.asarray(len(places), np.int32))
    return Labeled(*arrays)


def is_answered(log: Labeled) -> np.ndarray:
    """Places that have a label."""
    return np.asarray(log.weight) > 0


def is_pending(log: Labeled) -> np.ndarray:
    """Places asked for and neither answered nor skipped."""
    return (np.arange(len(log.indices)) < log.count) & (log.source >= 0) & (log.weight == 0)
