"""A whole study of a small synthetic task: names are rare, and hide in few sentences."""

import numpy as np
import optax
import pytest

from bal.acquisition import bald
from bal.loop import run_seeds, seed_keys
from bal.pool import make_pool
from bal.tagging import Sentences, by_words, mean_over_words, mnlp, most_rows, tagger, tagging
from bal.typing import Setup, Task

NAMES = ("O", "B-x", "B-y", "I-x", "I-y")
T, D, SEEDS = 10, 12, 10


def sentences(n, seed):
    """States are the mean of the tag and noise; four sentences of five hold nothing but O."""
    means = np.random.default_rng(0).normal(size=(len(NAMES), D))
    draw = np.random.default_rng(seed)
    mask = np.arange(T) < draw.integers(5, T + 1, n)[:, None]
    tags = np.zeros((n, T), np.int32)
    for row in np.flatnonzero(draw.random(n) < 0.2):
        first, kind = draw.integers(0, 4), draw.integers(0, 2)
        tags[row, first : first + 2] = 1 + kind, 3 + kind
    states = means[tags] + 0.8 * draw.normal(size=(n, T, D))
    return Sentences(states.astype(np.float16), mask), np.where(mask, tags, -1).astype(np.int32)


@pytest.mark.slow
def test_uncertainty_finds_the_spans_sooner_than_chance():
    (x, y), test = sentences(400, 1), sentences(200, 2)
    cost = x.mask.sum(1).astype(np.float32)
    budget = 0.02 * float(cost.sum())
    learner = tagger(len(NAMES), 10, rate=0.3, optimizer=optax.adam(1e-2), num_steps=150, minibatch_size=16)
    area = {}
    for name, score in {"random": None, "mnlp": mnlp, "bald": mean_over_words(bald)}.items():
        setup = Setup(learner, by_words(score, budget), most_rows(cost, budget), 8, 0, tagging(NAMES))
        log = run_seeds(seed_keys(0, SEEDS), Task(make_pool(x, cost=cost), y, test), setup).log
        area[name] = np.asarray(log.metrics["f1"])[:, 1:].mean(1)
    for name in ("mnlp", "bald"):
        gain = area[name] - area["random"]
        assert gain.mean() > 3 * gain.std(ddof=1) / np.sqrt(SEEDS), area
        assert gain.mean() > 0.03, area
