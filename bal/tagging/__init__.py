"""Labels for every word of a sentence: taggers, their uncertainty, and budgets counted in words.

`tagger` is the learner, on the states that a frozen encoder has for words (`encoded`); `mnlp` scores sentences, and
`mean_over_words` brings any score of `bal.acquisition` to them; `by_words` is the query of
rounds that are so many words; `with_successor` labels for one tagger by another; `tagging` measures.
"""

from bal.tagging.budget import by_words, most_rows, random_first, until_spent
from bal.tagging.crf import PADDED, Chain, log_marginals, log_partition, sequence_score, viterbi
from bal.tagging.dpp import correlations, dpp_masks, inclusion, sample_dpp, sample_of_size
from bal.tagging.scores import (
    mean_over_words,
    mnlp,
    mode_surprise,
    sum_over_words,
    unlikely,
)
from bal.tagging.spans import Span, bio_scheme, f1, span_counts, spans, tagging
from bal.tagging.successor import Pair, of_successor, with_successor
from bal.tagging.tagger import Sentences, tagger
from bal.tagging.words import encoded, padded_tags

__all__ = [
    "PADDED",
    "Chain",
    "Pair",
    "Sentences",
    "Span",
    "bio_scheme",
    "by_words",
    "correlations",
    "dpp_masks",
    "encoded",
    "f1",
    "inclusion",
    "log_marginals",
    "log_partition",
    "mean_over_words",
    "mnlp",
    "mode_surprise",
    "most_rows",
    "of_successor",
    "padded_tags",
    "random_first",
    "sample_dpp",
    "sample_of_size",
    "sequence_score",
    "span_counts",
    "spans",
    "sum_over_words",
    "tagger",
    "tagging",
    "unlikely",
    "until_spent",
    "viterbi",
    "with_successor",
]
