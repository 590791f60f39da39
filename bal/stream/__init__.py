"""Streams: rows come one at a time, and each is asked or predicted at once.

A method decides about a row and is told what became of it (`StreamMethod`); a `Budget` says which of the labels that
it wants are paid for; `run_stream` is the loop. A label that was not asked is never read. `from_learner` makes a method
of a learner, a `Rule` and a memory of fixed capacity.
"""

from bal.stream.budget import Budget, share_of_rows, total, unlimited, windowed
from bal.stream.campaign import Seen, StreamCampaign
from bal.stream.committee import committee
from bal.stream.detection import Detector, ddm
from bal.stream.drift import Stream, concepts, hyperplane, relabeled, sea
from bal.stream.events import stream_rounds
from bal.stream.from_learner import from_learner
from bal.stream.judging import prequential_accuracy, regret
from bal.stream.method import Decision, Outcome, StreamMethod
from bal.stream.neuronal import NeuronalStreamState, constant_gap, neuronal_s, shrinking_gap
from bal.stream.rule import AboutRecent, Rule, Wish, at_random, recent_epig
from bal.stream.run import StreamLog, StreamRun, StreamRuns, run_stream, run_stream_seeds
from bal.stream.split import split
from bal.stream.thresholds import minus_confidence, quantile, threshold, variable_threshold
from bal.stream.voting import query_by_committee

__all__ = [
    "AboutRecent",
    "Budget",
    "Decision",
    "Detector",
    "NeuronalStreamState",
    "Outcome",
    "Rule",
    "Seen",
    "Stream",
    "StreamCampaign",
    "StreamLog",
    "StreamMethod",
    "StreamRun",
    "StreamRuns",
    "Wish",
    "at_random",
    "committee",
    "concepts",
    "constant_gap",
    "ddm",
    "from_learner",
    "hyperplane",
    "minus_confidence",
    "neuronal_s",
    "prequential_accuracy",
    "quantile",
    "query_by_committee",
    "recent_epig",
    "regret",
    "relabeled",
    "run_stream",
    "run_stream_seeds",
    "sea",
    "share_of_rows",
    "shrinking_gap",
    "split",
    "stream_rounds",
    "threshold",
    "total",
    "unlimited",
    "variable_threshold",
    "windowed",
]
