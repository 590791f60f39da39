"""A folder of records with everything in it that the page shows: a study of digits, cells, a campaign, damage."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from bal.datasets import digits
from bal.loop.fingerprint import rows_digest
from bal.records import open_record
from bal.sweep import store

BATCH, ROUNDS = 10, 12
X, Y = digits().x[:1000], digits().y[:1000]
DIGEST = rows_digest(X)
RISE = {"random": 0.0, "bald": 0.03, "margin": 0.02, "<b>entropy</b>": -0.03}


def problem(config, seed):
    """As for bal replay; the set-up is not asked for."""
    del config, seed
    return SimpleNamespace(pool=SimpleNamespace(x=X)), None


def round_of(strategy, seed, number, rng):
    """A round of a study, the later the better."""
    order = np.random.default_rng(seed).permutation(len(X))[BATCH * number :][:BATCH]
    accuracy = 0.95 - 0.5 * np.exp(-number / 4) + RISE[strategy] * min(number, 6) / 6 + 0.01 * rng.standard_normal()
    counts = {"acquired": BATCH, "training": BATCH * (number + 1), "start": BATCH, "validation": 0}
    return {
        "kind": "round",
        "seed": seed,
        "round": number,
        "acquired": order.tolist(),
        "scores": (np.sort(rng.random(BATCH))[::-1] if number else np.full(BATCH, np.nan)).tolist(),
        "valid": [True] * BATCH,
        "labels": Y[order].tolist(),
        "metrics": {"accuracy": float(accuracy), "nll": float(1.2 - accuracy), "ece": float(0.1 / (number + 1))},
        "counts": counts,
        "seconds": None,
        "info": {"predicted": believed(seed, number, order)},
    }


def believed(seed, number, order):
    """Class probabilities of a model that is right nine times in ten and says so."""
    rng = np.random.default_rng((seed, number))
    likeliest = np.where(rng.random(len(order)) < 0.9, Y[order], (Y[order] + 1) % 10)
    return (0.9 * np.eye(10)[likeliest] + 0.01).tolist()


def opening(seed):
    return {"kind": "open", "seed": seed, "run": {"rows": DIGEST}}


def study(root, name="digits", seeds=10, rounds=ROUNDS, strategies=RISE):
    """Records of a study that has finished."""
    paths = {}
    for place, strategy in enumerate(strategies):
        rng = np.random.default_rng(place)
        with open_record(root, name, {"strategy": strategy}) as record:
            events = [[opening(s)] + [round_of(strategy, s, n, rng) for n in range(rounds + 1)] for s in range(seeds)]
            record.append([event for of_seed in events for event in of_seed])
            for number in range(1, rounds + 1):
                times = {"compile": 0.5 * (number == 1), "fit": 0.2, "predict": 0.1, "select": 0.05, "evaluate": 0.1}
                record.time({"seed": 0, "round": number, "times": times, "memory": None})
            paths[strategy] = record.path
    return paths


def campaign(root, answers=40):
    """Labels that two people gave."""
    with open_record(root, "campaign", {"by": "hand"}) as record:
        record.append([{"kind": "open", "classes": ["cat", "<img src=x onerror=alert(1)>"]}])
        for row in range(answers):
            told = {
                "kind": "tell",
                "rows": [row],
                "labels": [row % 2],
                "annotator": ("ada", "<i>bob</i>")[row % 3 == 0],
            }
            record.append([told | {"at": 1.7e9 + 12.0 * row}])
    return record.path


def cells(root):
    """One cell of each state."""
    found = [store.place(root, "experiments.study:run", {"data": "digits", "seed": number}) for number in range(4)]
    for cell in found:
        store.declare(cell)
    done, failed, running, _ = found
    for cell in (done, failed, running):
        store.begin(cell)
    store.finish(done, {}, 1.0)
    store.fail(failed, "ValueError: <b>no</b> such pool", "Traceback", 1.0)
    return found


def everything(root, tasks=9):
    """40 records of 10 tasks, a campaign, cells, and one record that is damaged."""
    for place in range(tasks):
        study(root, f"task-{place}", seeds=3, rounds=5)
    paths = study(root)
    campaign(root)
    cells(root)
    with open_record(root, "damaged", {}) as record:
        record.append([{"kind": "note", "text": "hello"}])
    file = record.path / "events.jsonl"
    file.write_bytes(file.read_bytes().replace(b"hello", b"hullo"))
    return paths


if __name__ == "__main__":
    everything(Path(sys.argv[1]))
