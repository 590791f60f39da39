"""State, finishing and names of a record; many records as a table."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from record_cases import CONFIG, make_round

from bal.records import open_record, table


def test_finished_record_is_read_only(tmp_path):
    with open_record(tmp_path, "run", {}) as record:
        record.append([make_round(0)])
        assert not record.done
        record.finish({"best": np.float32(0.5), "worst": math.inf})
        assert record.done
    again = open_record(tmp_path, "run", {})
    assert again.done
    assert again.summary == {"best": 0.5, "worst": math.inf}
    assert again.rounds() == [make_round(0)]
    open_record(tmp_path, "run", {})  # readers take no lock
    for act in (
        lambda: again.append([make_round(1)]),
        lambda: again.finish({}),
        lambda: again.save_state(1, {}),
    ):
        with pytest.raises(RuntimeError, match="finished and read only"):
            act()


def test_closed_record_refuses_to_write(tmp_path):
    with open_record(tmp_path, "run", {}) as record:
        pass
    with pytest.raises(RuntimeError, match="closed; open the record again"):
        record.append([make_round(0)])


def test_state_is_replaced_and_reads_back(tmp_path):
    arrays = {
        "file": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "round": np.array(7),
        "a/b": np.array(["x"]),
    }
    with open_record(tmp_path, "run", {}) as record:
        assert record.load_state() is None
        record.save_state(0, {"old": np.zeros(3)})
        record.save_state(4, arrays)
    with open_record(tmp_path, "run", {}) as record:
        state = record.load_state()
        with pytest.raises(TypeError, match="w: expected numbers, booleans or text, got dtype object"):
            record.save_state(5, {"w": np.array([None])})
    assert state is not None
    number, loaded = state
    assert number == 4
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        assert np.array_equal(loaded[name], array)
    with np.load(record.path / "state.npz", allow_pickle=False) as file:  # an npz like any other
        assert int(file["round"]) == 4


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../up", ".hidden", "with space"])
def test_names_that_are_no_folder_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="makes one folder"):
        open_record(tmp_path, name, {})


def make_study(root: Path) -> None:
    for acquisition in ("bald", "random"):
        with open_record(root, "digits", CONFIG | {"acquisition": acquisition, "sizes": [64, 128]}, "d") as record:
            for seed in (0, 1):
                record.append([make_round(number, seed) for number in range(3)])
            if acquisition == "bald":
                record.finish({})
    with open_record(root, "toy", {"batch_size": 1, "learner": "gp", "seed": 2**70 + 1}) as record:
        record.append([{"kind": "timing", "seconds": 3.0}, make_round(0, seconds=1.5, metrics={"rmse": math.inf})])


def test_table_is_the_long_form_of_all_rounds(tmp_path):
    make_study(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        columns = table(tmp_path)
    assert {len(column) for column in columns.values()} == {13}
    assert all(column.dtype.kind in "bifU" for column in columns.values())
    at = (columns["config.acquisition"] == "random") & (columns["seed"] == 1) & (columns["round"] == 2)
    (row,) = np.flatnonzero(at)
    event = make_round(2, seed=1)
    assert columns["metrics.accuracy"][row] == event["metrics"]["accuracy"]
    assert columns["counts.training"][row] == 9
    assert columns["config.learner.members"][row] == 5
    assert columns["config.sizes"][row] == "[64,128]"
    assert np.isnan(columns["seconds"][row])
    assert sum(columns["done"]) == 6
    assert columns["fingerprint"][row] == "d"
    toy = columns["name"] == "toy"
    assert columns["metrics.rmse"][toy] == math.inf
    assert np.isnan(columns["metrics.accuracy"][toy])
    assert columns["config.acquisition"][toy] == ""
    assert np.isnan(columns["config.learner.members"][toy])
    assert columns["config.seed"][toy] == str(2**70 + 1)
    assert columns["seconds"][toy] == 1.5


def test_table_makes_a_frame(tmp_path):
    polars = pytest.importorskip("polars")
    make_study(tmp_path)
    frame = polars.DataFrame(table(tmp_path))
    means = frame.group_by("config.acquisition").agg(polars.col("metrics.accuracy").mean())
    assert frame.height == 13
    assert set(means["config.acquisition"]) == {"bald", "random", ""}
    assert frame["config.acquisition"].dtype == polars.String


def test_table_of_nothing_has_the_fixed_columns_and_of_no_folder_is_an_error(tmp_path):
    assert {len(column) for column in table(tmp_path).values()} == {0}
    with pytest.raises(FileNotFoundError, match="pass the root"):
        table(tmp_path / "absent")


def test_nothing_on_a_read_path_is_unpickled(tmp_path):
    source = Path(__file__).parents[2] / "bal" / "records"
    text = "".join(file.read_text() for file in source.glob("*.py"))
    assert "allow_pickle=False" in text
    assert not any(word in text for word in ("allow_pickle=True", "import pickle", "eval(", "exec("))
