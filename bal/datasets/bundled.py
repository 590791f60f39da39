"""The two small sets that scikit-learn ships: always there, without any file or network."""

import importlib.metadata
from typing import Any

import numpy as np

from bal.datasets.dataset import Dataset
from bal.datasets.sources import check


def digits() -> Dataset:
    """Handwritten digits, 8 x 8 gray values: x ``[1797, 64]`` in [0, 1] (counts / 16), y in 0 .. 9.

    No test set: pair `split` with the seed. Source: E. Alpaydin and C. Kaynak, UCI repository, 1998 (CC BY
    4.0).

    >>> digits().x.shape, digits().num_classes
    ((1797, 64), 10)
    """
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    x, y = bunch.data, bunch.target
    check("digits", "shape", (1797, 64), x.shape)
    check("digits", "label counts", [178, 182, 177, 183, 181, 182, 181, 179, 174, 180], np.bincount(y).tolist())
    return Dataset((x / 16).astype(np.float32), y.astype(np.int32), None, None, "digits", 10, _sklearn())


def diabetes() -> Dataset:
    """Diabetes progression: x ``[442, 10]`` and y ``[442]`` on their original scales; no test set.

    Source: B. Efron et al., Least angle regression, Annals of Statistics, 2004.

    >>> diabetes().x.shape
    (442, 10)
    """
    from sklearn.datasets import load_diabetes

    bunch: Any = load_diabetes(scaled=False)
    x, y = bunch.data, bunch.target
    check("diabetes", "shape", (442, 10), x.shape)
    check("diabetes", "sum of targets", 67243, int(y.sum()))
    return Dataset(x.astype(np.float32), y.astype(np.float32), None, None, "diabetes", None, _sklearn())


def _sklearn() -> str:
    return f"scikit-learn {importlib.metadata.version('scikit-learn')}"
