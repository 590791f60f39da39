import re
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest
import scipy.stats
from matplotlib.figure import Figure
from rich.console import Console

from bal.evaluation import compare, comparison_table, learning_curves, paired_difference, plots

LABELS = np.arange(10, 115, 5)


def study(num_seeds=20):
    """Curves with a known order: margin is .03 above random, entropy equal, worst below."""
    random = np.random.default_rng(0)
    base = 0.95 - 0.6 * np.exp(-LABELS / 40) + random.normal(0, 0.02, (num_seeds, 1))
    shift = {"random": 0.0, "entropy": 0.0, "powerbald_k20": 0.02, "margin": 0.03, "worst": -0.05}
    return {name: base + s + random.normal(0, 0.01, base.shape) for name, s in shift.items()}


def render(table, width):
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_small_values_keep_three_digits():
    small = {name: values / 1000 for name, values in study().items()}
    (large,), (tiny,) = ([render(comparison_table(LABELS, curves), 120)] for curves in (study(), small))
    digits = [float(number) for number in re.findall(r"[+-]?[0-9]+[.][0-9]+", large)]
    shown = [float(number) for number in re.findall(r"[+-]?[0-9]+[.][0-9]{5,}", tiny)]
    assert len(shown) >= len(digits) / 2
    assert {f"{abs(number) * 1000:.3f}" for number in shown} <= {f"{abs(number):.3f}" for number in digits}


def test_compare_pairs_seeds_and_orients_words():
    curves = study()
    result = compare(LABELS, curves, target=0.9)
    assert list(result) == list(curves)
    areas = [np.trapezoid(curves[n], LABELS) / 100 for n in ("margin", "random")]
    assert result["margin"].difference == paired_difference(*areas)
    assert result["random"].difference is None
    assert result["margin"].final == pytest.approx(curves["margin"][:, -1].mean())
    assert result["margin"].labels_to_target < result["worst"].labels_to_target


@pytest.mark.parametrize("width", [80, 100])
def test_no_word_of_the_table_is_cut(width):
    text = render(comparison_table(LABELS, study(), target=0.93, title="digits"), width)
    assert "…" not in text
    words = set(text.split())
    for word in [
        "strategy",
        "accuracy",
        "distinguishable",
        "powerbald_k20",
        "verdict",
        "baseline",
        "better",
        "worse",
    ]:
        assert word in words
    assert max(map(len, text.splitlines())) <= width
    interval = compare(LABELS, study())["margin"].difference
    assert f"[{interval.low:+.3f}, {interval.high:+.3f}]" in text
    assert f"{interval.mean:+.3f} (p < .001)" in text


def test_table_says_what_separates_from_random():
    table = comparison_table(LABELS, study(), target=0.999)
    cells = {column.header: list(column.cells) for column in table.columns}
    assert cells["verdict"] == [
        "baseline",
        "not distinguishable\nfrom random",
        "better than random",
        "better than random",
        "worse than random",
    ]
    assert cells["labels\nto 0.999"][0] == "> 110"
    assert "20 paired seeds" in table.caption
    assert "p adjusted for 4 comparisons (Holm)" in table.caption
    assert "unreliable" not in table.caption


@pytest.mark.parametrize(
    ("num_seeds", "caption"),
    [
        (2, "no p below 1.000 is possible: a verdict takes at least 8 seeds"),
        (5, "no p below 0.250 is possible: a verdict takes at least 8 seeds"),
        (7, "no p below 0.062 is possible: a verdict takes at least 8 seeds"),
        (8, None),
    ],
)
def test_table_of_few_seeds_says_how_many_a_verdict_takes(num_seeds, caption):
    table = comparison_table(LABELS, study(num_seeds), title="few")
    verdicts = list(table.columns[-1].cells)[1:]
    assert "unreliable" in table.caption
    assert ("possible" in table.caption) == (caption is not None)
    assert set(verdicts) == {"too few seeds\nto tell"} if caption else "better than random" in verdicts
    assert caption is None or caption in table.caption
    assert max(map(len, table.caption.splitlines())) <= 80


def test_table_of_losses_turns_the_words_round():
    table = comparison_table(LABELS, study(), higher_is_better=False, metric="NLL")
    verdicts = list(table.columns[-1].cells)
    assert verdicts[3:] == ["worse than random", "better than random"]
    assert "final\nNLL" in [column.header for column in table.columns]


def test_names_are_not_read_as_markup():
    curves = study() | {"power[0.5]": study()["margin"], "[bold]": study()["margin"]}
    text = render(comparison_table(LABELS, curves), 120)
    assert "power[0.5]" in text
    assert "[bold]" in text


def test_table_needs_its_baseline_and_seeds():
    with pytest.raises(ValueError, match="baseline 'uniform' is not among the curves random"):
        comparison_table(LABELS, study(), baseline="uniform")
    with pytest.raises(ValueError, match="at least 2 paired seeds"):
        comparison_table(LABELS, study(1))
    alone = comparison_table(LABELS, {"random": study()["random"]})
    assert "nothing to compare" in alone.caption


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_figure_is_written_without_warnings_or_global_changes(tmp_path, suffix):
    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learning_curves(tmp_path / f"curves.{suffix}", LABELS, study(), "test accuracy", title="digits")
    start = (tmp_path / f"curves.{suffix}").read_bytes()[:8]
    assert start.startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix])
    assert dict(matplotlib.rcParams) == before


