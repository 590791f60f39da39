"""Convolutions inside a compiled loop: training steps of a LeNet, and an ensemble of them, on this machine.

    python experiments/benchmarks/conv.py

Takes about a minute on two quiet cores. Expected on a CPU: a training step inside the compiled loop takes at
most 1.2 times the same step as a compiled function called from Python, and an ensemble of five at most five
times one network. All programs are timed in turn, round after round, and the least time of each counts.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from rich.console import Console
from rich.table import Table

from bal.learners import categorical
from bal.learners.ensemble import ensemble
from bal.learners.networks import Network, lenet, network
from bal.typing import Data
from experiments.benchmarks.timing import at_least, start


@dataclass(frozen=True)
class Config:
    """Sizes of the benchmark."""

    num_steps: int = 20
    """Training steps in one timed program."""
    num_members: int = 5
    """Networks in the ensemble."""
    minibatch_size: int = 64
    """Images in one step."""
    rounds: int = 8
    """Times that every program is timed; the least counts."""


def primitive(*args, **settings):
    """The convolution primitive: a function of its own keeps `network` from giving the layer another form."""
    return jax.lax.conv_general_dilated(*args, **settings)


class PlainLeNet(nnx.Module):
    """The same network by `nnx.Conv`, by the convolution primitive on every platform where `by` is `primitive`."""

    def __init__(self, by=jax.lax.conv_general_dilated, *, rngs):
        settings = {"padding": "VALID", "conv_general_dilated": by, "rngs": rngs}
        self.first = nnx.Conv(1, 32, (5, 5), **settings)
        self.second = nnx.Conv(32, 64, (5, 5), **settings)
        self.dense = nnx.Linear(1024, 128, rngs=rngs)
        self.out = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, x, drop):
        """Images to outputs and features."""
        for layer in (self.first, self.second):
            x = drop(nnx.relu(nnx.max_pool(layer(x), (2, 2), strides=(2, 2))), 0.5, channels=True)
        h = drop(nnx.relu(self.dense(x.reshape(x.shape[0], -1))), 0.5)
        return self.out(h), h


def step_flops(net: Network, minibatch_size: int) -> float:
    """Nominal operations of one training step: 6 x weights x rows, a kernel counting once for every pixel."""
    params = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
    pixels = (24 * 24, 8 * 8)
    convolutions = sum(n * layer["kernel"].size for n, layer in zip(pixels, params["convs"].values()))
    return 6.0 * minibatch_size * (convolutions + params["dense"]["kernel"].size + params["out"]["kernel"].size)


def compiled_loop(net: Network, num_members: int, config: Config, data: Data) -> Callable[[], object]:
    """All steps of all members in one program: `fit` of an ensemble."""
    learner = ensemble(net, num_members, num_steps=config.num_steps, minibatch_size=config.minibatch_size)
    key = jax.random.key(0)
    return partial(jax.jit(learner.fit), key, jax.jit(learner.init)(key, data), data)


def python_loop(net: Network, config: Config, data: Data) -> Callable[[], object]:
    """One compiled step, called again and again."""
    optimizer = optax.adam(1e-3)
    params = jax.jit(net.init)(jax.random.key(0), data.x)
    moments = optimizer.init(params)
    keys = list(jax.random.split(jax.random.key(1), config.num_steps))

    @jax.jit
    def step(params, moments, data, key):
        rows = jax.random.randint(key, (config.minibatch_size,), 0, len(data.y))
        x, y = data.x[rows], data.y[rows]
        grads = jax.grad(lambda p: categorical.loss(net.apply(p, x, key, shared=False)[0], y).mean())(params)
        updates, moments = optimizer.update(grads, moments, params)
        return optax.apply_updates(params, updates), moments

    def run():
        state = params, moments
        for key in keys:
            state = step(*state, data, key)
        return state

    return run


def least_seconds(programs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Least wall-clock seconds of every program, timed in turn so that a busy machine is fair to all."""
    least = dict.fromkeys(programs, float("inf"))
    for number in range(rounds + 1):
        for name, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(program())
            if number > 0:  # the first call compiles
                least[name] = min(least[name], time.perf_counter() - start)
    return least


def main(config: Config) -> None:
    at_least(config, 1, "num_steps", "num_members", "minibatch_size", "rounds")
    key_x, key_y = jax.random.split(jax.random.key(0))
    x, y = jax.random.normal(key_x, (512, 28, 28, 1)), jax.random.randint(key_y, (512,), 0, 10)
    data = Data(x, y, jnp.ones(512))
    net = lenet()
    matrix = jax.random.normal(key_x, (2048, 2048))
    product = jax.jit(jnp.matmul)
    one, many = (compiled_loop(net, num, config, data) for num in (1, config.num_members))
    programs = {
        "one network, compiled loop": one,
        "one network, step called from Python": python_loop(net, config, data),
        "by the primitive, step called from Python": python_loop(network(PlainLeNet, primitive), config, data),
        "by nnx.Conv as it is, compiled loop": compiled_loop(network(PlainLeNet), 1, config, data),
        # As long as the ensemble takes: on a busy machine the least of short times is flattering.
        "networks in turn, compiled loop": lambda: [one() for _ in range(config.num_members)],
        "ensemble, compiled loop": many,
        "matrix product 2048^3": lambda: product(matrix, matrix),
    }
    seconds = least_seconds(programs, config.rounds)
    loop, python, by_primitive, as_it_is, in_turn, together, matmul = seconds.values()
    flops = config.num_steps * step_flops(net, config.minibatch_size)
    table = Table("program", "networks", "ms a step", "GFLOP/s", title=f"LeNet, minibatch {config.minibatch_size}")
    for (name, spent), members in zip(seconds.items(), (1, 1, 1, 1, config.num_members, config.num_members)):
        step = f"{spent / config.num_steps * 1e3:.1f}"
        table.add_row(name, str(members), step, f"{members * flops / spent / 1e9:.0f}")
    table.add_row("matrix product 2048^3", "", "", f"{2 * 2048**3 / matmul / 1e9:.0f}")
    console = Console()
    console.print(table)
    ratio, members = loop / min(python, by_primitive), config.num_members
    as_lenet = as_it_is / loop  # pooling by nnx.max_pool is all that is left of the difference
    console.print(f"nnx.Conv as it is / lenet(), compiled loop: {as_lenet:.2f} (at most 1.5)")
    console.print(f"compiled loop / best step called from Python: {ratio:.2f} (at most 1.2)")
    console.print(f"ensemble of {members} / one network: {members * together / in_turn:.2f} (at most {members})")


if __name__ == "__main__":
    start(main, Config, __doc__)
