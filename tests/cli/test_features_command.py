"""`bal features` as it is typed, with tiny encoders."""

from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from bal import backbones, datasets
from bal.cli import features, main
from bal.features import open_features

TEXTS = ["a red fox", "blue skies, above", "a red dog"]


@pytest.fixture
def typed(capsys, monkeypatch, tmp_path):
    """Type the command in a folder with a table, a list and pictures; its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "some.csv").write_text('name,text\nx,a red fox\ny,"blue skies, above"\nz,a red dog\n')
    (tmp_path / "long.csv").write_text(f"name,text\n007,{'word ' * 510}\n08,{'word ' * 600}\n")
    (tmp_path / "latin.csv").write_bytes(b"text\ncaf\xe9\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "none.txt").write_text("\n\n")
    (tmp_path / "some.txt").write_text("\n".join(TEXTS[:2]) + "\n\n" + TEXTS[2] + "\n")

    def run(*words):
        code = main(["features", *map(str, words)])
        return code, *capsys.readouterr()

    return run


def pictures(folder):
    draw = np.random.default_rng(0)
    for name, shape in (("one.png", (40, 50, 3)), ("more/two.png", (9, 7, 3)), ("grey.png", (12, 12))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 255, shape, np.uint8)).save(folder / name)
    (folder / "notes.md").write_text("no picture")


def counts(encoder, texts, truncate=None):
    """In place of features of texts, which take seconds to compile."""
    return np.array([[len(text), text.count("a")] for text in texts], np.float32)


def means(encoder, images):
    """In place of features of images."""
    return np.asarray(images, np.float32).mean((1, 2))


def test_texts_of_a_table_and_of_a_list(typed, monkeypatch):
    monkeypatch.setattr(backbones, "sentence_features", counts)
    code, text, errors = typed("tiny-text", "some.csv", "--column", "text", "--id", "name", "--out", "cache/a")
    assert (code, errors) == (0, "")
    assert "3 x 2 features of tiny BERT" in text
    assert "its weights are random" in text
    found = open_features("cache/a")
    assert found.ids == ("x", "y", "z")
    np.testing.assert_array_equal(found.x, counts(None, TEXTS))
    assert typed("tiny-text", "some.txt", "--out", "cache/b")[0] == 0
    np.testing.assert_array_equal(open_features("cache/b").x, counts(None, TEXTS))
    code, text, _ = typed("tiny-text", "some.txt", "--out", "cache/b")  # again: nothing is left to do
    assert (code, "rows" in text) == (0, False)
    code, _, errors = typed("tiny-text", "some.txt", "--truncate", 4, "--out", "cache/b")
    assert code == 2
    assert "another encoder (preprocessing)" in errors
    assert "cut to 4 tokens" in errors


def test_texts_and_names_are_those_that_are_written(typed, monkeypatch):
    """No number is read into them, no word is taken for a missing one, and an empty text is told."""
    seen = []
    monkeypatch.setattr(backbones, "sentence_features", lambda *args, **kw: seen.extend(args[1]) or counts(*args))
    Path("odd.csv").write_text("\ufeffname,text\n007,1.50\n08,none\n9,\n", encoding="utf-8")
    code, text, _ = typed("tiny-text", "odd.csv", "--column", "text", "--id", "name", "--out", "cache/a")
    assert (code, seen) == (0, ["1.50", "none", ""])
    assert "1 of 3 texts are empty; they all have the features of an empty text" in text
    assert open_features("cache/a").ids == ("007", "08", "9")
    seen.clear()
    Path("odd.txt").write_text("\ufeffone\u2028line\n\ntwo\n", encoding="utf-8")
    code, text, _ = typed("tiny-text", "odd.txt", "--out", "cache/b")
    assert (code, seen, "empty" in text) == (0, ["one\u2028line", "two"], False)
    code, _, errors = typed("tiny-text", "odd.txt", "--out", "odd.csv")
    assert (code, "odd.csv is a file; choose another name" in errors) == (2, True)


def test_a_folder_of_pictures(typed, monkeypatch):
    monkeypatch.setattr(backbones, "image_features", means)
    pictures(Path("pictures"))
    assert typed("tiny-image", "pictures", "--out", "cache")[0] == 0
    found = open_features("cache")
    assert found.ids == ("grey.png", "more/two.png", "one.png")
    shrunk = [
        means(None, np.asarray(Image.open(f"pictures/{name}").convert("RGB").resize((32, 32), 2))[None])
        for name in found.ids
    ]
    np.testing.assert_array_equal(found.x, np.concatenate(shrunk))
    assert found.manifest.source.preprocessing.startswith("files by Pillow, smoothed; bilinear to 32 x 32")
    code, _, errors = typed("tiny-image", "pictures", "--truncate", 9, "--out", "other")
    assert (code, "--truncate is for texts, but tiny-image has no use for it; leave it out" in errors) == (2, True)
    (Path("pictures") / "bad.png").write_bytes(b"no picture")
    code, _, errors = typed("tiny-image", "pictures", "--out", "other")
    assert code == 2
    assert "bad.png cannot be read as a picture" in errors


def test_images_of_a_data_set(typed, monkeypatch):
    monkeypatch.setattr(backbones, "image_features", means)
    x, x_test = np.random.default_rng(0).uniform(size=(9, 4, 4, 1)), np.ones((2, 4, 4, 1))
    known = datasets.Dataset(x, np.zeros(9, int), x_test, np.zeros(2, int), "some", 2, "here")
    monkeypatch.setitem(features.IMAGES, "mnist", lambda: known)
    assert typed("tiny-image", "mnist", "--out", "cache")[0] == 0
    found = open_features("cache")
    assert (found.ids[0], found.ids[8:]) == ("train-0", ("train-8", "test-0", "test-1"))
    np.testing.assert_allclose(found.x, np.concatenate([x, x_test]).mean((1, 2)), rtol=1e-6)


@pytest.mark.slow
def test_tiny_encoders_as_they_are(typed):
    assert typed("tiny-text", "some.txt", "--out", "cache/a")[0] == 0
    expected = backbones.sentence_features(backbones.tiny_text_encoder(jax.random.key(0)), TEXTS)
    np.testing.assert_allclose(open_features("cache/a").x, expected, atol=1e-6)
    pictures(Path("pictures"))
    assert typed("tiny-image", "pictures", "--out", "cache/b")[0] == 0
    found, encoder = open_features("cache/b"), backbones.tiny_image_encoder(jax.random.key(0))
    pixels = datasets.picture_pixels([Path("pictures") / name for name in found.ids], encoder.size)
    np.testing.assert_allclose(found.x, backbones.image_features(encoder, pixels), atol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("tiny-text some.csv", "some.csv has columns name, text; say by --column which holds the texts"),
        ("tiny-text some.csv --column body", "--column names a column of some.csv, one of name, text, got body"),
        ("tiny-text some.csv --column text --id number", "--id names a column of some.csv"),
        ("tiny-text some.txt --column text", "--column and --id are for .csv files, but some.txt is none"),
        ("tiny-image some.txt", "tiny-image encodes images, but some.txt holds texts"),
        ("tiny-text .", "expected pictures in ."),
        (
            "tiny-text nowhere",
            "expected a .csv or .txt file, a folder of pictures, or sms_spam, mnist or fashion_mnist",
        ),
        ("bert some.txt", "or a folder with a checkpoint, got 'bert'"),
        ("minilm sms_spam", "sms_spam.json.gz was not found"),
        ("tiny-text some.txt --size 64", "--size is for efficientnet-lite0, but tiny-text has no use for it; leave it"),
        ("tiny-text some.txt --download", "--download is for minilm and efficientnet-lite0, but tiny-text has no use"),
        ("tiny-text latin.csv", "latin.csv cannot be read as CSV in UTF-8"),
        ("tiny-text latin.txt", "latin.txt cannot be read as text in UTF-8"),
        ("tiny-text long.csv --column text", "text 1 has 602 tokens, but tiny BERT with random weights takes at most"),
        ("tiny-text long.csv --column text --id name", "text '08' has 602 tokens"),
        ("tiny-text none.txt", "expected items to encode, got none"),
    ],
)
def test_what_cannot_be_meant_is_refused(words, message, typed, monkeypatch):
    monkeypatch.delenv("BAL_DATA", raising=False)
    code, _, errors = typed(*words.split(), "--out", "cache")
    assert code == 2
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert not Path("cache").exists()
