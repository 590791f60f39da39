"""Chromium of the system, driven by playwright, on pages that are served as a user serves them: ``pytest -m browser``.

Playwright's own browser is not used: its download is nothing that a test may ask for.
"""

import shutil

import driven
import pytest


@pytest.fixture(scope="session")
def chromium():
    """The browser, one for all tests of a process."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'bal-jax[ui,browser]'")
    pytest.importorskip("axe_playwright_python", reason="needs axe: pip install 'bal-jax[ui,browser]'")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """``open_page(url, scheme="light", width=1200)``: a page of its own, with cookies of its own.

    ``page.asked`` are the addresses that it asked for, ``page.said`` the errors in its console. Further options are
    those of playwright's ``new_context``.
    """
    contexts = []

    def opened(url, scheme="light", width=1200, height=900, **options):
        context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.asked, page.said = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("websocket", lambda socket: page.asked.append(socket.url))
        page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.set_default_timeout(15_000)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def serve(tmp_path):
    """``serve(*words, folder=tmp_path, **environment)``: starts ``bal WORDS``; what still runs at the end is killed."""
    pytest.importorskip("nicegui", reason="needs nicegui: pip install 'bal-jax[ui]'")
    started = []

    def start(*words, folder=tmp_path, **environment):
        started.append(driven.serve([*words], folder, tmp_path / f"served-{len(started)}.txt", **environment))
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            served.kill()
