"""The benchmark of accelerators: its programs are those of an accelerator, and its checks can fail."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from bal.typing import Selection
from experiments.benchmarks import accelerator_rules, accelerator_studies
from experiments.benchmarks.accelerator import sizes
from experiments.benchmarks.accelerator_check import Case, checked, compare, flags, product_check
from experiments.benchmarks.accelerator_timing import Clock, Work, is_meant, measured, peak_works

ROOT = Path(__file__).parent.parent
TINY = sizes("tiny")
MAKERS = {
    "peaks": lambda: peak_works(TINY.copy, TINY.matrix),
    "rules": lambda: accelerator_rules.works(TINY.rules),
    "digits": lambda: accelerator_studies.digits_works(TINY.studies, "cuda"),
    "networks": lambda: accelerator_studies.network_works(TINY.studies),
    "gp": lambda: accelerator_studies.gp_works(TINY.studies, "cuda"),
}


@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=pytest.mark.slow if part in ("gp", "networks") else ()) for part in MAKERS]
)
def test_every_program_lowers_for_accelerators_without_calls_to_a_host(part):
    for work in MAKERS[part]():
        traced = jax.jit(work.function).trace(*jax.eval_shape(work.make))
        text = traced.lower(lowering_platforms=("cuda", "tpu")).as_text()
        assert "callback" not in text, work.name
        assert ("stablehlo.convolution" in text) == ("LeNet" in work.name)


@pytest.mark.slow
def test_memory_is_linear_in_the_seeds():
    work = accelerator_studies.digits_works(TINY.studies, "cuda")[0]
    one = jax.eval_shape(work.make)

    def temporary(num_seeds: int) -> int:
        keys = jax.ShapeDtypeStruct((num_seeds,), one[0].dtype)
        return jax.jit(work.function).lower(keys, one[1]).compile().memory_analysis().temp_size_in_bytes

    two, four, eight = map(temporary, (2, 4, 8))
    assert two < four < eight
    assert (eight - four) / (four - two) == pytest.approx(2, rel=0.1)


def test_a_wrong_score_a_wrong_pick_and_a_tie():
    pick = lambda indices, scores: Selection(np.array(indices), np.array(scores), np.ones(3, bool))
    right = pick([4, 2, 7], [3.0, 2.0, 1.0])
    assert compare(right, right) == (0.0, "")
    assert compare(np.array([1.0, np.nan]), np.array([1.001, np.nan]))[0] > 1
    assert compare(np.array([1.0]), np.array([np.nan]))[0] == np.inf
    tie = pick([4, 3, 9], [3.0, 2.0 + 1e-6, 0.5])  # after it the batch is another
    assert compare(tie, right) == (pytest.approx(0, abs=0.1), "pick 2 is another of the same gain")
    assert compare(pick([4, 3, 7], [3.0, 1.9, 1.0]), right)[0] > 1


def test_loose_products_and_host_callbacks_are_seen():
    a = jnp.ones((4, 4))
    text = lambda function: jax.jit(function).lower(a).as_text()
    assert flags(text(lambda a: jnp.matmul(a, a, precision="highest"))) == ""
    assert flags(text(lambda a: a @ a)) == "1 of 1 products in default precision"
    called = lambda a: jax.pure_callback(lambda a: a, jax.ShapeDtypeStruct(a.shape, a.dtype), a)
    assert flags(text(called)) == "a host callback"
    loose = checked(Case("loose", jax.jit(lambda a: a @ a), lambda: (a,)))
    assert loose.passed is False
    assert loose.error is not None
    assert loose.error <= 1


def test_products_in_full_precision_pass_and_others_are_named():
    found = product_check()
    assert found.passed
    assert "of the default precision" in found.note


def test_what_fails_or_has_no_time_says_so_and_the_others_go_on():
    good = Work("good", lambda a: a + 1, lambda: (jnp.ones(3),), 3, "rows", "", bytes=24.0)
    bad = good._replace(name="bad", function=lambda a: a @ jnp.ones(4))
    late = good._replace(name="late", growth=1e9)
    rows = list(measured("part", [bad, good, late], {"copy": 1e9}, Clock(60.0)))
    assert [row.name for row in rows] == ["bad", "good", "late"]
    assert rows[0].note.startswith("TypeError")
    assert rows[1].share == pytest.approx(24.0 / rows[1].seconds / 1e9)
    assert rows[1].rate == pytest.approx(3 / rows[1].seconds)
    assert rows[2].note.startswith("not run: about")
    assert next(measured("part", [good], {}, Clock(0.0))).note == "not run: no time left"
    assert is_meant("digits, 4 seeds", ("gp", "digits"))
    assert not is_meant("badge", ("gp", "digits"))


BLOCKED = (
    *(
        "beartype",
        "blackjax",
        "equinox",
        "filelock",
        "gpjax",
        "lineax",
        "matplotlib",
        "numpyro",
        "pandas",
        "paramax",
        "polars",
    ),
    *("sklearn", "threadpoolctl", "tueplots", "tyro"),
)
ALONE = """
import runpy, sys
sys.modules.update(dict.fromkeys({blocked}))  # importing one is an error, as where it is not installed
sys.argv = [{script!r}, *"--sizes tiny --parts rules gp check --only bald products --out".split(), {out!r}]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_it_runs_from_a_checkout_with_little_installed(tmp_path):
    """Flax needs rich itself; all else that the package can do without is missing, and the package not installed."""
    script = str(ROOT / "experiments" / "benchmarks" / "accelerator.py")
    code = ALONE.format(blocked=BLOCKED, script=script, out=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "generated in the shape of digits, for there is no scikit-learn" in done.stdout
    assert "not run: it needs gpjax, which is not installed" in done.stdout
    assert "2 compared, 0 wrong, 0 without comparison" in done.stdout
    assert "no picture: there is no matplotlib" in done.stdout
    found = json.loads((tmp_path / "accelerator.json").read_text())
    assert [row["name"] for row in found["rows"]][-2:] == ["bald", "gp"]
    assert not (tmp_path / "accelerator.png").exists()
