"""Twins between sets: against every pair by sets of characters, and by distances."""

import numpy as np
import pytest

from bal.evaluation.protocol import contamination

RNG = np.random.default_rng(0)


def changed(text, num):
    letters = list(text)
    for place in RNG.choice(len(letters), num, replace=False):
        letters[place] = "q"
    return "".join(letters)


def test_near_texts_are_those_of_every_pair_by_hand():
    words = ["alpha", "beta", "gamma", "delta", "omega", "lambda", "sigma"]
    train = [" ".join(RNG.choice(words, 12)) for _ in range(40)]
    test = [changed(text, num) for num, text in enumerate(train[:6])] + [train[7].upper() + "!"]
    found = contamination({"train": train, "test": test}, near=0.5)["train", "test"]
    parts = lambda text: {text[i : i + 5] for i in range(len(text) - 4)}
    expected = {}
    for a, one in enumerate(train):
        for b, two in enumerate([*test[:6], train[7]]):
            similarity = len(parts(one) & parts(two)) / len(parts(one) | parts(two))
            if similarity >= 0.5 and one != two:
                expected[a, b] = similarity
    assert {tuple(pair): value for pair, value in zip(found.near.tolist(), found.nearness)} == pytest.approx(expected)
    assert {(0, 0), (7, 6)} <= set(map(tuple, found.exact.tolist()))
    twins = {b for _, b in [*found.exact.tolist(), *found.near.tolist()]}
    assert found.share == len(twins) / 7


def test_three_sets_have_three_pairs_and_short_texts_are_texts():
    found = contamination({"train": ["a", "b"], "pool": ["A.", "c"], "test": ["é", "b"]})
    assert list(found) == [("train", "pool"), ("train", "test"), ("pool", "test")]
    assert found["train", "pool"].exact.tolist() == [[0, 0]]
    assert found["train", "test"].exact.tolist() == [[1, 1]]
    assert found["pool", "test"].share == 0
    assert found["pool", "test"].verdict == "0 of 2 rows of test (0.0%) are in pool: 0 equal, 0 nearly equal"


def test_arrays_by_every_distance():
    train = RNG.normal(size=(50, 4, 2)) * [1, 100]  # columns in other units
    test = np.concatenate([train[:2], train[2:5] + RNG.normal(size=(3, 4, 2)) * [0.01, 1], RNG.normal(size=(9, 4, 2))])
    found = contamination({"train": train, "test": test})["train", "test"]
    assert found.exact.tolist() == [[0, 0], [1, 1]]
    assert found.near.tolist() == [[2, 2], [3, 3], [4, 4]]
    assert (found.nearness <= 0.05).all()
    both = np.concatenate([train, test]).reshape(64, 8)
    standard = (both - both.mean(0)) / both.std(0)
    distance = np.sqrt(((standard[:50, None] - standard[None, 50:]) ** 2).sum(-1))
    pairs = np.sqrt(((standard[:, None] - standard[None]) ** 2).sum(-1))[~np.eye(64, dtype=bool)]
    assert found.nearness == pytest.approx(distance[[2, 3, 4], [2, 3, 4]] / np.median(pairs), rel=0.05)
    assert found.verdict == "5 of 14 rows of test (35.7%) are in train: 2 equal, 3 nearly equal"


def test_zeros_and_nan_have_one_form():
    one = np.array([[0.0, np.nan], [1.0, 2.0], [7.0, 7.0]])
    two = np.array([[-0.0, -np.nan], [1.0, np.nan], [np.inf, 2.0]])
    found = contamination({"one": one, "two": two}, near=0.01)["one", "two"]
    assert found.exact.tolist() == [[0, 0]]
    assert not len(found.near)
    whole = contamination({"one": one[1:].astype(np.uint8), "two": one[1:]})["one", "two"]
    assert whole.exact.tolist() == [[0, 0], [1, 1]]


def test_texts_without_words_are_themselves():
    sets = {"train": ["Great :)", "+", "\N{GRINNING FACE}"], "test": ["great :(", "-", "\N{POUTING FACE}"]}
    found = contamination(sets)["train", "test"]
    assert found.exact.tolist() == [[0, 0]]  # words alone count where there are some
    assert not len(found.near)


def test_refusals():
    for sets, text in [
        ({"a": ["x"]}, "two sets of rows at least"),
        ({"a": ["x"], "b": []}, "none of them empty"),
        ({"a": ["x"], "b": np.zeros((2, 2))}, "got both"),
        ({"a": np.zeros((2, 3)), "b": np.zeros((2, 2))}, "one row shape"),
    ]:
        with pytest.raises(ValueError, match=text):
            contamination(sets)
    with pytest.raises(ValueError, match="near must lie in"):
        contamination({"a": ["x"], "b": ["x"]}, near=1.0)
