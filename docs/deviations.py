"""How far two numbers are apart wherever tests compare them: a plugin of pytest, run in a process of its own.

A test may run twice: as it is; and in double precision, with its arrays in it, so that a score which the test asks for
in float32 is compared in float64, too (`python -O`: nothing is asserted there, only measured).
"""

import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bal", "bal.acquisition", "bal.selection", "bal.kernels", "bal.learners.gp", "bal.query", "bal.loop")


def measure(tests: list[str], twice: bool) -> dict[str, dict[str, float]]:
    """The largest deviation by case of a test and by precision; an error where a test fails or none is found."""
    found: dict[str, dict[str, float]] = {}
    for double in (False, True)[: 1 + twice]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "found.json"
            words = [sys.executable, *["-O"] * double, __file__, str(path), *tests]
            x64 = {"JAX_ENABLE_X64": "1"} if double else {}
            ran = subprocess.run(words, cwd=ROOT / "tests", env=os.environ | x64, capture_output=True, text=True)
            if ran.returncode and not (double and json.loads(path.read_text() if path.exists() else "{}")):
                raise RuntimeError(f"tests failed while they were measured:\n{ran.stdout[-4000:]}{ran.stderr[-2000:]}")
            for case, values in json.loads(path.read_text()).items():
                new = {"float64": values["jax float64"]} if double and "jax float64" in values else {}
                new = new if double else {kind: values[kind] for kind in ("float32", "float64") if kind in values}
                known = found.setdefault(case, {})
                known |= {kind: max(value, known.get(kind, 0.0)) for kind, value in new.items()}
    return found


class Recorder:
    """Records what `assert_allclose` and `approx` compare, by the test that runs."""

    def __init__(self):
        self.case, self.found = "", {}

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        """The case that runs next."""
        self.case = nodeid.removeprefix("tests/")

    def compare(self, ours: Any, oracle: Any) -> None:
        """Keep the largest deviation."""
        import jax
        import numpy as np

        try:
            a, b = (np.asarray(one) for one in (ours, oracle))
            a, b = np.broadcast_arrays(a, b)
            a, b = a.astype(float), b.astype(float)
        except (TypeError, ValueError):
            return
        finite = np.isfinite(a) & np.isfinite(b)
        far = np.max(np.abs(a - b)[finite] / np.maximum(1, np.abs(b[finite])), initial=0.0)
        kinds = [getattr(one, "dtype", None) for one in (ours, oracle)]
        double = any(isinstance(one, jax.Array) and one.dtype == "float64" for one in (ours, oracle))
        single = "float32" in [str(kind) for kind in kinds]
        kind = "float32" if single or not (double or jax.config.jax_enable_x64) else "float64"
        values = self.found.setdefault(self.case, {})
        for one in [kind, *["jax float64"] * (double and not single)]:
            values[one] = max(values.get(one, 0.0), float(far))


def main(path: str, *tests: str) -> int:
    """Run tests under the recorder, and write what it found."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import pytest

    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    recorder = Recorder()
    close, approx, jit, asarray = np.testing.assert_allclose, pytest.approx, jax.jit, jnp.asarray

    def all_close(actual: Any, desired: Any, *args: Any, **kwargs: Any) -> None:
        recorder.compare(actual, desired)
        close(actual, desired, *args, **kwargs)

    class Approx:
        __array_ufunc__ = None
        __hash__ = None

        def __init__(self, expected: Any, *args: Any, **kwargs: Any):
            self.expected, self.inner = expected, approx(expected, *args, **kwargs)

        def __eq__(self, other: object) -> bool:
            recorder.compare(other, self.expected)
            return self.inner == other

        def __repr__(self) -> str:
            return repr(self.inner)

    def doubled(x: Any) -> Any:
        return x.astype("float64") if getattr(x, "dtype", None) == "float32" else x

    def of_doubled(function: Any, **settings: Any) -> Any:
        compiled = jit(function, **settings)
        call = lambda *args, **kwargs: compiled(*jax.tree.map(doubled, args), **jax.tree.map(doubled, kwargs))
        return functools.update_wrapper(call, function)

    np.testing.assert_allclose, pytest.approx = all_close, Approx
    if jax.config.jax_enable_x64:
        jax.config.update("jax_num_cpu_devices", 2)  # as tests/conftest.py does, but before a package starts JAX
        for package in PACKAGES:  # what is compiled there stays as it is
            importlib.import_module(package)
        jax.jit, jnp.asarray = of_doubled, lambda *args, **kwargs: doubled(asarray(*args, **kwargs))
    code = pytest.main(
        ["-q", "-o", "addopts=", "-p", "no:cacheprovider", "-m", "not browser", *tests], plugins=[recorder]
    )
    Path(path).write_text(json.dumps(recorder.found))
    return int(code)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
