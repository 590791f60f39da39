"""References: the best strategy at each count, and the share of the way up to one."""

import numpy as np
import pytest

from bal.evaluation import best_of_strategies, headroom

LABELS = np.array([10, 20, 40])


def curves(num_seeds=20):
    random = np.random.default_rng(0)
    base = np.array([0.5, 0.6, 0.7]) + random.normal(0, 0.01, (num_seeds, 3))
    return {"random": base, "early": base + np.array([0.1, 0.05, -0.1]), "late": base + np.array([0.0, 0.02, 0.1])}


@pytest.mark.parametrize(("sign", "taken"), [(1, ["early", "early", "late"]), (-1, ["random", "random", "early"])])
def test_best_in_hindsight_is_the_best_mean_of_each_count(sign, taken):
    found = curves()
    ((name, values),) = best_of_strategies(found, higher_is_better=sign > 0).items()
    assert name == "best in hindsight (peeks)"
    np.testing.assert_array_equal(values, np.stack([found[each][:, place] for place, each in enumerate(taken)], 1))


def test_a_reference_is_no_strategy_to_choose_from():
    found = curves()
    assert (
        best_of_strategies(found | {"greedy oracle (peeks)": found["late"] + 1})["best in hindsight (peeks)"].max() < 1
    )
    with pytest.raises(ValueError, match="curves of strategies, got greedy oracle"):
        best_of_strategies({"greedy oracle (peeks)": found["late"]})


def test_headroom_is_a_share_of_areas():
    base = curves()["random"]
    oracle = base + 0.2
    assert headroom(LABELS, base, base, oracle) == (0, 0, 0)
    assert headroom(LABELS, oracle, base, oracle) == (1, 1, 1)
    share, low, high = headroom(LABELS, base - 0.05, base, oracle)
    assert (share, low, high) == pytest.approx((-0.25, -0.25, -0.25))
    below = (-base - 0.1, -base, -base - 0.2)  # losses, of which less is better
    assert headroom(LABELS, *below, higher_is_better=False).share == pytest.approx(0.5)
    assert headroom(LABELS, *below) is None  # a reference that is worse is no way up
    assert headroom(LABELS, oracle, base, base) is None
    noise = np.random.default_rng(1).normal(0, 0.1, base.shape)
    assert headroom(LABELS, base + 0.1, base, base + noise) is None  # no way to go that can be told from none
    with pytest.raises(ValueError, match="2 or more paired seeds"):
        headroom(LABELS, base[:1], base[:1], oracle[:1])


def test_interval_of_headroom_covers():
    """Of a ratio of means of correlated normals; 95 of 100, within 3 standard errors of 150 repetitions."""
    random, inside = np.random.default_rng(2), 0
    for number in range(150):
        base = np.zeros((30, 2))
        room = 0.2 + random.normal(0, 0.1, (30, 1))
        gain = 0.5 * room + random.normal(0, 0.05, (30, 1))
        found = headroom(LABELS[:2], base + gain, base, base + room, seed=number)
        inside += found.low <= 0.5 <= found.high
    assert 0.89 <= inside / 150 <= 0.99
