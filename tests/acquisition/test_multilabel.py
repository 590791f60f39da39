"""Scores of label sets, against enumeration of all sets in float64."""

import itertools

import jax
import numpy as np
import pytest

from bal.acquisition import bald, joint_labels_bald, labels_bald, margin, over_labels, sampled_labels_bald
from bal.acquisition.kinds import check_log_probs, check_multi_label
from bal.typing import MultiLabel

RNG = np.random.default_rng(0)
SHAPE = 40, 5, 4
ODDS = (RNG.normal(size=SHAPE) * np.geomspace(1e-3, 8, 40)[:, None, None]).astype(np.float32)
TOGETHER = np.repeat(ODDS[..., :1], 4, -1)  # all labels of a row are as likely under each draw
summed, joint, sampled = map(jax.jit, (labels_bald, joint_labels_bald, sampled_labels_bald(512)))


def probability(odds):
    return 1 / (1 + np.exp(-np.asarray(odds, np.float64)))


def by_enumeration(odds):
    """Mean over draws of the divergence of their distribution over label sets from the mean one."""
    p = probability(odds)
    sets = np.array(list(itertools.product((0, 1), repeat=odds.shape[-1])))
    each = np.where(sets[None, None], p[:, :, None], 1 - p[:, :, None]).prod(-1)  # [N, K, 2^G]
    return (each * np.log(each / each.mean(1, keepdims=True))).sum(-1).mean(1)


def by_label(odds):
    return sum(by_enumeration(odds[..., [g]]) for g in range(odds.shape[-1]))


@pytest.mark.parametrize("odds", [ODDS, TOGETHER], ids=["apart", "together"])
def test_the_joint_and_the_sum_by_enumeration(odds):
    expected = by_enumeration(odds)
    np.testing.assert_allclose(joint(MultiLabel(odds)), expected, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(summed(MultiLabel(odds)), by_label(odds), rtol=1e-3, atol=1e-9)
    assert (np.asarray(summed(MultiLabel(odds))) >= np.asarray(joint(MultiLabel(odds))) * (1 - 1e-3)).all()
    assert np.asarray(joint(MultiLabel(odds))).max() <= np.log(5)


def test_small_differences_add_up_over_labels_and_four_names_of_one_label_do_not():
    """Where draws differ little the information is second order: the joint of independent moves is the sum."""
    little = MultiLabel(ODDS[:5])
    ratio = np.asarray(joint(little)) / np.asarray(summed(little))
    np.testing.assert_allclose(ratio, 1, atol=0.01)
    certain = MultiLabel(np.where(TOGETHER > 0, np.float32(50), np.float32(-50)))
    np.testing.assert_allclose(4 * joint(certain), summed(certain), rtol=1e-5)  # four names of one label


@pytest.mark.parametrize("odds", [ODDS, TOGETHER], ids=["apart", "together"])
def test_samples_estimate_the_joint(odds):
    found, exact = np.asarray(sampled(MultiLabel(odds))), by_enumeration(odds)
    np.testing.assert_allclose(found, exact, atol=0.03, rtol=0.1)
    assert (found >= 0).all()
    assert (found <= np.log(5) + 1e-6).all()
    agree = np.repeat(odds[:, :1], 5, 1)
    assert not np.any(sampled(MultiLabel(agree)))


def test_samples_are_unbiased():
    """The mean over many orders of the labels, which draw other sets, approaches the exact number."""
    few = jax.jit(sampled_labels_bald(4))
    orders = [RNG.permutation(4) for _ in range(100)]
    found = np.mean([few(MultiLabel(ODDS[-1:, :, order])) for order in orders])
    one = np.std([few(MultiLabel(ODDS[-1:, :, order])) for order in orders])
    assert abs(found - by_enumeration(ODDS[-1:])[0]) < 0.1 * np.log(5)
    assert one > 0  # the orders do draw other sets


def test_one_label_is_a_class_of_two():
    odds = ODDS[..., :1]
    log_probs = np.log(np.stack([1 - probability(odds[..., 0]), probability(odds[..., 0])], -1)).astype(np.float32)
    wanted, tops = jax.jit(lambda log_probs, odds: (bald(log_probs), over_labels(margin)(odds)))(
        log_probs, MultiLabel(ODDS)
    )
    for score in (summed, joint):
        np.testing.assert_allclose(score(MultiLabel(odds)), wanted, rtol=1e-3, atol=1e-7)
    p = probability(ODDS).mean(1)
    np.testing.assert_allclose(tops, -np.abs(2 * p - 1).sum(-1), atol=1e-6)


def test_many_rows_in_pieces_and_many_labels():
    many = MultiLabel(np.repeat(ODDS, 300, 0))
    np.testing.assert_allclose(joint(many)[::300], joint(MultiLabel(ODDS)), rtol=1e-4, atol=1e-9)
    wide = MultiLabel(np.tile(ODDS, 4))
    assert np.isfinite(sampled(wide)).all()
    with pytest.raises(ValueError, match=r"all sets of at most 12 labels, got 16; use sampled_labels_bald\(32\)"):
        joint_labels_bald(wide)


def test_wrong_predictions_are_named():
    with pytest.raises(TypeError, match=r"bald needs log probabilities .* got a MultiLabel: use labels_bald"):
        check_log_probs("bald", MultiLabel(ODDS))
    with pytest.raises(TypeError, match="labels_bald needs a MultiLabel of log odds"):
        check_multi_label("labels_bald", ODDS)
    with pytest.raises(ValueError, match=r"add the axis of draws, log_odds\[:, None\]"):
        check_multi_label("labels_bald", MultiLabel(ODDS[:, 0]))
    with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
        sampled_labels_bald(0)
