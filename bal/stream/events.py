"""A stream as plain events: how a campaign was opened, its rows, and the rounds of a run for who reads records."""

from typing import Any

import jax
import numpy as np

from bal.loop.fingerprint import comparable, describe, difference
from bal.stream.budget import Budget
from bal.stream.judging import prequential_accuracy
from bal.stream.method import StreamMethod
from bal.stream.run import StreamLog
from bal.typing import PRNGKey, PyTree, Values

KINDS = ("stream", "see", "ask", "tell", "skip")


def opened(
    key: PRNGKey, method: StreamMethod, budget: Budget, like: PyTree, classes: tuple[Any, ...] | None
) -> dict[str, Any]:
    """The event of kind "stream" that a record begins with."""
    leaves = jax.tree_util.tree_leaves_with_path(like)
    return {
        "kind": "stream",
        "key": f"{jax.random.key_impl(key)} {np.asarray(jax.random.key_data(key)).tolist()}",
        "row": ", ".join(f"{jax.tree_util.keystr(path)}{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves),
        "num_classes": method.num_classes,
        "classes": None if classes is None else list(classes),
        "method": describe(method),
        "budget": describe(budget),
    }


def reopened(events: list[dict[str, Any]], now: dict[str, Any]) -> list[dict[str, Any]]:
    """The events to play back; ValueError for a record that was opened otherwise, or of something else."""
    if not events:
        return []
    then = events[0]
    if then["kind"] != "stream" or any(event["kind"] not in KINDS for event in events):
        raise ValueError("this record does not hold the campaign of a stream; open one under another name")
    for name in ("key", "row", "num_classes", "classes"):
        if then[name] != now[name]:
            raise ValueError(f"the record is of {name} {then[name]}, but got {now[name]}; go on with its own")
    for name in ("method", "budget"):
        if then[name] != now[name] and comparable(then[name], now[name]):
            what = difference(then[name], now[name])
            raise ValueError(f"the record goes on with its own {name} alone, but this differs: {what}; open another")
    return events[1:]


def row_as_list(x: PyTree) -> list[Any]:
    """The leaves of a row as lists of numbers, which read back to the same bits."""
    return [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(x)]


def row_of(leaves: list[Any], like: PyTree) -> PyTree:
    """The inverse of `row_as_list`."""
    own, tree = jax.tree.flatten(like)
    return tree.unflatten([np.asarray(leaf, one.dtype) for leaf, one in zip(leaves, own, strict=True)])


def stream_rounds(
    log: StreamLog, y: Values, num_rounds: int, seed: int = 0, fading: float = 0.999
) -> list[dict[str, Any]]:
    """One seed's log as events of kind "round", which `bal.records` reads as those of any run.

    The stream is cut into `num_rounds` stretches of nearly one length. Round r holds the rows of stretch r that were
    asked, their scores and labels, and as metrics `accuracy`, that of all rows of the stretch before their labels were
    seen, and `prequential`, the faded accuracy at its end. Labels that were not asked are not on record.

    Args:
      log: of one seed.
      y: class numbers of all rows ``[T]``.
      num_rounds: stretches.
      seed: its number.
      fading: as in `prequential_accuracy`.

    Raises:
      ValueError: labels that are not as many as rows, more stretches than rows.

    >>> import jax.numpy as jnp
    >>> yes, one = jnp.array([True, False, True, True]), jnp.ones(4)
    >>> log = StreamLog(yes, yes, jnp.zeros(4, int), jnp.array([True, True, False, True]), one, one, one, ())
    >>> [(event["acquired"], event["metrics"]["accuracy"]) for event in stream_rounds(log, [0, 0, 1, 0], 2)]
    [([0], 1.0), ([2, 3], 0.5)]
    """
    labels, asked, correct = np.asarray(y), np.asarray(log.asked), np.asarray(log.correct, float)
    if labels.shape != asked.shape or not 1 <= num_rounds <= len(asked):
        raise ValueError(
            f"expected one log of {asked.shape} rows with as many labels and at least one row a round, got "
            f"{labels.shape} labels and {num_rounds} rounds"
        )
    faded, events, num_told = prequential_accuracy(correct, fading), [], 0
    for number, rows in enumerate(np.array_split(np.arange(len(asked)), num_rounds)):
        told = rows[asked[rows]]
        num_told += len(told)
        events.append(
            {
                "kind": "round",
                "seed": seed,
                "round": number,
                "acquired": told.tolist(),
                "scores": np.asarray(log.score)[told].tolist(),
                "valid": [True] * len(told),
                "labels": labels[told].tolist(),
                "metrics": {"accuracy": float(correct[rows].mean()), "prequential": float(faded[rows[-1]])},
                "counts": {"acquired": num_told, "training": num_told, "start": 0, "validation": 0},
                "seconds": None,
            }
        )
    return events
