"""Pairs and preferences: which two items should be compared next.

A learner of pairs reads inputs ``[n, 2, ...]`` and predicts who wins: `linear_reward`, `gp_reward`, or any learner of
networks with `reward_network` and the likelihood of a comparison. A query looks at all pairs of the items and never
writes them down. `run_pairs` is a simulated experiment, `PairCampaign` asks people. Some pairs out of a list are a pool
like any other: ``make_pool(pair_inputs(x, pairs))`` with these learners goes through all of `bal`.
"""

from bal.pairs.agreement import kendall_tau, rank_agreement
from bal.pairs.campaign import PairCampaign
from bal.pairs.comparison import Comparison, bradley_terry, thurstone
from bal.pairs.designs import d_optimal, past_aware_d_optimal, posterior_d_optimal
from bal.pairs.drawing import random_pairs
from bal.pairs.greedy import PairRule, greedy_pairs
from bal.pairs.head import linear_reward
from bal.pairs.information import pair_bald
from bal.pairs.loop import PairRun, run_pairs, simulated_answers
from bal.pairs.networks import reward_network
from bal.pairs.nouns import Items, PairLog, PairRound, PairSelection, PairSetup, empty_log, pair_inputs
from bal.pairs.processes import difference_process, gp_reward
from bal.pairs.prompts import bal_pm
from bal.pairs.rewards import Rewards, reward_features, rewards
from bal.pairs.thompson import double_thompson

__all__ = [
    "Comparison",
    "Items",
    "PairCampaign",
    "PairLog",
    "PairRound",
    "PairRule",
    "PairRun",
    "PairSelection",
    "PairSetup",
    "Rewards",
    "bal_pm",
    "bradley_terry",
    "d_optimal",
    "difference_process",
    "double_thompson",
    "empty_log",
    "gp_reward",
    "greedy_pairs",
    "kendall_tau",
    "linear_reward",
    "pair_bald",
    "pair_inputs",
    "past_aware_d_optimal",
    "posterior_d_optimal",
    "random_pairs",
    "rank_agreement",
    "reward_features",
    "reward_network",
    "rewards",
    "run_pairs",
    "simulated_answers",
    "thurstone",
]
