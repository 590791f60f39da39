"""Parts of the figure on NeurONAL-S: what its claims judge, whom it asks by chance, and how rows are scaled."""

import jax
import numpy as np
import pytest

from bal.stream import constant_gap, neuronal_s
from paper_figures import neuronal
from paper_figures.claims import judge
from paper_figures.neuronal import FIGURE, SIZES, Found, by_chance, table


def found(accuracy):
    """Four seeds around an accuracy."""
    around = accuracy + np.array([-0.001, 0.0, 0.0, 0.001])
    return Found(around, np.full(4, 0.3), np.arange(1, 4), np.full((4, 3), accuracy))


def judged(every, *names, scale="cpu"):
    claims = FIGURE.claims(neuronal.Config(data=names), SIZES["cpu"])
    return judge(claims, every, scale)


def verdicts(name, scale="cpu", **accuracies):
    found_of = {label: found(accuracies[label]) for label in neuronal.NAMES}
    return [verdict.holds for verdict in judged({name: found_of}, name, scale=scale)[:4]]


def test_claims_are_judged_by_the_published_number_by_all_labels_and_by_chance():
    good = {"paper": 0.99, "code": 0.996, "random": 0.98, "all": 0.998}
    assert verdicts("Shuttle", **good) == [True, True, True, True]
    assert verdicts("Shuttle", **{**good, "paper": 0.97, "code": 0.975}) == [False, False, False, False]
    assert verdicts("Shuttle", "smoke", **good) == [None] * 4


def test_another_table_is_no_test_of_a_published_number():
    assert verdicts("Letter", paper=0.865, code=0.865, random=0.8, all=0.87) == [None, None, True, True]


def test_without_comparisons_the_published_number_is_judged_alone():
    alone = judged({"Fashion": {"paper": found(0.83), "code": found(0.80)}}, "Fashion")
    assert [verdict.holds for verdict in alone] == [True, False] + [None] * (2 + len(neuronal.ELSEWHERE))
    assert {verdict.ours for verdict in alone[2:]} == {"not measured here"}


def test_what_was_not_run_is_named():
    none = judged({})
    assert [verdict.claim.statement.split(":")[0] for verdict in none] == ["Adult", "MagicTelescope", "Covertype"]
    assert all("not run" in verdict.claim.test.rule and verdict.holds is None for verdict in none)


def test_by_chance_a_share_of_rows_is_asked_whatever_they_are():
    asking = by_chance(neuronal_s(2, constant_gap(0.0), width=2, capacity=2), 0.3)
    state = asking.init(jax.random.key(0), np.ones(2, np.float32))
    decide = jax.vmap(lambda key: asking.decide(key, state, np.ones(2, np.float32), 0).query)
    share = np.asarray(jax.jit(decide)(jax.random.split(jax.random.key(1), 4_000))).mean()
    assert share == pytest.approx(0.3, abs=0.03)


def test_rows_have_unit_norm():
    digits = table("digits")
    np.testing.assert_allclose(np.linalg.norm(digits.x, axis=1), 1.0, rtol=1e-5)
    assert len(digits.x) == len(digits.y) == 1797
