"""A desk that costs nothing: three clusters, class means for a learner, all of one compiled program."""

import time

import numpy as np
from problem import CENTERS, QUERY, X, Y

from bal.labeling import Desk, Item, Labeling, text

NAMES = ("red", "green", "blue")
TRUTH = [NAMES[label] for label in np.asarray(Y).tolist()]
LABELING = Labeling(
    np.asarray(X),
    CENTERS,
    QUERY,
    lambda row: text(f"row {row}"),
    classes=NAMES,
    batch_size=4,
    capacity=120,
)


def opened(record, **changes) -> Desk:
    desk = Desk(LABELING._replace(**changes), record)
    assert desk.settle(60)
    return desk


def label_some(desk, annotator, count, truth=TRUTH, wait=60.0) -> list[int]:
    """Answer so many items, waiting for rows where a fit is under way; the rows, in order."""
    rows, end = [], time.monotonic() + wait
    while len(rows) < count and time.monotonic() < end:
        item = desk.next(annotator)
        if not isinstance(item, Item):
            desk.settle(1.0)
            continue
        desk.answer(annotator, item, truth[item.row], seconds=0.5)
        rows.append(item.row)
    assert len(rows) == count
    return rows
