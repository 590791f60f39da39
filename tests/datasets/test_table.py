"""One's own table: read from files and frames, encoded by the pool alone, split, and refused in one sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal import task
from bal.datasets import encode, read_table, split_table

N = 40
RNG = np.random.default_rng(0)
AGE = RNG.normal(50, 10, N)
AGE[[3, 17]] = np.nan
CITY = np.array([["Ulm", "Bonn", None][number] for number in RNG.integers(0, 3, N)], object)
ROOMS = RNG.integers(1, 5, N)
INCOME = np.where(RNG.random(N) < 0.3, "high", "low").astype(object)
COLUMNS = {"age": AGE, "city": CITY, "rooms": ROOMS}
CSV = "\n".join(
    ["age,city , rooms,income"]
    + [f'{"" if np.isnan(a) else a},"{c or "NA"}",{r},{y}' for a, c, r, y in zip(AGE, CITY, ROOMS, INCOME)]
)


class Column:
    """A series of any library of frames."""

    def __init__(self, values):
        self.values = values

    def to_numpy(self):
        return self.values


class Frame:
    """A frame of any library; as pandas has one, with an index."""

    def __init__(self, columns, index=None):
        self.columns, self.data = list(columns), columns
        if index is not None:
            self.index = index

    def __getitem__(self, name):
        return Column(self.data[name])


def made(library):
    data = {**COLUMNS, "income": INCOME}
    if library == "frame":
        return Frame(data)
    lists = {name: [None if value != value else value for value in column.tolist()] for name, column in data.items()}
    return pytest.importorskip(library).DataFrame(lists)


@pytest.mark.parametrize("source", ["csv", "frame", "pandas", "polars"])
def test_every_source_is_read_alike(source, tmp_path):
    (tmp_path / "people.csv").write_text(CSV)
    table = read_table(tmp_path / "people.csv" if source == "csv" else made(source), "income")
    assert list(table.columns) == ["age", "city", "rooms"]
    np.testing.assert_array_equal(table.columns["age"], AGE)
    assert table.columns["city"].tolist() == CITY.tolist()
    np.testing.assert_array_equal(table.columns["rooms"], ROOMS)
    assert [table.class_names[label] for label in table.y] == INCOME.tolist()
    assert table.row_ids.tolist() == list(range(N))


def test_features_are_those_of_formulas_and_of_the_rows_alone():
    rows = np.arange(N) < 30
    x, names = encode(read_table(COLUMNS, INCOME), rows)
    assert names == ("age", "rooms", "age missing", "city=Bonn", "city=Ulm", "city missing")
    age = np.where(np.isnan(AGE), np.nanmedian(AGE[rows]), AGE)
    for place, column in enumerate((age, ROOMS)):
        np.testing.assert_allclose(x[:, place], (column - column[rows].mean()) / column[rows].std(), rtol=1e-12)
    np.testing.assert_array_equal(x[:, 2], np.isnan(AGE))
    for place, city in enumerate(("Bonn", "Ulm", None), 3):
        np.testing.assert_array_equal(x[:, place], [name == city for name in CITY])


def test_a_column_without_values_in_the_pool_and_a_constant_one():
    x, names = encode(read_table({"a": [None, None, 3.0, 4.0], "b": [7, 7, 7, 7]}, [0, 1, 1, 0]), np.arange(4) < 2)
    assert names == ("a", "b", "a missing")
    assert np.isfinite(x).all()
    assert (x[:2] == [[0, 0, 1], [0, 0, 1]]).all()


def test_changing_test_rows_changes_no_feature_of_the_pool():
    mine = task(COLUMNS, INCOME, num_test=10, num_start=4)
    before = mine.of_seed(3)
    present = np.asarray(before.pool.present)
    swap = lambda column, value: np.where(present, column, value)
    other = {"age": swap(AGE, 1e6), "city": swap(CITY, "Ulm"), "rooms": swap(ROOMS, -9)}
    after = task(other, INCOME, num_test=10, num_start=4).of_seed(3)
    assert np.array_equal(after.pool.present, present)
    np.testing.assert_array_equal(after.pool.x[present], before.pool.x[present])
    assert not np.array_equal(after.test[0], before.test[0])


def test_tasks_of_seeds():
    """Row n is row n of the table in every seed; test rows are absent; classes keep their shares; starts balance."""
    index = np.array([f"person {number}" for number in range(N)])
    answers = INCOME.copy()
    answers[[5, 6]] = None
    with pytest.warns(UserWarning, match="2 of 40 rows have no label, so that they are never picked$"):
        mine = task(Frame({**COLUMNS, "income": answers}, index), "income", num_test=10, num_start=4)
    assert mine.class_names == ("high", "low")
    assert mine.row_ids.tolist() == index.tolist()
    first, again, second = mine.of_seed(0), mine.of_seed(0), mine.of_seed(1)
    assert all(np.array_equal(*leaves) for leaves in zip(*map(jax.tree.leaves, (first, again)), strict=True))
    assert jax.tree.map(jnp.shape, first) == jax.tree.map(jnp.shape, second)
    assert not np.array_equal(first.pool.present, second.pool.present)
    for some in (first, second):
        present, labels = np.asarray(some.pool.present), np.asarray(some.oracle)
        assert present.sum() == N - 2 - 10
        assert not present[[5, 6]].any()
        assert present[some.start].all()
        assert np.bincount(labels[some.start]).tolist() == [2, 2]
        assert [mine.class_names[label] for label in labels[present]] == answers[present].tolist()
        share = np.mean(answers[answers != None] == "high")  # noqa: E711 - element by element
        assert abs(np.mean(np.asarray(some.test[1]) == 0) - share) < 0.06
        held_out = ~present
        held_out[[5, 6]] = False
        np.testing.assert_array_equal(some.test[0], some.pool.x[held_out])


def test_a_regression_and_an_array():
    y = RNG.normal(size=N)
    mine = task(np.stack([AGE, ROOMS], 1), y, num_test=10, num_start=3)
    one = mine.of_seed(0)
    assert mine.class_names is None
    assert mine.feature_names == ("x0", "x1", "x0 missing")
    np.testing.assert_array_equal(one.oracle, y.astype(np.float32))
    assert len(set(np.asarray(one.start).tolist())) == 3
    none = task(np.stack([AGE, ROOMS], 1), y, num_test=0).of_seed(0)
    assert none.start is None
    assert none.test is None
    assert none.pool.present.all()


def test_a_file_with_missing_labels_says_which_texts_are_read_as_missing(tmp_path):
    (tmp_path / "few.csv").write_text("size,kind\n1.0,a\n2.5,none\n3.0,b\n4.0,a\n")
    with pytest.warns(UserWarning, match="1 of 4 rows have no label, .* read as missing: .*'none', 'null'"):
        task(tmp_path / "few.csv", "kind", num_test=0)


def test_kinds_of_targets():
    some = {"a": [1.0, 2.0, 3.0]}
    assert read_table(some, [3, 1, 3]).class_names == ("1", "3")
    assert read_table(some, [True, False, True]).class_names == ("False", "True")
    assert read_table(some, [3, 1, 3], kind="real").class_names is None
    assert read_table(some, [3.0, 1.0, 3.0], kind="classes").class_names == ("1", "3")
    assert read_table(some, ["10", "9", None]).has_label.tolist() == [True, True, False]
    with pytest.warns(UserWarning, match=r"column 'day' holds 21 different texts, such as 'day 0'.* drop=\['day'\]"):
        read_table({"day": [f"day {n}" for n in range(21)]}, ["a", "b", "b"] * 7)
    assert list(read_table({"day": list("abc"), "size": [1.0, 2.0, 3.0]}, ["a", "b", "b"], drop=["day"]).columns) == [
        "size"
    ]
    codes = read_table({"zip": [89073, 53113, 89073]}, ["a", "b", "b"], categories=["zip"])
    assert encode(codes, np.ones(3, bool))[1] == ("zip=53113", "zip=89073")
    assert read_table(some, list(np.array([True, False, True]))).class_names == ("False", "True")
    assert read_table(some, list(np.array([3, 1, 3]))).class_names == ("1", "3")


def test_numbers_beside_text_stay_numbers_and_codes_stay_text(tmp_path):
    rows = read_table([[31, "Ulm"], [58, None], [44, "Bonn"]], ["a", "b", "a"]).columns
    assert rows["x0"].tolist() == [31.0, 58.0, 44.0]
    assert rows["x1"].tolist() == ["Ulm", None, "Bonn"]
    (tmp_path / "t.csv").write_text("site,y\n1_1,a\n11,b\n")
    assert read_table(tmp_path / "t.csv", "y").columns["site"].tolist() == ["1_1", "11"]


@pytest.mark.parametrize("seed", range(4))
def test_a_start_set_that_a_seed_cannot_draw_is_refused_for_all(seed):
    """Of classes of 2 and 8 rows a balanced start of 5 takes 2 and 3, or 3 and 2, as the seed has it."""
    table = read_table({"a": np.arange(10.0)}, [0] * 2 + [1] * 8)
    with pytest.raises(ValueError, match="takes up to 3 rows of a class, but of class '0' the pool has 2"):
        split_table(table, 0, 5, seed)
    assert np.bincount(table.y[split_table(table, 0, 4, seed)[2]]).tolist() == [2, 2]


GOOD = {"a": [1.0, 2.0, 3.0, 4.0], "b": ["x", "y", "x", None]}
Y = ["no", "yes", "no", "yes"]
WRONG = {
    "no file": (("nowhere.csv", "y"), {}, "no file 'nowhere.csv'"),
    "unknown target": ((GOOD, "c"), {}, "expected a target among a, b, got 'c'"),
    "unknown to drop": ((GOOD, Y), {"drop": ["c"]}, "a column to drop among a, b, got 'c'"),
    "unknown category": ((GOOD, Y), {"categories": ["c"]}, "a column of categories among a, b, got 'c'"),
    "nothing but a target": (({"a": Y}, "a"), {}, "at least one column beside the target"),
    "all missing": (({**GOOD, "c": [None] * 4}, Y), {}, "column 'c' holds no value at all; drop it"),
    "infinity": (({"a": [1.0, np.inf]}, ["n", "y"]), {}, "column 'a' holds infinity in row 1"),
    "dates": (({"a": np.array(["2020-01-01"] * 2, "datetime64[D]")}, ["n", "y"]), {}, "'a' holds datetime64"),
    "objects": (({"a": [{}, {}]}, ["n", "y"]), {}, "column 'a' holds dict; expected numbers, text"),
    "names": (({"a": [f"row {n}" for n in range(200)]}, [0, 1] * 100), {}, "200 different texts, more than the 100"),
    "one class": ((GOOD, ["no"] * 4), {}, "the target holds one class only, 'no'"),
    "constant target": ((GOOD, [1.5] * 4), {}, "the target holds one value only, 1.5"),
    "ambiguous target": ((GOOD, [1.0, 2.0, 1.0, 2.0]), {}, "say kind='classes' or kind='real'"),
    "text as real": ((GOOD, Y), {"kind": "real"}, "holds names, such as 'no', .* use kind='classes'"),
    "numbers as classes": (({"a": np.arange(200.0)}, np.arange(200)), {}, "200 different classes.* use kind='real'"),
    "infinite target": ((GOOD, [0.5, np.inf, 1.0, 2.0]), {}, "target of row 1 is infinite"),
    "other length": ((GOOD, Y[:3]), {}, r"one target for each of 4 rows, got an array of \(3,\)"),
    "columns of other length": (({"a": [1.0], "b": [1.0, 2.0]}, [0, 1]), {}, "columns of one length"),
    "a vector": ((np.ones(3), [0, 1, 0]), {}, r"rows by columns, got an array of shape \(3,\)"),
    "sizes": ((GOOD, Y), {"num_test": 3, "num_start": 1}, "leave rows to choose from, of 4 with a label, got num_test"),
    "a class of one": ((GOOD, ["no", "yes", "no", "no"]), {"num_test": 1}, "class 'yes' has 1 row, but pool and"),
    "a small test set": ((GOOD, Y), {"num_test": 1}, "at least one row for each of 2 classes, got num_test=1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_read_is_named(name):
    arguments, options, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        task(*arguments, **{"num_test": 0, **options})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2,3\n", "row 1 of t.csv has 3 values, but the header has 2"),
        ("a,a\n1,2\n", "different names"),
        ("a", "1 l"),
    ],
)
def test_files_that_are_no_tables(text, message, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_table(str(tmp_path / "t.csv"), "a")


def test_equal_seeds_split_alike():
    table = read_table(COLUMNS, INCOME)
    one, two, other = (split_table(table, 10, 4, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(*parts) for parts in zip(one, two))
    assert not np.array_equal(one[1], other[1])
    pool, test, start = one
    assert sorted([*pool, *test]) == list(range(N))
    assert set(start) <= set(pool)
