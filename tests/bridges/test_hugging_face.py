"""Data sets of Hugging Face as tasks."""

import numpy as np
import pytest

from bal.bridges import HuggingFaceRows, hugging_face_task
from bal.bridges.libraries import library
from bal.loop import run_eager, seed_keys
from bal.pool import make_pool, streamed
from bal.strategies import entropy
from bal.typing import Setup, Task
from tests.problem import CENTERS, N, X, Y

PIXELS = np.arange(48, dtype=np.float32).reshape(6, 2, 4)
WORDS = ["one", "three", "five", "seven", "nine", "eleven"]


@pytest.fixture
def datasets():
    try:
        return library("datasets")
    except ImportError as error:
        pytest.skip(str(error))


def images(datasets, labels=(0, 1, 1, 0, -1, 1)):
    features = {"image": datasets.Array2D((2, 4), "float32"), "label": datasets.ClassLabel(names=["cat", "dog"])}
    columns = {"image": PIXELS, "label": list(labels), "text": WORDS}
    return datasets.Dataset.from_dict(columns, datasets.Features({**features, "text": datasets.Value("string")}))


def test_rows_labels_and_names(datasets):
    with pytest.warns(UserWarning, match="1 of 6 rows have no label, so that they are never picked"):
        task, names = hugging_face_task(images(datasets), "image", "label", test=images(datasets))
    assert names == ("cat", "dog")
    np.testing.assert_array_equal(task.pool.x, PIXELS)
    np.testing.assert_array_equal(task.pool.present, [1, 1, 1, 1, 0, 1])
    np.testing.assert_array_equal(task.oracle[[0, 1, 2, 3, 5]], [0, 1, 1, 0, 1])
    np.testing.assert_array_equal(task.test[0], PIXELS[[0, 1, 2, 3, 5]])
    np.testing.assert_array_equal(task.test[1], [0, 1, 1, 0, 1])


def test_text_is_encoded_and_other_labels_are_read(datasets):
    lengths = lambda texts: np.array([[len(text)] for text in texts])
    dataset = datasets.Dataset.from_dict({"text": WORDS, "kind": list("baabba"), "size": [0.5, 1, 2, 3, 4, 5]})
    task, names = hugging_face_task(dataset, "text", "kind", encode=lengths)
    np.testing.assert_array_equal(task.pool.x[:, 0], [3, 5, 4, 5, 4, 6])
    assert names == ("a", "b")
    assert task.oracle.tolist() == [1, 0, 0, 1, 1, 0]
    task, names = hugging_face_task(dataset, "text", "size", encode=lengths)
    assert names is None
    assert task.oracle.tolist() == [0.5, 1, 2, 3, 4, 5]


def test_a_pool_on_disk_is_read_where_it_is_sliced(datasets, tmp_path):
    datasets.Dataset.from_dict({"x": np.asarray(X)}).save_to_disk(tmp_path)
    seen = []

    def encode(values):
        seen.append(len(values))
        return np.asarray(values, np.float32)

    rows = HuggingFaceRows(datasets.load_from_disk(tmp_path), "x", encode)
    assert (rows.shape, rows.dtype, rows.ndim, len(rows)) == ((N, 2), np.float32, 2, N)
    np.testing.assert_array_equal(rows[[3, 9]], X[np.array([3, 9])])
    setup = Setup(CENTERS, entropy(), 2, 2, num_initial=4)
    key = seed_keys(0, 1)[0]
    whole = run_eager(key, Task(make_pool(X), Y), setup)
    seen.clear()
    by_chunks = run_eager(key, Task(make_pool(rows), Y), setup._replace(over=streamed(8)))
    np.testing.assert_array_equal(by_chunks.indices, whole.indices)
    assert max(seen) == 8


def test_what_cannot_be_read_is_said(datasets):
    dataset = images(datasets)
    for call, error, message in (
        (lambda: hugging_face_task(datasets.DatasetDict({"train": dataset}), "image", "label"), TypeError, "one split"),
        (lambda: HuggingFaceRows(dataset, "img"), ValueError, "column among image, label, text, got 'img'"),
        (lambda: hugging_face_task(dataset, "text", "label"), ValueError, "expected the column 'text' as numbers"),
        (lambda: hugging_face_task(images(datasets, [-1] * 6), "image", "label"), ValueError, "no row has a label"),
    ):
        with pytest.raises(error, match=message):
            call()
