"""A desk that is killed at any moment loses nothing that it said it had, and keeps nothing twice."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from desks import LABELING, TRUTH, label_some
from started import Server

from bal.labeling import Desk
from bal.records import answers, open_record

HERE = Path(__file__).parent
PATHS = [str(HERE), str(HERE.parent), str(HERE.parents[1])]


def kill_after(server: Server, folder: Path, num_said: int, wait: float) -> list[str]:
    """Let a process label until it has said so much, wait, and kill it; what it said."""
    process = server.start([HERE / "killed.py", folder], HERE, PYTHONPATH=os.pathsep.join(PATHS))
    out, err = process.output
    end = time.monotonic() + 120
    while out.read_text().count("\n") < 1 + num_said:
        assert time.monotonic() < end, err.read_text()
        time.sleep(0.001)
    time.sleep(wait)
    os.kill(process.pid, signal.SIGKILL)
    done = process.wait()
    assert done.returncode == -9, done.stderr
    return [line for line in done.stdout.splitlines(keepends=True) if line.endswith("\n")][1:]


def check(folder: Path, said: list[str]) -> int:
    """What was said is on record, at most one act more, each once; returns how many rows are labeled."""
    with open_record(folder, "label", {}) as record, Desk(LABELING._replace(batch_size=2), record) as desk:
        entries = list(reversed(desk.history("ada")))
        stands = [entry.row for entry in entries if entry.state == "stands"]
        assert len(set(stands)) == len(stands)
        labels = desk.progress().labels
        assert labels == len(stands)
    found = answers(record.path)
    for act, states in (("withdrawn", ["withdrawn"]), ("corrected", ["corrected"])):
        told = Counter(int(line.split()[1]) for line in said if line.startswith(act))
        kept = Counter(found["row"][found["state"] == states[0]].tolist())
        assert sum((told - kept).values()) == 0
        assert sum((kept - told).values()) <= 1
    given = Counter(int(line.split()[1]) for line in said if line.startswith("answered"))
    kept = Counter(entry.row for entry in entries if entry.state != "corrected")
    assert sum((given - kept).values()) == 0
    assert sum((kept - given).values()) <= 1
    corrected = set(found["row"][found["state"] == "corrected"].tolist())
    for entry in entries:
        if entry.state == "stands":
            assert entry.answer == ("red" if entry.row in corrected else TRUTH[entry.row])
    return labels


@pytest.mark.parametrize(
    ("kills", "seed"), [(1, 0), pytest.param(30, 1, marks=pytest.mark.slow)], ids=["one", "thirty"]
)
def test_killed_at_any_moment_it_goes_on(server, tmp_path, kills, seed):
    chance, said, labels = random.Random(seed), [], 0
    for number in range(kills):
        folder = tmp_path / f"{number // 3}"
        if number % 3 == 0:
            said, labels = [], 0
        said += kill_after(server, folder, chance.randint(2, 9), chance.random() * 0.02)
        after = check(folder, said)
        assert after >= labels
        labels = after
        # what was acted on but not said before the kill is on record all the same: say it
        said = retold(folder)
    with open_record(folder, "label", {}) as record, Desk(LABELING._replace(batch_size=2), record) as desk:
        label_some(desk, "ada", 2)
        assert desk.progress().labels == labels + 2


def retold(folder: Path) -> list[str]:
    """What the record says, in the words of the process."""
    words = {"tell": "answered", "withdraw": "withdrawn", "correct": "corrected"}
    with open_record(folder, "label", {}) as record:
        return [f"{words[event['kind']]} {event['rows'][0]}\n" for event in record.events if event["kind"] in words]
