"""Programs that must stay short: each is run as it stands, and its lines are counted (imports are not)."""

import numpy as np
import pytest

from bal.datasets import digits, two_bells

IMPORTS = """
import jax
from bal import make_pool, run_eager, run_seeds, seed_keys, strategies, study, task
from bal.evaluation import classification, comparison_table, learning_curves
from bal.learners import ensemble, mlp
from bal.typing import Setup, Task
from rich import print
"""
EPIG = """
setup = Setup(learner, strategies.epig(x_target), batch_size=2, num_rounds=2, num_initial=4)
runs = run_seeds(seed_keys(0, num_seeds=2), Task(make_pool(x), y), setup)
"""
OWN_CSV = """
people = task("people.csv", "income", num_test=6, num_start=4)
learner = ensemble(mlp((4,), num_outputs=len(people.class_names)), num_members=2, num_steps=2)
setup = Setup(learner, strategies.bald(), batch_size=2, num_rounds=2)
log = run_eager(jax.random.key(0), people.of_seed(0), setup)
acquired = people.row_ids[log.indices]
labels = [people.class_names[label] for label in log.y.ravel()]
"""
STUDY = """
queries = {"entropy": strategies.entropy(), "bald": strategies.bald(), "power-bald": strategies.power_bald()}
for name, data in sets.items():
    table = task(data.x, data.y, num_test=20, num_start=10)
    learner = ensemble(mlp((4,), num_outputs=len(table.class_names)), num_members=2, num_steps=2)
    setups = {label: Setup(learner, query, 2, 2, evaluate=classification()) for label, query in queries.items()}
    curves = study("runs", {name: table.of_seed}, setups, num_seeds)[name]
    accuracy[name] = curves.metrics["accuracy"]
    print(comparison_table(curves.labels, accuracy[name], metric="accuracy"))
    learning_curves(f"{name}.png", curves.labels, accuracy[name], "test accuracy")
"""


def ran(program, most, **given):
    assert len(program.strip().splitlines()) <= most
    exec(IMPORTS + program, given)
    return given


@pytest.mark.slow
def test_three_data_sets_four_strategies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sets = {"digits": digits(), "one-side": two_bells(200), "other-side": two_bells(200, seed=1)}
    sets = {name: some._replace(x=some.x[:100], y=some.y[:100]) for name, some in sets.items()}
    first = ran(STUDY, 12, sets=sets, num_seeds=2, accuracy={})["accuracy"]
    assert first.keys() == sets.keys()
    for name, curves in first.items():
        assert set(curves) == {"random", "entropy", "bald", "power-bald"}
        assert all(values.shape == (2, 3) for values in curves.values())
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
    grown = ran(STUDY, 12, sets={"digits": sets["digits"]}, num_seeds=3, accuracy={})["accuracy"]
    for label, values in grown["digits"].items():
        np.testing.assert_array_equal(values[:2], first["digits"][label])


@pytest.mark.slow  # as a page of docs/, which runs
def test_epig_with_target_inputs():
    from bal.learners import ensemble, mlp

    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    learner = ensemble(mlp((4,), num_outputs=2), 2, num_steps=2)
    found = ran(EPIG, 2, x=x, y=(x[:, 0] > 0).astype(np.int32), x_target=x[:5] + 1, learner=learner)
    log = found["runs"].log
    for picks, start in zip(np.asarray(log.indices), np.asarray(log.start)):
        assert len({*picks.ravel().tolist(), *start.tolist()}) == 8
    assert (np.asarray(log.scores) > 0).all()


@pytest.mark.slow  # as a page of docs/, which runs
def test_a_csv_file_with_text_categories_and_missing_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{20 + n if n % 5 else ''},{['Ulm', 'Bonn', '?'][n % 3]},{['low', 'high'][n % 2]}" for n in range(30)]
    (tmp_path / "people.csv").write_text("\n".join(["age,city,income", *rows]))
    found = ran(OWN_CSV, 8)
    acquired = found["acquired"].ravel()
    assert len(set(acquired.tolist())) == 4
    assert found["labels"] == [rows[n].split(",")[2] for n in acquired]
