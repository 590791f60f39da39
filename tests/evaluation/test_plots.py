"""Figures hold the numbers they are about: what is drawn is compared with what numpy and scipy say."""

import io

import matplotlib
import numpy as np
import pytest
import scipy.stats

from bal.evaluation import critical_difference, ece, figures, mean_interval, penalty_matrix, query_overlap, sup_t_band
from bal.evaluation.figures.calibration import confidence_bins
from bal.evaluation.plots import PALETTE, draw_curve, strategy_styles

LABELS = np.arange(10, 60, 10)
PEEKING = "greedy oracle (peeks)"


@pytest.fixture(scope="module")
def curves():
    random = np.random.default_rng(0)
    base = np.linspace(0.5, 0.9, 5) + random.normal(0, 0.02, (12, 5))
    return {
        name: base + shift + random.normal(0, 0.01, base.shape) for name, shift in zip(["random", "bald"], [0, 0.03])
    }


def corners(collection):
    """Lower and upper ends of a filled band at each label count."""
    vertices = collection.get_paths()[0].vertices
    ends = [vertices[vertices[:, 0] == label, 1] for label in LABELS]
    return np.array([[each.min(), each.max()] for each in ends]).T


def test_curves_have_both_bands(curves):
    (axis,) = figures.curve_bands(LABELS, curves, "accuracy", (0, 1)).axes
    lines, bands = axis.get_lines(), axis.collections
    assert [line.get_label() for line in lines[::3]] == ["random", "bald"]
    for number, values in enumerate(curves.values()):
        np.testing.assert_allclose(corners(bands[number]), mean_interval(values, (0, 1))[1:])
        whole = sup_t_band(values, (0, 1))
        np.testing.assert_allclose(lines[3 * number + 1].get_ydata(), whole.low)
        np.testing.assert_allclose(lines[3 * number + 2].get_ydata(), whole.high)


def test_differences_are_paired(curves):
    (axis,) = figures.differences(LABELS, curves, "accuracy").axes
    apart = curves["bald"] - curves["random"]
    whole, points = map(corners, axis.collections)
    band = sup_t_band(apart)
    np.testing.assert_allclose(whole, [band.low, band.high])
    np.testing.assert_allclose(points, mean_interval(apart)[1:])
    np.testing.assert_allclose(axis.lines[1].get_ydata(), apart.mean(0))
    many = {f"s{number}": curves["bald"] for number in range(6)} | curves
    shown = figures.differences(LABELS, many, "accuracy").axes
    assert [axis.get_title() for axis in shown] == [*(f"s{number}" for number in range(6)), "bald"]


def test_few_seeds_have_no_bands(curves):
    few = {name: values[:2] for name, values in curves.items()}
    assert len(figures.differences(LABELS, few, "accuracy").axes[0].collections) == 0
    assert len(figures.curve_bands(LABELS, few, "accuracy").axes[0].collections) == 0


def test_squares_are_their_matrices(curves):
    matrix = penalty_matrix({"digits": curves})
    (axis,) = figures.penalties(matrix).axes
    drawn = axis.images[0].get_array().filled(np.nan)
    np.testing.assert_array_equal(drawn[:2], np.where(np.eye(2, dtype=bool), np.nan, matrix.penalties))
    np.testing.assert_array_equal(drawn[2], matrix.mean_penalties)
    assert [text.get_text() for text in axis.get_yticklabels()] == ["random", "bald", "mean"]
    assert matrix.mean_penalties[0] > matrix.mean_penalties[1] == 0  # the figure says: low is good


