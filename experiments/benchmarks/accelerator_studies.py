"""The trainings and whole experiments that `accelerator.py` measures, with their nominal work.

A dense layer of W weights costs 6 W flops a row in training and 2 W in prediction; a convolution its weights times the
pixels of its output. Nothing else is counted, so that a share of the matrix rate also shows what the optimizer, the
dropout masks and the picking take.
"""

import itertools
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.acquisition import bald
from bal.datasets import digits
from bal.learners import Network, ensemble, lenet, mc_dropout, mlp
from bal.loop import run, seed_keys
from bal.pool import make_pool
from bal.query import by_score
from bal.selection import best
from bal.strategies import variance
from bal.typing import Data, Posterior, Setup, Task
from experiments.benchmarks.accelerator_timing import Work

WIDTH, MEMBERS, MINIBATCH, BATCH = 128, 10, 64, 5
CLASSES = 10


class Sizes(NamedTuple):
    """seeds, members, draws: numbers that are tried one after the other; the rest are lengths and widths."""

    seeds: tuple[int, ...]
    members: tuple[int, ...]
    draws: tuple[int, ...]
    images: tuple[int, ...]
    gp_seeds: tuple[int, ...]
    rounds: int
    steps: int
    width: int
    minibatch: int
    rows: int
    image_steps: int
    gp_rounds: int
    gp_steps: int = 20


def digits_data() -> tuple[np.ndarray, np.ndarray, str]:
    """The digits of scikit-learn; without it ten clouds of the same shape. Third: which of the two."""
    if find_spec("sklearn") is not None:
        dataset = digits()
        return dataset.x, np.asarray(dataset.y, np.int32), "digits of scikit-learn"
    random = np.random.default_rng(0)
    y = np.arange(1797, dtype=np.int32) % CLASSES
    x = random.uniform(size=(CLASSES, 64))[y] + 0.3 * random.normal(size=(1797, 64))
    return np.clip(x, 0, 1).astype(np.float32), y, "generated in the shape of digits, for there is no scikit-learn"


def over_seeds(one: Callable, platform: str) -> Callable:
    """What `run_seeds` compiles for one device of a platform: seeds in turn on a CPU, all at once elsewhere."""
    if platform == "cpu":
        return lambda keys, task: jax.lax.map(lambda key: one(key, task), keys)
    return jax.vmap(one, (0, None))


def accuracy(posterior: Posterior, test: tuple) -> dict[str, jax.Array]:
    """Share of the test rows whose class has the highest mean probability."""
    x, y = test
    return {"accuracy": jnp.mean(jnp.exp(posterior.predict(x)).mean(1).argmax(-1) == y)}


def digits_works(sizes: Sizes, platform: str) -> list[Work]:
    """The study of `whole_loop.py`, ten members of width 128, by number of seeds; then one of the README's networks,
    five of width 64, at the first number and at 256 or the last."""
    ends = tuple(dict.fromkeys((sizes.seeds[0], min(256, sizes.seeds[-1]))))
    small = [work._replace(name=f"small {work.name}") for work in _digits(sizes, platform, ends, 64, 5)]
    return _digits(sizes, platform, sizes.seeds, WIDTH, MEMBERS) + small


def _digits(sizes: Sizes, platform: str, seeds: tuple[int, ...], width: int, members: int) -> list[Work]:
    """Rounds of five by BALD, evaluated on all rows."""
    x, y, _ = digits_data()
    learner = ensemble(mlp((width,), CLASSES), members, num_steps=sizes.steps, minibatch_size=MINIBATCH)
    query = by_score(bald, best)
    setup = Setup(learner, query, BATCH, sizes.rounds, num_initial=10, evaluate=accuracy)
    study = over_seeds(partial(run, setup=setup), platform)
    weights = x.shape[1] * width + width * CLASSES
    by_seed = 6.0 * weights * MINIBATCH * sizes.steps * members * (sizes.rounds + 1)

    def arguments(num_seeds: int) -> tuple:
        pool = make_pool(jnp.asarray(x))
        return seed_keys(0, num_seeds), Task(pool, jnp.asarray(y), (pool.x, jnp.asarray(y)))

    growths = [1.0, *(min(after / before, 16.0) for before, after in itertools.pairwise(seeds))]
    return [
        Work(
            f"digits, {num_seeds} seed{'s' * (num_seeds > 1)}",
            study,
            partial(arguments, num_seeds),
            num_seeds,
            "seeds",
            "6 W flops a row trained on",
            flops=by_seed * num_seeds,
            growth=growth,
        )
        for num_seeds, growth in zip(seeds, growths)
    ]


