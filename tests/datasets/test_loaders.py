import gzip
import json
import os
import subprocess
import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from bal.datasets import (
    CorruptDataError,
    MissingDataError,
    diabetes,
    digits,
    fashion_mnist,
    images,
    mnist,
    sms_spam,
    split,
    uci_classification,
    uci_regression,
)
from bal.datasets.classification import TABLES as CLASSIFICATION
from bal.datasets.regression import TABLES as REGRESSION


def needs(file):
    folder = os.environ.get("BAL_DATA")
    here = bool(folder) and (Path(folder) / file).is_file()
    return pytest.mark.skipif(not here, reason=f"needs {file} in the folder that BAL_DATA names")


def tiny_images(counts=(3, 2)):
    y = np.repeat(np.arange(len(counts)), counts).astype(np.uint8)
    x = np.zeros((len(y), 28, 28), np.uint8)
    x[:, 0, 0] = 255
    x[:, 1, 2] = np.arange(len(y))
    return x, y


def tiny_file(folder, **changes):
    x, y = tiny_images()
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y} | changes
    np.savez(folder / "tiny.npz", **{key: value for key, value in arrays.items() if value is not None})
    return folder / "tiny.npz"


TINY = images.ImageSet("tiny.npz", "0" * 64, "tiny", [3, 2], [3, 2])


@pytest.mark.slow
def test_import_needs_no_jax():
    script = "import sys, bal.datasets; bal.datasets.digits(); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_digits_are_scaled_counts():
    data = digits()
    assert (data.x.dtype, data.y.dtype, data.x.shape) == (np.float32, np.int32, (1797, 64))
    assert (data.x.min(), data.x.max()) == (0, 1)
    np.testing.assert_array_equal(data.x * 16, sklearn.datasets.load_digits().data)


def test_diabetes_is_on_its_original_scale():
    data = diabetes()
    assert data.x[:, 0].min() == 19  # age in years
    assert (data.y.min(), data.y.max(), data.num_classes) == (25, 346, None)


@needs("mnist.npz")
def test_mnist():
    data = mnist()
    assert data.x.shape == (60000, 28, 28, 1)
    assert data.x_test.shape == (10000, 28, 28, 1)
    assert (data.x.dtype, float(data.x.min()), float(data.x.max())) == (np.float32, 0, 1)
    assert abs(float(data.x.mean(dtype=np.float64)) - 0.1307) < 5e-5  # the mean everyone normalizes MNIST with
    assert data.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert "mnist.npz" in data.source


@needs("fashion_mnist.npz")
def test_fashion_mnist():
    data = fashion_mnist()
    assert abs(float(data.x.mean(dtype=np.float64)) - 0.2860) < 5e-5
    assert data.y_test[:5].tolist() == [9, 2, 1, 1, 6]


@needs("uci_classification.npz")
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_every_classification_table(name):
    data = uci_classification(name)
    assert data.num_classes == data.y.max() + 1
    assert (data.x.dtype, data.y.dtype, data.x_test) == (np.float32, np.int32, None)


@needs("uci_regression.npz")
@pytest.mark.parametrize("name", REGRESSION)
def test_every_regression_table(name):
    data = uci_regression(name, split=1)
    first = uci_regression(name)
    assert len(data.x) == round(0.9 * (len(data.x) + len(data.x_test)))
    whole = lambda d: np.sort(np.concatenate([d.y, d.y_test]))
    np.testing.assert_array_equal(whole(data), whole(first))
    assert data.fingerprint != first.fingerprint


@needs("uci_regression.npz")
def test_regression_splits_are_the_published_recipe(monkeypatch):
    with np.load(Path(os.environ["BAL_DATA"]) / "uci_regression.npz", allow_pickle=False) as stored:
        x = stored["yacht__X"]
    random = np.random.RandomState(1)
    orders = [random.choice(range(308), 308, replace=False) for _ in range(20)]
    data = uci_regression("yacht", split=19)
    np.testing.assert_array_equal(data.x, x[orders[19][:277]])
    np.testing.assert_array_equal(data.x_test, x[orders[19][277:]])


@needs("sms_spam.json.gz")
def test_sms_spam():
    data = sms_spam()
    assert (data.x.shape, data.x.dtype.kind, data.y.dtype) == ((5574,), "U", np.int32)
    assert data.x[0].startswith("Go until jurong point, crazy..")
    assert len(set(data.x.tolist())) == 5574 - 403
    assert "FREE" in data.x[data.y == 1][0].upper()
    parts = split(data, 0, 500)
    assert sorted([*parts.x, *parts.x_test]) == sorted(data.x)
    assert parts.fingerprint != split(data, 1, 500).fingerprint


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["ham", "hello"]], r"label counts \{0: 4827, 1: 747\}, got \{0: 1\}"),
        ([["eggs", "hello"]], r"rows of \[ham or spam, text\]"),
        ({"ham": "hello"}, r"rows of \[ham or spam, text\]"),
        (None, "not a readable json.gz"),
    ],
)
def test_other_messages_are_refused(tmp_path, rows, message):
    raw = gzip.compress(json.dumps(rows).encode())
    (tmp_path / "some.json.gz").write_bytes(raw if rows is not None else raw[:-9])
    with pytest.raises(CorruptDataError, match=message):
        sms_spam(tmp_path / "some.json.gz")


