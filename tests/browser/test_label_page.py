"""`bal label` in a real browser: a session in which all goes wrong, several at once, strangers, strange texts."""

import csv
import http.client
import os
import re
import signal
import socket
import statistics
import time
from collections import Counter

import driven
import pytest
from labelings import EVIL, is_up

pytestmark = pytest.mark.browser

TOKEN = "a-token-for-tests-0123456789"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def label(serve):
    """``label("few")``: the page of a labeling; the same words and port again where it was killed."""

    def start(name, port=0):
        words = ["label", f"tests.browser.labelings:{name}", "--root", "labels", "--port", port, "--no-open"]
        return serve(*words, BAL_TOKEN=TOKEN)

    return start


def enter(page, name="ada"):
    """Says who labels, by keys alone."""
    page.wait_for_selector("#name")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    shown(page)


def shown(page):
    """The text on screen and its serial number, once it is an item that can be answered and has been seen."""
    page.wait_for_selector("#item :is(.desk-text, img, table, svg, .bal-bad)")
    page.wait_for_function("performance.now() - balDesk.shownAt > 160 && balDesk.taken === null")
    return page.text_content("#item"), page.get_attribute("#item", "data-serial")


def press(page, key, before=None):
    """Presses a key and waits for the next item, or for what shows in its place."""
    serial = before or page.get_attribute("#item", "data-serial")
    page.keyboard.press(key)
    page.wait_for_function("s => document.getElementById('item').dataset.serial !== s", arg=serial)


def row_of(words):
    return int(words.split("row ")[1].split()[0])


def answer(page, right=True):
    """Answers the item by a key; its row."""
    words, serial = shown(page)
    row = row_of(words)
    press(page, "p" if is_up(row) == right else "d", serial)
    return row


