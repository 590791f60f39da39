"""The page `gallery.md` beside this and its pictures: what every recipe asks for first, on one small pool.

python docs/gallery.py   # all pictures and the page: some minutes
"""

import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bal import strategies
from bal.strategies.categories import CATEGORIES

DOCS = Path(__file__).resolve().parent
PICTURES = DOCS / "gallery"
BATCH, NUM_LABELED = 8, 6
COLUMNS = 3

HEAD = """# Gallery

Eight rows of one pool, in the order in which each recipe of `bal.strategies` asks for them after the same six labels
(crosses). The pool has three classes in the plane, a dense group of near copies on a border (at the right), and a few
outliers. Dark is where the model is unsure: an ensemble of ten small networks (entropy of its mean prediction), or, for
recipes of regression, a Gaussian process (its standard deviation). Recipes that take targets are asked about the inputs
in the dashed box. One round of one seed shows what a rule looks at, not how good it is: for that see the
[studies](studies.md). Made by `python docs/gallery.py`.
"""


class Toy(NamedTuple):
    """Rows of the plane, their classes and a real label; the rows that are labeled already; inputs asked about."""

    x: np.ndarray
    classes: np.ndarray
    real: np.ndarray
    labeled: np.ndarray
    targets: np.ndarray


def toy() -> Toy:
    """Three classes, thirty near copies between two of them, and six outliers."""
    random = np.random.default_rng(0)
    centers = np.array([[-1.6, -0.9], [1.6, -0.9], [0.0, 1.6]])
    classes = np.arange(210) % 3
    x = centers[classes] + 0.75 * random.normal(size=(210, 2))
    copies = np.array([1.25, 0.45]) + 0.04 * random.normal(size=(30, 2))
    outliers = np.array([[-4.0, 3.2], [4.2, 3.4], [-4.3, -3.6], [4.4, -3.3], [-4.4, 0.4], [0.2, -4.0]])
    x = np.concatenate([x, copies, outliers]).astype(np.float32)
    classes = np.argmin(((x[:, None] - centers) ** 2).sum(-1), 1).astype(np.int32)
    real = (np.sin(1.3 * x[:, 0]) + 0.5 * x[:, 1]).astype(np.float32)
    near = np.argsort(((x[:210, None] - centers) ** 2).sum(-1), 0)[4:6].ravel()
    targets = random.uniform([-2.6, 0.6], [-0.6, 2.4], (24, 2)).astype(np.float32)
    return Toy(x, classes, real, near.astype(np.int32), targets)


def recipes(toy: Toy) -> dict[str, tuple[str, Any]]:
    """Every recipe: what kind of model it asks, and its query; settings as far as there is no usual one."""
    about, value = toy.targets, np.eye(3)
    clusters = np.floor(2 * toy.x).astype(int) @ np.array([100, 1])
    given = {
        **{"cluster_margin": (clusters,), "probcover": (0.6,), "value_of_information": (about, value)},
        **dict.fromkeys(("epig", "epig_batch", "expected_error_reduction", "jepig"), (about,)),
        "remembered": (strategies.power_bald(), 40),
    }
    mean = np.full((1, len(about)), 1 / len(about))
    process = {
        **{"alc": (about,), "batch_alc": (about,), "functional_epig": (about, mean), "straddle": (0.5,)},
        **dict.fromkeys(("gp_batch_bald", "mutual_information", "variance"), ()),
    }
    kinds = dict.fromkeys(strategies.__all__, "classes") | dict.fromkeys(process, "real") | {"neuronal_p": "neuronal"}
    settings = given | process
    return {name: (kind, getattr(strategies, name)(*settings.get(name, ()))) for name, kind in kinds.items()}


def learners() -> dict[str, Any]:
    """The models by the kind of their labels."""
    import gpjax

    from bal.learners import ensemble, mlp, neuronal
    from bal.learners.gp import gp_regression, process

    return {
        "classes": ensemble(mlp((24,), num_outputs=3), 10, num_steps=300),
        "real": gp_regression(process(gpjax.kernels.RBF(lengthscale=1.2), noise=0.05)),
        "neuronal": neuronal(3, width=32, num_steps=300),
    }


def fitted(toy: Toy) -> dict[str, Any]:
    """A round of each model after the labels; each is trained once for all its recipes."""
    import jax
    import jax.numpy as jnp

    from bal.pool import make_pool
    from bal.pool.labeled import answer, ask, empty_log, training_set
    from bal.typing import Posterior, Round

    pool, rows, every = make_pool(toy.x), jnp.asarray(toy.labeled), jnp.ones(NUM_LABELED, bool)
    rounds = {}
    for kind, learner in learners().items():
        y = jnp.asarray((toy.real if kind == "real" else toy.classes)[toy.labeled])
        log = answer(ask(empty_log(NUM_LABELED, y[:1]), rows, every), rows, every, y, jnp.ones(NUM_LABELED), 0)
        data, key = training_set(log, pool), jax.random.key(1)
        fit = jax.jit(lambda key, data, learner=learner: learner.fit(key, learner.init(key, data), data))
        rounds[kind] = Round(Posterior(fit(key, data), learner), pool, log, None)
    return rounds


