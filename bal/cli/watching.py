"""bal watch."""

from rich.console import Console

from bal.cli.commands import Watch


def watch(command: Watch, console: Console) -> int:
    """A page on a folder, until Ctrl-C."""
    del console
    from bal.watching.page import serve_folder
    from bal.watching.page.view import Pool

    pool = Pool(command.pool, command.picture or None)
    serve_folder(command.root, pool, host=command.host, port=command.port, open_browser=command.open)
    return 0
