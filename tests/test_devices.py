"""All cores in a user's own script, or a line that says what to do; libraries that are missing, and not needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PROGRAM = """
import warnings
{first}
import jax, jax.numpy as jnp
from bal.learners import ensemble, linear
from bal.loop import run_seeds, seed_keys
from bal.pool import make_pool
from bal.strategies import random
from bal.typing import Setup, Task
setup = Setup(ensemble(linear(2), 1, num_steps=0), random(), batch_size=1, num_rounds=1, num_initial=1)
task = Task(make_pool(jnp.ones((4, 2))), jnp.array([0, 1, 0, 1]))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for number in {seeds}:
        run_seeds(seed_keys(0, number), task, setup)
print([str(warning.message) for warning in told if "cores" in str(warning.message)], jax.local_device_count())
{last}
"""
FIRST = "import bal; import bal.loop.devices as devices; devices.num_available = lambda: 3; {call}"
LATE = """
try:
    bal.use_all_cores()
except RuntimeError as error:
    print(error)
print(bal.use_all_cores(1))
"""


def run(code: str, **environment: str) -> str:
    """What a program prints that knows nothing of the settings of the tests, but for how XLA compiles."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JAX")}
    kept |= {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", code], env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_one_core_of_several_is_said_once_and_what_to_do():
    _, told, late, one = without_libraries((2, 2, 1))
    assert told.count("run_seeds uses one of 3 cores") == 1
    assert told.endswith("call bal.use_all_cores() first in the script, before anything is computed'] 1")
    assert late.startswith("JAX has started with 1 host devices, too late for 3: call bal.use_all_cores() first")
    assert one == "1"


@pytest.mark.slow
def test_all_cores_are_devices_and_programs_are_kept(tmp_path):
    last = "print(jax.config.jax_compilation_cache_dir == str(devices.CACHE))"
    call = f"import pathlib; devices.CACHE = pathlib.Path({str(tmp_path / 'xla')!r}); bal.use_all_cores()"
    printed = run(PROGRAM.format(first=FIRST.format(call=call), seeds=(2, 2, 1), last=last)).splitlines()
    assert printed == ["[] 3", "True"]


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
import bal, bal.learners, bal.loop, bal.query, bal.selection, bal.strategies, bal.records, bal.datasets
try:
    import bal.learners.gp
except ModuleNotFoundError as error:
    print(error)
"""
ELSEWHERE = {
    *("blackjax", "gpjax", "numpyro", "paramax", "tyro", "matplotlib", "tueplots", "sklearn", "threadpoolctl"),
    "pandas",
}


def without_libraries(seeds):
    """What a program prints that does not ask for all cores, where libraries are missing."""
    last = "sys.meta_path.pop(0)  # use_all_cores needs threadpoolctl" + LATE
    program = PROGRAM.format(first=FIRST.format(call=""), seeds=seeds, last=last)
    return run(BLOCKED.format(blocked=ELSEWHERE) + program).splitlines()


def test_what_is_missing_is_not_needed():
    """Gaussian processes need gpjax, pictures matplotlib, and an experiment neither."""
    missing, run_anyway = without_libraries((1,))[:2]
    assert missing in {f"No module named {name!r}" for name in ("gpjax", "numpyro", "paramax")}
    assert run_anyway.endswith("1")
