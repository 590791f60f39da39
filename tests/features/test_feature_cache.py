"""Features in a folder: what is written, what is computed again, what is refused; other readers of the format."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from rich.console import Console

from bal.backbones.nouns import Source
from bal.datasets import CorruptDataError, MissingDataError
from bal.features import ShardedRows, cache_features, open_features
from bal.pool import make_pool, streamed
from bal.pool.over import take
from bal.records import RecordLockedError
from bal.records.lock import acquire

SOURCE = Source("letters", "1", "ab", "lower case")
WORDS = [f"{number} bottle{'s' * (number != 1)}" for number in range(10)]
QUIET = Console(quiet=True)


def vectors(words):
    """Float32 features of words, row-wise."""
    return np.array([[len(word), float(word.split()[0]) ** 0.5, word.count("s")] for word in words], np.float32)


class Encoder:
    """Counts its words; stops the process, as it were, at one of them."""

    def __init__(self, stop_at=None, encode=vectors):
        self.seen, self.stop_at, self.encode = [], stop_at, encode

    def __call__(self, words):
        if self.stop_at in list(words):
            raise KeyboardInterrupt
        self.seen += list(words)
        return self.encode(words)


def cached(folder, encode=vectors, items=WORDS, source=SOURCE, **changes):
    sizes = {"batch_size": 2, "rows_per_shard": 4, "console": QUIET} | changes
    return cache_features(folder, items, encode, source, **sizes)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "features"
    cached(folder, ids=[f"w{number}" for number in range(10)])
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A copy that may be spoiled."""
    return Path(shutil.copytree(made, tmp_path / "features"))


again = partial(cached, ids=[f"w{number}" for number in range(10)])


def test_what_comes_back_is_what_was_computed(made):
    features = open_features(made)
    np.testing.assert_array_equal(features.x, vectors(WORDS))
    assert features.ids == tuple(f"w{number}" for number in range(10))
    assert features.manifest.source == SOURCE
    assert repr(features) == "Features(ShardedRows(float32 [10, 3], 3 files), of letters)"
    assert (features.manifest.shape, features.manifest.dtype) == ((10, 3), "float32")
    names = {"features-00000.safetensors", "features-00001.safetensors", "features-00002.safetensors"}
    assert {file.name for file in made.iterdir()} == {*names, "manifest.json", "ids.json", "lock"}
    held = json.loads((made / "manifest.json").read_text())
    assert held["source"] == {"name": "letters", "revision": "1", "sha256": "ab", "preprocessing": "lower case"}


def test_the_library_of_the_format_reads_the_files(made):
    numpy = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    pieces = [numpy.load_file(file)["x"] for file in sorted(made.glob("*.safetensors"))]
    np.testing.assert_array_equal(np.concatenate(pieces), vectors(WORDS))


def test_what_the_library_writes_is_read_as_well(folder):
    numpy = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    safe = pytest.importorskip("safetensors")
    path = folder / "features-00001.safetensors"
    with safe.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    numpy.save_file({"x": vectors(WORDS)[4:8]}, path, metadata)
    np.testing.assert_array_equal(open_features(folder).x, vectors(WORDS))


def test_what_is_there_is_not_computed_again(folder):
    encode = Encoder()
    np.testing.assert_array_equal(again(folder, encode, batch_size=3, rows_per_shard=7).x, vectors(WORDS))
    np.testing.assert_array_equal(again(folder, encode, items=np.array(WORDS)).x, vectors(WORDS))
    assert encode.seen == []
    (folder / "features-00001.safetensors").unlink()
    np.testing.assert_array_equal(again(folder, encode, batch_size=3, rows_per_shard=7).x, vectors(WORDS))
    assert encode.seen == WORDS[4:8]


