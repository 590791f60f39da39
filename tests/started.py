"""Python processes as a user starts them, forked from one that has everything imported and nothing computed.

Each has its own arguments, working folder, environment, output and exit code, and ends as every Python process does.
Importing the libraries anew takes longer than most of what is tested this way.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
LIBRARIES = (
    *("flax.nnx", "jax", "matplotlib.pyplot", "optax", "rich.progress", "scipy.stats", "sklearn.datasets", "tyro"),
    *("bal.acquisition", "bal.datasets", "bal.evaluation", "bal.learners", "bal.loop", "bal.progress"),
    *("bal.records", "bal.selection"),
)
SERVER = """
import importlib, json, os, signal, sys, types
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
sys.modules["bal.progress"].LINES = 0.0  # each step has its line: tests wait for them
for line in sys.stdin:
    command, folder, environment, output = json.loads(line)
    child = os.fork()
    if not child:
        break
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
for number, path in enumerate((os.devnull, *output)):
    os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
signal.signal(signal.SIGINT, signal.default_int_handler)
os.chdir(folder)
os.environ.update(environment)
sys.argv = command if command[0] != "-c" else ["-c", *command[2:]]
first = "" if command[0] == "-c" else os.path.dirname(command[0])
sys.path[:1] = [first, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
code = command[1] if command[0] == "-c" else open(command[0]).read()
main = sys.modules["__main__"] = types.ModuleType("__main__")
main.__file__ = command[0]
exec(compile(code, command[0], "exec"), main.__dict__)
"""


class Finished(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Running:
    """A process that may still run: what it has printed so far, and how it ends."""

    def __init__(self, server: subprocess.Popen, output: list[Path]):
        self.server, self.output = server, output
        self.pid = int(server.stdout.readline())

    def wait_for(self, text: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while text not in self.output[0].read_text():
            assert time.monotonic() < end, self.output[0].read_text()
            time.sleep(0.01)

    def wait(self) -> Finished:
        code = int(self.server.stdout.readline())
        return Finished(code, *(path.read_text() for path in self.output))


class Server:
    """Starts processes, one after the other."""

    def __init__(self, process: subprocess.Popen, outputs: Path):
        self.process, self.outputs, self.number = process, outputs, 0

    def start(self, command: list[Any], folder: Path, **environment: str) -> Running:
        self.number += 1
        output = [self.outputs / f"{self.number}.{name}" for name in ("out", "err")]
        for path in output:
            path.touch()
        request = list(map(str, command)), str(folder), environment, list(map(str, output))
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return Running(self.process, output)

    def run(self, command: list[Any], folder: Path, **environment: str) -> Finished:
        return self.start(command, folder, **environment).wait()


@contextmanager
def server(outputs: Path) -> Iterator[Server]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SERVER, json.dumps(LIBRARIES)]
    with subprocess.Popen(
        command, cwd=outputs, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Server(process, outputs)
        process.stdin.close()
