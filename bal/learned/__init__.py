"""Selection that is itself learned: rankers of sets, bandits over strategies, policies."""

from bal.learned.bandit import Trust, bandit
from bal.learned.deep_sets import SetFunction, deep_sets, set_scores
from bal.learned.greedy_sets import greedy_sets
from bal.learned.ranking import RankingTasks, adapt, bilevel_ranker, ranking_loss, task_loss
from bal.learned.rewards import importance_weighted, lure_weighted
from bal.learned.set_query import fixed, learned_utility, ranked_subsets
from bal.learned.subsets import draw_subsets, trained
from bal.learned.surrogate import interpolated, set_embedding

__all__ = [
    "RankingTasks",
    "SetFunction",
    "Trust",
    "adapt",
    "bandit",
    "bilevel_ranker",
    "deep_sets",
    "draw_subsets",
    "fixed",
    "greedy_sets",
    "importance_weighted",
    "interpolated",
    "learned_utility",
    "lure_weighted",
    "ranked_subsets",
    "ranking_loss",
    "set_embedding",
    "set_scores",
    "task_loss",
    "trained",
]
