"""What the studies of classifiers share: strategies by name, and tables of which every seed has its own pool."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from bal import strategies
from bal.typing import Pool, Query, Task

STRATEGIES: dict[str, Query] = {
    "random": strategies.random(),
    "entropy": strategies.entropy(),
    "margin": strategies.margin(),
    "bald": strategies.bald(),
    "power-bald": strategies.power_bald(),
    "variation-ratio": strategies.variation_ratio(),
    "mean-std": strategies.mean_std(),
}


class Split(NamedTuple):
    """Rows of a table in one seed: those of the pool as flags ``[N]``, those of the test, those of the start set."""

    pool: np.ndarray
    test: np.ndarray
    start: np.ndarray


def own_pools(x: np.ndarray, y: np.ndarray, splits: Sequence[Split]) -> Callable[[int], Task]:
    """The task of each seed: inputs and labels are those of all, its rows are its own."""
    inputs, labels, cost = jnp.asarray(x), jnp.asarray(y, jnp.int32), jnp.ones(len(x))

    def of_seed(seed: int) -> Task:
        pool, test, start = splits[seed]
        return Task(Pool(inputs, jnp.asarray(pool), cost), labels, (inputs, labels, test), start)

    return of_seed
