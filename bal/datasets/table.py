"""Tables of people: text, categories and missing values in, numbers out, by scikit-learn's encoders.

What a column is called, which categories it has and whether values are missing is read from the whole table, so that
every split has the same features; every statistic (means, deviations, medians) from the rows handed to `encode`.
"""

import warnings
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from bal.datasets.frames import columns_of, values_of
from bal.datasets.start import start_set

MOST, MANY = 100, 20
"""Categories of a column, and classes of a target: more are names or numbers, not categories. Many are warned of."""

Kind = Literal["classes", "real"]


class Table(NamedTuple):
    """N rows of named columns, and what is to be predicted.

    columns: by name, floats with NaN where missing, or texts with None where missing.
    y: class numbers (int32), or real numbers (float64); meaningless where `has_label` is False.
    class_names: of the class numbers, sorted; None for real numbers.
    row_ids: what the rows are called: the index of a frame, or 0 .. N - 1.
    """

    columns: dict[str, Shaped[np.ndarray, "N"]]
    y: Shaped[np.ndarray, "N"]
    has_label: Bool[np.ndarray, "N"]
    class_names: tuple[str, ...] | None
    row_ids: Shaped[np.ndarray, "N"]


def read_table(
    x: Any, y: Any, *, kind: Kind | None = None, categories: Iterable[str] = (), drop: Iterable[str] = ()
) -> Table:
    """A `Table` from a CSV file, a data frame (pandas, polars), a dict of columns or an array ``[N, D]``.

    Args:
      x: path of a CSV file with a header, or the data.
      y: name of the target among the columns, or an array ``[N]``. Rows whose target is missing have no label.
      kind: what the target is. Unless given, text, truth values and whole numbers are classes, all else is real.
      categories: columns of numbers that are names, such as postal codes.
      drop: columns to leave out, such as names of rows and dates. Texts of more than 20 kinds in a column are warned
        of: each becomes a feature.

    Raises:
      ValueError: no such file or column, lines of another length, dates, columns without any value or with more than
        100 categories, one class only, a constant target, a target of another length than the rows.

    >>> table = read_table({"size": [1.0, None, 3.0], "color": ["red", "blue", None]}, ["yes", "no", "yes"])
    >>> table.class_names, table.y.tolist(), table.columns["size"].tolist(), table.columns["color"].tolist()
    (('no', 'yes'), [1, 0, 1], [1.0, nan, 3.0], ['red', 'blue', None])
    """
    columns, row_ids = columns_of(x)
    if isinstance(y, str):
        _check_known([y], columns, "target")
        target = columns.pop(y)
    else:
        y = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y, None if hasattr(y, "dtype") else object)
        target = y
    drop = tuple(drop)
    _check_known(drop, columns, "column to drop")
    columns = {name: column for name, column in columns.items() if name not in drop}
    if not columns:
        raise ValueError("expected at least one column beside the target, got none; add the inputs")
    if np.shape(target) != (len(row_ids),):
        raise ValueError(f"expected one target for each of {len(row_ids)} rows, got an array of {np.shape(target)}")
    categories = tuple(categories)
    _check_known(categories, columns, "column of categories")
    read = {name: _read(name, column, name in categories) for name, column in columns.items()}
    return Table(read, *_labels(target, kind), row_ids)


def encode(table: Table, rows: Bool[np.ndarray, "N"]) -> tuple[Float[np.ndarray, "N F"], tuple[str, ...]]:
    """All rows as numbers, and the names of these features; statistics are those of `rows` alone.

    Numbers are standardized, missing ones set to the median, with a 0/1 feature that says so; categories become one 0/1
    feature each, a missing one being a category.

    >>> table = read_table({"size": [1.0, None, 3.0, 9.0], "color": ["red", "blue", None, "red"]}, [0.5, 1.5, 2.5, 3.5])
    >>> x, names = encode(table, np.arange(4) < 3)
    >>> names
    ('size', 'size missing', 'color=blue', 'color=red', 'color missing')
    >>> x[:3].round(1).tolist()
    [[-1.2, 0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0, 0.0], [1.2, 0.0, 0.0, 0.0, 1.0]]
    """
    from sklearn.impute import SimpleImputer  # takes a second to import
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = [name for name, column in table.columns.items() if column.dtype == object]
    numbers = [name for name in table.columns if name not in texts]
    parts, names = [], list(numbers)
    if numbers:
        matrix = np.stack([table.columns[name] for name in numbers], 1)
        scaler = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
        gaps = np.isnan(matrix)
        columns = np.flatnonzero(gaps.any(0))
        parts += [scaler.fit(matrix[rows]).transform(matrix), gaps[:, columns].astype(float)]
        names += [f"{numbers[column]} missing" for column in columns]
    if texts:
        matrix = np.stack([table.columns[name] for name in texts], 1)
        encoder = OneHotEncoder(sparse_output=False).fit(matrix)
        parts.append(encoder.transform(matrix))
        for name, known in zip(texts, encoder.categories_):
            names += [f"{name} missing" if category is None else f"{name}={category}" for category in known]
    return np.concatenate(parts, 1), tuple(names)