def test_figure_says_what_its_band_is(tmp_path):
    learning_curves(tmp_path / "many.svg", LABELS, study(), "test accuracy")
    learning_curves(tmp_path / "one.svg", LABELS, study(1), "test accuracy")
    many, one = ((tmp_path / name).read_text() for name in ("many.svg", "one.svg"))
    assert "mean of 20 seeds" in many
    assert "95% t interval" in many
    assert "one seed" in one
    assert "FillBetween" in many
    assert "FillBetween" not in one


FREE = (-np.inf, np.inf)


def drawn(values, bounds=FREE):
    axis = Figure().add_subplot()
    plots.draw_curve(axis, LABELS, values, "bald", plots.strategy_styles(["bald"])["bald"], bounds)
    return axis


def test_band_is_the_interval_of_the_mean():
    """Not the spread of the seeds, which is sqrt(S) times as wide."""
    values = study()["margin"]
    (band,) = drawn(values).collections
    corners = band.get_paths()[0].vertices
    for place, label in enumerate(LABELS):
        ends = corners[corners[:, 0] == label, 1]
        expected = scipy.stats.ttest_1samp(values[:, place], 0).confidence_interval(0.95)
        np.testing.assert_allclose([ends.min(), ends.max()], expected, rtol=1e-6)


def test_band_of_an_accuracy_stays_in_its_range():
    values = np.array([[0.2, 0.9], [0.9, 1.0], [1.0, 0.95]]).repeat([1, len(LABELS) - 1], axis=1)
    free, bound = (drawn(values, bounds).collections[0].get_paths()[0].vertices[:, 1] for bounds in (FREE, (0, 1)))
    assert free.min() < 0
    assert free.max() > 1
    assert (bound.min(), bound.max()) == (0, 1)
    with pytest.raises(ValueError, match=r"within the bounds \(0, 1\)"):
        drawn(values + 0.5, (0, 1))


@pytest.mark.parametrize(("num_seeds", "lines", "bands"), [(1, 1, 0), (2, 3, 0), (3, 1, 1)])
def test_two_seeds_are_drawn_themselves(num_seeds, lines, bands):
    axis = drawn(study(num_seeds)["margin"])
    assert (len(axis.lines), len(axis.collections)) == (lines, bands)


def test_ticks_are_whole_numbers_of_labels():
    axis = Figure().add_subplot()
    style = plots.strategy_styles(["bald"])["bald"]
    plots.draw_curve(axis, np.array([4, 5, 6, 7]), np.zeros((3, 4)), "bald", style)
    ticks = axis.get_xticks()
    np.testing.assert_array_equal(ticks, ticks.round())


@pytest.mark.parametrize(("num_seeds", "words"), [(2, "thin: each of them"), (3, "band: 95% t interval")])
def test_legend_tells_bands_from_seeds(num_seeds, words, tmp_path):
    learning_curves(tmp_path / "few.svg", LABELS, study(num_seeds), "test accuracy")
    assert words in (tmp_path / "few.svg").read_text()


def test_pdf_embeds_truetype_fonts(tmp_path):
    learning_curves(tmp_path / "curves.pdf", LABELS, study(), "test accuracy")
    pdf = (tmp_path / "curves.pdf").read_bytes()
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf  # TrueType


def look(style):
    return style["color"], style["linestyle"]


def test_a_strategy_has_one_look():
    names = ["random", *plots.PALETTE[:20], "my own", "your-own"]
    styles = plots.strategy_styles(names)
    assert plots.strategy_styles(names[::-1]) == styles
    assert len(set(map(look, styles.values()))) == len(names)
    for subset in (names[:3], names[5:9]):
        assert plots.strategy_styles(subset) == {name: styles[name] for name in subset}
    assert plots.strategy_styles(["my own", "random"])["my own"] == plots.strategy_styles(["my own"])["my own"]
    assert plots.strategy_styles(["Random", "Mutual information"]) == {
        "Random": styles["random"],
        "Mutual information": plots.strategy_styles(["mutual-information"])["mutual-information"],
    }


def test_names_of_no_strategy_have_colors_of_their_own():
    names = ["frozen", "aligned", "full", "head", "a", "b"]
    assert len({style["color"] for style in plots.strategy_styles(["random", *names]).values()}) == 7
    mixed = plots.strategy_styles([*names, plots.PALETTE[0]])
    assert mixed[plots.PALETTE[0]] == plots.strategy_styles([plots.PALETTE[0]])[plots.PALETTE[0]]
    assert len({style["color"] for style in mixed.values()}) == 7


def test_no_look_comes_twice_in_a_picture():
    names = ["random", *map(str, range(14)), *plots.PALETTE[-14:]]
    assert len(set(map(look, plots.strategy_styles(names).values()))) == 29
    with pytest.raises(ValueError, match="expected at most 28 strategies beside random, got 29"):
        plots.strategy_styles([*names, "one more"])


def test_figure_refuses_what_it_cannot_draw(tmp_path):
    with pytest.raises(ValueError, match=r"expected 1 \.\. 28 curves, got 0"):
        learning_curves(tmp_path / "none.png", LABELS, {}, "test accuracy")
    with pytest.raises((TypeError, ValueError), match=r"one value a label count|[Tt]ype-check"):
        learning_curves(tmp_path / "short.png", LABELS[:-1], study(), "test accuracy")


def test_figure_draws_with_no_display_and_no_pyplot(tmp_path):
    script = (
        "import sys, numpy as np; from bal.evaluation import learning_curves;"
        f"learning_curves({str(tmp_path / 'c.png')!r}, np.array([1, 2]), {{'a': np.ones((3, 2))}}, 'y');"
        "sys.exit('matplotlib.pyplot' in sys.modules or 'jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
