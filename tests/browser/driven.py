"""A command of `bal` that serves a page, as a user types it, and what is asked of every page."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent.parent
LINK = re.compile(r"http://\S+")
HEARS = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores for what it starts with `&`
runpy.run_module("bal", run_name="__main__")
"""


class Served(NamedTuple):
    """A server that runs: the link that it printed, token included, and its process."""

    url: str
    process: subprocess.Popen
    output: Path

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path or a token."""
        return "/".join(self.url.split("/")[:3])

    def kill(self) -> None:
        """SIGKILL, as the system does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ctrl-C, as people do; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


def serve(words: list[Any], folder: Path, output: Path, seconds: float = 60, **environment: str) -> Served:
    """Start ``bal WORDS`` in a folder and wait for the link that it prints.

    Raises:
      AssertionError: it ended, or printed none in time; with what it printed.
    """
    found = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment}
    command = [sys.executable, "-c", HEARS, *map(str, words)]
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, env=found, stdout=file, stderr=subprocess.STDOUT)
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        link = LINK.search(output.read_text())
        if link and output.read_text()[link.end() :].strip(" "):  # the line is whole
            return Served(link[0], process, output)
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise AssertionError(f"no link from bal {' '.join(map(str, words))}:\n{output.read_text()}")


def foreign(page: Any, served: Served) -> list[str]:
    """Addresses that the page asked for and that are not the server's."""
    own = (served.origin + "/", served.origin.replace("http", "ws") + "/", "data:", "blob:", "about:")
    return [address for address in page.asked if not address.startswith(own)]


def offends(page: Any) -> list[str]:
    """What axe-core finds against WCAG 2.1 AA on the page as it is now: contrast, names, roles, labels, landmarks."""
    from axe_playwright_python.sync_playwright import Axe

    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}}).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}: {node['failureSummary']}" for one in found for node in one["nodes"]]


def wider_than_window(page: Any) -> int:
    """Pixels that the page can be scrolled sideways."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
