"""Shares of labels against all allocations, the stratified mean against all samples."""

from itertools import combinations, product

import numpy as np
import pytest

from bal.evaluation.active import equal_strata, neyman_allocation, stratified

SIZES = np.array([4, 3, 5])
STRATA = np.repeat([0, 1, 2], SIZES)
VALUES = np.array([0.1, 0.3, 0.2, 0.9, 5.0, 7.0, 4.0, -1.0, 0.0, 2.0, 1.5, 3.0])


@pytest.mark.parametrize("num_labels", [6, 7, 9, 12])
def test_no_allocation_has_less_variance(num_labels):
    for deviations in ([0.3, 1.5, 1.4], [1.0, 0.0, 0.0], [0.2, 9.0, 0.2]):
        variance = lambda n, s=deviations: (SIZES**2 * np.square(s) * (1 / n - 1 / SIZES)).sum()
        every = [np.array(n) for n in product(*(range(2, size + 1) for size in SIZES)) if sum(n) == num_labels]
        found = neyman_allocation(SIZES, np.array(deviations), num_labels)
        assert found.sum() == num_labels
        assert (found <= SIZES).all()
        assert variance(found) == pytest.approx(min(map(variance, every)), abs=1e-12)


def test_mean_and_variance_are_unbiased_over_all_samples():
    labels = [2, 2, 3]
    choices = [list(combinations(np.flatnonzero(h == STRATA), n)) for h, n in enumerate(labels)]
    picks = np.array([sum(parts, ()) for parts in product(*choices)])
    found = stratified(VALUES[picks], STRATA[picks], SIZES)
    assert found.mean.mean() == pytest.approx(VALUES.mean(), abs=1e-12)
    assert (found.standard_error**2).mean() == pytest.approx(found.mean.var(), rel=1e-12)


def test_all_labels_leave_nothing_open_and_intervals_cover():
    whole = stratified(VALUES, STRATA, SIZES)
    assert float(whole.low) == float(whole.high) == pytest.approx(VALUES.mean())
    rng = np.random.default_rng(0)
    scores = rng.gamma(2.0, size=300)
    values = scores + rng.normal(size=300) * np.sqrt(scores)
    strata = equal_strata(scores, 5)
    sizes = np.bincount(strata)
    assert sizes.tolist() == [60] * 5
    assert max(scores[strata == 0]) < min(scores[strata == 1])
    allocation = neyman_allocation(sizes, np.sqrt([scores[strata == h].mean() for h in range(5)]), 60)
    assert (np.diff(allocation) >= 0).all()
    keys = rng.random((4000, 300))
    order = np.lexsort((keys, np.broadcast_to(strata, keys.shape)), axis=-1)
    first = np.arange(300) - np.repeat(np.cumsum(sizes) - sizes, sizes) < np.repeat(allocation, sizes)
    found = stratified(values[order[:, first]], strata[order[:, first]], sizes)
    assert 0.93 < ((found.low <= values.mean()) & (values.mean() <= found.high)).mean() < 0.97
    assert abs(found.mean.mean() - values.mean()) < 3 * found.mean.std() / np.sqrt(4000)
    assert found.mean.var() < 0.6 * values.var(ddof=1) / 60 * (1 - 60 / 300)


def test_refusals():
    with pytest.raises(ValueError, match="from 6 labels"):
        neyman_allocation(SIZES, np.ones(3), 5)
    with pytest.raises(ValueError, match="to 12, all rows"):
        neyman_allocation(SIZES, np.ones(3), 13)
    with pytest.raises(ValueError, match="deviation >= 0"):
        neyman_allocation(SIZES, np.array([1.0, -1.0, 1.0]), 9)
    with pytest.raises(ValueError, match=r"got \[2, 1, 2\] labels"):
        stratified(np.ones(5), np.array([0, 0, 1, 2, 2]), SIZES)
    with pytest.raises(ValueError, match="1 to 6 strata"):
        equal_strata(VALUES, 7)
