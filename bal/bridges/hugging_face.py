"""Data sets of Hugging Face as tasks: read into memory, or column by column from where they lie."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bal.bridges.libraries import library
from bal.pool import make_pool
from bal.pool.arrays import as_rows
from bal.typing import Task

Encode = Callable[[Any], Any]


class HuggingFaceTask(NamedTuple):
    """task: rows of the pool are those of the data set, in its order; class_names: None for real labels."""

    task: Task
    class_names: tuple[str, ...] | None


class HuggingFaceRows:
    """A column of a `datasets.Dataset` as an array that is read when it is sliced: what a streamed pool takes.

    Arrow files are mapped into memory, so that a column larger than memory costs what one chunk takes.
    ``Task(make_pool(HuggingFaceRows(dataset, "image")), y)`` with ``Setup(..., over=bal.streamed())``.

    Args:
      dataset: a `datasets.Dataset`, not a dictionary of splits.
      column: its name.
      encode: what makes an array ``[n, ...]`` of n values (texts, images of PIL); None where they are numbers. It sees
        the rows that are read and no others, so it is row-wise.

    Raises:
      ImportError: datasets is not installed.
      TypeError: no data set. ValueError: no such column, values that are no arrays of one shape.
    """

    def __init__(self, dataset: Any, column: str, encode: Encode | None = None):
        """Read the first row, for the shape and type of all."""
        _check(dataset, column)
        self._rows, self._column, self._encode = dataset.select_columns([column]), column, encode
        if encode is None:
            self._rows = self._rows.with_format("numpy")
        first = self[:1]
        self.shape, self.dtype = (len(dataset), *first.shape[1:]), first.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Some of the rows ``[n, ...]``, by a slice or by positions."""
        values = self._rows[rows if isinstance(rows, slice) else np.asarray(rows)][self._column]
        return np.asarray(as_rows(values if self._encode is None else self._encode(values), f"column {self._column!r}"))


def hugging_face_task(
    dataset: Any, inputs: str, target: str, *, test: Any = None, encode: Encode | None = None
) -> HuggingFaceTask:
    """A task of a `datasets.Dataset`: its rows are the pool, its labels the oracle, another split the test set.

    Labels are class numbers where the target is a `ClassLabel` or text, real numbers where it is of floats. A label of
    -1, as the hub marks rows without one, or None, keeps its row out of the pool; a warning counts them.

    Use it when the data are on the hub, or in files that `datasets` reads; a table with categories and missing values
    is better read by ``bal.task(dataset.to_pandas(), target, num_test=...)``.

    Args:
      dataset: one split, as ``load_dataset(name, split="train")``.
      inputs, target: names of columns.
      test: another split with the same columns.
      encode: as in `HuggingFaceRows`: needed for text, images and whatever is not numbers of one shape.

    Raises:
      ImportError: datasets is not installed.
      TypeError: a dictionary of splits, or no data set.
      ValueError: no such column, inputs that are not numbers, no row with a label, test labels that the pool lacks.

    Lhoest et al. 2021, "Datasets: A Community Library for Natural Language Processing".
    """
    x = HuggingFaceRows(dataset, inputs, encode)[:]
    y, has_label, names = _labels(dataset, target, None)
    if not has_label.any():
        raise ValueError(f"no row has a label in column {target!r}; take a split that has labels")
    if not has_label.all():
        words = f"{(~has_label).sum()} of {len(y)} rows have no label, so that they are never picked"
        warnings.warn(words, stacklevel=2)
    held_out = None
    if test is not None:
        y_test, known, _ = _labels(test, target, names)
        rows = np.flatnonzero(known)
        held_out = (HuggingFaceRows(test, inputs, encode)[rows], y_test[rows])
    return HuggingFaceTask(Task(make_pool(x, has_label), y, held_out), names)


def _check(dataset: Any, column: str) -> None:
    kind = library("datasets").Dataset
    if not isinstance(dataset, kind):
        splits = f" of the splits {list(dataset)}" if hasattr(dataset, "keys") else ""
        raise TypeError(f"expected a datasets.Dataset, got a {type(dataset).__name__}{splits}; choose one split")
    if column not in dataset.column_names:
        raise ValueError(f"expected a column among {', '.join(dataset.column_names)}, got {column!r}")


def _labels(
    dataset: Any, target: str, names: tuple[str, ...] | None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...] | None]:
    """Labels, which rows have one, and the names of classes: those given, of the feature, or of the texts."""
    _check(dataset, target)
    values = list(dataset[target])
    own = getattr(dataset.features[target], "names", None)
    here = np.array([value is not None and not (own is not None and value < 0) for value in values])
    given = [value for value, known in zip(values, here) if known]
    if own is None and given and all(isinstance(value, float) for value in given):
        y = np.zeros(len(values))
        y[here] = given
        return y, here, None
    words = [own[value] if own is not None else str(value) for value in given]
    if names is None:
        names = tuple(own) if own is not None else _sorted(given)
    places = {name: number for number, name in enumerate(names)}
    unknown = sorted(set(words) - set(places))
    if unknown:
        raise ValueError(f"the pool has the classes {list(names)}, but the test set also {unknown}; leave these out")
    y = np.zeros(len(values), np.int32)
    y[here] = [places[word] for word in words]
    return y, here, names


def _sorted(values: list[Any]) -> tuple[str, ...]:
    """Names of classes: whole numbers in the order of numbers."""
    return tuple(str(value) for value in sorted(set(values)))
