"""The page says what the numbers say, says what is missing, and escapes whatever it is given."""

import html.parser
import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import rich.console
import scipy.stats

from bal.evaluation import area_under_curve, figures, holm, paired_difference, report
from bal.evaluation.references import headroom
from bal.evaluation.reports import write_report
from bal.evaluation.reports.document import Grid, Heading, Picture, Points, Report, Words
from bal.evaluation.reports.findings import Question, answers, detectable
from bal.evaluation.reports.render import to_html, to_markdown

LABELS = np.arange(10, 60, 10)
PEEKING = "greedy oracle (peeks)"


def studied(seed=0, num_seeds=20, shifts=(0.0, 0.0, 0.06), labels=LABELS):
    random = np.random.default_rng(seed)
    base = np.linspace(0.5, 0.8, len(labels)) + random.normal(0, 0.02, (num_seeds, 1))
    values = {
        name: base + shift * np.linspace(0, 1, len(labels)) + random.normal(0, 0.01, (num_seeds, len(labels)))
        for name, shift in zip(("random", "entropy", "margin"), shifts, strict=True)
    }
    losses = {name: -np.log(of) for name, of in values.items()}
    return SimpleNamespace(labels=labels, metrics={"accuracy": values, "nll": losses}, acquired={})


def of_kind(page, kind):
    return [block for block in page.blocks if isinstance(block, kind)]


def shown(page, width=80):
    console = rich.console.Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(page)
    return captured.get()


@pytest.fixture(scope="module")
def page():
    reference = SimpleNamespace(labels=LABELS, metrics={}, acquired={})
    reference.metrics["accuracy"] = {PEEKING: studied().metrics["accuracy"]["margin"] + 0.03}
    return report({"digits": studied()}, target=0.83, references={"digits": reference})


def test_words_are_the_numbers(page):
    values = studied().metrics["accuracy"]
    areas = {name: np.asarray(area_under_curve(LABELS, of)) for name, of in values.items()}
    found = {name: paired_difference(areas[name], areas["random"]) for name in ("entropy", "margin")}
    adjusted = dict(zip(found, holm(np.array([each.p_value for each in found.values()]))))
    words = dict(of_kind(page, Points)[0].items)
    assert list(words) == ["entropy:", "margin:"]
    for name, each in found.items():
        numbers = f"{each.mean:+.3f} in area, 95% interval [{each.low:+.3f}, {each.high:+.3f}]"
        assert numbers in words[f"{name}:"]
        assert (f"p {adjusted[name]:.3f}" if adjusted[name] > 0.001 else "p < .001") in words[f"{name}:"]
    assert words["margin:"].startswith("better than random")
    assert words["entropy:"].startswith("not distinguishable from random")
    assert "no proof that they are equal" in words["entropy:"]
    share = headroom(LABELS, values["margin"], values["random"], values["margin"] + 0.03).share
    assert f"It goes {round(100 * share)}% [" in words["margin:"]


def test_a_reference_is_shown_and_not_judged(page):
    results = {row[0]: row for row in of_kind(page, Grid)[0].rows}
    assert results[PEEKING][-2:] == ("untested", "peeks: no strategy")
    assert "2 comparisons" in of_kind(page, Words)[0].text  # the reference is none
    with pytest.raises(ValueError, match="margin is no reference"):
        report({"digits": studied()}, references={"digits": studied(shifts=(0, 0, 0.1))})


def test_seeds_that_never_arrive_are_counted(page):
    values = studied().metrics["accuracy"]
    rows = {row[0]: row for row in of_kind(page, Grid)[1].rows}
    for name, of in values.items():
        never = int((of < 0.83).all(axis=1).sum())
        assert rows[name][-1] == f"{never} of 20"
        assert (rows[name][1] == "> 50") == (never > 10)


def test_what_could_have_been_found_is_found(page):
    """Differences as large as the page names, with noise as in the study, are found by 80 of 100 t-tests at .05 / 2."""
    values = studied().metrics["accuracy"]
    question = Question("accuracy", True, "random", None)
    (answer,) = answers(question, {"digits": (LABELS, values)}).values()
    smallest = detectable(question, answer, "entropy")
    words = dict(of_kind(page, Points)[0].items)["entropy:"]
    assert f"a t-test would have found a true difference of {smallest:.3f} in 80 of 100 studies" in words
    apart = area_under_curve(LABELS, values["entropy"]) - area_under_curve(LABELS, values["random"])
    draws = smallest + np.random.default_rng(0).normal(0, apart.std(ddof=1), (10_000, 20))
    assert (scipy.stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.025).mean() == pytest.approx(0.8, abs=0.015)


def test_nothing_is_promised_where_nothing_can_be_found():
    """Three seeds reject at no level of .05, and equal curves say nothing about noise."""
    few = studied(num_seeds=3)
    equal = studied(num_seeds=12)
    equal.metrics["accuracy"] = dict.fromkeys(("random", "entropy"), equal.metrics["accuracy"]["random"])
    for curves in (few, equal):
        said = " ".join(block.text for block in of_kind(report({"digits": curves}, "accuracy"), Words))
        assert "of 100 studies" not in said
    sentence = dict(of_kind(report({"digits": equal}, "accuracy"), Points)[0].items)["entropy:"]
    assert "That is no proof that they are equal." in sentence


