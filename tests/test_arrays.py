"""What people hand in, as arrays: tables, lists, tensors of other libraries, and sources outside of memory."""

from collections import defaultdict
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from bal.pool import as_rows, make_pool


class Table:
    """What data frames and tensors of other libraries have in common: axes, a type of their own, and an array."""

    def __init__(self, values, dtype=None):
        self.values, self.shape, self.ndim, self.dtype = values, values.shape, values.ndim, dtype

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)

    def __getitem__(self, name):
        raise KeyError(name)  # a table is read by the names of its columns, not by its rows


class Column(Table):
    def to_numpy(self):
        return self.values


class Images(NamedTuple):
    pixels: object
    extra: object


ROWS = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize(
    "x", [Table(ROWS), Table(ROWS, "float32"), Column(ROWS, np.dtype(float)), ROWS.tolist(), list(ROWS)]
)
def test_tables_tensors_and_lists_are_read(x):
    found = as_rows(x)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, ROWS)


def test_arrays_are_handed_on_as_they_are(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    for x in (ROWS, jnp.asarray(ROWS), np.load(tmp_path / "x.npy", mmap_mode="r")):
        assert as_rows(x) is x
    assert as_rows(None) is None


def test_parts_of_a_tree_are_read_one_by_one():
    found = as_rows(Images(Table(ROWS), {"age": [1, 2, 3]}))
    assert type(found) is Images
    np.testing.assert_array_equal(found.pixels, ROWS)
    assert found.extra["age"].tolist() == [1, 2, 3]
    counted = as_rows(defaultdict(list, a=Table(ROWS)))
    assert type(counted["a"]) is np.ndarray


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array(["a", "b"]), r"expected the labels as numbers, got <U1 such as np.str_\('a'\); encode"),
        (np.array([1, "b"], object), "got object such as 1"),
        (np.array(["2026-01-01"], "datetime64[D]"), r"got datetime64\[D\]"),
        ([1 + 2j], "got complex128"),
        ([[1.0], [2.0, 3.0]], "a list of rows of one length, got list that numpy cannot read"),
    ],
)
def test_what_is_no_number_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        as_rows(x, "labels")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "arrays that lead with the rows"),
        ((np.float32(1),), "arrays that lead with the rows"),
        ((ROWS, [True]), r"present of shape \(3,\)"),
        ((ROWS, None, [1.0, 2.0]), r"cost of shape \(3,\)"),
        ((ROWS, None, [1.0, 0.0, 2.0]), "positive, finite costs"),
    ],
)
def test_pools_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_pool(*arguments or ((),))
