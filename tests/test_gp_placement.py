"""Sensor placement is deterministic: its errors, its places and its guarantee are golden numbers."""

import jax
import numpy as np
import pytest

from paper_figures.gp_placement import COUNTS, GUARANTEE, PUBLISHED, border_share, greedy_ratio, placements, run


@pytest.fixture(scope="module")
def found():
    with jax.enable_x64(True):
        return placements(**run(0.3, 100, seed=0))


@pytest.mark.parametrize("rule", ["entropy", "ALC", "mutual information"])
def test_expected_errors_are_the_published_ones(found, rule):
    np.testing.assert_allclose(found[rule].error[np.array(COUNTS) - 1], PUBLISHED[rule], atol=5e-4)


def test_random_placements_err_as_published_within_their_standard_error(found):
    errors = found["random"].error[:, np.array(COUNTS) - 1]
    standard_error = errors.std(0, ddof=1) / np.sqrt(len(errors))
    assert (standard_error < 0.01).all()
    assert (np.abs(errors.mean(0) - PUBLISHED["random"]) < 3 * np.sqrt(2) * standard_error).all()


def test_entropy_alone_measures_at_the_border(found):
    shares = {rule: border_share(found[rule].picks, 5) for rule in ("entropy", "ALC", "mutual information")}
    assert shares == {"entropy": 0.8, "ALC": 0.0, "mutual information": 0.0}


def test_errors_fall_with_every_sensor(found):
    for placement in found.values():
        assert (np.diff(placement.error) < 0).all()


def test_greedy_mutual_information_keeps_its_guarantee():
    with jax.enable_x64(True):
        ratios = greedy_ratio(num_places=8, num_picks=2, num_instances=4, seed=0)
    assert (ratios >= GUARANTEE).all()
    assert (ratios <= 1 + 1e-9).all()
