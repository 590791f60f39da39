"""The data of the settings, counted by loops; and verdicts that follow the numbers."""

import numpy as np
import pytest

from bal.datasets import digits
from paper_figures import target_shift
from paper_figures.claims import judge
from paper_figures.figure import main
from paper_figures.target_shift import (
    FIGURE,
    SETTINGS,
    SIZES,
    Found,
    is_asked_for,
    labels,
    of_seed,
    rows_of_seed,
    target_rows,
)

Y = digits().y.tolist()


def counts(rows):
    return [sum(Y[row] == number for row in rows) for number in range(10)]


@pytest.mark.parametrize(
    ("setting", "pool", "test", "told"),
    [
        ("redundant", [100] * 10, [0, 44, 0, 0, 0, 0, 0, 44, 0, 0], [0, 30, 0, 0, 0, 0, 0, 30, 0, 0]),
        ("unbalanced", [10] * 5 + [100] * 5, [44] * 10, [10] * 10),
        ("curated", [100] * 10, [44] * 10, [10] * 10),
    ],
)
def test_how_often_each_digit_comes(setting, pool, test, told):
    for seed in range(3):
        rows = rows_of_seed(setting, 100, seed)
        assert counts(rows.pool) == pool
        assert counts(rows.test) == test
        every = [*rows.pool.tolist(), *rows.test.tolist(), *target_rows(setting).tolist()]
        assert len(set(every)) == len(every)
    assert counts(target_rows(setting)) == told
    assert (rows.pool != rows_of_seed(setting, 100, 0).pool).any()


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_start_set_is_the_published_one(setting):
    others = set()
    for seed in range(5):
        rows = rows_of_seed(setting, 100, seed)
        found = counts(rows.pool[rows.start])
        if setting == "redundant":
            assert found[1] == found[7] == 2
            rest = [number for number in range(10) if found[number] == 1]
            assert len(rest) == 2
            assert sum(found) == 6
            others.add(tuple(rest))
        else:
            assert found == [2] * 10
    assert len(others) > 1 or setting != "redundant"


def test_classes_of_a_task():
    assert [{1: 0, 7: 1}.get(y, 2) for y in Y] == labels("redundant").tolist()
    assert labels("curated").tolist() == Y
    task = of_seed("redundant", 100, 0)
    rows = rows_of_seed("redundant", 100, 0)
    assert task.oracle.tolist() == [{1: 0, 7: 1}.get(Y[row], 2) for row in rows.pool]
    assert set(task.test[1].tolist()) == {0, 1}
    np.testing.assert_array_equal(task.pool.x, digits().x[rows.pool])


def test_picks_of_digits_to_be_predicted():
    pools = [rows_of_seed("redundant", 100, seed).pool for seed in range(2)]
    acquired = np.random.default_rng(0).integers(0, 1000, (2, 40, 1))
    found = is_asked_for("redundant", pools, acquired)
    for seed, place in ((0, 3), (1, 7)):
        assert found[seed, place] == (Y[pools[seed][acquired[seed, place, 0]]] in (1, 7))
    share = sum(Y[pools[1][place]] in (1, 7) for place in acquired[1].ravel()) / 40
    assert 0 < found[1].mean() == share < 1


def test_verdicts_follow_the_numbers(tmp_path):
    noise = 0.01 * np.random.default_rng(0).normal(size=(20, 3))
    made = lambda level: Found(np.array([6, 7, 8]), 0.5 + level + noise, np.full((20, 2), 0.5) + level)
    low, high = {"random": made(0.0), "bald": made(0.0)}, {"random": made(0.0), "bald": made(0.3)}
    noisier = lambda found: found._replace(
        accuracy=found.accuracy + 0.01 * noise[::-1], asked_for=found.asked_for + noise[:, :2]
    )
    up, down = {**low, "epig": noisier(made(0.2))}, {**high, "epig": noisier(made(0.2))}
    of = lambda found: FIGURE.claims(target_shift.Config(), SIZES["cpu"]._replace(settings=tuple(found)))
    verdicts = lambda found, scale="cpu": [verdict.holds for verdict in judge(of(found), found, scale)]
    assert verdicts({"redundant": up, "curated": down}) == [True] * 4 + [False, True]
    assert verdicts({"redundant": down, "curated": up}) == [False, False, True, False, True, False]
    assert verdicts({"unbalanced": up}) == [True]
    assert verdicts({"redundant": up, "curated": down}, "smoke") == [None] * 6
    target_shift.draw({"redundant": up, "curated": down}, target_shift.Config(figures=tmp_path))
    assert (tmp_path / "target_shift_cpu.png").stat().st_size > 10_000
    text = judge(of({"redundant": up}), {"redundant": up}, "cpu")[0].ours
    assert text.startswith("EPIG 0.7")
    assert "difference 0.2" in text


def test_the_published_size_is_refused_before_any_work():
    with pytest.raises(SystemExit, match="got paper: the published size is not built"):
        main(FIGURE, target_shift.Config(scale="paper"))
