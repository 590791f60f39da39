"""The module of the notebook's widget in a real browser, with a model that speaks to a real desk."""

import base64
from pathlib import Path

import driven
import numpy as np
import pytest

import bal.notebook
from bal.acquisition import bald
from bal.labeling import Desk, Labeling, image, scatter, series, text
from bal.learners import bayesian_softmax
from bal.notebook.clerk import Clerk, plain
from bal.query import by_score
from bal.records import open_record
from bal.selection import best

pytestmark = pytest.mark.browser

HERE = Path(bal.notebook.__file__).parent
EVIL = "<img src=x onerror='window.evil=1'><script>window.evil=1</script>"
X = np.linspace(-1, 1, 30, dtype=np.float32)[:, None]
LABELING = Labeling(
    X,
    bayesian_softmax(2, num_draws=3, prior=1.0),
    by_score(bald, best),
    lambda row: text(f"row {row} {EVIL}"),
    classes=["low", EVIL],
    keys={EVIL: "h", "low": "l"},
    batch_size=5,
    question=f"High? {EVIL}",
)
STYLE = (HERE / "label.css").read_text()
PAGE = f"""<!doctype html><html lang="en"><title>cell</title><style>{STYLE}</style>
<main><h1>A cell</h1><div id="at"></div></main>"""
MODEL = """async ([source, shown]) => {
  const heard = {};
  window.model = {
    parts: { shown, told: {} },
    get(name) { return this.parts[name]; },
    set(name, value) { this.parts[name] = value; if (name === "shown") for (const f of heard["change:shown"]) f(); },
    on(name, f) { (heard[name] ??= new Set()).add(f); },
    off(name, f) { heard[name].delete(f); },
    heard,
    async save_changes() { const next = await window.tell(this.parts.told); if (next) this.set("shown", next); },
    send() { throw new Error("nothing but traits is used"); },
  };
  const { default: widget } = await import(`data:text/javascript;base64,${source}`);
  window.gone = widget.render({ model: window.model, el: document.getElementById("at") });
}"""


@pytest.fixture
def show(open_page):
    """``show(shown, take)``: the widget on a page; ``take(told)`` returns what is to be shown next, or None."""

    def shown_at(shown, take, **options):
        page = open_page(f"data:text/html;base64,{base64.b64encode(PAGE.encode()).decode()}", **options)
        page.expose_function("tell", take)
        source = base64.b64encode((HERE / "label.js").read_bytes()).decode()
        page.evaluate(MODEL, [source, shown])
        return page

    return shown_at


def shown(**known):
    known = {
        "number": 0,
        "fresh": True,
        "kind": "class",
        "question": "What?",
        "classes": [["a", "a"], ["b", "b"]],
    } | known
    rest = {"range": None, "waiting": False, "words": "", "fault": None, "can_undo": False}
    return {**rest, "item": {"view": plain(text("words")), "error": None}, **known}


def test_rows_are_labeled_by_keys_and_every_answer_is_on_record(show, tmp_path):
    with open_record(tmp_path, "label", {}) as record, Desk(LABELING, record) as desk:
        desk.settle()
        clerk = Clerk(desk, "ada")
        page = show(clerk.shown, lambda told: clerk.shown if clerk.take(told) else None)
        page.locator(".bal-label").focus()
        given = []
        for number in range(20):
            page.wait_for_function("document.querySelector('.bal-text') && window.model.parts.shown.item")
            row = int(page.locator(".bal-text").inner_text().split()[1])
            key = "h" if X[row, 0] > 0 else "l"
            given.append((row, EVIL if key == "h" else "low"))
            before = clerk.shown["number"]
            page.keyboard.press(key)
            page.wait_for_function(f"window.model.parts.shown.number > {before}")
            if number == 10:
                page.keyboard.press("u")
                page.wait_for_function(f"window.model.parts.shown.number > {before + 1}")
                assert page.locator(".bal-text").inner_text().startswith(f"row {row} ")
                given.pop()
        stands = [(entry.row, entry.answer) for entry in reversed(desk.history("ada")) if entry.state == "stands"]
        assert stands == given
        assert len({row for row, _ in given}) == len(given) == 19
        assert page.evaluate("window.evil") is None
        assert page.locator("img, script").count() == 0
        assert EVIL in page.locator(".bal-label").inner_text()
        assert not driven.offends(page)
        assert not [error for error in page.said if "favicon" not in error]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_kind_of_answer(show, scheme):
    told = []
    page = show(shown(kind="several"), lambda what: told.append(what), scheme=scheme, width=400)
    again = lambda **known: page.evaluate("shown => window.model.set('shown', shown)", shown(**known))
    page.locator(".bal-label").focus()
    for key in ("a", "b", "a", "Enter", "Enter"):  # the second does nothing: it was told
        page.keyboard.press(key)
    again(number=1, kind="soft")
    page.get_by_role("slider").fill("75")
    page.get_by_role("button", name="b").click()
    again(number=2, kind="number", classes=[], range={"low": 0, "high": 9, "unit": "mm"})
    page.get_by_role("spinbutton").fill("4.5")
    page.keyboard.press("Enter")
    again(number=3, item={"view": None, "error": EVIL})
    page.locator(".bal-label").focus()
    page.keyboard.press("a")  # what cannot be seen cannot be answered
    page.keyboard.press("s")
    found = [(what["number"], what["do"], what.get("answer")) for what in told]
    assert found == [
        (0, "answer", ["b"]),
        (1, "answer", {"a": 0.25, "b": 0.75}),
        (2, "answer", 4.5),
        (3, "skip", None),
    ]
    assert page.evaluate("window.evil") is None
    assert driven.wider_than_window(page) <= 0


def test_every_kind_of_view(show):
    page = show(shown(), lambda what: None)
    pixels = np.array([[0, 255], [255, 0]], np.uint8)
    for number, view in enumerate((image(pixels, "checks"), series([1.0, 3.0, 2.0]), scatter([0, 1], [1, 0])), 1):
        page.evaluate(
            "shown => window.model.set('shown', shown)", shown(number=number, item={"view": plain(view), "error": None})
        )
        assert page.get_by_role("img").get_attribute("aria-label") == view.alt
        if number == 1:
            code = "[...document.querySelector('canvas').getContext('2d').getImageData(0, 0, 2, 2).data]"
            assert page.evaluate(code)[::4] == [0, 255, 255, 0]
        assert not driven.offends(page)
    assert page.locator("circle").count() == 2


def test_it_asks_again_while_it_waits_and_stops_when_it_is_gone(show):
    told = []
    page = show(shown(item=None, waiting=True), lambda what: told.append(what["do"]))
    page.wait_for_timeout(800)
    assert told == ["next"]
    page.evaluate("shown => window.model.set('shown', shown)", shown(number=1, item=None, waiting=True))
    page.evaluate("window.gone()")
    assert page.evaluate("window.model.heard['change:shown'].size") == 0
    page.wait_for_timeout(800)
    assert told == ["next"]