@pytest.mark.parametrize(
    "load", [mnist, fashion_mnist, lambda: uci_classification("DNA"), lambda: uci_regression("wine"), sms_spam]
)
@pytest.mark.parametrize("folder", [None, "", "empty"])
def test_a_missing_set_says_what_to_do(monkeypatch, tmp_path, load, folder):
    monkeypatch.delenv("BAL_DATA", raising=False)
    if folder is not None:
        monkeypatch.setenv("BAL_DATA", str(tmp_path) if folder else "")
    with pytest.raises(MissingDataError, match=r"(npz|json.gz) was not found .*BAL_DATA .*path=") as caught:
        load()
    assert isinstance(caught.value, FileNotFoundError)
    assert (str(tmp_path) in str(caught.value)) == bool(folder)


def test_download_is_offered_only_where_there_is_one(monkeypatch):
    monkeypatch.delenv("BAL_DATA", raising=False)
    with pytest.raises(MissingDataError, match="call mnist\\(\\) with download=True"):
        mnist()
    with pytest.raises(MissingDataError, match="no download"):
        uci_classification("DNA", download=True)


def test_unknown_names_and_splits():
    with pytest.raises(ValueError, match="no table 'letters'; choose one of LetterRecognition"):
        uci_classification("letters")
    with pytest.raises(ValueError, match="no table 'boston'"):
        uci_regression("boston")
    with pytest.raises(ValueError, match=r"protein has the standard splits 0 \.\. 4, got 5"):
        uci_regression("protein", split=5)


def test_a_changed_file_in_the_folder_is_refused(monkeypatch, tmp_path):
    (tmp_path / "mnist.npz").write_bytes(tiny_file(tmp_path).read_bytes())
    monkeypatch.setenv("BAL_DATA", str(tmp_path))
    with pytest.raises(CorruptDataError, match="SHA-256"):
        mnist()


def test_an_explicit_path_wins_and_is_checked_by_content(monkeypatch, tmp_path):
    monkeypatch.setenv("BAL_DATA", "/nowhere")
    data = images._load("tiny", TINY, tiny_file(tmp_path), False)
    assert data.x.shape == (5, 28, 28, 1)
    assert data.num_classes == 2
    assert data.x[4, 1, 2, 0] == np.float32(4 / 255)
    assert str(tmp_path) not in data.source
    with pytest.raises(CorruptDataError, match=r"mnist should have training images of shape \(60000, 28, 28\)"):
        mnist(tmp_path / "tiny.npz")
    with pytest.raises(MissingDataError, match="no file at path"):
        mnist(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "lacks the array"),
        ({"y_train": np.array([0, 0, 1, 1, 1])}, "training label counts"),
        ({"y_test": np.array([0, 0, 0, 1, 2])}, "test label counts"),
        ({"x_train": np.zeros((5, 28, 28), np.uint8)}, "pixels"),
        ({"x_test": np.zeros((4, 28, 28), np.uint8)}, "test images of shape"),
        ({"y_test": np.array([0, 0, 0, 1, 1], dtype=object)}, "without pickles"),
    ],
)
def test_wrong_contents_are_refused(tmp_path, changes, message):
    with pytest.raises(CorruptDataError, match=message):
        images._load("tiny", TINY, tiny_file(tmp_path, **changes), False)


@pytest.mark.parametrize("keep", [0, 100, -300])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = tiny_file(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CorruptDataError, match="not a readable npz"):
        images._load("tiny", TINY, path, False)


def test_downloaded_images_are_cut_into_training_and_test(monkeypatch):
    x, y = tiny_images((3, 2))
    both = np.concatenate([x, x // 2 + x % 2]).reshape(10, 784).astype(float)
    both[5:, 0] = 255
    asked = []

    def fetch(name, **options):
        asked.append((name, options["version"]))
        return {"data": both, "target": np.tile(y, 2).astype(str).astype(object)}

    monkeypatch.delenv("BAL_DATA", raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    data = images._load("tiny", TINY, None, True)
    assert asked == [("tiny", 1)]
    np.testing.assert_array_equal(data.x[..., 0], x.astype(np.float32) / np.float32(255))
    assert data.x_test[3, 1, 2, 0] == np.float32(2 / 255)
    assert data.y_test.tolist() == y.tolist()


def test_downloaded_tables_number_their_classes_alphabetically(monkeypatch):
    counts = CLASSIFICATION["LetterRecognition"].counts
    letters = np.repeat([chr(ord("A") + c) for c in range(26)], counts).astype(object)
    found = {"data": np.ones((20000, 16)), "target": letters}
    monkeypatch.delenv("BAL_DATA", raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda name, **options: found)
    data = uci_classification("LetterRecognition", download=True)
    assert np.bincount(data.y).tolist() == counts
    assert data.source == "OpenML letter version 1"
    found["target"] = letters[::-1][:-1]
    with pytest.raises(CorruptDataError, match="number of labels"):
        uci_classification("LetterRecognition", download=True)


def test_offline_is_said_clearly(monkeypatch):
    def fetch(name, **options):
        raise urllib.error.URLError("name resolution failed")

    monkeypatch.delenv("BAL_DATA", raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    with pytest.raises(MissingDataError, match=r"uci_regression\('kin8nm'\).*name resolution failed.*BAL_DATA"):
        uci_regression("kin8nm", download=True)


def test_nothing_is_fetched_unasked(monkeypatch):
    def fetch(name, **options):
        raise AssertionError("network used")

    monkeypatch.delenv("BAL_DATA", raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    for load in (mnist, lambda: uci_classification("spam"), lambda: uci_regression("kin8nm")):
        with pytest.raises(MissingDataError):
            load()
