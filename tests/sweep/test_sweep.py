"""Each cell exactly once: by processes that race, that are killed, and of which cells make an end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
import trivial_cells
from rich.console import Console
from trivial_cells import Cell, run

from bal.progress import time_left
from bal.records import CorruptRecordError
from bal.sweep import Outcome, grid, store, sweep
from bal.sweep.cells import as_values
from bal.sweep.functions import function_of, name_of

QUIET = Console(quiet=True)
FOLDERS = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
NAME = "trivial_cells:run"


def begun(root):
    """How often each cell began and ended."""
    lines = [line.split() for line in (root / "log").read_text().splitlines()]
    return tuple(Counter(int(number) for what, number in lines if what == said) for said in ("begin", "end"))


def start(code, *arguments):
    """A Python process that can import bal and the cells, and has not imported JAX."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], env={**os.environ, "PYTHONPATH": FOLDERS}
    )


def wait_for(found, seconds=60):
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end
        time.sleep(0.01)


def alive(pid):
    try:
        return (
            f"{pid} (" in Path(f"/proc/{pid}/stat").read_text() and ") Z" not in Path(f"/proc/{pid}/stat").read_text()
        )
    except FileNotFoundError:
        return False


RACE = """
import os, signal, sys, time
from pathlib import Path
from rich.console import Console
from bal.sweep import grid, sweep
from trivial_cells import Cell, run
root, racers = Path(sys.argv[1]), []
cells = grid(Cell(), number=range(62)) + grid(Cell(what="hold"), number=[62, 63])
for number in range(8):
    pid = os.fork()
    if not pid:
        mine = cells[8 * number:] + cells[:8 * number]
        ends = sweep(root, run, mine, engine="here", console=Console(quiet=True))
        os._exit(0 if [end.state for end in ends] == 64 * ["done"] else 1)
    racers.append(pid)
for number in (62, 63):
    while not (root / f"holding-{number}").exists():
        time.sleep(0.01)
    os.kill(int((root / f"holding-{number}").read_text()), signal.SIGKILL)
codes = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in racers)
sys.exit(codes != [-9, -9, 0, 0, 0, 0, 0, 0])
"""


def test_eight_processes_race_for_64_cells_and_two_are_killed(tmp_path):
    """All are done, none twice; those that held a cell when they died have begun it in vain."""
    assert start(RACE, tmp_path).wait(120) == 0
    begins, ends = begun(tmp_path)
    assert ends == dict.fromkeys(range(64), 1)
    assert begins == dict.fromkeys(range(64), 1) | {62: 2, 63: 2}
    found = store.cells(tmp_path)
    assert {store.known(cell).state for cell in found} == {"done"}
    assert sorted(store.known(cell).summary["number"] for cell in found) == list(range(64))
    assert not any(store.known(cell).summary["jax"] for cell in found)


PARENT = """
import sys
from bal.sweep import grid, sweep
from trivial_cells import Cell, run
if __name__ == "__main__":
    sweep(sys.argv[1], run, grid(Cell(what="hold"), number=range(3)), workers=2)
"""


def test_a_sweep_goes_on_when_its_process_was_killed(tmp_path):
    """kill -9: the workers end with it, their locks are free, and what they were at is run again."""
    parent = start(PARENT, tmp_path)
    wait_for(lambda: len(list(tmp_path.glob("holding-*"))) == 2)
    workers = [int(path.read_text()) for path in tmp_path.glob("holding-*")]
    cells = {cell.values["number"]: store.known(cell) for cell in store.cells(tmp_path)}
    assert [cells[number].state for number in range(3)] == ["running", "running", "missing"]
    assert sorted(int(cells[number].who.split(":")[1]) for number in range(2)) == sorted(workers)
    assert all(map(alive, workers))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not any(map(alive, workers)))
    (tmp_path / "holding-2").touch()
    again = sweep(tmp_path, run, grid(Cell(what="hold"), number=range(3)), engine="here", console=QUIET)
    assert [end.state for end in again] == 3 * ["done"]
    assert begun(tmp_path) == ({0: 2, 1: 2, 2: 1}, {0: 1, 1: 1, 2: 1})


