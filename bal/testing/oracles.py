"""What an oracle that is a function promises, checked on anybody's."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.pool import num_rows
from bal.testing.faults import check_handed, differ, expect, name_of, rows_of, traced
from bal.typing import ABSTAINED, Oracle, PyTree

FEW = 6


def check_oracle(oracle: Oracle, x: PyTree, *, num_classes: int | None = None, compiled: bool = True) -> None:
    """An oracle keeps its contract: it may answer for some rows of a pool inside a compiled experiment.

    One label a row, finite, or `bal.typing.ABSTAINED`; of that row and the key alone, whatever rows are asked for
    beside it; the same for the same key; of one type and shape for any number of rows.

    Args:
      oracle: ``key, indices, x -> y``.
      x: inputs of some pool, at least 8 rows.
      num_classes: labels are integers below it; None = real numbers.
      compiled: it can be traced; False for plain Python, which `run_eager` and `Campaign` take.

    Raises:
      ValueError: fewer than 8 rows.
      Fault: in one sentence, the promise that does not hold, where, and how to mend it.
      TypeError: no function.

    >>> import jax, jax.numpy as jnp
    >>> check_oracle(lambda key, indices, x: jnp.sin(x[:, 0]), jnp.arange(16.0).reshape(8, 2))
    """
    check_handed(oracle, None, "an oracle, key, indices, x -> y", "bal.simulators.burgers()")
    name, key = name_of(oracle), jax.random.key(0)
    if num_rows(x) < 8:
        raise ValueError(f"expected inputs of at least 8 rows, got {num_rows(x)}; give some of a pool")
    call = jax.jit(oracle) if compiled else oracle

    def ask(rows: np.ndarray, key: Any = key) -> np.ndarray:
        inputs = jax.tree.map(jnp.asarray, rows_of(x, rows))
        return np.asarray(traced(call, key, jnp.asarray(rows, jnp.int32), inputs, what=name))

    rows = np.arange(FEW)
    y = ask(rows)
    expect(
        y.shape[:1] == (FEW,),
        f"expected {FEW} labels for {FEW} rows, got an array of shape {y.shape} from {name}; return one label a row",
    )
    _check_labels(name, y, num_classes)
    expect(
        not len(differ(ask(rows), y, 0.0)),
        f"expected the same labels for the same key, got others from {name}; take chance from the key alone",
    )
    for other, word in ((np.arange(1), "alone"), (np.array([7, 3, 0]), "beside other rows")):
        found = ask(other)
        expect(
            found.dtype == y.dtype and found.shape[1:] == y.shape[1:],
            f"expected labels of type {y.dtype} and shape {y.shape[1:]} always, got {found.dtype}, {found.shape[1:]} "
            f"from {name} for {len(other)} rows; return one kind of array",
        )
        shared = [place for place, row in enumerate(other) if row < FEW]
        wrong = differ(found[shared], y[other[shared]])
        expect(
            not len(wrong),
            f"expected the label of a row to be its own, got another from {name} for row "
            f"{other[shared][wrong[0]] if len(wrong) else ''} asked for {word}; fold the row's id into the key "
            "(jax.random.fold_in) before drawing noise",
        )


def _check_labels(name: str, y: np.ndarray, num_classes: int | None) -> None:
    told = y[y != ABSTAINED]
    if num_classes is None:
        expect(
            np.issubdtype(y.dtype, np.floating) and np.isfinite(told).all(),
            f"expected finite real labels, got {y.dtype} {y[:3].tolist()} from {name}; say num_classes for classes, "
            "and answer ABSTAINED where there is no label",
        )
    else:
        inside = (told >= 0) & (told < num_classes)
        expect(
            np.issubdtype(y.dtype, np.integer) and inside.all(),
            f"expected class numbers in [0, {num_classes}), got {y.dtype} {told[~inside][:3].tolist()} from {name}; "
            "number the classes from 0, as int32",
        )
