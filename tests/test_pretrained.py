"""The study of frozen encoders: its inputs are paired, its verdicts follow from areas, and a tiny run ends."""

import io
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console
from scipy.stats import permutation_test

from bal.loop import Curves
from bal.typing import Learner
from experiments import pretrained
from experiments.encoded import Encoded, convolved_digits
from experiments.pretrained_report import CLAIMS, difference, table, verdicts

DRAW = np.random.default_rng(0)


def curves(**means):
    """Ten seeds of accuracies around these means, at three numbers of labels."""
    values = {name: mean + 0.01 * DRAW.normal(size=(10, 3)) for name, mean in means.items()}
    return Curves(np.array([10, 20, 30]), {"accuracy": values}, {}, {})


FOUND = {"dropout": curves(random=0.6, epig=0.7), "end-to-end": curves(random=0.5, epig=0.7)}


def printed(renderable):
    text = io.StringIO()
    Console(file=text, width=80).print(renderable)
    return text.getvalue()


def test_random_convolutions_are_those_of_loops():
    found = convolved_digits(num_filters=2, seed=3)
    draw = np.random.default_rng(3)
    filters, bias = draw.normal(size=(9, 2)) / 3, draw.normal(size=2) / 3
    image, maps = found.raw[5], np.zeros((6, 6, 2))
    for i in range(6):
        for j in range(6):
            for channel in range(2):
                product = (image[i : i + 3, j : j + 3] * filters[:, channel].reshape(3, 3)).sum()
                maps[i, j, channel] = max(product + bias[channel], 0)
    quarters = [maps[i : i + 3, j : j + 3].mean((0, 1)) for i in (0, 3) for j in (0, 3)]
    np.testing.assert_allclose(found.features[5], np.concatenate(quarters), atol=1e-6)


def test_a_seed_has_the_same_rows_whatever_the_inputs():
    config = pretrained.Config(start_size=4, pool_size=30, test_size=10, batch_size=2, rounds=1)
    x, y = DRAW.normal(size=(60, 7)), np.arange(60) % 3
    whole, few = (pretrained.task_of_seed(config, x, y, components, 1) for components in (None, 2))
    np.testing.assert_array_equal(whole.start, few.start)
    np.testing.assert_array_equal(whole.oracle, few.oracle)
    np.testing.assert_array_equal(whole.test[1], few.test[1])
    for task, width in ((whole, 7), (few, 2)):
        assert task.pool.x.shape == (30, width)
        np.testing.assert_allclose(np.mean(np.asarray(task.pool.x) ** 2), 1, rtol=1e-5)
        np.testing.assert_allclose(np.asarray(task.pool.x).mean(0), 0, atol=1e-6)
    _, lengths, axes = np.linalg.svd(np.asarray(whole.pool.x), full_matrices=False)
    spans = np.abs(np.asarray(few.pool.x)) / np.abs(np.asarray(whole.pool.x) @ axes[:2].T)
    np.testing.assert_allclose(spans, np.broadcast_to(spans[0, 0], (30, 2)), rtol=1e-3)
    assert lengths[1] > lengths[2]


def test_words_are_inputs_of_the_net_that_has_no_encoder():
    texts = Encoded(np.array(["free money", "see you", "free free"]), np.zeros((3, 1)), np.zeros(3), 2, "none")
    assert pretrained.raw_inputs(texts).sum(1).tolist() == [2, 2, 1]


def test_claims_are_judged_by_paired_areas():
    found = difference(CLAIMS[1], "dropout", FOUND)
    ours, theirs = (FOUND["dropout"].metrics["accuracy"][name] for name in ("epig", "random"))
    gains = (ours - theirs) @ [0.25, 0.5, 0.25]  # the trapezoidal rule
    np.testing.assert_allclose(found.mean, gains.mean(), atol=1e-9)
    exact = permutation_test((gains,), np.mean, permutation_type="samples", n_resamples=np.inf)
    np.testing.assert_allclose(found.p_value, exact.pvalue, atol=1e-9)
    text = printed(verdicts({"digits": FOUND}))
    assert text.count("reproduced") == 1
    assert text.count("not settled") == 1  # above the end-to-end net: it is not
    alone = printed(verdicts({"digits": {"dropout": FOUND["dropout"]}}))
    assert "1 not judged" in alone


def test_the_tables_fit_a_terminal():
    for text in (printed(table("fashion-mnist", FOUND)), printed(verdicts({"fashion-mnist": FOUND}))):
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text


def class_means(key, state, data):
    return jax.ops.segment_sum(data.weight[:, None] * data.x, data.y, 10)


def two_widths(state, x):
    squared = ((x[:, None] - state[None]) ** 2).sum(-1)
    return jax.nn.log_softmax(-squared[:, None, :] * jnp.array([0.2, 1.0])[None, :, None], -1)


CENTERS = Learner(lambda key, data: jnp.zeros((10, data.x.shape[1])), class_means, two_widths)  # compiles in no time


def test_a_tiny_run(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrained, "learner_of", lambda *_: CENTERS)
    options = {"data": ("digits",), "learners": ("dropout",), "strategies": ("epig",)}
    pretrained.main(pretrained.Config(scale="smoke", **options))
    text = capsys.readouterr().out
    assert "128 random convolutions" in text
    assert re.search(r"^ *head, random +digits +dropout", text, re.MULTILINE)
    assert "1 not judged" in text
    assert len(list(Path("figures").iterdir())) == 1


@pytest.mark.slow
def test_a_tiny_run_of_all_sets(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    pretrained.main(pretrained.Config(scale="smoke", strategies=("typiclust",)))
    text = capsys.readouterr().out
    assert text.count("typiclust") >= 4  # two learners, on digits at least
    assert "digits, end-to-end: raw inputs" in text