@pytest.mark.parametrize("stop_at", [WORDS[0], WORDS[3], WORDS[6]])
def test_one_that_was_stopped_goes_on(tmp_path, stop_at):
    begun = Encoder(stop_at)
    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path / "features", begun)
    with pytest.raises(MissingDataError, match=r"no features in|2 of 3 files of features are not in"):
        open_features(tmp_path / "features")
    rest = Encoder()
    np.testing.assert_array_equal(cached(tmp_path / "features", rest, batch_size=3).x, vectors(WORDS))
    kept = {WORDS[0]: 0, WORDS[3]: 0, WORDS[6]: 4}[stop_at]
    assert rest.seen == WORDS[kept:]
    assert not list((tmp_path / "features").glob(".*"))


KILLED = """
import sys, time
from test_feature_cache import cached, vectors

def slowly(words):
    time.sleep(0.3)
    return vectors(words)

cached(sys.argv[1], slowly)
"""


@pytest.mark.slow
def test_one_that_was_killed_goes_on(tmp_path):
    folder, here = tmp_path / "features", Path(__file__).parent
    paths = os.pathsep.join(map(str, (here, here.parent.parent)))
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], env={**os.environ, "PYTHONPATH": paths})
    while not (folder / "features-00000.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.05)
    with pytest.raises(RecordLockedError):
        cached(folder)
    process.kill()
    process.wait()
    rest = Encoder()
    np.testing.assert_array_equal(cached(folder, rest).x, vectors(WORDS))
    assert WORDS[0] not in rest.seen
    assert WORDS[-1] in rest.seen


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": SOURCE._replace(revision="2")}, r"another encoder \(revision\): '1', not '2'"),
        ({"source": SOURCE._replace(preprocessing="none")}, r"another encoder \(preprocessing\): 'lower case'"),
        ({"items": [*WORDS[:-1], "99 bottles"]}, r"another items \(SHA-256\)"),
        ({"items": WORDS[:5], "ids": list("abcde")}, r"another number of items: 10, not 5"),
        ({"ids": None}, r"another ids \(SHA-256\)"),
    ],
)
def test_a_folder_of_other_features_is_refused(made, changes, message):
    encode = Encoder()
    with pytest.raises(ValueError, match=f"^{re.escape(str(made))} holds features of {message}.*another folder"):
        again(made, encode, **changes)
    assert encode.seen == []


def test_only_one_process_fills_a_folder_and_all_may_read_it(folder):
    shard = folder / "features-00002.safetensors"
    lock = acquire(folder)
    try:
        np.testing.assert_array_equal(again(folder).x, vectors(WORDS))
        shard.unlink()
        with pytest.raises(RecordLockedError, match="is being filled by somebody else"):
            again(folder)
    finally:
        lock.release()
    assert again(folder).x.shape == (10, 3)


def spoil(path, kind):
    raw = path.read_bytes()
    changed = {
        "cut": raw[:-5],
        "longer": raw + b"0",
        "empty": b"",
        "header": raw[:30],
        "no json": raw[:9] + b"?" + raw[10:],
        "bit": raw[:-1] + bytes([raw[-1] ^ 1]),
    }
    path.write_bytes(changed[kind])


@pytest.mark.parametrize("kind", ["cut", "longer", "empty", "header", "no json", "bit"])
def test_a_damaged_file_is_named(folder, kind):
    spoil(folder / "features-00001.safetensors", kind)
    with pytest.raises(CorruptDataError, match=r"features-00001\.safetensors is damaged .*; delete it"):
        open_features(folder)
    if kind != "bit":  # sizes alone do not tell
        with pytest.raises(CorruptDataError, match="features-00001"):
            open_features(folder, check=False)
    (folder / "features-00002.safetensors").unlink()
    with pytest.raises(CorruptDataError, match="features-00001"):
        again(folder)
    (folder / "features-00001.safetensors").unlink()
    np.testing.assert_array_equal(again(folder).x, vectors(WORDS))


def test_files_of_other_features_are_not_taken_for_these(folder, tmp_path):
    cached(tmp_path / "other", source=SOURCE._replace(name="others"))
    shutil.copy(tmp_path / "other" / "features-00001.safetensors", folder)
    with pytest.raises(CorruptDataError, match=r"features-00001\.safetensors belongs to other features"):
        open_features(folder)


