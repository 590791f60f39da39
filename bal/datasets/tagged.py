"""Sentences whose every word has a tag: WNUT-17 (emerging entities) and the English Web Treebank (parts of speech)."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bal.datasets.sources import CorruptDataError, check, file_json, missing


class TaggedSentences(NamedTuple):
    """words: of each sentence; tags: their numbers, an array a sentence, as many as it has words."""

    words: tuple[tuple[str, ...], ...]
    tags: tuple[np.ndarray, ...]


class TaggedDataset(NamedTuple):
    """Published parts of a tagged corpus; tag number c is called ``names[c]``."""

    train: TaggedSentences
    dev: TaggedSentences
    test: TaggedSentences
    names: tuple[str, ...]
    name: str
    source: str


class Corpus(NamedTuple):
    """What was published: file, its SHA-256, tags, and by part sentences and words with each tag."""

    file: str
    sha256: str
    names: tuple[str, ...]
    sentences: dict[str, int]
    counts: dict[str, list[int]]


_KINDS = ("corporation", "creative-work", "group", "location", "person", "product")
WNUT17 = Corpus(
    "wnut17.json.gz",
    "7915f179bde79ae378fde6b01154f36729de83810134b5afe904372e1e64517b",
    ("O", *(f"B-{kind}" for kind in _KINDS), *(f"I-{kind}" for kind in _KINDS)),
    {"train": 3394, "dev": 1009, "test": 1287},
    {
        "train": [59570, 221, 140, 264, 548, 660, 142, 46, 206, 150, 245, 335, 203],
        "dev": [14483, 34, 105, 39, 74, 470, 114, 12, 133, 25, 33, 117, 94],
        "test": [21654, 66, 142, 165, 150, 429, 127, 22, 218, 70, 94, 131, 126],
    },
)
UD_EWT = Corpus(
    "ud_english_ewt_upos.json.gz",
    "724aa9db80c88f07f5f13bb6c7d80b3114471e64aded887009ab36c106b5389e",
    (
        *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
        *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
    ),
    {"train": 12544, "dev": 2001, "test": 2077},
    {
        "train": [
            *(13137, 17742, 10167, 12815, 6687, 16299, 695, 34751, 4126),
            *(5748, 18677, 12620, 23596, 3819, 722, 22576, 400),
        ],
        "dev": [1865, 2039, 1231, 1567, 779, 1900, 115, 4210, 383, 647, 2225, 1867, 3075, 397, 81, 2707, 59],
        "test": [1788, 2029, 1191, 1543, 736, 1897, 121, 4123, 542, 649, 2164, 2075, 3096, 384, 109, 2605, 42],
    },
)


def wnut17(path: str | Path | None = None) -> TaggedDataset:
    """WNUT-17: 3,394 / 1,009 / 1,287 sentences of social media with entities of six kinds, in BIO tags.

    Entities are few, 1,975 in the training part (one word in twenty), and those of the test part are of other names.
    `path` is a gzipped JSON file of the parts train, dev, test: lists of sentences of ``[word, tag]``.
    Raises MissingDataError and CorruptDataError. Source: Derczynski et al. 2017 (CC BY 4.0).

    >>> wnut17("no/such/file.json.gz")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    bal.datasets.sources.MissingDataError: no file at path 'no/such/file.json.gz'; ...
    """
    return _load("wnut17", WNUT17, path)


def ud_ewt(path: str | Path | None = None) -> TaggedDataset:
    """English Web Treebank of Universal Dependencies: 12,544 / 2,001 / 2,077 sentences with 17 parts of speech.

    `path` and errors as in `wnut17`. Source: Silveira et al. 2014 (CC BY-SA 4.0).

    >>> ud_ewt("no/such/file.json.gz")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    bal.datasets.sources.MissingDataError: no file at path 'no/such/file.json.gz'; ...
    """
    return _load("ud_ewt", UD_EWT, path)


def _load(name: str, corpus: Corpus, path: str | Path | None) -> TaggedDataset:
    found = file_json(corpus.file, corpus.sha256, path)
    if found is None:
        raise missing(corpus.file, f"{name}()", None)
    parts, source = found
    check(name, "parts", sorted(corpus.sentences), sorted(parts) if isinstance(parts, dict) else type(parts).__name__)
    read = lambda part: _part(f"{name} ({part})", corpus, part, parts[part])
    return TaggedDataset(read("train"), read("dev"), read("test"), corpus.names, name, source)


def _part(name: str, corpus: Corpus, part: str, sentences: Sequence[Any]) -> TaggedSentences:
    check(name, "sentences", corpus.sentences[part], len(sentences))
    try:
        words = tuple(tuple(word for word, _ in sentence) for sentence in sentences)
        tags = [tag for sentence in sentences for _, tag in sentence]
    except (TypeError, ValueError) as error:
        raise CorruptDataError(f"{name} should be sentences of [word, tag] ({error}); fetch the file again") from error
    check(
        name,
        "tags",
        {tag: count for tag, count in sorted(zip(corpus.names, corpus.counts[part])) if count},
        dict(sorted(Counter(tags).items())),
    )
    numbers, number_of = iter(tags), {tag: number for number, tag in enumerate(corpus.names)}
    own = tuple(np.array([number_of[next(numbers)] for _ in sentence], np.int32) for sentence in words)
    return TaggedSentences(words, own)
