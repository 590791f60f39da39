"""What a posterior costs: fit and scores of every learner, as multiples of one network of the same size.

    python experiments/benchmarks/posteriors.py

A network of 784 inputs, 128 hidden units and 10 outputs is trained for 300 steps on 200 labels; then 10,000 rows are
scored, by BALD of 20 draws (of one network, by entropy). All programs are compiled ahead of time and timed in turn, one
round after the other, and the least time of each counts; `MB` are the temporaries (2^20 bytes) of the larger program,
as compiled. Expected, as fit and scores together over those of the network: at most 1.5 where only the last layer is a
posterior; at most 10 for an ensemble of ten spread over two cores; at most 2 for SWAG, of which only the fit, told
apart, can be within, as 20 draws are 20 networks to score. A head that holds the covariance of its 1,290 weights whole
is not within either. Then, on digits, the NLL of microcanonical chains (mile) by Bayes' rule and at a temperature of
0.1, beside that of as many networks as are trained in their time. The first line asks how long log probabilities of
10,000 rows take under 100 joint draws of a Laplace head, over the one product with the features that they cannot avoid:
at most 3. Takes about eight minutes on two quiet cores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array
from rich.console import Console
from rich.progress import track

from bal import strategies, use_all_cores
from bal.datasets import digits, split
from bal.evaluation import mixture_nll
from bal.learners import bayesian_softmax, ensemble, mile, mlp, neural_linear
from bal.loop.seeds import device_mesh
from bal.typing import Data, Learner, Posterior
from experiments.benchmarks.timing import Program, at_least, compiled, least_seconds, start, table
from experiments.posterior_learners import Name, Sizes, learners, trained_by

CLASSES = 10
TOGETHER, WHOLE = "ensemble, all cores", "neural-linear, whole"
LAST: tuple[Name, ...] = ("vbll", "vbll-full", "last-kfac", "last-whole", "neural-linear")
BOUNDS = {**dict.fromkeys((*LAST, WHOLE), 1.5), TOGETHER: 10.0, "swag": 2.0}
"""Fit and scores together, over those of one network."""
OTHERS: tuple[Name, ...] = ("network", "softmax", "mcmc-softmax", "linear", "linear-gamma", "gp", "gp-softmax")
"""Regressions, and models of all inputs without a network, whose whole covariance would take hours here."""


@dataclass(frozen=True)
class Config:
    """Sizes of the benchmark."""

    learners: tuple[Name, ...] = tuple(name for name in get_args(Name) if name not in OTHERS)
    """Classifiers; the network is always among them."""
    rows: int = 10_000
    """Rows that are scored."""
    features: int = 784
    """Their features."""
    labeled: int = 200
    """Labels of a fit."""
    hidden: int = 128
    """Hidden units of a network."""
    members: int = 10
    """Networks of an ensemble, and members that share weights."""
    draws: int = 20
    """Draws of all other posteriors."""
    steps: int = 300
    """Steps of a training."""
    head_draws: int = 100
    """Joint draws of the Laplace head."""
    repeats: int = 5
    """Times that every program is timed; the least counts."""


def data(size: int, num_features: int) -> Data:
    """Rows in classes that a network can learn, with some noise, so that trainings end where real ones do."""
    key_x, key_w, key_noise = jax.random.split(jax.random.key(size), 3)
    x = jax.random.normal(key_x, (size, num_features))
    logits = x @ jax.random.normal(key_w, (num_features, CLASSES))
    noise = jax.random.gumbel(key_noise, logits.shape)
    return Data(x, jnp.argmax(logits + noise, 1).astype(jnp.int32), jnp.ones(size))


def chosen(config: Config) -> dict[str, Callable[[], Learner]]:
    """Learners by name, those that are wanted and variants of theirs."""
    sizes = Sizes(config.hidden, config.members, config.draws, config.steps, minibatch_size=64)
    known, training = learners(config.features, CLASSES, sizes), trained_by(sizes)
    network = mlp((config.hidden,), CLASSES)
    found: dict[str, Callable[[], Learner]] = {name: known[name] for name in ("network", *config.learners)}
    if "ensemble" in found and config.members % jax.local_device_count() == 0:
        found[TOGETHER] = lambda: ensemble(network, config.members, mesh=device_mesh(), **training)
    if "neural-linear" in found:
        head = bayesian_softmax(CLASSES, config.draws, structure="dense")
        found[WHOLE] = lambda: neural_linear(network, head, **training)
    return found


def fit_and_score(name: str, learner: Learner, labeled: Data, x: jax.Array) -> dict[str, Program]:
    """Both programs of a learner."""
    query = strategies.entropy() if name == "network" else strategies.bald()
    scores = query.stages[0].rows
    assert scores is not None
    fit = compiled(lambda key, d: learner.fit(key, learner.init(key, d), d), jax.random.key(0), labeled)
    state = jax.device_put(fit.call(), jax.local_devices()[0])  # of members that were trained on several
    return {"fit": fit, "score": compiled(lambda state, x: scores(Posterior(state, learner), None, x), state, x)}


def joint_draws(config: Config) -> tuple[float, float]:
    """Seconds of log probabilities under joint draws of a head, and of the product that they are made of."""
    phi = data(config.rows, config.hidden).x
    head = bayesian_softmax(CLASSES, config.head_draws, prior=1.0)
    state = head.init(jax.random.key(0), data(CLASSES, config.hidden))
    weights = jax.random.normal(jax.random.key(1), (config.hidden + 1, config.head_draws * CLASSES))
    draws = weights.reshape(config.hidden + 1, config.head_draws, CLASSES).transpose(1, 0, 2)
    programs = {
        "draws": compiled(head.predict, state._replace(draws=draws), phi),
        "product": compiled(jnp.matmul, jnp.concatenate([phi, jnp.ones((len(phi), 1))], 1), weights),
    }
    warm = least_seconds(programs, config.repeats)
    return warm["draws"], warm["product"]


def at_equal_time(config: Config, temperature: float) -> tuple[Array, Array, int]:
    """NLL on digits, three times, of microcanonical chains and of as many networks as are trained in their time."""
    parts = split(digits(), 0, 500)
    assert parts.x_test is not None
    assert parts.y_test is not None
    labeled = Data(
        jnp.asarray(parts.x[: config.labeled]), jnp.asarray(parts.y[: config.labeled]), jnp.ones(config.labeled)
    )
    x, y = jnp.asarray(parts.x_test), jnp.asarray(parts.y_test)
    network, training = mlp((config.hidden // 4,), CLASSES), trained_by(Sizes(steps=config.steps))

    def losses(learner: Learner) -> Program:
        def one(key: Array) -> Array:
            state = learner.fit(key, learner.init(key, labeled), labeled)
            return mixture_nll(learner.predict(state, x), y)

        return compiled(lambda keys: jax.lax.map(one, keys), jax.random.split(jax.random.key(0), 3))

    chains = losses(mile(network, config.draws, temperature=temperature, **training))
    alone = losses(ensemble(network, 1, **training))
    warm = least_seconds({"chains": chains, "alone": alone}, config.repeats)
    number = max(1, int(warm["chains"] / warm["alone"]))
    return chains.call(), losses(ensemble(network, number, **training)).call(), number


def within(ratio: float, bound: float) -> str:
    """A bound and what became of it."""
    return f"{bound:g}: {'met' if ratio <= bound else 'MISSED'}"


def main(config: Config) -> None:
    at_least(config, 1, "rows", "features", "labeled", "hidden", "members", "draws", "steps", "head_draws", "repeats")
    use_all_cores()
    console = Console()
    draws, product = joint_draws(config)  # first, for either's memory is then as new to the process
    console.print(
        f"{config.head_draws} joint draws of a head: {draws:.3f} s, {draws / product:.2f} times their product, at most "
        f"{within(draws / product, 3)}"
    )
    labeled, x = data(config.labeled, config.features), data(config.rows, config.features).x
    programs: dict[tuple[str, str], Program] = {}
    for name, make in track(chosen(config).items(), description="compiling"):
        made = fit_and_score(name, make(), labeled, x)
        programs |= {(name, what): program for what, program in made.items()}
    warm: Any = least_seconds(programs, config.repeats)  # pyright: ignore[reportArgumentType]
    title = f"{config.labeled} labels, {config.rows:,} rows scored; multiples of one network"
    found = table("learner", "fit s", "x", "score s", "x", "both x", "MB", "both at most", title=title)
    total = lambda name: warm[name, "fit"] + warm[name, "score"]
    for name in dict.fromkeys(name for name, _ in programs):
        seconds = [(warm[name, what], warm[name, what] / warm["network", what]) for what in ("fit", "score")]
        ratio = total(name) / total("network")
        cells = (f"{value:.{3 - place}f}" for pair in seconds for place, value in enumerate(pair))
        megabytes = max(programs[name, what].megabytes for what in ("fit", "score"))
        bound = within(ratio, BOUNDS[name]) if name in BOUNDS else ""
        found.add_row(name, *cells, f"{ratio:.2f}", f"{megabytes:.0f}", bound)
    console.print(found)
    if "swag" in config.learners:
        ratio = warm["swag", "fit"] / warm["network", "fit"]
        console.print(f"fit of swag alone: {ratio:.2f} times that of the network, at most {within(ratio, 2)}")
    for temperature in (1.0, 0.1) if "mile" in config.learners else ():
        chains, networks, number = at_equal_time(config, temperature)
        verdict = "no worse" if chains.mean() <= networks.mean() else "WORSE"
        console.print(
            f"digits, {config.labeled} labels: NLL of mile at temperature {temperature:g} {chains.mean():.3f}, of "
            f"{number} networks in as much time {networks.mean():.3f}: {verdict}"
        )


if __name__ == "__main__":
    start(main, Config, __doc__)
