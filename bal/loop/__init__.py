"""Whole experiments: in one program, for many seeds, round by round, or with people who give the labels."""

from bal.loop.answers import Answers
from bal.loop.campaign import Campaign
from bal.loop.compiled import Log, run
from bal.loop.curves import Curves, Study
from bal.loop.devices import use_all_cores
from bal.loop.eager import run_eager
from bal.loop.peeking import best_of_queries, greedy_oracle
from bal.loop.replay import Replay, ReplayedRound, replay
from bal.loop.round import seed_keys
from bal.loop.seeds import SeedRuns, run_seeds
from bal.loop.study import study
from bal.loop.task import TableTasks, task

__all__ = [
    "Answers",
    "Campaign",
    "Curves",
    "Log",
    "Replay",
    "ReplayedRound",
    "SeedRuns",
    "Study",
    "TableTasks",
    "best_of_queries",
    "greedy_oracle",
    "replay",
    "run",
    "run_eager",
    "run_seeds",
    "seed_keys",
    "study",
    "task",
    "use_all_cores",
]
