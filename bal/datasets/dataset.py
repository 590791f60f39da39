"""A data set as plain arrays, its fingerprint, and the two steps before an experiment: split, standardize."""

import hashlib
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped


class Dataset(NamedTuple):
    """N labeled rows and, where there is one, a test set of M rows.

    x, x_test: float32 ``[N, ...]`` and ``[M, ...]``; of sets of texts an array of strings ``[N]``, to be encoded.
    y, y_test: int32 classes ``0 .. num_classes - 1``, or float32 targets.
    name: what the set is called in the literature.
    num_classes: None for regression.
    source: where the arrays came from, in words.
    """

    x: Float[np.ndarray, "N ..."]
    y: Shaped[np.ndarray, "N"]
    x_test: Float[np.ndarray, "M ..."] | None
    y_test: Shaped[np.ndarray, "M"] | None
    name: str
    num_classes: int | None
    source: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 (64 hex digits) of shape, dtype and bytes of the four arrays, in order.

        Computed anew at each access, so that a set changed by `_replace` never carries a stale fingerprint.

        >>> from bal.datasets import digits
        >>> digits().fingerprint[:12]
        '919bd3ad8729'
        """
        digest = hashlib.sha256()
        for array in (self.x, self.y, self.x_test, self.y_test):
            if array is None:
                digest.update(b"none;")
                continue
            little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(f"{little_endian.dtype.str}{little_endian.shape};".encode())
            digest.update(little_endian.data)
        return digest.hexdigest()


class Scaling(NamedTuple):
    """What `standardize` subtracted and divided by: ``y = y_mean + y_scale * standardized``.

    For classification ``y_mean = 0`` and ``y_scale = 1``. An RMSE in original units is `y_scale` times the
    standardized one; a log density in original units is the standardized one minus ``log(y_scale)``.
    """

    x_mean: Float[np.ndarray, "..."]
    x_scale: Float[np.ndarray, "..."]
    y_mean: float
    y_scale: float


def split(dataset: Dataset, seed: int, num_test: int) -> Dataset:
    """The same rows with `num_test` of them, drawn uniformly without replacement, set aside as the test set.

    The split depends on `seed`, `num_test` and the number of rows only: strategies compared under one seed
    share it.
    Raises ValueError if the set has a test set already, or if either part would be empty.

    >>> from bal.datasets import digits
    >>> parts = split(digits(), seed=0, num_test=500)
    >>> parts.x.shape, parts.x_test.shape
    ((1297, 64), (500, 64))
    """
    num_rows = len(dataset.x)
    if dataset.x_test is not None:
        raise ValueError(
            f"split needs a set without test rows, but {dataset.name} has {len(dataset.x_test)}; "
            "use them, or set x_test and y_test to None with _replace first"
        )
    if not 0 < num_test < num_rows:
        raise ValueError(f"num_test must lie in 1 .. {num_rows - 1} for {dataset.name}, got {num_test}")
    order = np.random.default_rng(seed).permutation(num_rows)
    train, test = np.sort(order[num_test:]), np.sort(order[:num_test])
    x, y = dataset.x, dataset.y
    return dataset._replace(x=x[train], y=y[train], x_test=x[test], y_test=y[test])


def standardize(dataset: Dataset) -> tuple[Dataset, Scaling]:
    """The set with ``x = (x - mean) / std`` per feature, and y likewise for regression.

    Mean and standard deviation (ddof = 0, accumulated in float64) are those of the *training* rows, also for
    the test rows. A feature that is constant over the training rows is centered and keeps its scale.

    >>> import numpy as np
    >>> from bal.datasets import diabetes
    >>> scaled, scaling = standardize(diabetes())
    >>> bool(np.allclose(scaled.x.std(axis=0), 1, atol=1e-5)), round(scaling.y_mean, 2)
    (True, 152.13)
    """
    x_mean, x_scale = _mean_and_scale(dataset.x)
    scaled = dataset._replace(x=_scaled(dataset.x, x_mean, x_scale), x_test=_scaled(dataset.x_test, x_mean, x_scale))
    if dataset.num_classes is not None:
        return scaled, Scaling(x_mean, x_scale, 0.0, 1.0)
    y_mean, y_scale = _mean_and_scale(dataset.y)
    scaled = scaled._replace(y=_scaled(dataset.y, y_mean, y_scale), y_test=_scaled(dataset.y_test, y_mean, y_scale))
    return scaled, Scaling(x_mean, x_scale, float(y_mean), float(y_scale))


def _mean_and_scale(values: np.ndarray) -> Any:
    constant = np.all(values == values[:1], axis=0)
    mean, std = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    return mean, np.where(constant, 1.0, std)


def _scaled(values: np.ndarray | None, mean: Any, scale: Any) -> Any:
    return None if values is None else ((values - mean) / scale).astype(np.float32)
