"""Active learning by proxy: a small network chooses, on frozen or aligned features of a big one; and what that costs.

    python -m paper_figures.asvp --scale cpu

Left and middle: Fashion-MNIST through EfficientNet-Lite0, SMS spam through MiniLM, margin sampling. *full* fine-tunes
the pretrained network in every round and lets it choose. *frozen* (SVPp) computes features once; a network of one
hidden layer chooses all rows on them, and the pretrained one is fine-tuned at the end. *aligned* (ASVP): after a third
of the rounds the network is fine-tuned once, features are made anew, and the proxy goes on. *random* is fine-tuned at
the end too. Curves are accuracies of the fine-tuned network on rows that are in no pool, over all operations that it
took to get there: features of the pool, fits and queries of all rounds, the alignment, the last fine-tuning
(`bal.proxies.flops`; evaluations are not counted). LP-FT trains the head alone, for 100 steps more, before the whole:
compared on the same random rows, at the fewest labels, whatever those steps cost. Right: SVP on digits; a network of 32
units chooses for one of 2 x 256, beside the latter's own choice. Paired seeds; a seed draws start set and training.

Not as published: EfficientNet-Lite0 and MiniLM, small pools and some hundred labels, not ResNet-50 and 400,000; of
EfficientNet the last block and the last convolution are fine-tuned, at 112 pixels, of MiniLM the last two layers, on
messages of at most 24 tokens: what lies below is computed once, and counted once for each row an arm looks at. The
moment of the switch is fixed, as it is in the one script of the released code; `bal.proxies.when_flat`, a rule of our
own, looks back over more rounds than there are here. In SVP the proxy is a smaller perceptron and not a shallower
ResNet. `smoke` has tiny networks of random weights, digits, and made-up sentences. The paper's tables could not be
opened, so orderings are judged and no number.

*Found at `cpu`*, 10 seeds in 18 minutes: a proxy chooses better rows than chance, and what it chose serves the big
network as well as what that chose itself, for 1.7 to 2.0 times fewer operations with the alignment, and fewer still
without: the alignment pays for nothing here, frozen features being good already. On Fashion-MNIST ten seeds cannot tell
.02 (-.003 [-.027, +.021]). Probing first does not help at 110 labels (-.015 [-.035, +.006]). On the digits a network of
32 units is 174 times cheaper to ask than one of 2 x 256, but no substitute: the error is .033 [.023, .043] higher, and
rows of its choice are about as good as random ones. Published proxies are shallower networks of the target's own kind;
a wider one was not tried.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Float
from matplotlib.ticker import NullFormatter
from rich.console import Console

from bal import backbones, make_pool, run_eager, run_seeds, seed_keys, strategies
from bal.datasets import digits, fashion_mnist, sms_spam
from bal.evaluation import classification, strategy_styles
from bal.evaluation.statistics import mean_interval
from bal.features import cache_features
from bal.learners import ensemble, mlp
from bal.proxies import asvp, at_labels, costs_of, fine_tuned, flops, never, round_flops, spent, trained_on
from bal.proxies.costs import fit_flops, row_flops
from bal.proxies.images import image_backbone, image_rows
from bal.proxies.texts import text_backbone, text_rows
from bal.proxies.training import answers, first_state, measured
from bal.typing import Setup, Task
from paper_figures.claims import Claim, exceeds, not_below, within
from paper_figures.common import Repeated as Config
from paper_figures.common import legend, on_record, picture
from paper_figures.figure import Figure, launch

WEN = "Wen et al. 2024, as the abstract has it; tables not seen"
COLEMAN = "Coleman et al. 2020, abstract"
ARMS = ("random", "frozen", "aligned", "full")
LENGTH, PIXELS = 24, 112


class Plan(NamedTuple):
    """One data set: rows of pool and test, labels at the start and in a round, rounds, steps of a fine-tuning."""

    num_pool: int
    num_test: int
    num_initial: int
    batch_size: int
    num_rounds: int
    num_steps: int
    start: int

    @property
    def budgets(self) -> tuple[int, ...]:
        """Labels at which a proxy's choice is handed to the pretrained network: after half of the rounds, and all."""
        counts = -(-self.num_rounds // 2), self.num_rounds
        return tuple(dict.fromkeys(self.num_initial + self.batch_size * count for count in counts))


class Sizes(NamedTuple):
    """What a scale means; svp: seeds, rounds, and steps of the target of the digits."""

    num_seeds: int
    fashion: Plan
    sms: Plan
    svp: tuple[int, int, int]
    tiny: bool


SIZES = {
    "smoke": Sizes(2, Plan(60, 40, 10, 5, 3, 5, 2), Plan(40, 30, 8, 4, 3, 5, 1), (2, 2, 10), True),
    "cpu": Sizes(10, Plan(2000, 1000, 20, 30, 6, 60, 15), Plan(600, 400, 10, 25, 3, 30, 4), (20, 8, 400), False),
}


class Problem(NamedTuple):
    """A task whose rows are what the backbone begins with, the backbone, and operations of one row: below it, in it."""

    task: Task
    backbone: Any
    num_classes: int
    below: float
    above: float


def fashion(plan: Plan, folder: Path, tiny: bool) -> Problem:
    """Images after the blocks that stay frozen."""
    if tiny:
        encoder, images, y = backbones.tiny_image_encoder(jax.random.key(0)), digits().x, digits().y
    else:
        data = fashion_mnist()
        encoder, images, y = backbones.efficientnet_lite0(size=PIXELS), data.x, data.y
    images = np.asarray(images[: plan.num_pool + plan.num_test], np.float32)
    images = images.reshape(len(images), *(8, 8) if tiny else (28, 28))
    encode = lambda some: image_rows(encoder, some, plan.start).reshape(len(some), -1)
    rows = kept(folder / f"fashion-{len(images)}-{plan.start}-{tiny}", images, encode, encoder.source)
    shape = image_rows(encoder, images[:1], plan.start).shape[1:]
    pixels = jax.ShapeDtypeStruct((1, encoder.size, encoder.size, 3), np.float32)
    whole = flops(encoder.module.apply, encoder.variables, pixels).count
    return problem(plan, rows.reshape(len(rows), *shape), y, image_backbone(encoder, plan.start), 10, whole)


def sms(plan: Plan, folder: Path, tiny: bool) -> Problem:
    """Messages that are short enough, after the layers that stay frozen."""
    encoder = backbones.tiny_text_encoder(jax.random.key(1)) if tiny else backbones.minilm()
    texts, y = made_up(plan.num_pool + plan.num_test) if tiny else (sms_spam().x, sms_spam().y)
    lengths = np.array([len(one.ids) for one in encoder.tokenizer.encode_batch([str(text) for text in texts])])
    order = np.random.default_rng(0).permutation(np.flatnonzero(lengths <= LENGTH))[: plan.num_pool + plan.num_test]
    texts, y = [str(texts[row]) for row in order], np.asarray(y)[order]
    make = partial(text_rows, encoder, start=plan.start, length=LENGTH)
    rows = kept(folder / f"sms-{len(texts)}-{plan.start}-{tiny}", texts,
                lambda some: make(some)["states"].reshape(len(some), -1), encoder.source)  # fmt: skip
    x = {"states": rows.reshape(len(rows), LENGTH, -1), "mask": text_rows(encoder, texts, length=LENGTH)["mask"]}
    tokens, mask = (jax.ShapeDtypeStruct((1, LENGTH), dtype) for dtype in (np.int32, bool))
    whole = flops(encoder.module.apply, encoder.variables, tokens, mask).count
    return problem(plan, x, y, text_backbone(encoder, plan.start), 2, whole)


def made_up(count: int) -> tuple[list[str], np.ndarray]:
    """Sentences of two kinds, by chance."""
    draw, words = np.random.default_rng(0), (["see", "you", "later", "home"], ["win", "a", "free", "prize"])
    y = draw.integers(0, 2, count)
    return [" ".join(draw.choice(words[kind] + ["now", "today"], 5)) for kind in y], y.astype(np.int32)


def kept(folder: Path, items: Any, encode: Callable, source: Any) -> np.ndarray:
    """Rows of the pool, computed once."""
    return np.asarray(cache_features(folder, items, encode, source, batch_size=64, console=Console(quiet=True)).x[:])


def problem(plan: Plan, x: Any, y: Any, backbone: Any, num_classes: int, whole: float) -> Problem:
    """The first rows are the pool, those behind them the test."""
    part = lambda some: jax.tree.map(lambda leaf: leaf[some], x)
    pool, test = slice(plan.num_pool), slice(plan.num_pool, plan.num_pool + plan.num_test)
    y = np.asarray(y[: plan.num_pool + plan.num_test], np.int32)
    task = Task(make_pool(part(pool)), y[pool], (part(test), y[test]))
    above = row_flops(lambda params, x: backbone.apply(params, x, None), backbone.params, task.pool.x).count
    return Problem(task, backbone, num_classes, whole - above, above)


def frozen_features(plan: Plan, found: Problem) -> tuple[Any, Any]:
    """Features of pool and test by the pretrained network: the same for all seeds."""
    target, task = methods(plan, found)["FT"], found.task
    state, vectors = first_state(jax.random.key(0), target, task.pool), jax.jit(lambda *row: target.embed(*row)[:, 0])
    return vectors(state, task.pool.x), vectors(state, task.test[0])


def methods(plan: Plan, found: Problem) -> dict[str, Any]:
    """The pretrained network, fine-tuned and probed first, and the set-up of the proxy."""
    tune = partial(fine_tuned, found.backbone, found.num_classes, num_steps=plan.num_steps, minibatch_size=16,
                   optimizer=optax.adamw(1e-4), head_optimizer=optax.adam(1e-2))  # fmt: skip
    proxy = ensemble(mlp((128,), found.num_classes), 1, num_steps=200, minibatch_size=32)
    setup = Setup(proxy, strategies.margin(), plan.batch_size, plan.num_rounds, plan.num_initial, classification())
    return {"FT": tune(), "LP-FT": tune(num_probe_steps=100), "setup": setup}


def of_seed(plan: Plan, found: Problem, features: tuple, key: Any) -> dict[str, np.ndarray]:
    """Accuracy and operations by arm at each budget of a seed, and where the switch was thrown."""
    of, out = methods(plan, found), {}
    target, setup, task = of["FT"], of["setup"], found.task
    capacity = plan.num_initial + plan.num_rounds * plan.batch_size
    score = lambda key, learner, rows, count: measured(
        setup, trained_on(key, learner, task.pool, rows[:count], task.oracle[rows[:count]], capacity), task.test
    )["accuracy"]  # fmt: skip
    first = np.arange(1)
    below, encode = found.below * plan.num_pool, found.above * plan.num_pool
    once = fit_flops(target, answers(task.pool, first, task.oracle[first], capacity)).count
    for name in ("random", "frozen", "aligned"):
        query = strategies.random() if name == "random" else strategies.margin()
        moment = plan.num_initial + plan.batch_size * -(-plan.num_rounds // 3)
        moment = at_labels(moment) if name == "aligned" else never
        chosen = asvp(key, task, setup._replace(query=query), target, switch=moment, features=features)
        rows, last = chosen.rows, float(chosen.metrics["accuracy"])
        early = [float(score(jax.random.fold_in(key, at), target, rows, at)) for at in plan.budgets[:-1]]
        spent_until = [below + encode + spent(chosen.costs[:-1], until=at).flops + once for at in plan.budgets]
        if name == "random":  # looks at no row but those that are labeled, and needs no proxy
            spent_until = [found.below * at + once for at in plan.budgets]
        out[name], out[f"{name} flops"] = np.array([*early, last]), np.array(spent_until)
        out[f"{name} switched"] = np.array(chosen.switched or 0)
        if name == "random":
            out["LP-FT"] = np.array(score(jax.random.fold_in(key, plan.budgets[0]), of["LP-FT"], rows, plan.budgets[0]))
    whole = setup._replace(learner=target)
    log = run_eager(key, task, whole)
    at = [
        plan.budgets.index(count) if count in plan.budgets else None for count in np.asarray(log.num_training).tolist()
    ]
    costs = costs_of(task, whole, log, [0.0] * len(at))
    out["full"] = np.asarray(log.metrics["accuracy"])[[number for number, place in enumerate(at) if place is not None]]
    query = round_flops(task, whole)[1].count
    unasked = {count: 0.0 if count == capacity else query for count in plan.budgets}  # nobody asks behind the budget
    out["full flops"] = np.array([below + spent(costs, until=n).flops - rest for n, rest in unasked.items()])
    return out


def run_svp(config: Config, sizes: Sizes) -> dict[str, np.ndarray]:
    """Final accuracy of the target on rows that it chose, or the proxy, or nobody; and operations of choosing."""
    num_seeds, num_rounds, num_steps = sizes.svp
    num_seeds = min(num_seeds, sizes.num_seeds) if config.seeds else num_seeds
    target = ensemble(mlp((256, 256)), 1, num_steps=num_steps)
    proxy = ensemble(mlp((32,)), 1, num_steps=max(num_steps // 2, 1), minibatch_size=32)
    x, y = np.asarray(digits().x, np.float32), np.asarray(digits().y, np.int32)
    setup = Setup(target, strategies.margin(), 20, num_rounds, 20, classification())
    arms = {"target": setup, "proxy": setup._replace(learner=proxy),
            "nobody": setup._replace(learner=proxy, query=strategies.random())}  # fmt: skip
    task, keys, found = Task(make_pool(x[500:]), y[500:], (x[:500], y[:500])), seed_keys(1, num_seeds), {}

    def compute(name: str) -> dict[str, np.ndarray]:
        log = run_seeds(keys, task, arms[name]).log
        rows = np.concatenate([log.start, np.asarray(log.indices).reshape(num_seeds, -1)], 1)
        ends = [
            trained_on(key, target, task.pool, some, task.oracle[some]) for key, some in zip(keys, rows, strict=True)
        ]
        fit, query = round_flops(task, arms[name])
        return {"accuracy": np.array([float(measured(setup, end, task.test)["accuracy"]) for end in ends]),
                "flops": np.array(num_rounds * (fit.count + query.count)), "rows": rows}  # fmt: skip

    for name in arms:
        part = {"part": "SVP", "chosen by": name, "sizes": list(sizes.svp)}
        found[name] = on_record(config, "asvp", part, partial(compute, name), num_seeds=num_seeds, of=total(sizes))
    return found


def total(sizes: Sizes) -> int:
    """Seeds of all parts, for progress."""
    return 2 * sizes.num_seeds + 3 * sizes.svp[0]


def run(config: Config, sizes: Sizes) -> dict[str, Any]:
    """What every seed found, by data set, and the digits."""
    found: dict[str, Any] = {"plans": {"fashion": sizes.fashion, "sms": sizes.sms}, "tiny": sizes.tiny}
    for name, make in (("fashion", fashion), ("sms", sms)):
        plan, made = found["plans"][name], []
        seeds = []
        for seed, key in enumerate(seed_keys(0, sizes.num_seeds)):
            part = {"part": name, "seed": seed, "plan": list(plan), "tiny": sizes.tiny}

            def compute(
                plan: Plan = plan, make: Any = make, made: list = made, key: Any = key
            ) -> dict[str, np.ndarray]:
                if not made:
                    problem = make(plan, config.runs / "asvp-features", sizes.tiny)
                    made.extend((problem, frozen_features(plan, problem)))
                return of_seed(plan, made[0], made[1], key)

            seeds.append(on_record(config, "asvp", part, compute, of=total(sizes)))
        found[name] = {arm: np.stack([one[arm] for one in seeds]) for arm in seeds[0]}
    return {**found, "svp": run_svp(config, sizes)}


def gap(found: dict, data: str, one: str, two: str, at: int = -1) -> Float[np.ndarray, "S"]:
    """Accuracy of one arm less another at a budget, paired."""
    return found[data][one][:, at] - found[data][two][:, at]


def ratio(found: dict, data: str) -> Float[np.ndarray, "S"]:
    """Operations of fine-tuning in every round over those of the aligned proxy, at all labels."""
    return found[data]["full flops"][:, -1] / found[data]["aligned flops"][:, -1]


def claims(config: Config, sizes: Sizes) -> list[Claim]:
    """Orderings, and two numbers of SVP."""
    del config, sizes
    bounds, drawn = (-1, 1), "ordering"
    both = {"fashion": "Fashion-MNIST", "sms": "SMS spam"}
    return [
        *(Claim(f"{name}: aligned features are no worse than frozen ones with all labels", drawn, WEN,
                lambda found, data=data: gap(found, data, "aligned", "frozen"), not_below(bounds))
          for data, name in both.items()),
        *(Claim(f"{name}: aligned, accuracy within 0.02 of fine-tuning in every round", drawn, WEN,
                lambda found, data=data: gap(found, data, "aligned", "full"), within(0.02, bounds))
          for data, name in both.items()),
        *(Claim(f"{name}: operations of fine-tuning in every round over those of ASVP, above 1", "fewer", WEN,
                lambda found, data=data: ratio(found, data), exceeds(1.0)) for data, name in both.items()),
        *(Claim(f"{name}: what a frozen proxy chooses is better than random rows, all labels", drawn, WEN,
                lambda found, data=data: gap(found, data, "frozen", "random"), exceeds(0.0, bounds))
          for data, name in both.items()),
        Claim("Fashion-MNIST: LP-FT is ahead of FT at the fewest labels, on the same rows", drawn, WEN,
              lambda found: found["fashion"]["LP-FT"] - found["fashion"]["random"][:, 0], exceeds(0.0, bounds)),
        Claim("SVP, digits: operations of selection by the target over those by the proxy, above 10",
              "up to 41.9 times faster", COLEMAN,
              lambda found: np.full(len(found["svp"]["target"]["accuracy"]), speed_up(found)), exceeds(10.0)),
        Claim("SVP, digits: final error within 0.01 of that on the target's own choice", "often within 0.001", COLEMAN,
              lambda found: found["svp"]["proxy"]["accuracy"] - found["svp"]["target"]["accuracy"],
              within(0.01, bounds)),
    ]  # fmt: skip


def speed_up(found: dict) -> float:
    """How many times fewer operations the proxy's selection takes."""
    return float(found["svp"]["target"]["flops"] / found["svp"]["proxy"]["flops"])


def draw(found: dict[str, Any], config: Config) -> None:
    """Accuracy over operations for two data sets, and of SVP by who chose."""
    styles = strategy_styles(ARMS)
    with picture(config.figures, f"asvp_{config.scale}", 3, 1.1) as panels:
        for axis, (data, title) in zip(panels, (("fashion", "Fashion-MNIST"), ("sms", "SMS spam"))):
            for name in ARMS:
                mean, low, high = mean_interval(found[data][name], (0, 1))
                spread, at = np.stack([mean - low, high - mean]), found[data][f"{name} flops"].mean(0)
                axis.errorbar(at, mean, spread, label=name, markersize=3, elinewidth=0.8, **styles[name])
            axis.set(xscale="log", xlabel="FLOP in all", title=title)
            axis.xaxis.set_minor_formatter(NullFormatter())
        panels[0].set(ylabel="test accuracy")
        last, arms = panels[2], found["svp"]
        errors = [1 - arms[name]["accuracy"] for name in arms]
        last.boxplot(errors, tick_labels=list(arms), widths=0.5)
        last.set(xlabel="rows chosen by", ylabel="test error", title="SVP on digits")
        seeds = len(found["sms"]["random"])
        legend(panels[:2], 4, f"mean of {seeds} seeds with its 95 % t interval; points: half of the rounds, and all")


def work(sizes: Sizes) -> float:
    """Rows that go through a network that is being fine-tuned."""
    return float(sum(sizes.num_seeds * plan.num_steps * plan.num_rounds for plan in (sizes.fashion, sizes.sms)))


FIGURE = Figure(
    "asvp", "Active learning by proxy", __doc__, "Fashion-MNIST, SMS spam, 8 x 8 digits", Config, SIZES, run, claims,
    draw, work, stand_in=lambda found: "tiny random encoders, digits, made-up sentences" if found["tiny"] else "",
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
