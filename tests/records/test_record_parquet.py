"""Columns as a Parquet file."""

import sys

import numpy as np
import pytest
from record_cases import make_round

from bal.records import load, open_record, write_parquet


def test_without_polars_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r'needs polars, which is not installed; pip install "bal-jax\[frames\]"'):
        write_parquet({"a": np.arange(3)}, tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_frame_reads_back(tmp_path):
    polars = pytest.importorskip("polars")
    with open_record(tmp_path, "run", {"acquisition": "bald", "big": 2**70}) as record:
        record.append([make_round(0, scores=[np.nan] * 3), make_round(1)])
    columns = load(tmp_path)
    path = tmp_path / "run.parquet"
    path.write_bytes(b"old")
    write_parquet(columns, path)
    frame = polars.read_parquet(path)
    assert frame.columns == list(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(frame[name].to_numpy().astype(values.dtype), values, name)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "run.parquet"}
    with pytest.raises(OSError, match="absent"):
        write_parquet(columns, tmp_path / "absent" / "a.parquet")
    with pytest.raises(polars.exceptions.PolarsError):
        write_parquet({"a": [1, 2], "b": [1]}, path)
    assert polars.read_parquet(path).height == 6
