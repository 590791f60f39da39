"""Partial labels: all that an answer says is that the class is one of several."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float

from bal.learners.settings import check_count


def candidate_sets(sets: Iterable[Any], num_classes: int) -> Float[np.ndarray, "n C"]:
    """Labels that are sets of possible classes, as learners of ``likelihood=evidence`` take them.

    A row is ``1/|S|`` on its set S and 0 elsewhere. The loss of `evidence` is then ``-log Σ_{c in S} p_c``, and the
    constant ``log |S|``: that the true class is one of the set, whichever. As soft labels of `categorical` the same
    rows would say that all classes of the set are equally likely, and teach the model to be unsure.

    Use it when annotators may answer with several classes ("a dog or a wolf"), or rule some out.

    Args:
      sets: for each row the classes that it may have; a number is a set of one, all classes say nothing.
      num_classes: C.

    Raises:
      ValueError: an empty set, or classes outside 0 .. C - 1.

    >>> candidate_sets([2, (0, 1)], num_classes=3).tolist()
    [[0.0, 0.0, 1.0], [0.5, 0.5, 0.0]]

    Jin and Ghahramani 2002, "Learning with Multiple Labels"; Cour, Sapp and Taskar 2011, "Learning from Partial
    Labels".
    """
    check_count("num_classes", num_classes)
    rows = []
    for number, one in enumerate(sets):
        classes = sorted({one} if isinstance(one, int | np.integer) else set(one))
        if not classes or not 0 <= classes[0] <= classes[-1] < num_classes:
            raise ValueError(
                f"expected for row {number} one or more classes in 0 .. {num_classes - 1}, got {classes}; all classes "
                "where nothing is known"
            )
        rows.append(np.isin(np.arange(num_classes), classes) / len(classes))
    return np.array(rows).reshape(-1, num_classes)