def test_one_correction_over_all_tasks():
    tasks = {"digits": studied(0), "wine": studied(1), "vowel": studied(2, shifts=(0.0, -0.06, 0.02))}
    several = report(tasks, "accuracy")
    assert "6 comparisons" in of_kind(several, Words)[0].text
    raw = []
    for task in tasks.values():
        areas = {name: np.asarray(area_under_curve(LABELS, of)) for name, of in task.metrics["accuracy"].items()}
        raw += [paired_difference(areas[name], areas["random"]).p_value for name in ("entropy", "margin")]
    rows = [row for grid in of_kind(several, Grid) if "p" in grid.header for row in grid.rows if row[0] != "random"]
    expected = ["< .001" if p < 0.001 else f"{p:.3f}" for p in holm(np.array(raw))]
    assert [row[4] for row in rows] == expected
    counted = dict(of_kind(several, Points)[0].items)
    assert counted["margin:"].startswith("better than random on 3 (digits, wine, vowel)")
    assert "worse than random on 1 (vowel)" in counted["entropy:"]
    assert {"ranks", "penalties", "0-curves", "2-differences"} <= {block.name for block in of_kind(several, Picture)}
    assert "too few for a test of pairs" in " ".join(block.text for block in of_kind(several, Words))


def test_a_loss_turns_words_and_ranks_round():
    tasks = {"digits": studied(0), "wine": studied(1)}
    losses = report(tasks, "nll")
    assert "lower is better" in of_kind(losses, Words)[0].text
    assert "better than random on 2" in dict(of_kind(losses, Points)[0].items)["margin:"]
    ranks = next(block.text for block in of_kind(losses, Words) if block.text.startswith("Mean ranks"))
    assert "1 is best: margin 1.00" in ranks
    chance = {row[0]: float(row[3].split("\n")[0]) for row in of_kind(losses, Grid)[0].rows if row[3]}
    assert chance["margin"] > 0.7


def test_what_is_missing_is_said():
    alone = [text for _, text in of_kind(report({"digits": studied()}), Points)[-1].items]
    for line in (
        "Other data: this is one data set",
        "A baseline of diversity",
        "A baseline that draws its batch",
        "How much there is to gain",
        "An order of the strategies: 20 seeds",
        "Calibration (ece).",
        "Labels to a target",
        "Other settings: 10 labels at the start and 10 a round",
    ):
        assert any(text.startswith(line) for text in alone), line
    assert not any("A baseline of uncertainty" in text or "proper score" in text for text in alone)
    full = studied(num_seeds=12)
    full.metrics["accuracy"] |= {
        name: full.metrics["accuracy"]["margin"] for name in ("k_center", "power-bald", PEEKING)
    }
    del full.metrics["nll"]
    said = [text for _, text in of_kind(report({"digits": full}, target=0.8), Points)[-1].items]
    assert any(text.startswith("Chance: 12 seeds, where a claim takes 20") for text in said)
    assert any(text.startswith("A proper score of the probabilities") for text in said)
    assert not any(re.match("A baseline|How much|Labels to a target", text) for text in said)


def test_few_seeds_are_no_evidence():
    few = report({"digits": studied(num_seeds=4)})
    assert all(text.startswith("too few seeds to tell") for _, text in of_kind(few, Points)[0].items)
    assert any(block.text.startswith("Caution: 4 seeds") for block in of_kind(few, Words))


class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.sources, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data):
        self.text += data


def test_html_loads_nothing_and_runs_nothing(tmp_path):
    evil = "<script>alert(1)</script> & \"x\" onload='y'"
    base = studied(num_seeds=12)
    base.metrics = {metric: {evil: of["margin"]} for metric, of in base.metrics.items()}
    page = report({evil: base}, baseline=evil, title=evil, path=tmp_path / "page.html")
    reader = Reader()
    reader.feed((tmp_path / "page.html").read_text())
    assert not {"script", "link", "iframe", "object", "embed"} & set(reader.tags)
    assert reader.tags.count("img") == len(of_kind(page, Picture)) == 1
    assert all(source.startswith("data:image/svg+xml;base64,") for source in reader.sources)
    assert reader.text.count(evil) >= 5


def test_markdown_escapes_and_has_its_pictures(tmp_path):
    blocks = (Words("a|b <i> *x* [y]"), Grid(("n", "v"), (("p|q", "1\n2"),)), Heading("# h"))
    text = to_markdown(Report("T", blocks), "pictures")
    assert "a\\|b \\<i\\> \\*x\\* \\[y\\]" in text
    assert "| p\\|q | 1<br>2 |" in text
    map_of = Picture("map", partial(figures.picked_map, np.eye(2), np.array([[1]])), "a *map*")
    write_report(Report("T", (map_of,)), tmp_path / "page.md")
    assert "![a \\*map\\*](page_pictures/map.png)" in (tmp_path / "page.md").read_text()
    assert (tmp_path / "page_pictures" / "map.png").read_bytes()[1:4] == b"PNG"
    with pytest.raises(ValueError, match=r"ends in \.html, \.md or \.txt, got page\.docx"):
        write_report(Report("T", ()), tmp_path / "page.docx")


def test_terminal_fits_80_columns(page):
    text = shown(page)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for words in ("not distinguishable", "better than random", "What was not measured", "untested"):
        assert words in text
    assert "[bold]" in shown(Report("T", (Words("[bold]"), Points((("[red]", "x"),)))))
    assert "<h1>T</h1>" in to_html(Report("T", ()))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: report({}), "at least one task, got none"),
        (lambda: report({"digits": studied()}, "f1"), "f1 was not measured on digits, but accuracy, nll"),
        (lambda: report({"digits": studied()}, baseline="uniform"), "baseline 'uniform' is not among"),
    ],
)
def test_report_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_direction_of_an_own_metric_is_asked_for():
    own = studied(num_seeds=12)
    own.metrics["luck"] = own.metrics["accuracy"]
    with pytest.raises(ValueError, match="whether more luck is better is not known"):
        report({"digits": own}, "luck")


def test_a_page_prints_as_text(page):
    assert str(page).startswith("Report\n")
    assert "functools.partial" not in str(page)
