"""A labeling straight from files: a table of texts or numbers, or a folder of pictures, with a learner and a query that
are a sensible start."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bal import strategies
from bal.datasets.frames import columns_of, texts_of
from bal.datasets.table import encode, read_table
from bal.datasets.unlabeled import opened, picture_features, read_pictures, text_features
from bal.labeling.nouns import Labeling, Number
from bal.labeling.views import View, image, table, text
from bal.learners import bayesian_linear, bayesian_softmax, ensemble, mlp, multi_label
from bal.typing import Learner, Query

DENSE = 400
"""Weights up to which the posterior of a softmax regression is drawn exactly."""
SHOWN = 900
"""Pixels of the longer side of a picture as it is shown."""


class FromFiles(NamedTuple):
    """labeling: ready for a `Desk`. said: what was chosen, in words."""

    labeling: Labeling
    said: str


def from_files(
    source: str | Path,
    *,
    classes: Sequence[str] = (),
    several: bool = False,
    number: tuple[float, float] | None = None,
    text_column: str | None = None,
    columns: Sequence[str] = (),
    id_column: str | None = None,
) -> FromFiles:
    """A labeling of a CSV file or of a folder of pictures.

    Texts become TF-IDF and its principal components, numbers and categories what `bal.datasets.encode` makes of them,
    pictures the principal components of their pixels; the learner is a Bayesian regression on these (an ensemble of
    small networks for several labels), the query `power_bald`, or `variance` for numbers.

    Args:
      source: a .csv file with a header, or a folder.
      classes: names of the classes. several: a row has any number of them.
      number: least and largest answer, in place of classes.
      text_column: of a table, the column that is read; by default the first of long texts, if there is one.
      columns: those that the model sees; all by default. All are shown.
      id_column: names of the rows.

    Raises:
      ValueError: no such file or column, another kind of file, neither classes nor a number.
    """
    source = Path(source)
    if not classes and number is None:
        raise ValueError("expected classes or a number to ask for, got neither; type --classes spam ham")
    if source.is_dir():
        x, show, ids, seen = _of_folder(source)
    elif source.suffix == ".csv":
        x, show, ids, seen = _of_table(source, text_column, columns, id_column)
    else:
        raise ValueError(f"expected a .csv file, a folder of pictures or module:function, got {str(source)!r}")
    learner, query, model = _model(len(classes), several, number, x.shape[1])
    labeling = Labeling(x, learner, query, show, ids=ids)
    if number is not None:
        labeling = labeling._replace(number=Number(*number))
    else:
        labeling = labeling._replace(several=classes) if several else labeling._replace(classes=classes)
    return FromFiles(labeling, f"{len(x)} rows: {seen}, {x.shape[1]} features; {model}; query {query!r}")


Found = tuple[np.ndarray, Callable[[int], View], Any, str]


def _of_folder(folder: Path) -> Found:
    found = read_pictures(folder)

    def show(row: int) -> View:
        return image(np.asarray(opened(folder / found.names[row], SHOWN)), alt=f"picture {found.names[row]}")

    return picture_features(found.pixels), show, list(found.names), "pictures"


def _of_table(file: Path, text_column: str | None, columns: Sequence[str], id_column: str | None) -> Found:
    held, _ = columns_of(file)
    count = len(next(iter(held.values()), ()))
    if count < 2:
        raise ValueError(f"expected at least 2 rows to label, got {count} in {file.name}; add rows")
    named = [name for name in (text_column, id_column, *columns) if name is not None]
    unknown = next((name for name in named if name not in held), None)
    if unknown is not None:
        raise ValueError(f"{file.name} has no column {unknown!r}; it has {', '.join(held)}")
    written = texts_of(file)
    ids = None if id_column is None else written[id_column]
    text_column = text_column or (None if columns else _longest(held, id_column))
    if text_column is not None:
        texts = written[text_column]
        return text_features(texts), lambda row: text(texts[row]), ids, f"texts in {text_column!r}"
    seen = [name for name in columns or held if name != id_column]
    some = read_table({name: held[name] for name in seen}, np.arange(len(held[seen[0]]), dtype=float), kind="real")
    x, _ = encode(some, np.ones(len(some.y), bool))

    def show(row: int) -> View:
        return table({name: column[row] for name, column in held.items()})

    return x.astype(np.float32), show, ids, f"columns {', '.join(seen)}"


def _longest(held: dict[str, np.ndarray], id_column: str | None) -> str | None:
    """The first column of texts that are sentences: five words in the middle one."""
    for name, column in held.items():
        words = [len(str(value).split()) for value in column if value is not None]
        if name != id_column and column.dtype == object and words and np.median(words) >= 5:
            return name
    return None


def _model(num_classes: int, several: bool, number: Any, num_features: int) -> tuple[Learner, Query, str]:
    if number is not None:
        return bayesian_linear(), strategies.variance(), "Bayesian linear regression"
    if several:
        from bal.acquisition import labels_bald
        from bal.query import by_score
        from bal.selection import power

        network = mlp((64,), num_outputs=num_classes)
        learner = ensemble(network, 10, likelihood=multi_label, num_steps=300)
        return learner, by_score(labels_bald, power()), "ensemble of 10 networks"
    structure = "dense" if num_classes * (num_features + 1) <= DENSE else "factored"
    learner = bayesian_softmax(num_classes, 20, structure=structure)
    return learner, strategies.power_bald(), "Bayesian softmax regression"
