"""Components of variance: recovered, on noise what noise gives, against closed forms and the exact F interval."""

import numpy as np
import pytest
import scipy.stats

from bal.evaluation.protocol import variance_components


def test_noise_has_a_raw_share_of_909_and_no_components():
    """Ten subsets times ten seeds: "within" has .909 of the sum of squares when subsets do not matter at all."""
    rng, omega, raw = np.random.default_rng(0), [], []
    for scores in rng.normal(size=(400, 10, 10)):
        cells = scores.mean(1)
        total = ((scores - scores.mean()) ** 2).sum()
        within = ((scores - cells[:, None]) ** 2).sum()
        between, error = total - within, within / 90
        raw.append(within / total)
        omega.append((between - 9 * error) / (total + error))
    assert np.mean(raw) == pytest.approx(0.909, abs=3 * np.std(raw) / 20)
    assert np.mean(omega) == pytest.approx(0, abs=3 * np.std(omega) / 20)
    found = variance_components(scores, ["subset"])  # the last of these, by the function
    assert found["residual"].null_share == pytest.approx(90 / 99)
    assert found["residual"].raw_share == pytest.approx(raw[-1])
    assert found["subset"].omega_squared == pytest.approx(omega[-1])
    assert found["subset"].variance == pytest.approx((between / 9 - error) / 10)
    assert found["subset"].low == 0.0
    assert sum(one.degrees for one in found.values()) == 99


def test_the_interval_of_one_factor_is_the_exact_one():
    """Of the F distribution, after Searle: with L = F / F_high and U = F / F_low, ``(L - 1) / (L - 1 + n)``."""
    scores = np.random.default_rng(1).normal(size=(12, 1)) + np.random.default_rng(2).normal(size=(12, 6))
    found = variance_components(scores, ["subset"])["subset"]
    ratio = scipy.stats.f_oneway(*scores).statistic
    quantiles = scipy.stats.f.ppf([0.975, 0.025], 11, 60)
    expected = [max(0, (ratio / q - 1) / (ratio / q - 1 + 6)) for q in quantiles]
    assert [found.low, found.high] == pytest.approx(expected, abs=0.02)
    assert found.share == pytest.approx((ratio - 1) / (ratio - 1 + 6))


def draw(rng, sizes, variances):
    """A crossed design with a normal effect for every set of axes; variances by axes."""
    scores = np.zeros(sizes)
    for axes, variance in variances.items():
        shape = [n if axis in axes else 1 for axis, n in enumerate(sizes)]
        scores = scores + np.sqrt(variance) * rng.normal(size=shape)
    return scores


KNOWN = {(0,): 1.0, (1,): 0.5, (2,): 0.0, (0, 1): 0.3, (0, 1, 2): 0.8}
NAMES = {(0,): "subset", (1,): "order", (2,): "init", (0, 1): "subset x order", (0, 1, 2): "residual"}


def test_known_components_are_recovered():
    """Unbiased within 3 standard errors, all seven of three crossed factors; and 95 % of the intervals cover."""
    rng, found = np.random.default_rng(3), []
    for _ in range(100):
        found.append(variance_components(draw(rng, (8, 6, 4), KNOWN), ["subset", "order", "init"]))
    assert set(found[0]) == {"subset", "order", "init", "subset x order", "subset x init", "order x init", "residual"}
    total = sum(KNOWN.values())
    covered = []
    for name in found[0]:
        truth = next((KNOWN[axes] for axes, known in NAMES.items() if known == name), 0.0)
        values = np.array([one[name].variance for one in found])
        assert values.mean() == pytest.approx(truth, abs=3 * values.std() / np.sqrt(100)), name
        covered.append(np.mean([one[name].low <= truth / total <= one[name].high for one in found]))
    assert min(covered) >= 0.9


def test_mean_squares_solve_their_expectations():
    """Two factors with repetitions, by the table of every textbook."""
    scores = np.random.default_rng(4).normal(size=(5, 4, 3)) + np.arange(5.0)[:, None, None]
    cells = scores.mean(2)
    a, b = cells.mean(1), cells.mean(0)
    m_a = 12 * a.var(ddof=1)
    m_b = 15 * b.var(ddof=1)
    m_ab = 3 * ((cells - a[:, None] - b[None, :] + cells.mean()) ** 2).sum() / 12
    m_e = scores.var(2, ddof=1).mean()
    found = variance_components(scores, ["a", "b"])
    expected = {"a": (m_a - m_ab) / 12, "b": (m_b - m_ab) / 15, "a x b": (m_ab - m_e) / 3, "residual": m_e}
    assert {name: one.variance for name, one in found.items()} == pytest.approx(expected)
    assert sum(one.share for one in found.values()) == pytest.approx(1)
    assert sum(one.raw_share for one in found.values()) == pytest.approx(1)
    assert sum(one.null_share for one in found.values()) == pytest.approx(1)


def test_what_does_not_vary_is_exactly_zero():
    """Full batches do not know their order: component, share and interval are 0, not nearly."""
    scores = np.tile(np.random.default_rng(5).normal(size=(7, 1, 5)) / 3, (1, 10, 1))
    found = variance_components(scores, ["subset", "order", "init"])
    for name in ("order", "subset x order", "order x init", "residual"):
        assert found[name].variance == found[name].share == found[name].high == found[name].raw_share == 0.0
    assert found["subset x init"].share + found["subset"].share + found["init"].share == pytest.approx(1)


def test_the_published_shares_read_again():
    """Within-shares of .81 and .53 of 10 x 10 runs are not "order explains 53 to 81 %": of subsets, .12 and .43."""
    for raw, icc in ((0.81, 0.12), (0.53, 0.44)):
        rng = np.random.default_rng(6)
        between, within = rng.normal(size=10), rng.normal(size=(10, 10))
        within -= within.mean(1, keepdims=True)
        between -= between.mean()
        between *= np.sqrt((1 - raw) / 10 / (between @ between))
        scores = between[:, None] + within * np.sqrt(raw / (within**2).sum())
        found = variance_components(scores, ["subset"])
        assert found["residual"].raw_share == pytest.approx(raw)
        assert found["subset"].share == pytest.approx(icc, abs=0.01)


def test_refusals():
    for scores, factors, text in [
        (np.zeros((3, 3)), [], "expected one axis for each"),
        (np.zeros((3, 1)), ["a", "b"], "two levels at least"),
        (np.zeros(9), ["a"], "one factor needs an axis of repetitions"),
        (np.zeros((3, 3)), ["a", "a"], "expected different names"),
        (np.full((3, 3), np.nan), ["a", "b"], "9 that are not"),
    ]:
        with pytest.raises(ValueError, match=text):
            variance_components(scores, factors)
    with pytest.raises(ValueError, match="confidence must lie"):
        variance_components(np.eye(3), ["a"], confidence=95.0)
