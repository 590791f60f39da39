"""What the tests of the page label: `bal label tests.browser.labelings:few`.

Rows say what they are, so that the answers that come out can be compared; `evil` has markup wherever a text goes.
"""

import jax
import jax.numpy as jnp
import numpy as np

from bal import strategies
from bal.labeling import Labeling, Number, View, image, series, table, text
from bal.learners import bayesian_linear
from bal.typing import Learner, MultiLabel

EVIL = """<img src=x onerror="document.title='evil'"><script>document.title='evil'</script>{{7*7}}${7*7}`</script>"""


def is_up(row: int) -> bool:
    """What is right for a row of `few`."""
    return row % 3 == 0


def means(key, state, data):
    members = jax.nn.one_hot(data.y, 2, axis=0) * data.weight[None, :]
    return members @ data.x / (1 + members.sum(1, keepdims=True))


def soft_means(key, state, data):
    members = data.y.T * data.weight[None, :]
    return members @ data.x / (1 + members.sum(1, keepdims=True))


def predict(means, x):
    squared = jnp.square(x[:, None, :] - means[None]).sum(-1)
    return jax.nn.log_softmax(-squared[:, None, :] * jnp.array([0.2, 1.0])[None, :, None], -1)


def predict_several(means, x):
    return MultiLabel(jnp.concatenate([x[:, None, :] @ means.T, -x[:, None, :] @ means.T], 1))


CENTERS = Learner(lambda key, data: jnp.zeros((2, 2)), means, predict)  # compiles in no time
SOFT = CENTERS._replace(fit=soft_means)
SEVERAL = Learner(lambda key, data: jnp.zeros((2, 2)), soft_means, predict_several)


def rows(num: int) -> np.ndarray:
    up = np.array([is_up(row) for row in range(num)])
    return np.random.default_rng(0).normal(np.where(up, 1.5, -1.5)[:, None], size=(num, 2)).astype(np.float32)


def few(num: int = 200) -> Labeling:
    """Two classes, texts."""

    def show(row: int) -> View:
        return text(f"row {row}\nlooks {'up' if is_up(row) else 'down'}")

    keys = {"down": "d", "up": "p"}
    labeling = Labeling(rows(num), CENTERS, strategies.bald(), show, classes=["down", "up"], keys=keys, batch_size=10)
    return labeling._replace(question="Up or down?", test_rows=40, test_share=0.2)


def evil() -> Labeling:
    """Markup in every place that holds a text."""

    def show(row: int) -> View:
        if row % 4 == 0:
            raise ValueError(f"no row {row} {EVIL}")
        return text(f"{EVIL} row {row}", alt=EVIL) if row % 2 else table({EVIL: EVIL, "row": row})

    names = [f"one {EVIL}", "two' onclick='document.title=1"]
    ids = [f"{row} {EVIL}" for row in range(30)]
    return few(30)._replace(render=show, classes=names, keys=None, ids=ids, question=f"Which? {EVIL}", test_rows=0)


def pictures() -> Labeling:
    """Pictures and answers of people who are unsure."""
    pixels = np.random.default_rng(1).integers(0, 255, (40, 8, 8)).astype(np.uint8)
    show = lambda row: image(pixels[row], alt=f"picture of row {row}")
    return few(40)._replace(learner=SOFT, render=show, soft=True, question="", test_rows=0)


def tags() -> Labeling:
    """Several labels at once, tables."""
    show = lambda row: table({"row": row, "size": 1.5 * row})
    return Labeling(rows(40), SEVERAL, strategies.random(), show, several=["red", "big"], batch_size=5)


def lengths() -> Labeling:
    """Numbers of millimeters, series."""
    x = rows(40)
    show = lambda row: series(np.sin(np.arange(200) / 9) * x[row, 0], alt=f"wave of row {row}")
    learner = bayesian_linear(noise=0.1, prior=1.0)
    return Labeling(x, learner, strategies.variance(), show, number=Number(-5, 5, "mm"), batch_size=5)