def picks(toy: Toy, rounds: dict[str, Any], name: str) -> list[int]:
    """The rows that a recipe asks for, in order."""
    import jax

    from bal.query import run_query
    from bal.typing import Posterior

    kind, query = recipes(toy)[name]
    round, learner = rounds[kind], rounds[kind].posterior.learner
    if query.memory is not None:
        round = round._replace(memory=query.memory(round.pool))

    def asked(state: Any, round: Any) -> Any:
        told = round._replace(posterior=Posterior(state, learner))
        return run_query(jax.random.key(0), query, told, BATCH)[0].indices

    return np.asarray(jax.jit(asked)(round.posterior.state, round._replace(posterior=None))).tolist()


def shade(toy: Toy, rounds: dict[str, Any]) -> dict[str, np.ndarray]:
    """How unsure each model is, on a grid."""
    import jax

    from bal.acquisition import predictive_entropy, total_variance

    line = np.linspace(-5, 5, 60, dtype=np.float32)
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    found = {}
    for kind, score in (("classes", predictive_entropy), ("real", total_variance)):
        posterior = rounds[kind].posterior
        unsure = jax.jit(lambda state, x, learner=posterior.learner, score=score: score(learner.predict(state, x)))
        found[kind] = np.asarray(unsure(posterior.state, grid)).reshape(60, 60)
    return found | {"neuronal": found["classes"]}


def draw(toy: Toy, name: str, rows: list[int], unsure: np.ndarray, about: bool) -> None:
    """One picture, with matplotlib alone and nothing global."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure((2.6, 2.6), dpi=100)
    FigureCanvasAgg(figure)
    axis = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axis.imshow(unsure, extent=(-5, 5, -5, 5), origin="lower", cmap="Greys", alpha=0.55, vmax=1.6 * unsure.max())
    colors = np.array(["#0077BB", "#EE7733", "#009988"])
    axis.scatter(*toy.x.T, c=colors[toy.classes], s=5, linewidth=0, alpha=0.55)
    axis.scatter(*toy.x[toy.labeled].T, c="black", marker="x", s=26, linewidth=1.4)
    if about:
        axis.add_patch(Rectangle((-2.6, 0.6), 2.0, 1.8, fill=False, linestyle="dashed", linewidth=1))
    places = toy.x[rows]
    for number, (x, y) in enumerate(places.tolist()):
        close = int((np.hypot(*(places[:number] - (x, y)).T) < 0.35).sum())  # behind each other, they could not be read
        angle = 2.4 * close
        at = (x + 0.62 * np.cos(angle) * (close > 0), y + 0.62 * np.sin(angle) * (close > 0))
        axis.annotate(
            str(number + 1), (x, y), at, fontsize=7, ha="center", va="center", color="white", weight="bold",
            bbox={"boxstyle": "circle,pad=0.18", "fc": "#CC3311", "ec": "white", "lw": 0.5},
            arrowprops={"arrowstyle": "-", "color": "#CC3311", "lw": 0.6} if close else None,
        )  # fmt: skip
    axis.set(xlim=(-5, 5), ylim=(-5, 5), xticks=[], yticks=[])
    figure.savefig(PICTURES / f"{name}.png", metadata={"Software": None}, pil_kwargs={"optimize": True})


def use(name: str) -> str:
    """When to use it: the docstring's own words, to the end of the sentence."""
    paragraphs = re.split(r"\n\s*\n", inspect.getdoc(getattr(strategies, name)) or "")
    said = next((" ".join(part.split()) for part in paragraphs if part.startswith("Use it")), "")
    return re.split(r"(?<=\.)\s", said.replace("``", "`"))[0] or " ".join(paragraphs[0].split())


def page(asked: dict[str, list[int]]) -> str:
    """The page, with the rows that were asked for in the words that stand for each picture."""
    parts = [HEAD]
    for category, words in CATEGORIES.items():
        names = [name for name in sorted(asked) if of(name) == category]
        if not names:
            continue
        parts.append(f"\n## {category.capitalize()}: {words}\n\n" + "| " * COLUMNS + "|\n" + "|---" * COLUMNS + "|\n")
        for start in range(0, len(names), COLUMNS):
            cells = [cell(name, asked[name]) for name in names[start : start + COLUMNS]]
            parts.append("| " + " | ".join(cells + [""] * (COLUMNS - len(cells))) + " |\n")
    return "".join(parts)


def of(name: str) -> str:
    """The category of a recipe; that of what it wraps."""
    return getattr(strategies, "power_bald" if name == "remembered" else name).category


def cell(name: str, rows: list[int]) -> str:
    """A picture, its name, and when to use it."""
    return f"![{name}: rows {', '.join(map(str, rows))}](gallery/{name}.png)<br>**`{name}`**: {use(name)}"


def printed(text: str) -> dict[str, list[int]]:
    """The rows in a page, by recipe."""
    found = re.findall(r"!\[(\w+): rows ([\d, ]+)\]", text)
    return {name: [int(row) for row in rows.split(", ")] for name, rows in found}


def main() -> None:
    """All pictures and the page."""
    some = toy()
    rounds, asked = fitted(some), {}
    unsure = shade(some, rounds)
    ABOUT = {"epig", "epig_batch", "expected_error_reduction", "jepig", "value_of_information", "alc", "batch_alc"}
    PICTURES.mkdir(exist_ok=True)
    for name, (kind, _) in sorted(recipes(some).items()):
        asked[name] = picks(some, rounds, name)
        draw(some, name, asked[name], unsure[kind], name in ABOUT | {"functional_epig"})
        print(name, asked[name], flush=True)
    (DOCS / "gallery.md").write_text(page(asked))


if __name__ == "__main__":
    main()
