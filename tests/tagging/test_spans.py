"""Spans of BIO tags: lists, counts of compiled programs, and seqeval."""

import jax.numpy as jnp
import numpy as np
import pytest

from bal.tagging import bio_scheme, f1, span_counts, spans

NAMES = ("O", "B-per", "B-loc", "I-per", "I-loc")
SCHEME = bio_scheme(NAMES)


def random_tags(seed, n=60, t=9):
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, t + 1, n)
    tags = draw.choice(5, size=(n, t), p=[0.4, 0.15, 0.15, 0.15, 0.15])
    return np.where(np.arange(t) < lengths[:, None], tags, -1).astype(np.int32)


def named(tags):
    return [[NAMES[tag] for tag in row if tag >= 0] for row in tags]


@pytest.fixture(scope="module")
def pair():
    true, other = random_tags(0), random_tags(1)
    keep = np.random.default_rng(2).random(true.shape) < 0.7
    return true, np.where(keep | (true < 0), true, np.maximum(other, 0)).astype(np.int32)


def test_counts_are_those_of_the_lists(pair):
    true, predicted = pair
    counts = [int(count) for count in span_counts(SCHEME, jnp.asarray(true), jnp.asarray(predicted))]
    sets = [({*spans(a)}, {*spans(b)}) for a, b in zip(named(true), named(predicted))]
    assert counts == [sum(len(a & b) for a, b in sets), *(sum(len(both[i]) for both in sets) for i in (0, 1))]
    assert 20 < counts[0] < min(counts[1:])


def test_by_hand():
    assert spans(["I-per", "I-per", "I-loc", "B-loc", "I-loc", "O", "B-per"]) == [
        ("per", 0, 1), ("loc", 2, 2), ("loc", 3, 4), ("per", 6, 6),
    ]  # fmt: skip
    assert spans([]) == spans(["O"]) == spans([""]) == []
    assert spans(["I", "I", "O", "I", "B"]) == [("", 0, 1), ("", 3, 3), ("", 4, 4)]
    assert f1(jnp.array(0), jnp.array(0), jnp.array(0)) == 0
    with pytest.raises(ValueError, match="called O, B-x or I-x, got 'NOUN'"):
        bio_scheme(("O", "NOUN"))


@pytest.mark.models
def test_seqeval_finds_the_same(pair):
    metrics = pytest.importorskip("seqeval.metrics", reason="needs seqeval")
    labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    true, predicted = pair
    ours = f1(*span_counts(SCHEME, jnp.asarray(true), jnp.asarray(predicted)))
    np.testing.assert_allclose(float(ours), metrics.f1_score(named(true), named(predicted)), rtol=1e-6)
    for row in named(predicted):
        assert [tuple(span) for span in spans(row)] == labeling.get_entities(row)
