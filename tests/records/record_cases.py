"""A small run for the tests of records; as a script, writers that can be killed.

``python record_cases.py ROOT`` starts a writer for each line it is sent, one after the other. A writer
continues the run in ROOT without end and prints its process id with each round that is on disk.
"""

import hashlib
import os
import random
import sys
import zlib
from pathlib import Path
from typing import Any

from bal.records import Record, open_record
from bal.records.encoding import encode

ENDLESS = 10**9
CONFIG = {"acquisition": "bald", "batch_size": 3, "learner": {"members": 5, "rate": 0.1}}


def make_round(number: int, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """Round `number`, the same each time it is asked for."""
    draw = random.Random(1000 * seed + number)
    event = {
        "kind": "round",
        "seed": seed,
        "round": number,
        "acquired": [3 * number, 3 * number + 1, 3 * number + 2],
        "scores": [draw.random() for _ in range(3)],
        "valid": [True, True, True],
        "labels": [draw.randrange(10) for _ in range(3)],
        "metrics": {"accuracy": draw.random(), "nll": draw.expovariate(1.0)},
        "counts": {"acquired": 3 * number, "training": 3 * number + 3, "start": 3, "validation": 0},
        "seconds": None,
    }
    return event | changes


def as_log(path: Path, events: list[dict[str, Any]]) -> bytes:
    """A log as the last schema has it, for the record in folder `path`, whatever the events are."""
    chain, lines = hashlib.sha256((path / "config.json").read_bytes()).hexdigest(), []
    for body in map(encode, events):
        chain = hashlib.sha256(chain.encode() + body).hexdigest()
        whole = chain.encode() + b" " + body
        lines.append(b"%08x %s\n" % (zlib.crc32(whole), whole))
    return b"".join(lines)


def continue_run(root: str, num_rounds: int) -> Record:
    with open_record(root, "digits", CONFIG, "data") as record:
        for number in range(len(record.rounds()), num_rounds):
            record.append([make_round(number)])
            os.write(1, f"{os.getpid()} {number}\n".encode())  # one write: a kill cannot halve the line
    return record


if __name__ == "__main__":
    for _ in sys.stdin:
        child = os.fork()  # a fresh writer without the price of a fresh interpreter
        if child == 0:
            continue_run(sys.argv[1], ENDLESS)
        print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