@pytest.mark.parametrize("name", ["manifest.json", "ids.json"])
def test_a_damaged_manifest_is_named(folder, name):
    spoil(folder / name, "cut")
    with pytest.raises(CorruptDataError, match=f"{name} is damaged"):
        open_features(folder)


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda words: vectors(words)[1:], r"features \[2, D\] .* got float32 \[1, 3\]"),
        (lambda words: vectors(words)[:, 0], r"got float32 \[2\]"),
        (lambda words: vectors(words).astype(int), r"got int64 \[2, 3\]"),
        (lambda words: vectors(words)[:, : 3 - (words[0] == WORDS[2])], r"alike for all, got float32 \[2, 2\]"),
        (lambda words: vectors(words)[:, : 3 - (words[0] in WORDS[4:])], r"features of shape \[3\] and type float32"),
        (lambda words: vectors(words) / (np.array(words) != WORDS[5])[:, None], r"features of item 5 are not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_is_no_row_of_features_is_refused(tmp_path, encode, message):
    with pytest.raises(ValueError, match=message):
        cached(tmp_path / "features", encode)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": []}, "expected items to encode, got none"),
        ({"ids": [1, 2]}, "10 items and 2 ids"),
        ({"ids": [1] * 10}, "1 of them different"),
        ({"ids": [Path("a")] * 10}, "ids that are texts or whole numbers"),
        ({"items": [object()] * 3}, "texts, paths of files or numbers, got a object"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"rows_per_shard": 0}, "rows_per_shard must be at least 1"),
    ],
)
def test_what_cannot_be_cached_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        cached(tmp_path / "features", **changes)
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_other_types_of_numbers_and_ranks(tmp_path, dtype):
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(dtype)
    found = cached(tmp_path / "features", lambda rows: rows, x)
    assert found.x.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(np.asarray(found.x), x)


def test_contents_of_files_are_what_counts(tmp_path):
    file = tmp_path / "1.txt"
    file.write_text("3 bottles")
    encode = lambda files: vectors([file.read_text() for file in files])
    cached(tmp_path / "features", encode, [file])
    file.write_text("4 bottles")
    with pytest.raises(ValueError, match=r"another items \(SHA-256\)"):
        cached(tmp_path / "features", encode, [file])


def test_progress_says_what_is_left(tmp_path, capsys):
    cached(tmp_path / "features", console=Console(force_terminal=False, width=200))
    lines = capsys.readouterr().out.splitlines()
    assert re.search(r"features of letters: 2 of 10 rows, .* a second, about \d+ s left", lines[0])
    assert re.search(r"features of letters: 10 of 10 rows, .* nothing left", lines[-1])


def test_rows_are_those_of_the_array(made):
    rows, x, draw = open_features(made).x, vectors(WORDS), np.random.default_rng(0)
    asked = [slice(None), slice(3, 9), slice(9, 2, -2), slice(4, 4), [7, 2, 2, -1], [], x[:, 0] > 9, 5, -1, slice(4, 8)]
    asked += [draw.integers(-10, 10, size) for size in ((4,), (2, 3), (30,))]
    for one in asked:
        one = one if isinstance(one, int | slice) else np.asarray(one, bool if np.asarray(one).dtype == bool else int)
        np.testing.assert_array_equal(rows[one], x[one])
    with pytest.raises(IndexError):
        rows[10]
    with pytest.raises(ValueError, match="parts of one length"):
        ShardedRows([x[:2], x[:3]])
    with pytest.raises(ValueError, match="one shape and type"):
        ShardedRows([x[:2], x[:2, :1]])


def test_a_pool_of_them_stays_on_disk(made):
    features = open_features(made)
    pool = make_pool(features.x)
    assert pool.x is features.x
    doubled = streamed(3).map(lambda factor, x: factor * x, (2.0,), pool.x)
    np.testing.assert_array_equal(doubled, 2 * vectors(WORDS))
    np.testing.assert_array_equal(take(pool.x, jnp.array([7, 0, 99])), vectors(WORDS)[[7, 0, 9]])
    assert isinstance(jnp.asarray(features.x), jax.Array)
