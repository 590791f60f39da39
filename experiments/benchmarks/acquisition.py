"""Speed of every acquisition function, as a multiple of `jnp.exp` on the same array in the same process.

    python experiments/benchmarks/acquisition.py

Expected: BALD in its accurate form at most 2.0 times exp. "x exp" is by row: the inputs of Gaussian acquisitions have
no classes, and slow quadratures are timed on fewer rows. Timings are minima over interleaved repetitions, after a
warm-up; compile time is reported apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console

from bal import acquisition
from bal.typing import Gaussian, Latent, MultiLabel
from experiments.benchmarks.timing import at_least, compiled, least_seconds, start, table

SLOW = ("hyperparameter_bald", "joint_labels_bald", "mixture_bald", "sampled_labels_bald")
"""Quadratures over pairs of draws and sets of labels, timed on a hundredth of the rows."""
MADE: dict[str, Callable] = {
    "alc": lambda rows: acquisition.alc(
        rows.mean, rows.variance.mean(-1), rows.noise.mean(-1)
    ),  # targets stand for draws
    "over_labels": acquisition.over_labels(acquisition.bald),
    "sampled_labels_bald": acquisition.sampled_labels_bald(4),
    "straddle": acquisition.straddle(0.5),
}
"""Those that are not a function of predictions as they stand."""
OTHERS = (
    *("annotated_bald", "expected_error_reduction", "over_outputs", "robust_bald", "standard_error"),
    "value_of_information",
)
"""Transforms, and what is made of a matrix or a radius or asks for targets too."""


@dataclass(frozen=True)
class Config:
    """Size of the array of log probabilities ``[rows, draws, classes]``, float32."""

    rows: int = 100_000
    """Pool rows N."""
    draws: int = 20
    """Posterior draws K."""
    classes: int = 10
    """Classes C."""
    repetitions: int = 15
    """Interleaved repetitions, of which the fastest counts."""


def takes(function: Callable, predictions: Any) -> bool:
    """Whether a score works on predictions of this kind; it says so when it is traced."""
    try:
        jax.eval_shape(function, predictions)
    except (TypeError, AttributeError):
        return False
    return True


def functions(config: Config) -> dict[str, tuple[Callable, tuple]]:
    """Every function of one row's predictions, with its arguments."""
    log_probs = jax.nn.log_softmax(
        jax.random.normal(jax.random.key(0), (config.rows, config.draws, config.classes)), -1
    )
    gaussian = Gaussian(*jax.random.uniform(jax.random.key(1), (3, config.rows, config.draws), minval=0.1))
    labels = MultiLabel(log_probs[..., : min(config.classes, 8)])
    kinds = (log_probs, gaussian, Latent(gaussian.mean, gaussian.variance), labels)
    found: dict[str, tuple[Callable, tuple]] = {"exp": (jnp.exp, (log_probs,))}
    for name in acquisition.__all__:
        if "epig" in name or name in OTHERS:
            continue  # joint quantities have a benchmark of their own (batch_information.py)
        function: Any = MADE.get(name, getattr(acquisition, name))
        kind = next(kind for kind in kinds if takes(function, kind))
        few = -(-config.rows // 100) if name in SLOW else config.rows
        found[name] = function, (jax.tree.map(lambda leaf, few=few: leaf[:few], kind),)
    return found


def main(config: Config) -> None:
    at_least(config, 1, "rows", "draws", "classes", "repetitions")
    every = functions(config)
    made = {name: compiled(function, *arguments) for name, (function, arguments) in every.items()}
    seconds = least_seconds(made, config.repetitions)
    rows = {name: len(jax.tree.leaves(arguments)[0]) for name, (_, arguments) in every.items()}
    by_row = {name: warm / rows[name] for name, warm in seconds.items()}
    title = f"[{config.rows}, {config.draws}, {config.classes}] float32 on {jax.default_backend()}"
    found = table("function", "compile s", "warm ms", "x exp", "M rows/s", "GB/s read", title=title)
    for name, one in sorted(by_row.items(), key=lambda item: item[1]):
        read = sum(leaf.nbytes for leaf in jax.tree.leaves(every[name][1]))
        found.add_row(
            name,
            f"{made[name].compile_seconds:.2f}",
            f"{1e3 * seconds[name]:.2f}",
            f"{one / by_row['exp']:.2f}",
            f"{1 / one / 1e6:.1f}",
            f"{read / seconds[name] / 1e9:.1f}",
        )
    console = Console()
    console.print(found)
    bald_ratio = seconds["bald"] / seconds["exp"]
    console.print(f"bald / exp = {bald_ratio:.2f} ({'within' if bald_ratio <= 2 else 'ABOVE'} the bound of 2.0)")


if __name__ == "__main__":
    start(main, Config, __doc__)
