"""NeurONAL-S: three labels in ten of a stream, asked where the two best classes are close, against all and at random.

    python -m paper_figures.neuronal --scale cpu

Ban et al. 2024, "Neural Active Learning Beyond Bandits", stream setting: one pass over T = 10,000 rows, a budget of
3,000 labels, then accuracy on as many rows that were not in the stream; two networks of 100 hidden units. Each seed has
its own order of the rows, which are scaled to unit norm as in the authors' code.

Two readings, side by side. The paper's: the threshold 2 γ β_t with γ = S = 1, δ = 0.1 (the paper names no values), the
paper's embedding, and predictions in place of labels that were not asked. The code's: a threshold of 0.6, the gradient
averaged over blocks of 51, labels alone. Besides, with the training of the code, three labels in ten at random and all
(of Fashion at `paper` only).

Not as published: a fixed number of minibatches a row in place of up to 40 epochs at every label. `cpu` has one of 32
rows, by Adam at 1e-3, and 4 seeds; `paper` sixteen of 64 rows at the code's 1e-4, and 10 seeds, for an accelerator. The
code's f2 keeps what f1 got wrong when the label came and is weighted by 1/t; here it follows the f1 of now and has
weight 1, as in the paper.

Not the published data: their Letter has two classes, and by the size of its embedding in the code 784 inputs, which
the UCI table with its 16 does not have; A-M against N-Z of that table stands beside it without a verdict. Adult,
MagicTelescope and Covertype are not among the data sets of `bal`. A set that ``BAL_DATA`` does not hold is left out,
and where it holds none the 8 x 8 digits stand in.

Found at `cpu`: both readings meet the published accuracy on Shuttle and Fashion-MNIST within one point, asking 4 % and
18 to 30 % of the labels. On the letters three labels in ten are worth all, and .022 [.009, .035] more than as many at
random. On Shuttle, where random labels reach .995, .002 [-.001, .006] cannot be told by four seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import optax
from matplotlib.ticker import PercentFormatter
from rich.console import Console

from bal.datasets import MissingDataError, digits, fashion_mnist, uci_classification
from bal.evaluation import strategy_styles
from bal.learners import neuronal
from bal.learners.neuronal import NeuronalState, block_embedding, paper_embedding
from bal.loop import seed_keys
from bal.method import method
from bal.stream import (
    StreamMethod,
    constant_gap,
    neuronal_s,
    prequential_accuracy,
    run_stream_seeds,
    shrinking_gap,
    total,
    unlimited,
)
from paper_figures.claims import Claim, Judged, above, interval, near, told
from paper_figures.common import Options, legend, on_record, picture
from paper_figures.figure import Figure, launch

SOURCE = "Ban et al. 2024, table 1"
PUBLISHED = {"Letter": 0.865, "Shuttle": 0.995, "Fashion": 0.832}
ELSEWHERE = {"Adult": 0.848, "MagicTelescope": 0.837, "Covertype": 0.744}
SHARE, SHOWN = 0.3, 200
ALONE = {"cpu": ("Fashion",)}  # neither random nor all labels there: they take the longest
NAMES = {"paper": "paper's settings", "code": "code's settings", "random": "random labels", "all": "all labels"}


@dataclass(frozen=True)
class Config(Options):
    """Options of the figure; sizes follow from the scale."""

    data: tuple[Literal["Letter", "Shuttle", "Fashion"], ...] = ("Letter", "Shuttle", "Fashion")
    """Data sets, as far as they are there."""
    seeds: int | None = None
    """Orders of the stream, if not those of the scale."""


class Sizes(NamedTuple):
    """Seeds, rows of the stream and of the test, minibatches a row, their rows, and their learning rate."""

    num_seeds: int
    num_rows: int
    num_test: int
    num_steps: int
    minibatch_size: int
    rate: float


SIZES = {
    "smoke": Sizes(3, 600, 600, 1, 64, 1e-2),
    "cpu": Sizes(4, 10_000, 10_000, 1, 32, 1e-3),
    "paper": Sizes(10, 10_000, 10_000, 16, 64, 1e-4),
}


class Found(NamedTuple):
    """Of every seed: test accuracy, share of labels asked, and prequential accuracy at some rows."""

    accuracy: np.ndarray
    asked: np.ndarray
    rows: np.ndarray
    prequential: np.ndarray


class Table(NamedTuple):
    """Rows of unit norm, class numbers, and a fingerprint."""

    x: np.ndarray
    y: np.ndarray
    fingerprint: str


def tables(names: Sequence[str]) -> dict[str, Table]:
    """The data sets that are there, else the digits."""
    found, missing = {}, []
    for name in names:
        try:
            found[name] = table(name)
        except MissingDataError:
            missing.append(name)
    if missing:
        instead = "" if found else "; the 8 x 8 digits are a stand-in"
        Console().print(f"no data for {', '.join(missing)}{instead}", highlight=False, soft_wrap=True)
    return found or {"digits": table("digits")}


def table(name: str) -> Table:
    """One of them by name."""
    if name in ("Fashion", "digits"):
        data = fashion_mnist() if name == "Fashion" else digits()
        parts = [part for part in (data.x, data.x_test) if part is not None]
        labels = [part for part in (data.y, data.y_test) if part is not None]
        x, y = np.concatenate(parts), np.concatenate(labels)
    else:
        data = uci_classification({"Letter": "LetterRecognition"}.get(name, name))
        x, y = data.x, (data.y >= 13).astype(np.int32) if name == "Letter" else data.y
    x = x.reshape(len(x), -1).astype(np.float32)
    return Table(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), y.astype(np.int32), data.fingerprint)


@method
def by_chance(stream_method: StreamMethod, share: float) -> StreamMethod:
    """The same method, asking any row with the same probability."""

    def decide(key: Any, state: Any, x: Any, time: Any) -> Any:
        return stream_method.decide(key, state, x, time)._replace(query=jax.random.uniform(key) < share)

    return stream_method._replace(decide=decide)


def make(name: str, num_classes: int, sizes: Sizes) -> tuple[StreamMethod, Any]:
    """A method and its embedding."""
    common = {"optimizer": optax.adam(sizes.rate), "num_steps": sizes.num_steps, "capacity": sizes.num_rows}
    common["minibatch_size"] = sizes.minibatch_size
    if name == "paper":
        found = neuronal_s(num_classes, shrinking_gap(num_classes, sizes.num_rows), **common)
        return found, paper_embedding
    embedding = block_embedding(51)
    gap = constant_gap(1e9 if name == "all" else 0.6)
    found = neuronal_s(num_classes, gap, embedding=embedding, pseudo_weight=0.0, **common)
    return by_chance(found, SHARE) if name == "random" else found, embedding


def run(name: str, data: Table, sizes: Sizes) -> Found:
    """One method on one data set, all seeds as one program."""
    num_classes, seeds = int(data.y.max()) + 1, range(sizes.num_seeds)
    orders = np.stack([np.random.default_rng(seed).permutation(len(data.y)) for seed in seeds])
    stream, test = orders[:, : sizes.num_rows], orders[:, sizes.num_rows : sizes.num_rows + sizes.num_test]
    stream_method, embedding = make(name, num_classes, sizes)
    budget = unlimited() if name == "all" else total(int(SHARE * stream.shape[1]))
    runs = run_stream_seeds(
        seed_keys(0, sizes.num_seeds), data.x[stream], data.y[stream], stream_method, budget, axes=(0, 0)
    )
    took = f"{name}: {runs.compile_seconds:.0f} s to compile, {runs.run_seconds:.0f} s to run"
    Console().print(took, highlight=False, soft_wrap=True)
    learner = neuronal(num_classes, embedding=embedding)

    @jax.jit
    def predicted(networks: Any, x: Any) -> Any:
        state = NeuronalState(networks)
        return jax.lax.map(lambda row: learner.predict(state, row[None])[0, 0].argmax(), x, batch_size=500)

    hits = [
        np.asarray(predicted(jax.tree.map(lambda leaf, s=s: leaf[s], runs.state.networks), data.x[test[s]]))
        == data.y[test[s]]
        for s in seeds
    ]
    shown = np.unique(np.linspace(0, stream.shape[1] - 1, SHOWN).astype(int))
    late = prequential_accuracy(np.asarray(runs.log.correct), 1 - 10 / stream.shape[1])[:, shown]
    return Found(np.mean(hits, 1), np.asarray(runs.log.asked).mean(1), shown + 1, late)


def run_all(config: Config, sizes: Sizes) -> dict[str, dict[str, Found]]:
    """Run or read back every method on every data set that is there."""
    found, data = {}, tables(config.data)
    labels = {name: list(NAMES)[: 2 if name in ALONE.get(config.scale, ()) else None] for name in data}
    of = sizes.num_seeds * sum(map(len, labels.values()))
    for name, rows in data.items():
        found[name] = {}
        for label in labels[name]:
            part = {"data": name, "method": label, **sizes._asdict()}
            compute = lambda label=label, rows=rows: run(label, rows, sizes)._asdict()
            arrays = on_record(config, "neuronal", part, compute, rows.fingerprint, sizes.num_seeds, of)
            found[name][label] = Found(**arrays)
    return found


def claims(config: Config, sizes: Sizes) -> list[Claim]:
    """The published numbers, and what is asked of it besides."""
    rows = []
    for name in config.data:
        published = PUBLISHED[name]
        scales = () if name == "Letter" else ("cpu", "paper")  # another table, whose number is not to be met
        for label in ("paper", "code"):
            measure = lambda found, name=name, label=label: beside(found, name, label)
            rows.append(Claim(f"{name}: test accuracy, within one point; {NAMES[label]}", f"{published}", SOURCE,
                              measure, told("95 % interval meets published ± 0.01"), scales))  # fmt: skip
        rows += [
            Claim(f"{name}: at most two points below all labels; code's settings", "none", "asked here",
                  lambda found, name=name: compared(found, name, "all", -0.02),
                  told("95 % interval of the paired difference above -0.02")),
            Claim(f"{name}: above three labels in ten at random; code's settings", "none", "asked here",
                  lambda found, name=name: compared(found, name, "random", 0.0),
                  told("95 % interval of the paired difference above 0")),
        ]  # fmt: skip
    missing = told("not run: no such data set here")
    return rows + [
        Claim(f"{name}: test accuracy", str(published), SOURCE, lambda found: None, missing)
        for name, published in ELSEWHERE.items()
    ]


def beside(found: dict[str, dict[str, Found]], name: str, label: str) -> Judged | None:
    """Accuracy beside the published one, and how many labels it took."""
    if label not in found.get(name, {}):
        return None
    one = found[name][label]
    accuracy = interval(one.accuracy, (0, 1))
    return f"{accuracy}, asked {one.asked.mean():.1%}", near(accuracy, PUBLISHED[name], 0.01)


def compared(found: dict[str, dict[str, Found]], name: str, other: str, level: float) -> Judged | None:
    """The code's settings less another choice of labels, paired."""
    if other not in found.get(name, {}):
        return None
    gap = interval(found[name]["code"].accuracy - found[name][other].accuracy)
    return f"{gap} (there {found[name][other].accuracy.mean():.3f})", above(gap, level)


