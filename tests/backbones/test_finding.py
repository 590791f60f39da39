"""Where files of models are looked for, in which order, and what is said when they are not there."""

import hashlib
import sys

import pytest

from bal.backbones.finding import Known, find
from bal.backbones.libraries import library
from bal.datasets import CorruptDataError, MissingDataError

WEIGHTS, WORDS = b"weights", b"words"


def digest(raw):
    return hashlib.sha256(raw).hexdigest()


KNOWN = Known("small", {"w.bin": digest(WEIGHTS), "words.json": ""}, "no-such-package", "1.0", "who/small")


def put(folder, weights=WEIGHTS, words=WORDS):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "w.bin").write_bytes(weights)
    if words:
        (folder / "words.json").write_bytes(words)
    return folder


def install(folder, monkeypatch, files=("w.bin", "words.json")):
    """A package on the path, as pip leaves it; importing it would fail."""
    put(folder / "pack" / "model")
    (folder / "pack" / "__init__.py").write_text("raise RuntimeError('imported')")
    info = folder / "no_such_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: no-such-package\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(f"pack/model/{file},,\n" for file in files))
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])


def test_path_goes_first_then_the_folder_then_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("BAL_DATA", str(tmp_path / "data"))
    install(tmp_path / "site", monkeypatch)
    assert find(KNOWN) == (tmp_path / "site/pack/model/w.bin", "no-such-package 1.0", digest(WEIGHTS))
    put(tmp_path / "data" / "small")
    assert find(KNOWN) == (tmp_path / "data/small/w.bin", "small in BAL_DATA", digest(WEIGHTS))
    mine = put(tmp_path / "mine", b"mine")
    assert find(KNOWN, mine) == find(KNOWN, mine / "w.bin") == (mine / "w.bin", "file w.bin", digest(b"mine"))


def test_a_single_file_may_lie_in_the_folder_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("BAL_DATA", str(put(tmp_path)))
    assert find(KNOWN._replace(files={"w.bin": digest(WEIGHTS)})).path == tmp_path / "w.bin"
    with pytest.raises(MissingDataError):
        find(KNOWN)


def test_the_network_is_used_if_asked_and_checked(tmp_path, monkeypatch):
    class Hub:
        __file__ = "hub"

        @staticmethod
        def hf_hub_download(repository, file, revision):
            assert (repository, revision) == ("who/small", None)
            return str(put(tmp_path) / file)

    monkeypatch.delenv("BAL_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub)
    assert find(KNOWN, download=True).path == tmp_path / "w.bin"
    with pytest.raises(CorruptDataError, match="has SHA-256"):
        find(KNOWN._replace(files={"w.bin": "0" * 64}), download=True)


def test_a_network_that_does_not_answer(monkeypatch):
    class Hub:
        __file__ = "hub"

        @staticmethod
        def hf_hub_download(repository, file, revision):
            raise OSError("no route")

    monkeypatch.delenv("BAL_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub)
    with pytest.raises(
        MissingDataError, match=r"who/small could not be fetched .*\(no route\); connect to the network"
    ):
        find(KNOWN, download=True)


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (
            "small was not found: BAL_DATA is not set .* pip install --no-deps no-such-package==1.0, .* download=True",
            {},
        ),
        ("small was not found: .* or pass path=... to its files$", {"repository": ""}),
    ],
)
def test_nowhere(monkeypatch, words, known):
    monkeypatch.delenv("BAL_DATA", raising=False)
    with pytest.raises(MissingDataError, match=words):
        find(KNOWN._replace(**known))


def test_a_wrong_path(tmp_path):
    with pytest.raises(MissingDataError, match=r"expected a folder with w.bin, or that file, of small, .* correct"):
        find(KNOWN, tmp_path)


def test_another_file_than_the_published_one(tmp_path, monkeypatch):
    monkeypatch.setenv("BAL_DATA", str(tmp_path))
    put(tmp_path / "small", b"other")
    with pytest.raises(CorruptDataError, match=rf"w.bin has SHA-256 {digest(b'other')}, expected .* fetch the file"):
        find(KNOWN)


def test_a_file_that_lacks_its_neighbor(tmp_path, monkeypatch):
    monkeypatch.setenv("BAL_DATA", str(tmp_path))
    put(tmp_path / "small", words=None)
    with pytest.raises(MissingDataError, match=r"small needs words.json beside .*w.bin, where it is not; fetch"):
        find(KNOWN)


def test_a_library_that_is_not_installed(monkeypatch):
    for name, way in {"gguf": r'pip install "bal-jax\[lm\]"', "huggingface_hub": "pip install huggingface_hub"}.items():
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=f"read by {name}, which is not installed; {way}"):
            library(name)