def test_overlap_counts_rows_in_common():
    random = np.random.default_rng(0)
    draw = lambda: np.stack([random.permutation(30)[:6].reshape(3, 2) for _ in range(4)])
    acquired = {"a": draw(), "b": draw()}
    acquired["c"] = acquired["a"][:, ::-1, ::-1]  # the same rows in another order
    found = query_overlap(acquired, 30)
    common = [len(set(a.ravel()) & set(b.ravel())) for a, b in zip(acquired["a"], acquired["b"], strict=True)]
    assert found.shares[0, 1] == found.shares[1, 0] == pytest.approx(np.mean(common) / 6)
    assert found.shares[0, 2] == 1
    assert found.by_chance == 0.2
    many = np.stack([random.permutation(30)[:6].reshape(3, 2) for _ in range(2000)])
    assert query_overlap({"a": many, "b": many[::-1]}, 30).shares[0, 1] == pytest.approx(0.2, abs=0.02)
    with pytest.raises(ValueError, match="a row twice"):
        query_overlap({"a": np.zeros((1, 2, 1), int)})
    with pytest.raises(ValueError, match="of one shape"):
        query_overlap({"a": acquired["a"], "b": acquired["b"][:2]})
    words = figures.overlaps(found).axes[0].get_xlabel()
    assert words == "share of rows in common; 0.20 by chance"


def test_reliability_is_what_ece_sums_up():
    random = np.random.default_rng(0)
    probs = random.dirichlet([0.5] * 4, 300)
    labels = np.array([random.choice(4, p=row) for row in probs])
    bins = confidence_bins(probs, labels, 10)
    full = bins.count > 0
    gaps = np.abs(bins.accuracy - bins.confidence)[full] * bins.count[full] / 300
    assert gaps.sum() == pytest.approx(float(ece(probs, labels, 10)))
    hits = round(bins.accuracy[7] * bins.count[7])
    expected = scipy.stats.binomtest(hits, int(bins.count[7])).proportion_ci(method="wilson")
    assert (bins.low[7], bins.high[7]) == (expected.low, expected.high)
    (axis,) = figures.reliability({"bald": probs}, labels, 10).axes
    np.testing.assert_allclose([bar.get_height() for bar in axis.patches], bins.count / 300)
    drawn = axis.containers[1].lines[0].get_xydata()
    np.testing.assert_allclose(drawn[full], np.stack([bins.confidence, bins.accuracy], 1)[full])


def test_picks_are_drawn_in_their_order():
    images = np.arange(20)[:, None, None] * np.ones((1, 2, 2))
    acquired = np.arange(19)[::-1][:18].reshape(9, 2)
    figure = figures.picked_images(images, acquired, np.arange(20), most_rounds=3)
    shown = [axis.images[0].get_array()[0, 0] for axis in figure.axes]
    assert shown == [18, 17, 10, 9, 2, 1]
    assert [axis.get_ylabel() for axis in figure.axes[::2]] == ["round 1", "round 5", "round 9"]
    points = np.random.default_rng(0).normal(size=(20, 2))
    axis = figures.picked_map(points, acquired[:2], np.array([19]), np.arange(20) % 3).axes[0]
    pool, start, picks = axis.collections
    np.testing.assert_array_equal(picks.get_offsets(), points[[18, 17, 16, 15]])
    assert picks.get_array().tolist() == [1, 1, 2, 2]
    np.testing.assert_array_equal(start.get_offsets(), points[[19]])
    assert len(pool.get_offsets()) == 20
    for refused in (
        lambda: figures.picked_images(images[0], acquired),
        lambda: figures.picked_map(points[:5], acquired),
        lambda: figures.picked_map(points, acquired - 17),
    ):
        with pytest.raises((ValueError, TypeError), match=r"rows below N|below N, got|[Tt]ype-check"):
            refused()


def test_time_split_stacks_parts():
    (axis,) = figures.time_split({"a": {"select": 1.0, "compile": 2.0}, "b": {"fit": 4.0}}).axes
    found = [(bars.get_label(), [(bar.get_x(), bar.get_width()) for bar in bars]) for bars in axis.containers]
    assert found == [("compile", [(0, 2), (0, 0)]), ("fit", [(2, 0), (0, 4)]), ("select", [(2, 1), (4, 0)])]
    with pytest.raises(ValueError, match="numbers of at least 0"):
        figures.time_split({"a": {"fit": -1.0}})


