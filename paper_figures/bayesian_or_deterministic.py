"""Draws of dropout against one pass without it, for the same acquisition functions on MNIST.

    python -m paper_figures.bayesian_or_deterministic --scale cpu

The network, the training and the test of `mc_dropout_mnist`, whose records it shares; what differs is what a row is
scored by: K draws of dropout, or the one softmax of a pass without dropout. Of one pass, BALD and the mean standard
deviation are 0 in every row. All candidates then tie, and ties are broken at random, so that either *is* random
sampling among 2,000 random candidates: both are one curve here ("one pass" under BALD and mean STD). The archived code
of the paper ranks by what rounding leaves of a difference of two entropies; that is drawn as a curiosity (rounding).
By one pass variation ratio is ``1 - max p``, since the votes of one draw tie too. Crosses are archived means.

Not as published: see `mc_dropout_mnist`. `smoke` takes a minute, most of it to compile; `cpu` 22 minutes on two cores
that did other work, too, its records of `mc_dropout_mnist` among them.

Found at `cpu`, where the network is a perceptron: entropy is as good by one pass as by draws, as archived. Nothing else
is: draws are not told from one pass for the variation ratio (+.005 [-.000, +.010]) and the mean deviation, and BALD by
draws lies .016 [.007, .025] below ties, which are random rows. By rounding, of all things, it is ahead of them by .009
[.005, .012]. Not tried here: the convolutional network (`paper`).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal import acquisition
from bal.evaluation import equivalence_test, strategy_styles
from bal.evaluation.plots import band_title, draw_curve
from bal.typing import Setup
from paper_figures import dropout_study
from paper_figures.claims import Claim, Judged, above, exceeds, interval, told
from paper_figures.common import Repeated as Config
from paper_figures.common import legend, picture
from paper_figures.dropout_study import SIZES, Runs, Sizes, candidates_first, learner, run_setups, work
from paper_figures.figure import Figure, launch
from paper_figures.mc_dropout_mnist import LOGS

PAPER = "Gal et al. 2017, figure 2"
FIRST, MARGIN = 200, 0.01
LOGGED_AT = (300, 500, 1000)
TIES, NOISE = "one pass: ties", "one pass: rounding"


class Pair(NamedTuple):
    """An acquisition function by draws and by one pass, and the archived accuracy of both at `LOGGED_AT`."""

    drawn: str
    one_pass: str
    logged: tuple[tuple[float, float, float], tuple[float, float, float]]


PAIRS = {
    "BALD": Pair("bald", TIES, ((0.940, 0.963, 0.984), (0.934, 0.963, 0.979))),
    "variation ratio": Pair("variation-ratio", "one pass: 1 - max p", ((0.930, 0.958, 0.978), (0.889, 0.935, 0.951))),
    "entropy": Pair("entropy", "one pass: entropy", ((0.918, 0.948, 0.975), (0.921, 0.952, 0.978))),
    "mean STD": Pair("mean-std", TIES, ((0.901, 0.923, 0.951), (0.877, 0.913, 0.949))),
}


def rounding(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """BALD of one pass as a difference: the entropy by one formula less the same by another. Nothing but rounding."""
    p, log_p = jnp.exp(log_probs[:, 0]), log_probs[:, 0]
    return -(p * jnp.log2(p + 1e-30)).sum(1) + (p * log_p).sum(1) / jnp.log(2.0)


def setups(sizes: Sizes) -> dict[str, Setup]:
    """The five of `mc_dropout_mnist`, and what one pass asks for."""
    drawn = dropout_study.setups("printed", sizes)
    scores = {
        TIES: acquisition.bald,
        NOISE: rounding,
        PAIRS["variation ratio"].one_pass: acquisition.least_confidence,
        PAIRS["entropy"].one_pass: acquisition.predictive_entropy,
    }
    setup = drawn["bald"]._replace(learner=learner(sizes, 0))
    return drawn | {
        name: setup._replace(query=candidates_first(of, sizes.num_candidates)) for name, of in scores.items()
    }


def run(config: Config, sizes: Sizes) -> Runs:
    """All set-ups, those of `mc_dropout_mnist` from its records."""
    return run_setups(config, "printed", sizes, setups(sizes))


def level(runs: Runs, name: str) -> np.ndarray | None:
    """Mean accuracy from 200 labels on, of every seed; None where there are fewer."""
    late = runs.labels >= FIRST
    return runs.accuracy[name][:, late].mean(1) if late.any() else None


def gap(runs: Runs, name: str, other: str) -> np.ndarray | None:
    """One level less another, paired."""
    one, two = level(runs, name), level(runs, other)
    return None if one is None or two is None else one - two


def no_gap(runs: Runs, pair: Pair) -> Judged | None:
    """Whether a gap is shown to be within the margin, or shown to be there; else it cannot be told."""
    one, two = level(runs, pair.drawn), level(runs, pair.one_pass)
    if one is None or two is None:
        return None
    ours, other = interval(one - two, (-1, 1)), interval(two - one, (-1, 1))
    if len(one) > 2 and equivalence_test(one, two, MARGIN).equivalent:
        return str(ours), True
    return str(ours), False if above(ours) or above(other) else None


def claims(config: Config, sizes: Sizes) -> list[Claim]:
    """A gap of variation ratio, none of entropy; then what one pass cannot do."""
    span, bounds = f"mean accuracy from {FIRST} labels on", (-1, 1)

    def archived(name: str) -> str:
        parts = (f"{one:.3f} against {two:.3f}" for one, two in zip(*PAIRS[name].logged, strict=True))
        return f"archived at {', '.join(map(str, LOGGED_AT))} labels: {'; '.join(parts)}"

    def ahead(name: str, note: str) -> Claim:
        pair = PAIRS[name]
        return Claim(f"{name}: draws above one pass{note}, in {span}", archived(name), f"{PAPER}; {LOGS}",
                     lambda runs: gap(runs, pair.drawn, pair.one_pass), exceeds(0.0, bounds))  # fmt: skip

    return [
        ahead("variation ratio", ""),
        Claim(f"entropy: draws and one pass are as good as one another, in {span}", archived("entropy"),
              f"{PAPER}; {LOGS}", lambda runs: no_gap(runs, PAIRS["entropy"]) or ("not measured here", None),
              told(f"two one-sided tests: 90 % interval of the paired gap within ±{MARGIN:g}; a 95 % interval off 0 "
                   "that is not within it is a contradiction")),
        ahead("BALD", " (all ties)"),
        ahead("mean STD", " (all ties)"),
        Claim(f"curiosity: one-pass BALD by rounding above that by ties, in {span}",
              "not said; the published one-pass BALD is by rounding", "the archived code",
              lambda runs: gap(runs, NOISE, TIES), exceeds(0.0, bounds)),
    ]  # fmt: skip


def draw(runs: Runs, config: Config) -> None:
    """A panel an acquisition function: draws, one pass, random."""
    styles = strategy_styles([pair.drawn for pair in PAIRS.values()] + ["random"])
    plain = {"color": "gray", "linestyle": "dashed", "marker": "s"}
    first = max(len(runs.labels) // 8, 0)
    with picture(config.figures, f"bayesian_or_deterministic_{config.scale}", 4, 1.6) as panels:
        for axis, (title, pair) in zip(panels, PAIRS.items(), strict=True):
            lines = {"draws": (pair.drawn, styles[pair.drawn]), "one pass": (pair.one_pass, plain),
                     "random": ("random", {**styles["random"], "linewidth": 0.7})}  # fmt: skip
            if title == "BALD":
                lines["one pass, rounding"] = (NOISE, {"color": "gray", "linestyle": "dotted", "marker": "v"})
            for label, (name, look) in lines.items():
                draw_curve(axis, runs.labels[first:], runs.accuracy[name][:, first:], label, look, (0, 1))
            for color, values in zip((styles[pair.drawn]["color"], "gray"), pair.logged, strict=True):
                seen = [(at, value) for at, value in zip(LOGGED_AT, values, strict=True) if at <= runs.labels[-1]]
                axis.plot(*zip(*seen), "x", color=color, markersize=4) if seen else None
            axis.set(xlabel="labels", title=title)
        panels[0].set(ylabel="test accuracy")
        lowest = min(axis.get_ylim()[0] for axis in panels)
        highest = max(axis.get_ylim()[1] for axis in panels)
        for axis in panels:
            axis.set_ylim(lowest, highest)
        for axis in panels[1:]:
            axis.tick_params(labelleft=False)
        data = "" if runs.is_mnist else "8 x 8 digits (stand-in); "
        handles = panels[0].get_legend_handles_labels()[0] + panels[0].plot(
            [], [], "x", color="black", label="archived"
        )
        title = data + band_title(runs.accuracy).replace("\n", " ")
        legend(panels, 5, title, handles)


FIGURE = Figure(
    "bayesian_or_deterministic", "Draws or one pass", __doc__, "MNIST", Config, SIZES, run, claims, draw,
    work, stand_in=lambda runs: "" if runs.is_mnist else "8 x 8 digits",
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