def exported(page, tmp_path, name="out.csv"):
    """What the button exports."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    download.value.save_as(tmp_path / name)
    with (tmp_path / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_session(label, open_page, tmp_path):
    port = free_port()
    served = label("few", port)
    started = time.perf_counter()
    page = open_page(served.url)
    enter(page)
    complete = time.perf_counter() - started
    assert "token" not in page.url
    rows = [answer(page) for _ in range(20)]

    page.reload()  # the item that was open is shown again
    open_before = shown(page)[0]
    page.reload()
    assert shown(page)[0] == open_before

    wrong = answer(page, right=False)
    press(page, "u")  # taken back: shown again, answered right
    assert answer(page) == wrong
    wrong_too = answer(page, right=False)
    shown(page)
    page.locator(".desk-past button").first.click()
    page.wait_for_selector(".desk-banner:visible")
    assert answer(page) == wrong_too  # corrected
    rows += [wrong, wrong_too]

    doubled = shown(page)  # a key that is pressed twice, and one that is held, answer one item
    page.evaluate(
        """key => { for (const repeat of [false, false, true, true])
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key, repeat, bubbles: true })) }""",
        "p" if is_up(row_of(doubled[0])) else "d",
    )
    page.wait_for_function("s => document.getElementById('item').dataset.serial !== s", arg=doubled[1])
    rows.append(row_of(doubled[0]))
    page.keyboard.press("d")  # before the next one could be seen
    assert "before the item could be seen" in page.text_content("#hint")

    waits = page.evaluate("balDesk.waits")
    held = shown(page)  # a key while the server hangs is said, and stored once when it goes on
    os.kill(served.process.pid, signal.SIGSTOP)
    page.keyboard.press("d" if not is_up(row_of(held[0])) else "p")
    page.wait_for_function("document.getElementById('hint').textContent.includes('not stored yet')")
    os.kill(served.process.pid, signal.SIGCONT)
    page.wait_for_function("s => document.getElementById('item').dataset.serial !== s", arg=held[1])
    rows.append(row_of(held[0]))

    rows += [answer(page) for _ in range(10)]
    last = shown(page)[0]
    waits += page.evaluate("balDesk.waits.slice(-10)")
    served.kill()  # SIGKILL; the page says so, takes no answer, and goes on by itself
    page.wait_for_selector("#bal-gone:visible")
    page.keyboard.press("d")
    assert "Not stored" in page.text_content("#hint")
    again = label("few", port)
    page.wait_for_selector("#bal-gone:visible", state="hidden", timeout=30_000)
    page.wait_for_function("document.querySelector('#item .desk-text') !== null && balDesk.waits.length === 0")
    assert shown(page)[0] == last
    while len(rows) < 50:
        rows.append(answer(page))
    shown(page)

    assert len(set(rows)) == 50  # nothing was asked twice
    found = exported(page, tmp_path)
    truth = {row: "up" if is_up(row) else "down" for row in rows}
    assert Counter(int(line["id"]) for line in found) == Counter(rows)  # nothing lost, nothing twice
    assert {int(line["id"]): line["label"] for line in found} == truth
    assert {line["annotator"] for line in found} == {"ada"}
    assert [line["id"] for line in found if not line["seconds"]] == [str(wrong_too)]  # a correction is not timed
    assert all(0 < float(line["seconds"]) < 60 for line in found if line["seconds"])
    waits += page.evaluate("balDesk.waits")
    assert not driven.foreign(page, again)
    print(
        f"\npage complete in {complete:.2f} s; key to next item over {len(waits)} answers, a fit every 10: "
        f"median {statistics.median(waits):.0f} ms, max {max(waits):.0f} ms"
    )
    assert again.stop() == 130  # as every command that Ctrl-C ends


def test_two_annotators_and_two_tabs(label, open_page, tmp_path):
    served = label("few")
    ada, ben = open_page(served.url), open_page(served.url)
    enter(ada, "ada")
    enter(ben, "ben")
    rows = {"ada": [], "ben": []}
    for _ in range(8):
        rows["ada"].append(answer(ada))
        rows["ben"].append(answer(ben))
    assert len({*rows["ada"], *rows["ben"]}) == 16  # distinct rows
    before = shown(ada)[0]
    ada.get_by_role("button", name="Second opinion").first.click()
    ada.wait_for_function("document.getElementById('hint').textContent.includes('Another annotator')")
    for _ in range(12):
        words = shown(ben)[0]
        if row_of(words) == rows["ada"][-1]:
            break
        rows["ben"].append(answer(ben))
    assert "second opinion" in ben.text_content(".desk-banner")
    answer(ben)

    other = ada.context.new_page()  # the newest tab of a name goes on, the older one rests
    other.goto(ada.url)
    assert shown(other)[0] == before
    ada.wait_for_selector("text=goes on in another tab")
    rows["ada"].append(answer(other))
    ada.get_by_role("button", name="Go on here").click()
    rows["ada"].append(answer(ada))
    other.wait_for_selector("text=goes on in another tab")
    shown(ada)
    found = exported(ada, tmp_path)
    counted = Counter((line["annotator"], int(line["id"])) for line in found)
    assert set(counted.values()) == {1}
    assert {row for name, row in counted if name == "ada"} == set(rows["ada"])


def test_strange_texts_and_strangers(label, open_page):
    served = label("evil")
    page = open_page(served.url)
    page.wait_for_selector("#name")
    assert driven.offends(page) == []
    name = EVIL[:60]
    enter(page, name)
    said = ""
    for key in ("o", "s", "o", "s", "o", "u", "o", "s"):
        shown(page)
        said += page.inner_text("body")
        press(page, key)
    shown(page)
    page.wait_for_timeout(600)
    assert page.title() == "bal label"
    assert page.locator("#item img, #item script, .desk-side script, .desk-side img").count() == 0
    assert said.count(EVIL) >= 8
    assert "{{7*7}}" in said
    assert not re.search(r"(</script>|\}|\$)49", said)  # the page has other numbers, such as labels an hour
    assert name in page.inner_text("header")
    assert not [line for line in page.said if "Content Security" in line]
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert driven.offends(page) == []
    page.set_viewport_size({"width": 400, "height": 800})
    assert driven.wider_than_window(page) == 0
    assert driven.offends(page) == []
    assert not driven.foreign(page, served)

    host = served.origin.removeprefix("http://")
    cookie = {"Cookie": f"bal-{host.split(':')[1]}={TOKEN}"}
    assert ask(host, "/", cookie)[0] == 200
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    stream = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    assert ask(host, stream, {**cookie, **upgrade, "Origin": served.origin})[0] == 101
    for path, headers, status in [
        ("/", {}, 403),
        ("/?token=wrong-token-0123456789", {}, 403),
        ("/", {**cookie, "Host": "evil.example"}, 400),
        (stream, upgrade, 403),
        (stream, {**cookie, **upgrade, "Origin": "http://evil.example"}, 403),
        (stream.replace("websocket", "polling"), {}, 403),
    ]:
        found = ask(host, path, headers)
        assert found[0] == status, (path, headers)
        assert EVIL not in found[1]


def ask(host, path, headers):
    """Status and text that a client without a browser gets."""
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    found = response.status, response.read().decode() if response.status != 101 else ""
    connection.close()
    return found


def test_sliders_of_who_is_unsure_and_pictures(label, open_page, tmp_path):
    page = open_page(label("pictures").url)
    enter(page)
    assert page.get_by_role("img", name="picture of row").is_visible()
    shown(page)
    page.keyboard.press("?")
    assert page.get_by_role("slider", name="down").is_visible()
    for _ in range(6):
        page.keyboard.press("ArrowRight")  # from 50 to 80
    page.keyboard.press("Tab")
    for _ in range(6):
        page.keyboard.press("ArrowLeft")  # to 20
    assert page.locator("[data-share]").all_text_contents() == ["80 %", "20 %"]
    assert driven.offends(page) == []
    press(page, "Enter")
    shown(page)
    page.wait_for_function("document.querySelector('.desk-past .said').textContent === 'down 80%, up 20%'")
    press(page, "p")
    page.wait_for_function("document.querySelector('.desk-past .said').textContent === 'up'")
    assert len(exported(page, tmp_path)) == 2


def test_several_labels_by_keys(label, open_page):
    page = open_page(label("tags").url)
    enter(page)
    for keys, words in (("rb", "red, big"), ("rr", "none of them"), ("b", "big"), ("s", "cannot tell")):
        shown(page)
        for key in keys[:-1] if keys == "s" else keys:
            page.keyboard.press(key)
        assert page.locator("[aria-pressed=true]").count() == len(words.split(", ")) * (words[0] in "rb")
        press(page, "s" if keys == "s" else "Enter")
        page.wait_for_function("w => document.querySelector('.desk-past .said').textContent === w", arg=words)
    assert driven.offends(page) == []


def test_numbers_by_keys_and_by_slider(label, open_page):
    page = open_page(label("lengths").url)
    enter(page)
    shown(page)
    page.keyboard.press("Enter")
    assert "type a number first" in page.text_content("#hint")
    page.keyboard.type("-7")
    page.keyboard.press("Enter")
    assert "from -5 to 5 is expected" in page.text_content("#hint")
    page.locator("#number").fill("")
    page.keyboard.type("-1.25")
    assert page.locator("#slider").input_value() == "-1.25"
    press(page, "Enter")
    page.wait_for_function("document.querySelector('.desk-past .said').textContent === '-1.25 mm'")
    shown(page)
    page.get_by_role("slider").focus()
    page.keyboard.press("End")
    assert page.locator("#number").input_value() == "5"
    press(page, "Enter")
    shown(page)
    press(page, "s")
    page.wait_for_function("document.querySelector('.desk-past .said').textContent === 'cannot tell'")
    assert page.get_by_role("img", name="wave of row").is_visible()
    assert driven.offends(page) == []


def test_an_earlier_answer_becomes_cannot_tell_and_undo_leaves_it(label, open_page):
    page = open_page(label("few").url)
    enter(page)
    rows = [answer(page) for _ in range(3)]
    shown(page)
    page.locator(".desk-past button").first.click()
    page.wait_for_selector(".desk-banner:visible")
    press(page, "s")
    page.wait_for_selector(".desk-past li:first-child .said:text('cannot tell')")
    shown(page)
    page.locator(".desk-past button:enabled").nth(1).click()  # the second row, while the third is "cannot tell"
    page.wait_for_selector(".desk-banner:visible")
    press(page, "u")  # what was said last is taken back: its row is shown, and nothing is changed any more
    page.wait_for_selector(".desk-banner", state="hidden")
    assert row_of(shown(page)[0]) == rows[2]
    assert page.text_content("#hint") == ""
    page.wait_for_function("document.querySelectorAll('.desk-past .said.old').length === 2")
    assert page.locator(".desk-past li:not([hidden]) .said:not(.old)").count() == 2
