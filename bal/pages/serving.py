"""A page in the browser: a server on this machine alone, whose link holds a token."""

import contextlib
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from bal.pages.guard import LOOPBACK, MOST_BYTES, Guard

LOOK = Path(__file__).parent / "look.css"
GONE = Path(__file__).parent / "gone.js"
WARNING = """\
Warning: this server listens on {host}: whoever reaches this machine and has the link sees the page and may act in it,
and the link travels unencrypted. Safer: the default address and a tunnel, ssh -L {port}:127.0.0.1:{port} THIS-MACHINE.
"""


def nicegui() -> Any:
    """The library of the pages, `nicegui`, imported when it is first needed.

    Raises:
      ImportError: it is not installed.
    """
    try:
        return import_module("nicegui")
    except ModuleNotFoundError as error:
        raise ImportError("a page needs nicegui, which is not installed; pip install 'bal-jax[ui]'") from error


def serve(
    build: Callable[..., Any],
    *,
    title: str = "bal",
    host: str = LOOPBACK[0],
    port: int = 0,
    token: str | None = None,
    open_browser: bool = True,
) -> None:
    """Serves one page until it is interrupted, and prints its link.

    The server listens on this machine alone unless `host` says otherwise (with a warning). Nobody gets in without the
    token in the link, under another host's name, or from another server's page (`Guard`). The page loads nothing from
    elsewhere. One server to a process.

    Args:
      build: fills the page; called for every browser tab that opens or reloads, within NiceGUI's context. It may be
        async. Parameters with defaults are read from the link's query, as in `/?annotator=anna`.
      title: of the tab.
      host: what the server is bound to.
      port: 0 takes a free one.
      token: what the link holds; the environment variable BAL_TOKEN, or else a new random one. With a token and a port
        of one's own a tab finds the server again after a restart.
      open_browser: opens the link where there is a screen.

    Raises:
      ImportError: nicegui is not installed.
      ValueError: the address cannot be taken, or the token is too short.

    >>> from bal.pages import serve, write
    >>> def build():
    ...     write("h1", "Hello")
    >>> serve(build, port=8123)  # doctest: +SKIP
    Open http://127.0.0.1:8123/?token=... (Ctrl-C stops)
    """
    token = check_token(token or os.environ.get("BAL_TOKEN") or secrets.token_urlsafe(24))
    nicegui()  # before a port is taken
    listening = listen(host, port)
    port = listening.getsockname()[1]
    app = application(build, title=title, host=host, token=token, cookie=f"bal-{port}")
    name = host if host in LOOPBACK else socket.gethostname()
    link = f"http://{f'[{name}]' if ':' in name else name}:{port}/?token={token}"

    uvicorn = import_module("uvicorn")  # which comes with NiceGUI, as fastapi
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws_max_size=MOST_BYTES,
        timeout_graceful_shutdown=2,
    )

    def announce() -> None:
        if host not in LOOPBACK:
            print(WARNING.format(host=host, port=port), file=sys.stderr, end="", flush=True)
        print(f"Open {link} (Ctrl-C stops)", flush=True)
        if open_browser and has_screen():
            threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()

    nicegui().app.on_startup(announce)
    sys.setswitchinterval(0.001)  # a page answers while other threads compute: it waits for them 1 ms, not 5
    with listening, contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def application(build: Callable[..., Any], *, title: str, host: str, token: str, cookie: str) -> Any:
    """The page as an application of ASGI, guarded; NiceGUI has one in a process."""
    app = import_module("fastapi").FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, token=token, host=host, cookie=cookie)
    ui = nicegui().ui
    ui.add_css(LOOK.read_text(), shared=True)
    ui.add_body_html(f"<script>{GONE.read_text()}</script>", shared=True)
    ui.run_with(
        app,
        root=build,
        title=title,
        dark=None,  # as the system prefers
        favicon="🎯",
        language="en-US",
        reconnect_timeout=10,
        show_welcome_message=False,
        tailwind=False,
    )
    return app


def check_token(token: str) -> str:
    """The token, if nobody guesses it.

    Raises:
      ValueError: it is short, or holds letters that a link would change.
    """
    if len(token) < 16 or not token.replace("-", "").replace("_", "").isalnum() or not token.isascii():
        raise ValueError(
            f"a token of at least 16 letters, digits, - or _ was expected and one of {len(token)} characters came; "
            "leave it out and a random one is made"
        )
    return token


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address.

    Raises:
      ValueError: the address cannot be taken.
    """
    try:
        if not 0 <= port < 2**16:
            raise OverflowError("ports are 0 to 65535")  # which the system would take modulo 65536
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"{host}:{port} cannot be listened on ({error}); give another port, or 0 for a free one"
        ) from error
    return listening


def has_screen() -> bool:
    """Whether a browser would show: a browser of text would take over the terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