def labeled(shape: tuple[int, ...], rows: int) -> Data:
    """Random rows of random classes, all labeled."""
    key_x, key_y = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (rows, *shape))
    return Data(x, jax.random.randint(key_y, (rows,), 0, CLASSES), jnp.ones(rows))


def trained(name: str, network: Network, members: int, steps: int, minibatch: int, shape: tuple, flops: float) -> Work:
    """One fit of an ensemble; `flops` of one row of one member."""
    learner = ensemble(network, members, num_steps=steps, minibatch_size=minibatch)

    def arguments() -> tuple:
        data, key = labeled(shape, 500), jax.random.key(1)
        return key, learner.init(key, data), data

    total = flops * minibatch * steps * members
    return Work(name, learner.fit, arguments, members * steps, "member steps", "6 W flops a row", flops=total)


def network_works(sizes: Sizes) -> list[Work]:
    """Ensembles of wide networks and of LeNets, and the draws of Monte-Carlo dropout, scored by BALD."""
    width, some = sizes.width, []
    weights = 64 * width + width * width + width * CLASSES
    network = mlp((width, width), CLASSES)
    for members, minibatch in [*((m, sizes.minibatch) for m in sizes.members), (sizes.members[-1], MINIBATCH)]:
        name = f"ensemble {members} x {width}, batch {minibatch}"
        some.append(trained(name, network, members, sizes.steps, minibatch, (64,), 6.0 * weights))
    for draws in sizes.draws:
        learner = mc_dropout(mlp((width, width), CLASSES, dropout=0.5), draws, num_steps=1)

        def arguments(learner: Any = learner) -> tuple:
            data = labeled((64,), sizes.rows)
            return learner.init(jax.random.key(0), jax.tree.map(lambda leaf: leaf[:9], data)), data.x

        scored = lambda state, x, learner=learner: bald(learner.predict(state, x))
        flops = 2.0 * weights * sizes.rows * draws
        name = f"dropout {draws} x {width}, scored"
        some.append(Work(name, scored, arguments, sizes.rows, "rows", "2 W flops a row and draw", flops=flops))
    per_image = 24 * 24 * 25 * 32 + 8 * 8 * 25 * 32 * 64 + 1024 * 128 + 128 * CLASSES
    for members in sizes.images:
        name = f"ensemble {members} x LeNet"
        shape = (28, 28, 1)
        some.append(trained(name, lenet(), members, sizes.image_steps, MINIBATCH, shape, 6.0 * per_image))
    return some


def gp_works(sizes: Sizes, platform: str) -> list[Work]:
    """Rounds of regression by a Gaussian process that is fitted in each, most uncertain rows first; by seeds."""
    from gpjax.kernels import RBF  # optional here
    from gpjax.parameters import PositiveReal

    from bal.learners.gp import gp_regression, maximum_likelihood, process

    learner = gp_regression(
        process(RBF(lengthscale=PositiveReal(jnp.array(0.5)), n_dims=5), 0.01), maximum_likelihood(sizes.gp_steps)
    )
    setup = Setup(learner, variance(), BATCH, sizes.gp_rounds, num_initial=10)
    study = over_seeds(partial(run, setup=setup), platform)

    def arguments(num_seeds: int) -> tuple:
        x = jax.random.uniform(jax.random.key(0), (500, 5))
        y = jnp.sin(6 * x[:, 0]) * x[:, 1] + 0.1 * jax.random.normal(jax.random.key(1), (500,))
        return seed_keys(0, num_seeds), Task(make_pool(x), y)

    fits = f"{sizes.gp_rounds + 1} fits, {sizes.gp_steps} L-BFGS steps each at most, float64"
    return [
        Work(f"GP, {n} seed{'s' * (n > 1)}", study, partial(arguments, n), n, "seeds", fits, growth=n / max(before, 1))
        for before, n in zip((0, *sizes.gp_seeds), sizes.gp_seeds)
    ]
