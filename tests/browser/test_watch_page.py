"""The page of `bal watch` in a real browser: complete, live, readable, and nothing in the folder is touched."""

import os
import time

import driven
import numpy as np
import pytest

pytestmark = pytest.mark.browser
pytest.importorskip("nicegui", reason="needs nicegui: pip install 'bal-jax[ui]'")

import watched  # noqa: E402 - makes records, which takes nothing of a browser

PARTS = ["Curves", "Picks", "Calibration", "Time", "Cells", "People"]
CHART = "(name) => getElement(document.querySelector(`[data-chart=${name}]`).id.slice(1)).chart"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("watched")
    watched.everything(root / "runs")
    return root


@pytest.fixture(scope="module")
def served(folder):
    words = ["watch", "runs", "--pool", "watched:problem", "--picture", "8", "8", "--no-open"]
    path = os.pathsep.join(map(str, (driven.ROOT, driven.ROOT / "tests" / "browser")))
    found = driven.serve(words, folder, folder / "served.txt", PYTHONPATH=path)
    yield found
    found.kill()


def is_drawn(page, name="curves"):
    page.wait_for_selector(f"[data-chart={name}] canvas")


def part(page, name):
    page.get_by_role("navigation", name="Parts").get_by_role("button", name=name).click()
    page.wait_for_selector(f"nav button[aria-pressed=true]:has-text('{name}')")


def options(page, name):
    return page.evaluate(f"(name) => ({CHART})(name).getOption()", name)


def contents(root):
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in root.rglob("*") if file.is_file()}


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 400)])
def test_every_part_is_there_readable_and_escaped(served, folder, open_page, scheme, width, capsys):
    before = contents(folder / "runs")
    begun = time.monotonic()
    page = open_page(served.url, scheme, width)
    is_drawn(page)
    page.wait_for_selector("td:has-text('better than random')")
    with capsys.disabled():
        print(f"\npage of 42 records complete in {time.monotonic() - begun:.2f} s, load {os.getloadavg()[0]:.0f}")
    for name in PARTS:
        part(page, name)
        page.wait_for_selector({"Cells": "text=--resume", "People": "text=labels an hour"}.get(name, "canvas, table"))
        if name == "Picks":
            page.wait_for_selector("[data-chart=map] canvas", timeout=60_000)
        assert driven.offends(page) == [], name
        assert driven.wider_than_window(page) == 0, name
        assert page.locator("main b, main i").count() == 0
        assert page.locator("img[src=x]").count() == 0
    part(page, "Cells")
    page.wait_for_selector("text=bal sweep experiments.study:run --root runs --resume")
    text = page.inner_text("main")
    assert "ValueError: <b>no</b> such pool" in text
    assert "events.jsonl is damaged at byte 0" in text
    assert driven.foreign(page, served) == []
    assert page.said == []
    assert contents(folder / "runs") == before


def test_numbers_of_the_page_are_those_of_the_records(served, open_page):
    page = open_page(served.url)
    is_drawn(page)
    found = {one["name"]: one["data"] for one in reversed(options(page, "curves")["series"])}
    rng = np.random.default_rng(1)  # of bald, the second
    expected = [
        [watched.round_of("bald", seed, number, rng)["metrics"]["accuracy"] for number in range(watched.ROUNDS + 1)]
        for seed in range(10)
    ]
    np.testing.assert_allclose([one["value"][1] for one in found["bald"]], np.mean(expected, axis=0))
    assert found["bald"][-1]["said"].startswith(f"bald: {np.mean(expected, axis=0)[-1]:.3f} [")
    page.select_option("#choose-metric", "nll")
    page.wait_for_function("() => document.querySelector('[data-chart=curves]').ariaLabel.startsWith('Curves of nll')")
    page.wait_for_selector("td:has-text('better than random')")
    page.select_option("#choose-study", "task-3")
    page.wait_for_selector("td:has-text('too few seeds to tell')")


def test_whether_answers_were_foreseen(served, open_page):
    """Beside score and answer of each pick, and in bins over all picks of a strategy."""
    page = open_page(f"{served.url}&part=Picks")
    page.wait_for_selector("text=Round 12 of 12")
    table = page.get_by_role("table", name="Rows picked in this round")
    assert table.get_by_role("columnheader").all_inner_texts()[:5] == ["pick", "row", "score", "predicted", "label"]
    order = np.random.default_rng(0).permutation(1000)[120:130]
    expected = [f"{np.argmax(probs)} (91%)" for probs in watched.believed(0, 12, order)]
    assert [row.get_by_role("cell").all_inner_texts()[2] for row in table.get_by_role("row").all()[1:]] == expected
    part(page, "Calibration")
    is_drawn(page, "reliability")
    found = {one["name"]: one["data"] for one in options(page, "reliability")["series"]}
    right = [
        np.argmax(probs) == watched.Y[row]
        for seed in range(10)
        for number in range(watched.ROUNDS + 1)
        for order in [np.random.default_rng(seed).permutation(1000)[10 * number :][:10]]
        for row, probs in zip(order, watched.believed(seed, number, order), strict=True)
    ]
    (point,) = found["bald"]
    np.testing.assert_allclose(point["value"], [0.91, np.mean(right)])
    assert point["said"] == f"bald: {np.mean(right):.0%} of 1300 picks foreseen, 91% sure"
    page.wait_for_selector("text=Picks are no random sample")
    assert page.get_by_role("table", name="Picks by confidence").get_by_role("row").count() == 2


