"""The command `bal`: run, sweep, status, report, replay, export, label, watch, features."""

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is returned.

    0: done. 1: a cell failed, or picks differ. 2: what was typed cannot be meant, said in one line. Ctrl-C ends the
    process with 130, and the processes that it started with it: XLA runs where Python sees no signal, so the command
    has a thread of its own. The whole traceback of what cannot be meant is shown where ``BAL_TRACEBACK`` is set.

    Args:
      words: what was typed behind `bal`; ``sys.argv`` by default.
    """
    from concurrent.futures import ThreadPoolExecutor

    try:
        return ThreadPoolExecutor(1).submit(_main, list(sys.argv[1:] if words is None else words)).result()
    except KeyboardInterrupt:
        _leave()
    except BrokenPipeError:  # as of ``bal status | head``
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 1


def _main(words: list[str]) -> int:
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # functions are looked for here, as `python -m` does
    if words == ["--version"]:
        import bal

        print(bal.__version__)
        return 0
    from bal.cli.parsing import parse

    try:
        command = parse(words or ["--help"])
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2
    except (ValueError, TypeError) as error:
        return _refused(error)
    from bal.cli.doing import do

    return do(command, _refused)


def _refused(error: BaseException) -> int:
    if os.environ.get("BAL_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
    else:
        print(f"bal: {error}", file=sys.stderr)
    return 2


def _leave() -> None:
    """End the process and its workers, with a line on what is kept."""
    labeling = sys.modules.get("bal.cli.labeling")
    if labeling:
        labeling.leave()
    running = sys.modules.get("bal.cli.running")
    ended, total = running.ON_RECORD if running else (0, 0)
    kept = f"; type the same command again to go on: {ended} of {total} cells have ended" if total else ""
    if sys.stdout.isatty():
        sys.stdout.write("\033[?25h\n")  # the cursor, which bars hide
    sys.stdout.flush()
    print(f"stopped{kept}", file=sys.stderr, flush=True)
    os._exit(130)
