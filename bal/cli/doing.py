"""What each command does: parts are imported when they are needed, so that ``bal --help`` is quick."""

from collections.abc import Callable
from typing import Any

from rich.console import Console

from bal.cli import commands


def do(command: Any, refused: Callable[[BaseException], int]) -> int:
    """Do what was typed; the exit code. What cannot be done as typed is `refused`."""
    from bal.records import CorruptRecordError, RecordLockedError

    try:
        return _doer(command)(command, Console())
    except BrokenPipeError:
        raise
    except (ValueError, TypeError, ImportError, OSError, CorruptRecordError, RecordLockedError) as error:
        return refused(error)
    except SystemExit as error:  # tyro has explained what it refuses
        return error.code if isinstance(error.code, int) else 2


def _doer(command: Any) -> Callable[[Any, Console], int]:
    if isinstance(command, commands.Run | commands.Sweep | commands.Status):
        from bal.cli import running

        if isinstance(command, commands.Status):
            return running.status
        return running.run if isinstance(command, commands.Run) else running.run_sweep
    if isinstance(command, commands.Report):
        from bal.cli import reporting

        return reporting.report
    if isinstance(command, commands.Replay):
        from bal.cli import replaying

        return replaying.replay
    if isinstance(command, commands.Label):
        from bal.cli import labeling

        return labeling.label
    if isinstance(command, commands.Watch):
        from bal.cli import watching

        return watching.watch
    if isinstance(command, commands.Features):
        from bal.cli import features

        return features.features
    from bal.cli import exporting

    return exporting.export
