"""Nine regression tables of the UCI repository with the standard splits of Bayesian deep learning."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from bal.datasets.dataset import Dataset
from bal.datasets.sources import Arrays, check, file_arrays, missing, openml_arrays

FILE = "uci_regression.npz"
SHA256 = "527c98c20dd46ec92e9fe7a5f10096f735e06c071f6cef64cba49087f23014b3"


class Table(NamedTuple):
    """What was published: key in the file, shape, number of standard splits, name at OpenML."""

    key: str
    shape: tuple[int, int]
    num_splits: int = 20
    openml: str | None = None


TABLES = {
    "bostonHousing": Table("bostonHousing", (506, 13)),
    "concrete": Table("concrete", (1030, 8)),
    "energy": Table("energy", (768, 8)),
    "kin8nm": Table("kin8nm", (8192, 8), openml="kin8nm"),
    "naval": Table("naval-propulsion-plant", (11934, 16)),
    "power": Table("power-plant", (9568, 4)),
    "protein": Table("protein-tertiary-structure", (45730, 9), num_splits=5),
    "wine": Table("wine-quality-red", (1599, 11)),
    "yacht": Table("yacht", (308, 6)),
}


def uci_regression(name: str, split: int = 0, path: str | Path | None = None, download: bool = False) -> Dataset:
    """One UCI table under one of its standard splits: x ``[N, D]``, y ``[N]`` and a test set of M rows.

    Split s is the s-th permutation drawn from ``RandomState(1)``: the first ``round(0.9 n)`` rows train, the
    rest test. Everything is float32 on the original scale; see `standardize`.

    name: bostonHousing, concrete, energy, kin8nm, naval, power, protein, wine or yacht.
    split: 0 .. 19 (protein: 0 .. 4).
    path: a copy of uci_regression.npz. With ``download=True`` kin8nm, found nowhere else, is fetched from
        OpenML; should it keep the rows in another order, the splits differ and the fingerprint tells.

    Raises ValueError (no such table or split), MissingDataError and CorruptDataError.
    Sources: UCI machine learning repository (CC BY 4.0); splits of J. M. Hernandez-Lobato and R. P. Adams,
    Probabilistic backpropagation, ICML 2015, and Y. Gal and Z. Ghahramani, ICML 2016.

    >>> uci_regression("yacht", split=20)
    Traceback (most recent call last):
    ValueError: yacht has the standard splits 0 .. 19, got 20
    """
    if name not in TABLES:
        raise ValueError(f"no table {name!r}; choose one of {', '.join(TABLES)}")
    table, call = TABLES[name], f"uci_regression({name!r})"
    if split not in range(table.num_splits):
        raise ValueError(f"{name} has the standard splits 0 .. {table.num_splits - 1}, got {split}")
    keys = f"{table.key}__X", f"{table.key}__y"
    found = file_arrays(FILE, SHA256, keys, path)
    if found is None and not (download and table.openml):
        raise missing(FILE, call, table.openml)
    arrays, source = found or _download(keys, str(table.openml), call)
    x, y = (arrays[key].astype(np.float32) for key in keys)
    check(name, "shape", table.shape, x.shape)
    check(name, "number of targets", x.shape[:1], y.shape)
    check(name, "only finite values:", True, bool(np.isfinite(x).all() and np.isfinite(y).all()))
    train, test = standard_split(len(x), split)
    return Dataset(x[train], y[train], x[test], y[test], name, None, f"{source}, split {split}")


def standard_split(num_rows: int, split: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the training and test part of standard split `split` of a table of `num_rows` rows.

    >>> train, test = standard_split(308, split=0)
    >>> len(train), len(test)
    (277, 31)
    """
    random = np.random.RandomState(1)
    order = np.arange(num_rows)
    for _ in range(split + 1):
        order = random.choice(num_rows, num_rows, replace=False)
    num_train = round(0.9 * num_rows)
    return order[:num_train], order[num_train:]


def _download(keys: tuple[str, str], openml: str, call: str) -> tuple[Arrays, str]:
    arrays, source = openml_arrays(openml, call)
    return dict(zip(keys, (arrays["x"], arrays["y"]))), source
