"""Sentences with tags: what was published, and what a file that is not it says."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from bal.datasets import CorruptDataError, MissingDataError, tagged, ud_ewt, wnut17

COUNTS = {"train": [2, 1], "dev": [1, 0], "test": [0, 1]}
TINY = tagged.Corpus("tiny.json.gz", "0" * 64, ("O", "B-x"), {"train": 2, "dev": 1, "test": 1}, COUNTS)
PARTS = {"train": [[["a", "O"], ["b", "B-x"]], [["c", "O"]]], "dev": [[["a", "O"]]], "test": [[["d", "B-x"]]]}


def written(folder, parts):
    (folder / "tiny.json.gz").write_bytes(gzip.compress(json.dumps(parts).encode()))
    return folder / "tiny.json.gz"


def needs(file):
    folder = os.environ.get("BAL_DATA")
    here = bool(folder) and (Path(folder) / file).is_file()
    return pytest.mark.skipif(not here, reason=f"needs {file} in the folder that BAL_DATA names")


@needs("wnut17.json.gz")
def test_wnut17():
    data = wnut17()
    assert data.train.words[0][14:17] == ("Empire", "State", "Building")
    assert [data.names[tag] for tag in data.train.tags[0][14:17]] == ["B-location", "I-location", "I-location"]
    assert sum(map(len, data.test.words)) == sum(map(len, data.test.tags)) == 23394
    starts = [data.names[tag].startswith("B-") for tags in data.train.tags for tag in tags]
    assert sum(starts) == 1975


@needs("ud_english_ewt_upos.json.gz")
def test_ud_ewt():
    data = ud_ewt()
    assert data.train.words[0][:3] == ("Al", "-", "Zaman")
    assert [data.names[tag] for tag in data.train.tags[0][:3]] == ["PROPN", "PUNCT", "PROPN"]
    assert [sum(map(len, part.words)) for part in (data.train, data.dev, data.test)] == [204577, 25147, 25094]


def test_words_and_tags_of_a_file(tmp_path):
    data = tagged._load("tiny", TINY, written(tmp_path, PARTS))
    assert data.train.words == (("a", "b"), ("c",))
    assert [tags.tolist() for tags in data.train.tags] == [[0, 1], [0]]
    assert data.test.tags[0].dtype == np.int32
    assert data.source.startswith("file tiny.json.gz, sha256 ")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dev": []}, r"tiny \(dev\) should have sentences 1, got 0"),
        ({"dev": [[["a", "B-x"]]]}, r"tiny \(dev\) should have tags \{'O': 1\}, got \{'B-x': 1\}"),
        ({"dev": [["a"]]}, r"tiny \(dev\) should be sentences of \[word, tag\]"),
        ({"more": []}, "tiny should have parts"),
    ],
)
def test_what_was_not_published(tmp_path, changes, says):
    with pytest.raises(CorruptDataError, match=says):
        tagged._load("tiny", TINY, written(tmp_path, PARTS | changes))


def test_a_file_of_another_kind(tmp_path, monkeypatch):
    (tmp_path / "tiny.json.gz").write_bytes(b"no gzip")
    with pytest.raises(CorruptDataError, match=r"not a readable json\.gz file"):
        tagged._load("tiny", TINY, tmp_path / "tiny.json.gz")
    monkeypatch.setenv("BAL_DATA", str(tmp_path))
    with pytest.raises(CorruptDataError, match="has SHA-256"):
        tagged._load("tiny", TINY, None)
    monkeypatch.setenv("BAL_DATA", str(tmp_path / "none"))
    with pytest.raises(MissingDataError, match="which holds no such file"):
        tagged._load("tiny", TINY, None)
