"""Whether a score tells rows from elsewhere: higher for what a learner has seen nothing of.

Any score will do, as `bal.acquisition.bald`, `bal.acquisition.predictive_entropy` or a variance, of test rows of the
data that were learned (`inside`) and of others (`outside`).
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from bal.evaluation.checks import Scalar, namespace


def auroc(inside: Float[Any, "M"], outside: Float[Any, "M2"]) -> Scalar:
    """Probability that an outside row scores higher than an inside one, ties counting ½: the area under the ROC curve.

    In [0, 1]; ½ for a score that knows nothing.

    >>> import numpy as np
    >>> float(auroc(np.array([0.1, 0.2, 0.3]), np.array([0.3, 0.9])))
    0.9166666666666666

    Hendrycks and Gimpel 2017, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples".
    """
    xp = _scores(inside, outside)
    order = xp.sort(inside)
    lower, upper = (xp.astype(xp.searchsorted(order, outside, side=side), outside.dtype) for side in ("left", "right"))
    return _where_defined(xp, xp.mean(lower + upper) / (2 * len(inside)), inside, outside)


def false_positive_rate(inside: Float[Any, "M"], outside: Float[Any, "M2"], recall: float = 0.95) -> Scalar:
    """Share of outside rows that pass where `recall` of the inside rows do: FPR@95, in [0, 1]; less is better.

    Rows pass whose score is at most the lowest threshold that lets `recall` of the inside rows through.

    >>> import numpy as np
    >>> float(false_positive_rate(np.arange(20.0), np.array([3.0, 18.0, 18.5, 30.0])))
    0.5

    Liang, Li and Srikant 2018, "Enhancing the Reliability of Out-of-Distribution Image Detection in Neural Networks".
    """
    if not 0 < recall <= 1:
        raise ValueError(f"recall must lie in (0, 1], for instance 0.95, got {recall}")
    xp = _scores(inside, outside)
    needed = max(math.ceil(recall * len(inside) - 1e-9), 1)
    threshold = xp.sort(inside)[needed - 1]
    return _where_defined(xp, xp.mean(xp.astype(outside <= threshold, outside.dtype)), inside, outside)


def _scores(inside: Any, outside: Any) -> Any:
    namespace(outside, 1, "scores of outside rows [M]")
    return namespace(inside, 1, "scores of inside rows [M]")


def _where_defined(xp: Any, value: Scalar, inside: Any, outside: Any) -> Scalar:
    return xp.where(xp.any(xp.isnan(inside)) | xp.any(xp.isnan(outside)), np.nan, value)[()]
