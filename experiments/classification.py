"""What the studies of classifiers share: strategies by name, metrics, and data of which every seed has its own pool."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal import strategies
from bal.evaluation import accuracy, brier, ece, mixture_nll, mixture_probabilities
from bal.pool import dense
from bal.typing import Over, Pool, Posterior, Query

STRATEGIES: dict[str, Query] = {
    "random": strategies.random(),
    "entropy": strategies.entropy(),
    "margin": strategies.margin(),
    "bald": strategies.bald(),
    "power-bald": strategies.power_bald(),
    "variation-ratio": strategies.variation_ratio(),
    "mean-std": strategies.mean_std(),
}


def evaluate(posterior: Posterior, test: tuple, over: Over = dense) -> dict[str, jax.Array]:
    """Metrics of the marginal prediction on test rows. `test` is (inputs, labels, rows to take of them)."""
    x, y, rows = test
    log_probs = over.map(_predict, (posterior,), x[rows])
    probs = mixture_probabilities(log_probs)
    return {
        "accuracy": accuracy(probs, y[rows]),
        "nll": mixture_nll(log_probs, y[rows]),
        "brier": brier(probs, y[rows]),
        "ece": ece(probs, y[rows]),
    }


def _predict(posterior: Posterior, x: jax.Array) -> jax.Array:
    return posterior.predict(x)


def make_data(
    x: np.ndarray, y: np.ndarray, pools: np.ndarray, tests: np.ndarray, starts: np.ndarray
) -> tuple[tuple, tuple]:
    """Arrays and axes for `run_study` when every seed has its own pool rows ``[S, N]`` (bool), test rows and start."""
    pool = Pool(jnp.asarray(x), jnp.asarray(pools), jnp.ones(len(x)))
    labels = jnp.asarray(y, jnp.int32)
    data = (pool, labels, (pool.x, labels, jnp.asarray(tests)), jnp.asarray(starts, jnp.int32))
    axes: Any = {"x": None, "present": 0, "cost": None}
    return data, (Pool(**axes), None, (None, None, 0), 0)
