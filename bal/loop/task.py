"""One's own table as tasks: read, encoded, split and started anew for every seed."""

import warnings
from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from bal.datasets.frames import MISSING
from bal.datasets.table import Kind, encode, read_table, split_table
from bal.pool.labeled import make_pool
from bal.typing import Task


class TableTasks(NamedTuple):
    """A table as tasks, and what is needed to read them back.

    of_seed: the `Task` of a seed: its own test set, start set and scale of features; all of the same shapes.
    class_names: of the class numbers; None for a regression.
    feature_names: of the columns of x.
    row_ids: of all rows, as the frame calls them: row n of every pool is row n of the table, so that ``row_ids[n]`` is
        the name of an acquired n. Test rows, and rows without a label, are in the pool but not present.
    """

    of_seed: Callable[[int], Task]
    class_names: tuple[str, ...] | None
    feature_names: tuple[str, ...]
    row_ids: Shaped[np.ndarray, "N"]


def task(
    x: Any,
    y: Any,
    *,
    num_test: int,
    num_start: int = 0,
    kind: Kind | None = None,
    categories: Iterable[str] = (),
    drop: Iterable[str] = (),
) -> TableTasks:
    """Tasks of a CSV file, a data frame, a dict of columns or an array, with text, categories and missing values.

    Numbers are standardized, missing ones set to the median with a feature that says so, categories become 0/1
    features: statistics are those of the pool of the seed, so that no test row changes a feature of a pool row. Names
    of columns, categories and classes, and which columns have gaps, are read from the whole table.

    Args:
      x: path of a CSV file with a header, a frame of pandas or polars, a dict of columns, an array ``[N, D]``.
      y: name of the target among the columns, or an array ``[N]``. Rows without a label are never picked; a warning
        counts them.
      num_test: rows set aside in every seed, drawn in proportion to the classes; 0 for none.
      num_start: rows labeled at the start, balanced over the classes, or drawn uniformly; 0 leaves them to the set-up.
      kind: "classes" or "real". Unless given, text, truth values and whole numbers are classes, all else is real.
      categories: columns of numbers that are names, such as postal codes.
      drop: columns to leave out, such as names of rows and dates.

    Returns:
      `TableTasks`; ``of_seed`` is what a study takes for a task.

    Raises:
      ValueError: what `bal.datasets.read_table` cannot read; a test or start set that the rows do not allow.

    >>> table = {"age": [31, 58, None, 44, 25, 39], "city": ["Ulm", "Bonn", "Bonn", None, "Ulm", "Bonn"]}
    >>> mine = task(table, ["no", "yes", "yes", "no", "no", "yes"], num_test=2, num_start=2)
    >>> mine.class_names, mine.feature_names
    (('no', 'yes'), ('age', 'age missing', 'city=Bonn', 'city=Ulm', 'city missing'))
    >>> first = mine.of_seed(0)
    >>> first.pool.x.shape, int(first.pool.present.sum()), first.start.shape
    ((6, 5), 4, (2,))
    """
    table = read_table(x, y, kind=kind, categories=categories, drop=drop)
    num_missing = int((~table.has_label).sum())
    if num_missing:
        file = isinstance(x, str | PathLike)
        read = f"; texts of a file that are read as missing: {sorted(MISSING - {''})}" if file else ""
        words = f"{num_missing} of {len(table.y)} rows have no label, so that they are never picked{read}"
        warnings.warn(words, stacklevel=2)
    split_table(table, num_test, num_start, 0)  # raises now what it would for any seed
    names = encode(table, table.has_label)[1]

    def of_seed(seed: int) -> Task:
        pool, test, start = split_table(table, num_test, num_start, seed)
        present = np.isin(np.arange(len(table.y)), pool)
        rows, labels = jnp.asarray(encode(table, present)[0], float), jnp.asarray(table.y)
        held_out = (rows[test], labels[test]) if num_test else None
        return Task(make_pool(rows, present), labels, held_out, jnp.asarray(start, jnp.int32) if num_start else None)

    return TableTasks(of_seed, table.class_names, names, table.row_ids)
