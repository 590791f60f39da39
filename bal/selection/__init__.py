"""Selectors: candidates in, a batch of picks out."""

from bal.selection.greedy import GreedyRule, greedy
from bal.selection.stochastic import power, softmax, softrank
from bal.selection.top_k import Select, best, per_cost, random_uniform, shortlist

__all__ = [
    "GreedyRule",
    "Select",
    "best",
    "greedy",
    "per_cost",
    "power",
    "random_uniform",
    "shortlist",
    "softmax",
    "softrank",
]