def test_by_keyboard_alone(served, open_page):
    page = open_page(served.url)
    is_drawn(page)
    named = """() => { const here = document.activeElement;
        return [here.innerText || here.id, getComputedStyle(here).outlineStyle]; }"""
    seen = []
    for _ in range(10):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(named))
    assert [name.split("\n")[0] for name, _ in seen[:7]] == ["Skip to the content", *PARTS]
    assert all(outline == "solid" for _, outline in seen)
    page.get_by_role("button", name="Picks").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Round 12 of 12")
    page.get_by_role("slider", name="Round").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("text=Round 11 of 12: 10 rows")
    page.get_by_role("combobox", name="Strategy").focus()
    page.keyboard.press("m")
    page.wait_for_function("() => document.querySelector('#choose-strategy').value === 'margin'")


def test_what_a_screen_reader_hears(served, open_page):
    page = open_page(served.url)
    is_drawn(page)
    assert page.get_by_role("img", name="Curves of accuracy over labels, last values: random 0.").count() == 1
    assert page.get_by_role("status").first.inner_text().startswith("42 records, 148 seeds, 1 cell done")
    assert page.get_by_role("table", name="Strategies and what can be told of them").get_by_role("row").count() == 5
    assert [one.inner_text() for one in page.get_by_role("heading", level=2).all()] == [
        "Curves",
        "Verdicts",
        "Difference to random",
    ]


def test_the_map_of_a_thousand_rows_is_smooth(served, open_page, capsys):
    page = open_page(f"{served.url}&part=Picks")
    page.wait_for_selector("[data-chart=map] canvas", timeout=60_000)
    series = {one["name"]: len(one["data"]) for one in options(page, "map")["series"]}
    assert series == {"pool": 870, "picked before": 120, "round 12": 10}
    assert page.locator("img.watch-pixels").count() == 10
    box = page.locator("[data-chart=map]").bounding_box()
    page.evaluate("""() => { window.gaps = []; let last = performance.now();
        const step = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(step); };
        requestAnimationFrame(step); }""")
    for place in range(60):
        page.mouse.move(box["x"] + 60 + place * 10, box["y"] + 100 + (place % 20) * 8)
    page.mouse.wheel(0, -300)
    page.mouse.down()
    for place in range(30):
        page.mouse.move(box["x"] + 600 - place * 8, box["y"] + 200)
    page.mouse.up()
    gaps = sorted(page.evaluate("() => window.gaps"))
    zoom = options(page, "map")["dataZoom"]
    assert zoom[0]["end"] - zoom[0]["start"] < 100
    with capsys.disabled():
        print(
            f"\nmap of 1,000 rows: {len(gaps)} frames, median {gaps[len(gaps) // 2]:.0f} ms, longest {gaps[-1]:.0f} ms"
        )


def test_rounds_show_as_they_come(tmp_path, serve, open_page):
    root = tmp_path / "runs"
    watched.study(root, seeds=2, rounds=3, strategies=("random",))
    page = open_page(serve("watch", "runs", "--no-open").url)
    is_drawn(page)
    page.evaluate("() => { window.same = true; }")
    drawn = (
        "([name, number]) => ("
        + CHART
        + ")('curves').getOption().series.some((one) => one.name === name && one.data.length === number)"
    )
    rng = np.random.default_rng(0)
    with watched.open_record(root, "digits", {"strategy": "bald"}) as record:
        for number in range(4):
            record.append([watched.round_of("bald", 0, number, rng)])
            page.wait_for_function(drawn, arg=["bald", number + 1])
        record.append([watched.round_of("bald", 1, number, rng) for number in range(4)])
        page.wait_for_selector("td:has-text('too few seeds to tell')")
        before = contents(root)
        time.sleep(2)
        assert contents(root) == before
    part(page, "Picks")
    page.wait_for_selector("text=Round 3 of 3")
    file = record.path / "events.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"seed":1', b'"seed":2'))  # as long as before
    page.wait_for_selector("[role=status]:has-text('1 damaged')")
    part(page, "Curves")
    page.wait_for_function("() => !document.querySelector('main').innerText.includes('bald')")
    assert page.evaluate("() => window.same")  # never reloaded
    assert page.said == []


def test_an_empty_folder_fills_itself(tmp_path, serve, open_page):
    (tmp_path / "runs").mkdir()
    page = open_page(serve("watch", "runs", "--no-open").url)
    page.wait_for_selector("text=No rounds on record under this folder yet")
    page.wait_for_selector("text=no records under runs")
    watched.study(tmp_path / "runs", seeds=1, rounds=2, strategies=("random",))
    is_drawn(page)
