"""Nine classification tables of the UCI repository, as used throughout the active-learning literature."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from bal.datasets.dataset import Dataset
from bal.datasets.sources import Arrays, check, file_arrays, label_counts, missing, openml_arrays

FILE = "uci_classification.npz"
SHA256 = "b0c408d0ef57fb63997a6ee0635ba1985af353fa0acc16cacf3491fce209776c"


class Table(NamedTuple):
    """What was published: number of features, rows of each class, name at OpenML (None: no download)."""

    num_features: int
    counts: list[int]
    openml: str | None = None


LETTERS = [789, 766, 736, 805, 768, 775, 773, 734, 755, 747, 739, 761, 792]
LETTERS += [783, 753, 803, 783, 758, 748, 796, 813, 764, 752, 787, 786, 734]
TABLES = {
    "LetterRecognition": Table(16, LETTERS, "letter"),
    "Satellite": Table(36, [703, 626, 1358, 1533, 707, 1508]),
    "Shuttle": Table(9, [10, 13, 3267, 50, 171, 8903, 45586]),
    "DNA": Table(180, [767, 765, 1654]),
    "Vehicle": Table(18, [218, 212, 217, 199]),
    "Vowel": Table(10, [90] * 11),
    "Sonar": Table(60, [111, 97]),
    "PimaIndiansDiabetes": Table(8, [500, 268]),
    "spam": Table(57, [2788, 1813], "spambase"),
}


def uci_classification(name: str, path: str | Path | None = None, download: bool = False) -> Dataset:
    """One UCI table: x ``[N, D]`` float32 on the original scale, y ``[N]`` int32.

    There is no test set: pair `split` with the seed.

    name: LetterRecognition, Satellite, Shuttle, DNA, Vehicle, Vowel (its first feature is the speaker),
        Sonar, PimaIndiansDiabetes or spam. Classes are numbered in alphabetical order of their names.
    path: a copy of uci_classification.npz. With ``download=True`` LetterRecognition and spam, found nowhere
        else, are fetched from OpenML; should it keep the rows in another order, the fingerprint tells.

    Raises ValueError (no such table), MissingDataError and CorruptDataError.
    Source: UCI machine learning repository (CC BY 4.0).

    >>> uci_classification("iris")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: no table 'iris'; choose one of LetterRecognition, Satellite, ...
    """
    if name not in TABLES:
        raise ValueError(f"no table {name!r}; choose one of {', '.join(TABLES)}")
    table, call = TABLES[name], f"uci_classification({name!r})"
    found = file_arrays(FILE, SHA256, (f"{name}__X", f"{name}__y"), path)
    if found is None and not (download and table.openml):
        raise missing(FILE, call, table.openml)
    arrays, source = found or _download(name, table, call)
    x, y = arrays[f"{name}__X"].astype(np.float32), arrays[f"{name}__y"].astype(np.int32)
    check(name, "shape", (sum(table.counts), table.num_features), x.shape)
    check(name, "number of labels", x.shape[:1], y.shape)
    check(name, "label counts", dict(enumerate(table.counts)), label_counts(y))
    check(name, "only finite features:", True, bool(np.isfinite(x).all()))
    return Dataset(x, y, None, None, name, len(table.counts), source)


def _download(name: str, table: Table, call: str) -> tuple[Arrays, str]:
    arrays, source = openml_arrays(str(table.openml), call)
    _, y = np.unique(arrays["y"], return_inverse=True)
    return {f"{name}__X": arrays["x"], f"{name}__y": y}, source
