"""Curves over cost and seconds, by loops, and what cannot be compared."""

import numpy as np
import pytest

from bal.evaluation import area_under_curve, common_budgets, labels_to_target, values_at

SPENT = np.array([[0.0, 2.0, 7.0, 11.0], [1.0, 4.0, 5.0, 9.0]])
VALUES = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]])


def test_the_last_evaluation_that_is_paid_for():
    budgets = np.array([1.0, 2.0, 4.5, 5.0, 7.0, 9.0])
    found = values_at(SPENT, VALUES, budgets)
    for s in range(2):
        for g, budget in enumerate(budgets):
            assert found[s, g] == [value for value, paid in zip(VALUES[s], SPENT[s]) if paid <= budget][-1]


def test_budgets_that_all_seeds_of_all_strategies_cover():
    found = common_budgets({"bald": SPENT, "random": np.array([[0.5, 8.0], [0.0, 20.0]])}, 8)
    np.testing.assert_allclose(found, np.linspace(1, 8, 8))


def test_where_all_seeds_pay_the_same_the_curve_is_as_it_was():
    labels = np.array([10, 20, 40, 80])
    np.testing.assert_array_equal(values_at(np.tile(labels, (2, 1)), VALUES, labels), VALUES)


def test_area_and_cost_to_target_of_runs_that_pay_differently():
    budgets = common_budgets({"bald": SPENT}, 1601)
    curves = values_at(SPENT, VALUES, budgets)
    np.testing.assert_allclose(area_under_curve(budgets, curves)[0], (0.1 + 5 * 0.2 + 2 * 0.3) / 8, atol=1e-4)
    np.testing.assert_allclose(labels_to_target(budgets, curves, 0.65), [np.inf, 5])


@pytest.mark.parametrize(
    ("spent", "values", "budgets", "message"),
    [
        (SPENT, VALUES, [0.5, 2.0], r"cover 1 \.\. 9, got budgets 0\.5 \.\. 2"),
        (SPENT, VALUES, [2.0, 9.5], "use common_budgets"),
        (SPENT, VALUES, [3.0, 2.0], "budgets must increase"),
        (SPENT[:, ::-1], VALUES, [2.0, 3.0], "cannot decrease"),
        (SPENT, np.where(VALUES > 0.7, np.nan, VALUES), [2.0, 3.0], "1 values are NaN"),
        (np.where(SPENT > 10, np.inf, SPENT), VALUES, [2.0, 3.0], "finite"),
        (SPENT[:, 1:], VALUES, [2.0, 3.0], "one amount a value"),
    ],
)
def test_bad_curves_are_refused(spent, values, budgets, message):
    with pytest.raises((TypeError, ValueError), match=message + "|[Tt]ype-check"):
        values_at(spent, values, np.array(budgets))


def test_curves_without_a_common_range_are_refused():
    with pytest.raises(ValueError, match="the last begins at 10, the first ends at 9"):
        common_budgets({"bald": SPENT, "random": np.array([[10.0, 20.0]])})
    with pytest.raises(ValueError, match="2 budgets"):
        common_budgets({"bald": SPENT}, 1)
