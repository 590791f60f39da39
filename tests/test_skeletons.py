"""The skeletons of docs/skeletons/: their examples and oracles, and the contract of what each stands for."""

import doctest
import importlib.util
import inspect
from contextlib import suppress
from pathlib import Path

import jax
import pytest
import test_method
from contracts import test_acquisitions, test_learners, test_selectors, test_stage_functions

FOLDER = Path(__file__).parent.parent / "docs" / "skeletons"


def load(name):
    spec = importlib.util.spec_from_file_location(f"skeleton_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SKELETONS = {path.stem: load(path.stem) for path in sorted(FOLDER.glob("*.py"))}


@pytest.mark.parametrize("name", SKELETONS)
def test_examples_and_oracles(name):
    module = SKELETONS[name]
    runner, find = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS), doctest.DocTestFinder().find
    for part in [inspect.unwrap(part) for part in vars(module).values() if inspect.isfunction(part)]:
        if part.__module__ == module.__name__:
            for example in find(part, part.__name__, globs=dict(vars(module))):
                runner.run(example)
    assert runner.summarize().attempted
    assert not runner.failures
    oracles = [test for part, test in vars(module).items() if part.startswith("test_")]
    assert oracles
    for test in oracles:
        test()


@pytest.mark.parametrize(
    ("row", "other"),
    [
        (SKELETONS["rule"].ROW.select.__wrapped__, SKELETONS["rule"].penalized(2.0)),
        (SKELETONS["kernel"].ROW.kernel, SKELETONS["kernel"].rbf(0.25)),
        (SKELETONS["learner"].ROW.learner, SKELETONS["learner"].bayesian_linear(noise=0.2)),
    ],
)
def test_made_alike_is_equal(row, other):
    again = test_method.made_again(row)
    assert again == row
    assert hash(again) == hash(row)
    assert row != other


def every(tests, case, **more):
    """All tests of a contract that need but a row of its table, or that and what is given."""
    for name, test in vars(tests).items():
        needed = inspect.signature(test).parameters.keys() if name.startswith("test_") else ()
        if needed and needed <= {"case", *more}:
            with suppress(pytest.skip.Exception):
                test(**{part: {"case": case, **more}[part] for part in needed})


def test_the_acquisition_keeps_the_contract(monkeypatch):
    row = SKELETONS["acquisition"].ROW
    compiled = row._replace(function=jax.jit(row.function))
    monkeypatch.setitem(test_acquisitions.ACQUISITIONS, "brier_gain", compiled)
    monkeypatch.setitem(test_acquisitions.COMPILED, "brier_gain", compiled)
    every(test_acquisitions, compiled, name="brier_gain", num_rows=test_acquisitions.LARGE, dtype="float32")


def test_the_rule_keeps_the_contract(monkeypatch):
    row = SKELETONS["rule"].ROW
    monkeypatch.setitem(test_selectors.SELECTORS, "penalized", row)
    every(test_selectors, row, name="penalized", num_left=2, dtype="float32")


def test_the_context_and_its_row_function_keep_the_contract(monkeypatch):
    module = SKELETONS["context"]
    monkeypatch.setitem(test_stage_functions.CONTEXTS, "pool_shares", module.CONTEXT)
    monkeypatch.setitem(test_stage_functions.ROW_FUNCTIONS, "rare_class_scores", module.ROW_FUNCTION)
    test_stage_functions.test_row_functions_are_row_wise("rare_class_scores")
    test_stage_functions.test_contexts_do_not_depend_on_chunks_labels_or_absent_rows("pool_shares")


def test_the_learner_keeps_the_contract():
    row = SKELETONS["learner"].ROW
    every(
        test_learners, row, fitted=test_learners.compiled(row.learner, test_learners.make_data(row.image, row.labels))
    )
