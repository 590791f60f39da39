"""The address and the look of a page, without a browser."""

import re
import socket
import sys
from pathlib import Path

import pytest
from contrast import contrast

import bal
from bal.pages import nicegui, serve
from bal.pages.elements import shortened
from bal.pages.serving import LOOK, check_token, listen


def test_an_address_that_cannot_be_taken_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"127.0.0.1:{port} cannot be listened on \(.*\); give another port"):
            listen("127.0.0.1", port)
    for host, port in (("127.0.0.1", 70_000), ("no such host", 0)):
        with pytest.raises(ValueError, match="cannot be listened on"):
            listen(host, port)
    with listen("127.0.0.1", 0) as free:
        assert free.getsockname()[1] > 0


@pytest.mark.parametrize("token", ["short", "x" * 15, "with spaces in it, many", "a-b&c=d-e-f-g-h-i-j", "ä" * 20])
def test_a_token_that_can_be_guessed_or_spoils_a_link(token):
    with pytest.raises(ValueError, match="at least 16 letters"):
        check_token(token)


def test_nicegui_is_taught_and_imported_last(monkeypatch):
    monkeypatch.setitem(sys.modules, "nicegui", None)
    for call in (nicegui, lambda: serve(print)):
        with pytest.raises(ImportError, match=r"nicegui, which is not installed; pip install 'bal-jax\[ui\]'"):
            call()


def test_long_texts_are_cut_and_say_so():
    assert shortened("x" * 100_000) == "x" * 100_000
    assert shortened("x" * 101_234).endswith("x … (1,234 more characters)")
    assert shortened(3) == "3"


def test_colors_are_readable_in_light_and_dark():
    light, dark = (
        dict(re.findall(r"--bal-([\w-]+): (#\w{6});", part)) for part in LOOK.read_text().split("@media", 2)[:2]
    )
    assert light.keys() == dark.keys()
    assert len(light) == 13
    for colors in (light, dark):
        for ground in ("page", "card", "tint", "key"):
            assert contrast(colors["ink"], colors[ground]) >= 7
            for text in ("quiet", "accent", "good", "bad", "warn"):
                assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground)
        assert contrast(colors["on-accent"], colors["accent"]) >= 4.5
        assert min(contrast(colors["edge"], colors[ground]) for ground in ("page", "card")) >= 3


def test_no_page_reads_text_as_markup_or_loads_from_elsewhere():
    marked = re.compile(r"ui\.(html|markdown)\(|innerHTML|insertAdjacent|\bv-html|https?://(?!\{|127\.0\.0\.1)")
    for package in ("pages", "labeling", "watching"):
        for path in (Path(bal.__file__).parent / package).rglob("*.*"):
            if path.suffix in (".py", ".js", ".css"):
                assert not marked.search(path.read_text()), path