def split_table(
    table: Table, num_test: int, num_start: int, seed: int
) -> tuple[Int[np.ndarray, "P"], Int[np.ndarray, "M"], Int[np.ndarray, "S"]]:
    """Rows of the pool, of the test set and, among the first, of the start set, of the rows that have a label.

    Test rows are drawn in proportion to the classes, start rows balanced over them (`start_set`); of real numbers both
    are drawn uniformly. Equal seeds give equal rows.

    Raises:
      ValueError: sizes that leave no row to choose from; a class without a row for each of pool and test set.

    >>> table = read_table({"size": np.arange(9.0)}, [0, 1, 0, 1, 0, 1, 0, 1, 1])
    >>> pool, test, start = split_table(table, num_test=3, num_start=2, seed=0)
    >>> len(pool), len(test), sorted(table.y[start].tolist())
    (6, 3, [0, 1])
    """
    from sklearn.model_selection import train_test_split  # takes a second to import

    _check_sizes(table, num_test, num_start)
    pool = np.flatnonzero(table.has_label)
    test = pool[:0]
    if num_test:
        classes = None if table.class_names is None else table.y[pool]
        parts = train_test_split(pool, test_size=num_test, stratify=classes, random_state=seed)
        pool, test = map(np.sort, parts)
    if table.class_names is None:
        return pool, test, np.random.default_rng(seed).choice(pool, num_start, replace=False)
    if not num_start:
        return pool, test, pool[:0]
    counts, most = np.bincount(table.y[pool], minlength=len(table.class_names)), -(-num_start // len(table.class_names))
    if counts.min() < most:  # for every seed, although each draws anew which classes get a row more
        raise ValueError(
            f"a balanced start set of {num_start} takes up to {most} rows of a class, but of class "
            f"{table.class_names[counts.argmin()]!r} the pool has {counts.min()}; lower num_start or num_test"
        )
    return pool, test, pool[start_set(table.y[pool], num_start, seed)]


def _read(name: str, column: np.ndarray, is_category: bool) -> np.ndarray:
    """Floats with NaN where missing, or texts with None where missing."""
    values, here = values_of(name, column)
    if not is_category and not any(isinstance(value, str) for value in values):
        found = np.full(len(column), np.nan)
        found[here] = np.array(values, float)
        if np.isinf(found).any():
            raise ValueError(f"column {name!r} holds infinity in row {np.isinf(found).argmax()}; drop or impute it")
        return found
    texts = np.full(len(column), None, object)
    texts[here] = [str(value) for value in values]
    if len(set(texts[here])) > MOST:
        raise ValueError(
            f"column {name!r} holds {len(set(texts[here]))} different texts, more than the {MOST} that a category may "
            f"have; leave it out by drop=[{name!r}], or make numbers of it"
        )
    if len(set(texts[here])) > MANY:
        warnings.warn(
            f"column {name!r} holds {len(set(texts[here]))} different texts, such as {texts[here][0]!r}, and becomes "
            f"as many features; are they names or dates? drop=[{name!r}] leaves it out",
            stacklevel=4,
        )
    return texts


def _labels(target: np.ndarray, kind: Kind | None) -> tuple[np.ndarray, np.ndarray, tuple[str, ...] | None]:
    """Labels, which rows have one, and the names of classes."""
    values, here = values_of("target", np.asarray(target))
    if len(set(values)) == 1:
        what = "one class only" if kind == "classes" or isinstance(values[0], str) else "one value only"
        raise ValueError(f"the target holds {what}, {values[0]!r}; there is nothing to learn")
    named = any(isinstance(value, str | bool) for value in values)
    if kind == "real" or (kind is None and not named and not all(isinstance(value, int) for value in values)):
        if named:
            raise ValueError(
                f"the target holds names, such as {values[0]!r}, which are no real numbers; use kind='classes'"
            )
        if kind is None and len(set(values)) <= MOST and all(float(value).is_integer() for value in values):
            raise ValueError("the target holds whole numbers stored as real ones: say kind='classes' or kind='real'")
        y = np.zeros(len(here))
        y[here] = np.array(values, float)
        if not np.isfinite(y).all():
            raise ValueError(f"the target of row {(~np.isfinite(y)).argmax()} is infinite; leave it out")
        return y, here, None
    found = np.array(list(map(str, values)) if named else values)
    if not named and (found == found.astype(int)).all():
        found = found.astype(int)  # 2.0 names the class 2
    classes, numbers = np.unique(found, return_inverse=True)
    if len(classes) > MOST:
        raise ValueError(
            f"the target holds {len(classes)} different classes, more than {MOST}; for real numbers use kind='real'"
        )
    y = np.zeros(len(here), np.int32)
    y[here] = numbers
    return y, here, tuple(map(str, classes))


def _check_known(names: Iterable[str], columns: dict[str, np.ndarray], what: str) -> None:
    for name in names:
        if name not in columns:
            raise ValueError(f"expected a {what} among {', '.join(columns)}, got {name!r}")


def _check_sizes(table: Table, num_test: int, num_start: int) -> None:
    num_rows = int(table.has_label.sum())
    if min(num_test, num_start) < 0 or num_test + max(num_start, 1) >= num_rows:
        raise ValueError(
            f"expected test and start sets that leave rows to choose from, of {num_rows} with a label, got "
            f"num_test={num_test} and num_start={num_start}; lower them"
        )
    if table.class_names is None or not num_test:
        return
    counts = np.bincount(table.y[table.has_label])
    if counts.min() < 2:
        raise ValueError(
            f"class {table.class_names[counts.argmin()]!r} has 1 row, but pool and test set need one each; drop or "
            "merge it, or use num_test=0"
        )
    if min(num_test, num_rows - num_test) < len(counts):
        raise ValueError(
            f"expected a test set and a pool of at least one row for each of {len(counts)} classes, got "
            f"num_test={num_test} of {num_rows} rows"
        )
