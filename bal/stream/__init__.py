"""Streams: rows come one at a time, and each is asked or predicted at once.

A method decides about a row and is told what became of it (`StreamMethod`); a `Budget` says which of the labels that
it wants are paid for; `run_stream` is the loop. A label that was not asked is never read.
"""

from bal.stream.budget import Budget, share_of_rows, total, unlimited, windowed
from bal.stream.method import Decision, Outcome, StreamMethod
from bal.stream.run import StreamLog, StreamRun, StreamRuns, run_stream, run_stream_seeds

__all__ = [
    "Budget",
    "Decision",
    "Outcome",
    "StreamLog",
    "StreamMethod",
    "StreamRun",
    "StreamRuns",
    "run_stream",
    "run_stream_seeds",
    "share_of_rows",
    "total",
    "unlimited",
    "windowed",
]
