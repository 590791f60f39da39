"""Loaders of real data: plain numpy arrays, with counts and hashes checked. Imports no JAX.

A set is looked for at an explicit `path`, then in the folder that the environment variable ``BAL_DATA``
names, then among the sets that scikit-learn ships, and only with ``download=True`` at OpenML.
"""

from bal.datasets.bundled import diabetes, digits
from bal.datasets.classification import uci_classification
from bal.datasets.corruptions import CORRUPTIONS, corrupted
from bal.datasets.dataset import Dataset, Scaling, split, standardize
from bal.datasets.images import fashion_mnist, mnist
from bal.datasets.regression import uci_regression
from bal.datasets.sms import sms_spam
from bal.datasets.sources import CorruptDataError, MissingDataError
from bal.datasets.start import start_set
from bal.datasets.table import Table, encode, read_table, split_table
from bal.datasets.tagged import TaggedDataset, TaggedSentences, ud_ewt, wnut17
from bal.datasets.two_bells import two_bells
from bal.datasets.unlabeled import (
    Pictures,
    picture_features,
    picture_files,
    picture_pixels,
    read_pictures,
    text_features,
)
from bal.datasets.variants import noisy_inputs, noisy_labels, repeated

__all__ = [
    "CORRUPTIONS",
    "CorruptDataError",
    "Dataset",
    "MissingDataError",
    "Pictures",
    "Scaling",
    "Table",
    "TaggedDataset",
    "TaggedSentences",
    "corrupted",
    "diabetes",
    "digits",
    "encode",
    "fashion_mnist",
    "mnist",
    "noisy_inputs",
    "noisy_labels",
    "picture_features",
    "picture_files",
    "picture_pixels",
    "read_pictures",
    "read_table",
    "repeated",
    "sms_spam",
    "split",
    "split_table",
    "standardize",
    "start_set",
    "text_features",
    "two_bells",
    "uci_classification",
    "uci_regression",
    "ud_ewt",
    "wnut17",
]