def test_seconds_of_records_are_counted_once():
    """Two seeds in one program, of two picks a round; and one that was run round by round."""
    lines = [("a", 0, 0, np.nan, 6.0, 2), ("a", 0, 1, np.nan, 6.0, 2), ("a", 0, 1, np.nan, 6.0, 2)]
    lines += [("a", 1, number, np.nan, 6.0, 2) for number in (0, 1)]
    lines += [("b", 0, 0, 1.0, np.nan, np.nan), ("b", 0, 1, 3.0, np.nan, np.nan), ("b", 0, 1, 3.0, np.nan, np.nan)]
    columns = dict(zip(("sha", "seed", "round", "times.fit", "call.run", "call.seeds"), map(np.array, zip(*lines))))
    frame = columns | {"config.strategy": np.where(columns["sha"] == "a", "bald", "random"), "name": np.full(8, "t")}
    assert figures.seconds_of(frame) == {"bald": {"run": 3.0}, "random": {"fit": 4.0}}
    both = figures.seconds_of(frame | {"name": np.where(columns["sha"] == "a", "t", "u")})
    assert set(both) == {"t: bald", "u: random"}


def test_ranks_stand_where_they_are():
    random = np.random.default_rng(0)
    results = {
        f"t{task}": {name: np.array([shift + random.normal(0, 0.5)]) for shift, name in enumerate("abcd")}
        for task in range(10)
    }
    found = critical_difference(results)
    (axis,) = figures.rank_diagram(found).axes
    stems = {line.get_xdata()[0] for line in axis.lines if len(line.get_xdata()) == 3}
    assert stems == set(found.mean_ranks)
    bars = [line.get_xdata() for line in axis.lines if line.get_linewidth() == 2.5]
    assert len(bars) == len(found.groups) > 0
    place = dict(zip(found.strategies, found.mean_ranks, strict=True))
    for (low, high), group in zip(bars, found.groups, strict=True):
        assert (low + 0.04, high - 0.04) == pytest.approx((place[group[0]], place[group[-1]]))
    assert set("abcd") < {text.get_text() for text in axis.texts}


def test_no_two_strategies_share_color_and_marker():
    styles = strategy_styles(PALETTE[:28])
    assert len({(style["color"], style["marker"]) for style in styles.values()}) == 28


def test_a_logarithmic_axis_keeps_its_ticks(curves):
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    axis.set_xscale("log")
    before = type(axis.xaxis.get_major_locator())
    draw_curve(axis, LABELS, curves["bald"], "bald", strategy_styles(["bald"])["bald"])
    assert type(axis.xaxis.get_major_locator()) is before


def test_a_reference_has_a_look_of_its_own(curves):
    (axis,) = figures.curve_bands(LABELS, curves | {PEEKING: curves["bald"] + 0.05}, "accuracy").axes
    colors = {line.get_label(): line.get_color() for line in axis.lines}
    assert colors[PEEKING] == "gray"
    assert "gray" not in {colors["random"], colors["bald"]}


def test_a_figure_is_one_file_and_changes_nothing():
    before, files = dict(matplotlib.rcParams), []
    for _ in range(2):
        figures.save(figures.time_split({"a": {"fit": 1.0}}), file := io.BytesIO(), "svg")
        files.append(file.getvalue())
    assert files[0] == files[1]
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda curves: figures.differences(LABELS, curves, "accuracy", "uniform"), "expected curves of 'uniform'"),
        (
            lambda curves: figures.differences(LABELS, curves | {"x": curves["bald"][:3]}, "accuracy"),
            "x has other seeds",
        ),
        (lambda curves: figures.curve_bands(LABELS, {}, "accuracy"), r"1 \.\. 28 curves, got 0"),
        (lambda curves: figures.reliability({}, np.array([0])), "at least one name"),
    ],
)
def test_figures_refuse(curves, draw, words):
    with pytest.raises(ValueError, match=words):
        draw(curves)
