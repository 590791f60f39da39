"""Label handwritten digits by hand, in a browser, while a model chooses which.

    bal label experiments.labeling:digits
    bal label experiments.labeling:digits test_rows=100 batch_size=5

scikit-learn's 1,797 digits (8x8 pixels), the keys 0 to 9, a Bayesian softmax regression on the pixels, and batches by
power-BALD. Answers are kept in runs/label/; typed again the command goes on. Some rows are held out and shown too: the
accuracy on the page is estimated from what you say of them.

    python experiments/labeling.py

shows the same desk without a browser: a scripted annotator who is wrong one time in twenty labels 60 digits, is shown
one in ten again, and prints what the page would show.
"""

import tempfile
from dataclasses import dataclass

import numpy as np

from bal import datasets, strategies
from bal.labeling import Desk, Item, Labeling, image
from bal.learners import bayesian_softmax
from bal.records import open_record
from experiments.common import start
from experiments.options import at_least


@dataclass(frozen=True)
class Config:
    """Options of the scripted annotator."""

    labels: int = 60
    """Digits to label."""
    batch_size: int = 10
    """Digits that one fit asks for."""
    test_rows: int = 100
    """Digits held out for the estimate of the accuracy."""
    seed: int = 0
    """Of the annotator's slips."""


def digits(test_rows: int = 100, batch_size: int = 10, draws: int = 20) -> Labeling:
    """The digits as a labeling: what `bal label` opens."""
    x = datasets.digits().x
    pixels = x.reshape(-1, 8, 8)

    return Labeling(
        (x - x.mean(0)) / 4,
        bayesian_softmax(10, draws, prior=1.0, structure="factored"),
        strategies.power_bald(),
        lambda row: image(pixels[row], alt=f"handwritten digit number {row}"),
        classes=[str(digit) for digit in range(10)],
        question="Which digit is this?",
        batch_size=batch_size,
        repeat=0.1,
        test_rows=test_rows,
    )


def main(config: Config) -> None:
    at_least(config, 1, "labels", "batch_size")
    at_least(config, 0, "test_rows", "seed")
    truth, chance = datasets.digits().y, np.random.default_rng(config.seed)
    labeling = digits(config.test_rows, config.batch_size)._replace(budget=config.labels)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_record(folder, "label", {}) as record,
        Desk(labeling, record) as desk,
    ):
        while desk.progress().stopped is None:
            item = desk.next("script")
            if not isinstance(item, Item):
                desk.settle(1.0)
                continue
            slips = chance.random() < 0.05
            desk.answer("script", item, str(chance.integers(10) if slips else truth[item.row]), seconds=1.0)
        desk.settle()
        shown, again = desk.progress(), desk.agreement(with_self=True)
    print(f"{shown.labels} labels, {shown.answers} answers, {shown.round} fits; {shown.stopped}")
    if shown.quality is not None:
        name, value, low, high, number, _ = shown.quality
        print(f"{name} {value:.2f}, {low:.2f} to {high:.2f} with confidence 95 %, from {number} test labels")
    if again.share is not None:
        print(f"asked again: the same answer to {again.share:.0%} of {again.num_rows} digits")


if __name__ == "__main__":
    start(main, Config, __doc__)
