"""Do features go with performance: against scipy, closed forms, and what noise looks like."""

import numpy as np
import pytest
import scipy.stats

from bal.evaluation.protocol import assumption_check, random_subsets, subset_means, window_subsets

RNG = np.random.default_rng(0)
NOISE = {f"f{i}": RNG.normal(size=100) for i in range(13)}


def test_correlations_and_p_values_are_those_of_scipy():
    x, ties = RNG.normal(size=30), RNG.integers(0, 4, 30)
    y = x + 0.5 * ties + 2 * RNG.normal(size=30)
    check = assumption_check({"x": x, "ties": ties}, y)
    for name, values in (("x", x), ("ties", ties)):
        known = scipy.stats.spearmanr(values, y)
        found = check.features[name]
        assert found.rho == pytest.approx(known.statistic)
        assert found.p_value == pytest.approx(known.pvalue, abs=3 * np.sqrt(known.pvalue / 9999) + 0.002)
        assert found.adjusted_p == min(1, 2 * found.p_value)


def test_r_squared_is_that_of_the_normal_equations():
    x = RNG.normal(size=(40, 3))
    y = x[:, 0] + RNG.normal(size=40)
    check = assumption_check(dict(zip("abc", x.T)), y)
    design = np.column_stack([np.ones(40), x])
    left = y - design @ np.linalg.inv(design.T @ design) @ design.T @ y
    share = 1 - (left @ left) / ((y - y.mean()) @ (y - y.mean()))
    assert check.r_squared == pytest.approx(share)
    assert check.r_squared_p == pytest.approx(scipy.stats.f.sf(share / 3 / ((1 - share) / 36), 3, 36))
    assert check.null_r_squared == pytest.approx(3 / 39)


def test_noise_is_said_to_be_noise():
    """100 subsets, 13 features: |rho| below .29 is not significant, below .37 often missed, an R² of .13 is nothing."""
    check = assumption_check(NOISE, RNG.normal(size=100))
    assert (
        check.verdict == "no feature can be told from noise; |rho| below 0.37 would be missed more often than in 20 %"
    )
    assert check.critical == pytest.approx(0.29, abs=0.01)
    assert check.null_r_squared == pytest.approx(13 / 99)
    assert check.r_squared_p > 0.05


def test_critical_and_detectable_are_what_they_say():
    """Of normal pairs with the correlation that gives the detectable rho, 80 % are found at the corrected level."""
    check = assumption_check(NOISE, RNG.normal(size=100))
    pearson = 2 * np.sin(np.pi * check.detectable / 6)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 100))
    y = pearson * x + np.sqrt(1 - pearson**2) * rng.normal(size=x.shape)
    rho = 1 - 6 * ((scipy.stats.rankdata(x, axis=1) - scipy.stats.rankdata(y, axis=1)) ** 2).sum(1) / (100**3 - 100)
    assert (rho > check.critical).mean() == pytest.approx(0.8, abs=0.04)
    null = 2 * scipy.stats.t.sf(check.critical * np.sqrt(98 / (1 - check.critical**2)), 98)
    assert null == pytest.approx(0.05 / 13, rel=0.35)


def test_a_control_that_both_go_with_keeps_the_level():
    """Feature and performance go with the control alone: p <= .05 in .056 of 200 studies, within 3 standard errors."""
    rng, told = np.random.default_rng(3), 0
    for _ in range(200):
        control, feature, performance = rng.normal(size=(3, 20))
        found = assumption_check({"f": control + feature}, control + performance, control=control, seed=int(told))
        told += found.features["f"].p_value <= 0.05
    assert told / 200 <= 0.056 + 3 * np.sqrt(0.056 * 0.944 / 200)


def test_control_takes_length_out():
    """Confidence that is nothing but length goes with performance, and not once length is held constant."""
    length = RNG.normal(size=200)
    confidence, performance = (length + 0.5 * RNG.normal(size=200) for _ in range(2))
    features = {"confidence": confidence}
    assert assumption_check(features, performance).features["confidence"].adjusted_p < 0.001
    held = assumption_check(features, performance, control=length)
    assert held.features["confidence"].adjusted_p > 0.05
    ranks = [scipy.stats.rankdata(values) for values in (confidence, performance, length)]
    left = [np.polyval(np.polyfit(ranks[2], r, 1), ranks[2]) - r for r in ranks[:2]]
    assert held.features["confidence"].rho == pytest.approx(scipy.stats.pearsonr(*left).statistic)
    assert held.r_squared_p > 0.01
    with pytest.raises(ValueError, match="is what control says of it"):
        assumption_check({"length": length**3}, performance, control=length)


def test_windows_show_what_random_subsets_cannot():
    """The same effect of a row's score: means over random subsets of 100 hardly vary, windows use the whole range."""
    score = RNG.normal(size=2000)
    drawn, sorted_rows = random_subsets(2000, 100, 20), window_subsets(score, 100, 20)
    assert all(len(set(rows)) == 100 for rows in drawn.tolist())
    means = [subset_means(score, rows) for rows in (drawn, sorted_rows)]
    assert means[0].std() == pytest.approx(0.1, rel=0.4)
    assert means[1].std() > 0.8
    assert (np.diff(means[1]) > 0).all()
    assert sorted(sorted_rows.ravel().tolist()) == list(range(2000))
    found = [assumption_check({"score": mean}, mean + 0.5 * RNG.normal(size=20)).features["score"] for mean in means]
    assert found[1].adjusted_p < 0.001 < 0.05 < found[0].adjusted_p


def test_refusals():
    x = np.arange(6.0)
    for features, y, text in [
        ({}, x, "the same 5 subsets at least"),
        ({"x": x[:4]}, x[:4], "the same 5 subsets at least"),
        ({"x": x}, x * 0, "performance that does not"),
        ({"x": x * np.nan}, x, "got x that does not"),
    ]:
        with pytest.raises(ValueError, match=text):
            assumption_check(features, y)
    with pytest.raises(ValueError, match="windows of 3 overlap among 6 rows"):
        window_subsets(x, 3, 3)
    with pytest.raises(ValueError, match="subset of 1 to 6 rows"):
        random_subsets(6, 7, 1)
    with pytest.raises(ValueError, match="got NaN"):
        window_subsets(x * np.nan, 2, 2)
