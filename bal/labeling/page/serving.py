"""The desk as a page: who is at work, and the frame around an item."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bal.labeling.page.sheet import Sheet
from bal.pages import nicegui, serve, shell, write

HERE = Path(__file__).parent
MOST_NAME = 60  # letters of an annotator's name


def serve_desk(desk: Any, *, title: str = "bal label", **options: Any) -> None:
    """Serves a desk as a page until it is interrupted; the desk is closed by who opened it.

    A tab asks for the annotator's name first, unless the link has it: `/?annotator=anna`. Every annotator has a queue
    of their own; a name is at work in one tab at a time, the newest.

    Args:
      desk: an open `bal.labeling.Desk`.
      title: of the tab and the page.
      **options: of `bal.pages.serve`: host, port, token, open_browser.

    Raises:
      ImportError: nicegui is not installed.
      ValueError: the address cannot be taken.

    >>> serve_desk(desk, port=8123)  # doctest: +SKIP
    Open http://127.0.0.1:8123/?token=... (Ctrl-C stops)
    """
    at_work: dict[str, Sheet] = {}
    style, script = (HERE / "page.css").read_text(), (HERE / "page.js").read_text()

    async def build(annotator: str = "") -> None:
        ui = nicegui().ui
        name = annotator.strip()[:MOST_NAME] if annotator.isprintable() else ""
        ui.add_css(style)
        ui.add_body_html(f"<script>{script}</script>")
        with shell(title, f"as {name}" if name else "") as header:
            if not name:
                return start(desk)
            with header:
                write("a", "another name", "bal-note", href="/")
            try:
                first = await asyncio.to_thread(desk.next, name)
            except ValueError as error:
                return start(desk, str(error))
            sheet = Sheet(desk, name, at_work, first)
            ui.timer(0.5, sheet.tick)
        await sheet.panels.refresh()

    serve(build, title=title, **options)


def start(desk: Any, why: str = "") -> None:
    """Asks who labels; names on record, or the only ones allowed, go on with one press."""
    allowed = desk.labeling.annotators
    known = allowed or sorted(desk.progress().by_annotator)

    def enter(name: str) -> None:
        nicegui().ui.navigate.to(f"/?annotator={quote(name.strip()[:MOST_NAME])}")

    with write("div", classes="desk-start"):
        write("h2", "Who labels?")
        if why:
            write("p", why, "bal-bad", role="alert")
        for name in known:
            button = write("button", name if allowed else f"Go on as {name}", "bal-button", type="button")
            button.on("click", lambda name=name: enter(name))
        if allowed:
            return
        write("label", "Another name" if known else "Your name, which is kept with every answer", for_="name")
        field = write("input", type="text", id="name", maxlength=MOST_NAME, autocomplete="off", autofocus=True)
        button = write("button", "Start", "bal-button bal-primary", type="button")
        send = "() => { const name = document.getElementById('name').value.trim(); if (name) emit(name); }"
        for element, event in ((field, "keydown.enter"), (button, "click")):
            element.on(event, lambda event: enter(str(event.args)), js_handler=send)
