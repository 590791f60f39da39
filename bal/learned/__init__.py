"""Selection that is itself learned: rankers of sets, bandits over strategies, policies."""

from bal.learned.bandit import Trust, bandit
from bal.learned.deep_sets import SetFunction, deep_sets, set_scores
from bal.learned.environment import Environment, Episode, Played, environment, play
from bal.learned.evolution import Evolved, generation
from bal.learned.greedy_sets import greedy_sets
from bal.learned.policy import (
    SIGNALS,
    Policy,
    Surroundings,
    learned_policy,
    new_policy,
    policy_scores,
    policy_select,
    row_signals,
    surroundings,
)
from bal.learned.ranking import RankingTasks, adapt, bilevel_ranker, ranking_loss, task_loss
from bal.learned.rewards import importance_weighted, lure_weighted
from bal.learned.set_query import fixed, learned_utility, ranked_subsets
from bal.learned.subsets import draw_subsets, trained
from bal.learned.surrogate import interpolated, set_embedding

__all__ = [
    "SIGNALS",
    "Environment",
    "Episode",
    "Evolved",
    "Played",
    "Policy",
    "RankingTasks",
    "SetFunction",
    "Surroundings",
    "Trust",
    "adapt",
    "bandit",
    "bilevel_ranker",
    "deep_sets",
    "draw_subsets",
    "environment",
    "fixed",
    "generation",
    "greedy_sets",
    "importance_weighted",
    "interpolated",
    "learned_policy",
    "learned_utility",
    "lure_weighted",
    "new_policy",
    "play",
    "policy_scores",
    "policy_select",
    "ranked_subsets",
    "ranking_loss",
    "row_signals",
    "set_embedding",
    "set_scores",
    "surroundings",
    "task_loss",
    "trained",
]