def test_processes_that_die_end_no_other_cell(tmp_path):
    """One thread, no JAX, what was printed in a file; a cell is begun once more if its process dies."""
    cells = [Cell(1, "die"), Cell(2, "die once"), Cell(3, "print"), Cell(4, "raise")]
    died, once, printed, raised = sweep(tmp_path, run, cells, workers=2, console=QUIET)
    assert died.state == "failed"
    assert "ended 2 times before it was done, killed or out of memory" in died.error
    assert once.state == "done"
    assert printed == Outcome("done", {"number": 3, "jax": False, "threads": "1"}, *printed[2:])
    assert raised.error == "RuntimeError: cell 4 is ill"
    assert begun(tmp_path)[0] == {1: 2, 2: 2, 3: 1, 4: 1}
    path = store.place(tmp_path, NAME, as_values(cells[2])).path
    assert (path / "output.txt").read_text() == "hello\nfrom below\n"
    assert "NPROC" not in os.environ


def test_what_failed_is_on_record_and_run_again(tmp_path):
    cells = [Cell(1, "raise"), Cell(2), Cell(3, "exit")]
    seen = []
    ends = sweep(tmp_path, run, cells, engine="here", console=QUIET, on_progress=lambda *told: seen.append(told))
    assert [end.state for end in ends] == ["failed", "done", "failed"]
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    text = store.traceback_of(store.place(tmp_path, NAME, as_values(cells[0])))
    assert "Traceback" in text
    assert 'raise RuntimeError(f"cell {cell.number} is ill")' in text
    assert ends[2].error == "SystemExit: --rounds must be at least 1"
    again = sweep(tmp_path, run, cells, engine="here", console=QUIET)
    assert [end.state for end in again] == ["failed", "done", "failed"]
    assert again[0].at > ends[0].at
    assert again[1] == ends[1]  # read back
    assert begun(tmp_path)[0] == {1: 2, 2: 1, 3: 2}


def test_done_says_of_what(tmp_path):
    sweep(tmp_path, run, [Cell(3, names=("a",))], engine="here", console=QUIET)
    (file,) = tmp_path.glob(".cells/*/done.json")
    body = json.loads(file.read_text())["body"]
    assert body["config"] == {"number": 3, "what": "return", "names": ["a"]}
    assert (body["function"], body["summary"]["number"]) == (NAME, 3)
    file.write_text(file.read_text().replace('"number": 3', '"number": 4'))
    with pytest.raises(CorruptRecordError, match=r"done.json does not match its own checksum"):
        store.known(store.cells(tmp_path)[0])
    (end,) = sweep(tmp_path, run, [Cell(3, names=("a",))], engine="here", console=QUIET)
    assert end.state == "failed"
    assert "does not match its own checksum" in end.error
    assert begun(tmp_path)[0] == {3: 1}


def test_ctrl_c_leaves_no_lock_and_no_failure(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, run, [Cell(1), Cell(2, "interrupt"), Cell(3)], engine="here", console=QUIET)
    assert [store.known(cell).state for cell in store.cells(tmp_path)] == ["done", "missing", "missing"]


def test_equal_cells_are_one(tmp_path):
    ends = sweep(tmp_path, run, [*grid(Cell(), number=[1, 2]), Cell(1)], engine="here", console=QUIET)
    assert [end.summary["number"] for end in ends] == [1, 2, 1]
    assert begun(tmp_path)[0] == {1: 1, 2: 1}


class Later:
    """An engine of one's own: nothing but submit, and futures of nothing but done and result."""

    def submit(self, function, *arguments):
        return Promise(function, arguments)


class Promise:
    def __init__(self, function, arguments):
        self.call, self.looks = lambda: function(*arguments), 0

    def done(self):
        self.looks += 1
        return self.looks > 2

    def result(self):
        return self.call()


@pytest.mark.parametrize("engine", [ThreadPoolExecutor(2), Later()], ids=["threads", "own"])
def test_an_engine_is_what_has_submit(engine, tmp_path):
    ends = sweep(tmp_path, run, grid(Cell(), number=range(5)), engine=engine, console=QUIET)
    assert [end.summary["number"] for end in ends] == list(range(5))
    assert set(begun(tmp_path)[0].values()) == {1}


