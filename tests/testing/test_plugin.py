"""The template of a package: its tests pass, and its strategy is found by name once it is installed."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bal.strategies import installed

FOLDER = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    yield
    sys.modules.pop("bal_brier", None)


def points():
    return [EntryPoint("gain", "bal_brier:brier_gain_query", installed.GROUP), EntryPoint("none", "math:tau", "x")]


def test_a_strategy_is_found_by_its_name_and_no_other(on_path):
    assert "brier_gain" in repr(installed.plug_in("bal_brier:gain", points()))
    with pytest.raises(ValueError, match="there is bal_brier:gain, math:none"):
        installed.plug_in("bal_brier:loss", points())


def test_what_makes_no_query_is_refused(on_path):
    with pytest.raises(TypeError, match="to return a Query, got"):
        installed.plug_in("builtins:gain", [EntryPoint("gain", "builtins:dict", installed.GROUP)])


@pytest.mark.slow  # an ensemble is compiled and trained
def test_the_tests_of_the_template_pass(on_path):
    import runpy

    tests = runpy.run_path(str(FOLDER / "tests" / "test_brier_gain.py"))
    names = [name for name in tests if name.startswith("test_")]
    assert len(names) == 3
    for name in names:
        tests[name]()