def draw(found: dict[str, dict[str, Found]], config: Config) -> None:
    """Prequential accuracy along the stream, and the published accuracy afterwards."""
    styles = strategy_styles([*NAMES])
    with picture(config.figures, f"neuronal_{config.scale}", len(found), 1.0) as panels:
        for axis, (name, methods) in zip(panels, found.items(), strict=True):
            for label, one in methods.items():
                look = {**styles[label], "marker": ""}
                axis.plot(one.rows, one.prequential.mean(0), label=NAMES[label], **look)
                axis.plot(one.rows[-1], one.accuracy.mean(), "o", color=look["color"], markersize=3, clip_on=False)
            if name in PUBLISHED:
                axis.axhline(PUBLISHED[name], color="gray", linestyle=":", label="published, after the stream")
            late = [one.prequential[:, len(one.rows) // 10 :].mean(0).min() for one in methods.values()]
            top = max(*(one.prequential.mean(0).max() for one in methods.values()), PUBLISHED.get(name, 0.0))
            title = f"{name} (another table)" if name == "Letter" else name
            axis.set(title=title, xlabel="rows of the stream", ylim=(min(late), min(top + 0.2 * (top - min(late)), 1)))
            axis.yaxis.set_major_formatter(PercentFormatter(1, 0 if max(late) - min(late) > 0.05 else None))
        panels[0].set(ylabel="recent accuracy")
        legend(panels, 3, "mean over seeds; dots: on rows that were not in the stream")


def work(sizes: Sizes) -> float:
    """Rows that are trained on."""
    return float(sizes.num_seeds * sizes.num_rows * sizes.num_steps * sizes.minibatch_size)


FIGURE = Figure(
    "neuronal", "NeurONAL-S", __doc__, "Letter, Shuttle (UCI) and Fashion-MNIST", Config, SIZES, run_all, claims, draw,
    work, stand_in=lambda found: "8 x 8 digits" if "digits" in found else "",
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
