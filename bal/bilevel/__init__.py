"""Bilevel coresets: rows on which a small model, trained, does best on the whole pool; and how to start without labels.

`bilevel` is the query; `softmax_coreset` and `ridge_coreset` are its rules, on plain arrays by
``select(Targeted(...), ...)``; `weighted_coreset` keeps a few weighted rows of a labeled set. `nystrom`,
`principal_components` and `contrastive` make features without labels.
"""

from bal.bilevel.embedding import contrastive, embedded_by, principal_components
from bal.bilevel.nystrom import nystrom
from bal.bilevel.ridge import ridge_coreset
from bal.bilevel.rows import Targeted
from bal.bilevel.softmax import softmax_coreset
from bal.bilevel.strategy import bilevel
from bal.bilevel.weights import WeightedCoreset, weighted_coreset

__all__ = [
    "Targeted",
    "WeightedCoreset",
    "bilevel",
    "contrastive",
    "embedded_by",
    "nystrom",
    "principal_components",
    "ridge_coreset",
    "softmax_coreset",
    "weighted_coreset",
]
