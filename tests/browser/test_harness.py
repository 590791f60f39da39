"""The harness itself, on a page that is known."""

import driven
import pytest

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="en"><title>t</title><main><h1>Rows</h1><p style="color:{color}">pale</p>
<button aria-label="{name}"></button><div style="width:{width}px">.</div></main>"""


def test_what_is_asked_of_a_page(open_page):
    good = PAGE.format(color="#000", name="next", width=100)
    assert not driven.offends(open_page(f"data:text/html,{good.replace('#', '%23')}"))
    bad = PAGE.format(color="#bbb", name="", width=900)
    page = open_page(f"data:text/html,{bad.replace('#', '%23')}", width=400)
    found = {one.split(":")[0] for one in driven.offends(page)}
    assert found == {"color-contrast", "button-name"}
    assert driven.wider_than_window(page) > 400


def test_a_command_without_a_link_is_an_error_with_its_words(serve):
    with pytest.raises(AssertionError, match=r"(?s)no link from bal status nowhere.*not a folder"):
        serve("status", "nowhere")
