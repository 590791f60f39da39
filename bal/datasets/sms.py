"""The SMS Spam Collection: 5,574 messages in English, of which 747 are spam."""

from pathlib import Path

import numpy as np

from bal.datasets.dataset import Dataset
from bal.datasets.sources import check, file_json, label_counts, missing

FILE = "sms_spam.json.gz"
SHA256 = "3eb7b6dd687acfed1199473c97f8b964fb0b8bd7d6ebabd1e790f1030b7eff8d"
CLASSES = ("ham", "spam")
COUNTS = {0: 4827, 1: 747}


def sms_spam(path: str | Path | None = None) -> Dataset:
    """SMS spam: x an array of texts ``[5574]``, y int32, 0 = ham and 1 = spam; there is no test set.

    Texts are numpy strings, which `split` takes as they are; an encoder makes features of them. 403 messages repeat
    another one word by word: a split has some of them on both sides.

    `path` is a json.gz file with a list of ``[label, text]``.
    Raises MissingDataError and CorruptDataError. Source: T. A. Almeida, J. M. Gómez Hidalgo and A. Yamakami,
    Contributions to the Study of SMS Spam Filtering, DocEng 2011 (CC BY 4.0).

    >>> sms_spam("no/such/file.json.gz")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    bal.datasets.sources.MissingDataError: no file at path 'no/such/file.json.gz'; ...
    """
    found = file_json(FILE, SHA256, path)
    if found is None:
        raise missing(FILE, "sms_spam()", None)
    rows, source = found
    are_pairs = isinstance(rows, list) and all(
        isinstance(row, list) and len(row) == 2 and row[0] in CLASSES and isinstance(row[1], str) for row in rows
    )
    check("sms_spam", "rows of [ham or spam, text]:", True, are_pairs)
    y = np.array([CLASSES.index(label) for label, _ in rows], np.int32)
    check("sms_spam", "label counts", COUNTS, label_counts(y))
    return Dataset(np.array([text for _, text in rows]), y, None, None, "sms_spam", 2, source)
