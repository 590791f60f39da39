"""Desks for tests: a learner that costs nothing, five rows to a fit."""

from contextlib import contextmanager

import numpy as np
from problem import CENTERS, QUERY, X

from bal.labeling import Desk, Labeling, Number, table
from bal.learners import bayesian_linear
from bal.records import open_record
from bal.strategies import variance

CLASSES = ("red", "green", "<b>blue")
LABELING = Labeling(
    X, CENTERS, QUERY, lambda row: table({"row": row}), classes=CLASSES, batch_size=5, question="Which?"
)
LINE = np.linspace(-1, 1, 9, dtype=np.float32)[:, None]
NUMBERS = LABELING._replace(
    x=LINE,
    learner=bayesian_linear(noise=0.1, prior=1.0),
    query=variance(),
    classes=None,
    number=Number(0.0, 10.0, "mm"),
)


@contextmanager
def open_desk(folder, labeling=LABELING):
    with open_record(folder, "label", {}) as record, Desk(labeling, record) as desk:
        desk.settle()
        yield desk