class Away(Later):
    """An engine whose workers are in another folder."""

    def submit(self, function, *arguments):
        with contextlib.chdir("/"):
            return Promise(lambda found: found, (function(*arguments),))


def test_a_folder_is_the_same_for_workers_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    (end,) = sweep("runs", run, [Cell(1)], engine=Away(), console=QUIET)
    assert end.state == "done"
    assert begun(tmp_path / "runs") == ({1: 1}, {1: 1})
    assert store.known(store.cells("runs")[0]) == end


needs = lambda library: pytest.mark.skipif(find_spec(library) is None, reason=f"needs {library}")
EXTRA = [
    pytest.param("slurm", {"cluster": "debug"}, marks=needs("submitit")),
    pytest.param("slurm", {"cluster": "local"}, marks=[needs("submitit"), pytest.mark.slow]),
    pytest.param("ray", {}, marks=[needs("ray"), pytest.mark.slow]),
    pytest.param("dask", {}, marks=[needs("distributed"), pytest.mark.slow]),
]


@pytest.mark.parametrize(("engine", "options"), EXTRA)
def test_engines_of_other_libraries(engine, options, tmp_path):
    cells = [*grid(Cell(), number=range(3)), Cell(3, "raise")]
    ends = sweep(tmp_path, run, cells, engine=engine, options=options, workers=2, console=QUIET)
    assert [end.state for end in ends] == ["done", "done", "done", "failed"]
    assert begun(tmp_path)[0] == dict.fromkeys(range(4), 1)
    assert sweep(tmp_path, run, cells[:3], engine="here", console=QUIET) == ends[:3]


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_a_missing_library_says_what_to_install(tmp_path):
    with pytest.raises(ImportError, match=r"the engine 'ray' needs ray: pip install bal-jax\[ray\]"):
        sweep(tmp_path, run, [Cell()], engine="ray", console=QUIET)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"engine": "sun"}, ValueError, "no engine 'sun'; choose one of local, here"),
        ({"engine": 3}, TypeError, "has a method submit, got 3"),
        ({"options": {"a": 1}}, ValueError, "the engine 'local' takes no options, got a"),
        ({"workers": 0}, ValueError, "workers must be at least 1, got 0"),
        ({"cells": []}, ValueError, "a sweep needs at least one cell"),
        ({"cells": [3]}, TypeError, "trivial_cells:run takes a Cell, got the cell 3"),
        ({"run": lambda config, root: None}, TypeError, "must be able to import the function"),
        ({"run": trivial_cells.not_annotated}, TypeError, r"must say what its cells are: def run\(config: Config"),
    ],
)
def test_what_cannot_be_meant_is_refused(changed, error, message, tmp_path):
    told = {"run": run, "cells": [Cell()], "console": QUIET} | changed
    with pytest.raises(error, match=message):
        sweep(tmp_path, told.pop("run"), told.pop("cells"), **told)


def test_functions_by_name():
    assert function_of(name_of(run)) is run
    with pytest.raises(ValueError, match="expected module:function, got 'run'"):
        function_of("run")
    with pytest.raises(ValueError, match="no module 'nowhere' can be found"):
        function_of("nowhere:run")
    with pytest.raises(ValueError, match="has no function 'rum'"):
        function_of("trivial_cells:rum")


def test_time_left():
    assert time_left(60.0, 2, 4) == "about 2 min left"
    assert time_left(60.0, 0, 4) == "time left not known"
    assert time_left(60.0, 2, 0) == "nothing left"


def test_progress_in_a_log_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("bal.progress.LINES", 0.0)
    sweep(tmp_path, run, [Cell(1), Cell(2, "raise")], engine="here", console=Console())
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.endswith("0 of 2 cells, 0 running, time left not known: on record")
    assert "1 of 2 cells" in second
    assert "done, number=1" in second
    assert third.endswith("1 failed, nothing left: failed, number=2 what=raise: RuntimeError: cell 2 is ill")
