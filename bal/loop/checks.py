"""Checks at the doors: what people hand in and what their models return, each named in one sentence."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.pool.arrays import as_rows
from bal.pool.over import num_rows
from bal.typing import ABSTAINED, Gaussian, Latent, MultiLabel, PyTree, Tags, Values


class Kind(NamedTuple):
    """What the labels of a learner are, told by its predictions: classes, or real numbers of several outputs or one."""

    num_classes: int | None
    num_outputs: int | None


def kind_of(predictions: Any) -> Kind:
    """The `Kind` that predictions, or their shapes, stand for.

    Raises:
      ValueError: something that is neither log probabilities, `Gaussian`, `Latent`, `MultiLabel` nor `Tags`.

    >>> kind_of(jnp.zeros((4, 1, 3)))
    Kind(num_classes=3, num_outputs=None)
    """
    if isinstance(predictions, Latent):
        return Kind(2, None)
    if isinstance(predictions, Gaussian):
        return Kind(None, predictions.mean.shape[2] if len(predictions.mean.shape) == 3 else None)
    if isinstance(predictions, MultiLabel):
        return Kind(None, predictions.log_odds.shape[2])
    if isinstance(predictions, Tags):
        return Kind(None, predictions.mask.shape[1])
    shape = getattr(predictions, "shape", None)
    if shape is None or len(shape) != 3:
        got = type(predictions).__name__ if shape is None else f"an array of shape {tuple(shape)}"
        raise ValueError(
            f"expected a learner that predicts log probabilities [rows, draws, classes], a Gaussian, a Latent, a "
            f"MultiLabel or Tags, got {got}; a model without posterior draws has one: add an axis"
        )
    return Kind(shape[2], None)


def check_kind(predictions: Any, num_classes: int | None, num_outputs: int | None) -> None:
    """What a campaign was told of its labels fits what its learner predicts."""
    kind = kind_of(predictions)
    own = isinstance(predictions, Gaussian | Latent | MultiLabel | Tags)
    name = type(predictions).__name__ if own else "log probabilities"
    if kind.num_classes is not None and num_classes != kind.num_classes:
        raise ValueError(
            f"this learner predicts {kind.num_classes} classes ({name}), got num_classes={num_classes}; give "
            f"num_classes={kind.num_classes}, or a learner of as many classes as the labels have"
        )
    if kind.num_classes is None and num_classes is not None:
        raise ValueError(
            f"this learner predicts real numbers ({name}), got num_classes={num_classes}; leave num_classes out, or "
            "use a classifier"
        )
    if kind.num_classes is None and num_outputs != kind.num_outputs:
        raise ValueError(
            f"this learner predicts {kind.num_outputs or 'one'} outputs, got num_outputs={num_outputs}; they must agree"
        )


def check_key(key: Any) -> None:
    """One key of JAX's typed kind."""
    if not _is_key(key) or key.ndim:
        raise ValueError(
            f"expected one key as jax.random.key(0) or bal.seed_keys(0, 1)[0] makes it, got {_briefly(key)}"
        )


def check_keys(keys: Any) -> None:
    """One typed key per seed."""
    if not _is_key(keys) or keys.ndim != 1 or not len(keys):
        raise ValueError(
            f"expected one key per seed, [seeds], got {_briefly(keys)}; use bal.seed_keys(0, num_seeds=10)"
        )


def check_record(record: Any) -> None:
    """An open `bal.records.Record`, or None."""
    if record is not None and not all(hasattr(record, name) for name in ("events", "append", "save_state")):
        raise TypeError(
            f"expected an open record, got {type(record).__name__}; use bal.open_record(root, name, config)"
        )


def check_rows(x: PyTree, like: PyTree = None) -> None:
    """Inputs: arrays that share their leading axis, finite, and shaped like rows of `like` if given."""
    if not jax.tree.leaves(x):
        raise ValueError("expected an array of rows, or a tree of such arrays, got nothing")
    for leaf in jax.tree.leaves(x):
        if getattr(leaf, "ndim", 0) < 1 or leaf.dtype == object:
            raise ValueError(
                f"expected numeric arrays that lead with the rows, got {type(leaf).__name__}; use np.asarray"
            )
    if num_rows(x) == 0:
        raise ValueError(f"{'the pool is empty: ' if like is None else ''}expected at least 1 row, got none")
    if like is not None:
        if jax.tree.structure(x) != jax.tree.structure(like):
            raise ValueError(
                f"expected rows as in the pool, {jax.tree.structure(like)}, got {jax.tree.structure(x)}; hand in the "
                "same tree of arrays"
            )
        got, expected = (jax.tree.map(lambda leaf: leaf.shape[1:], tree) for tree in (x, like))
        if got != expected:
            raise ValueError(f"expected rows of shape {expected} as in the pool, got {got}")
    for leaf in jax.tree.leaves(x):
        if isinstance(leaf, np.ndarray | jax.Array) and not isinstance(leaf, np.memmap):
            check_finite(leaf)


def check_finite(leaf: Any) -> None:
    """No NaN or infinity in rows ``[n, ...]``, as they are stored: a number too large for float32 is infinite there."""
    stored = jax.dtypes.canonicalize_dtype(leaf.dtype)
    if leaf.dtype.kind in "iu" and stored != leaf.dtype:
        wrong = (np.asarray(leaf) != np.asarray(leaf).astype(stored)).reshape(len(leaf), -1).any(-1)
        if wrong.any():
            raise ValueError(
                f"row {wrong.argmax()} of the inputs holds a number too large for {stored}; rescale the inputs"
            )
    if not jnp.issubdtype(leaf.dtype, np.floating):
        return
    bad = ~np.isfinite(as_stored(np.asarray(leaf))).reshape(len(leaf), -1).all(-1)
    if bad.any():
        row = int(bad.argmax())
        if np.isfinite(np.asarray(leaf[row])).all():
            raise ValueError(f"row {row} of the inputs holds a number too large for float32; rescale the inputs")
        raise ValueError(f"row {row} of the inputs holds NaN or infinity; drop or impute such rows first")


def check_budget(present: Values, start: Values, num_asked: int, num_initial: int = 0) -> None:
    """Start sets ``[..., S]`` and the rows asked for later, of which `num_initial` are a random start set, fit the
    pools ``[..., N]``, for every seed."""
    present, starts = np.asarray(present), np.atleast_2d(np.asarray(start))
    num_present, num_start = int(present.sum(-1).min()), starts.shape[-1]
    pools = np.atleast_2d(present) if len(starts) > 1 else np.atleast_2d(present).min(0, keepdims=True)
    for number, rows in enumerate(starts):
        here = pools[number if len(pools) > 1 else 0].astype(bool)
        rows = check_row_ids(rows, present.shape[-1])
        if not here[rows].all():
            absent = rows[~here[rows]][0]
            raise ValueError(f"row {absent} of the start set is not present in the pool; leave it out or mark it so")
    if num_start + num_asked > num_present:
        raise ValueError(
            f"{num_start + num_initial} start labels and {num_asked - num_initial} acquisitions need "
            f"{num_start + num_asked} rows, but the pool has {num_present}; lower num_rounds or batch_size"
        )


def check_row_ids(indices: Values, num_rows: int) -> np.ndarray:
    """Row ids: integers in the pool, each once."""
    rows = np.atleast_1d(np.asarray(indices))
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise ValueError(f"expected a list of integer row ids, got {rows.dtype} of shape {rows.shape}")
    outside = rows[(rows < 0) | (rows >= num_rows)]
    if len(outside):
        raise ValueError(f"row {outside[0]} is outside the pool: expected ids in [0, {num_rows})")
    ids, counts = np.unique(rows, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"row {ids[counts > 1][0]} is named twice; give each row once")
    return rows.astype(np.int32)


def check_labels(
    labels: Values, count: int, num_classes: int | None, num_outputs: int | None = None, rows: Values | None = None
) -> np.ndarray:
    """Labels: one a row, class numbers below `num_classes`, or finite reals, `num_outputs` of them if that is given.

    `rows` are the ids to name a wrong one by; without them it is named by its place.
    """
    y = np.atleast_1d(np.asarray(as_rows(labels, "labels")))
    if num_outputs is None and y.shape != (count,):
        column = "; a column has one axis too many: use y[:, 0]" if y.shape == (count, 1) else ""
        raise ValueError(f"expected {count} labels, one for each row, got an array of shape {y.shape}{column}")
    if num_outputs is not None and y.shape != (count, num_outputs):
        raise ValueError(f"expected {count} labels of {num_outputs} outputs each, got an array of shape {y.shape}")
    ids = np.arange(count) if rows is None else np.asarray(rows)
    if num_classes is None:
        bad = ~np.isfinite(as_stored(y)).all(tuple(range(1, y.ndim)))
        if bad.any():
            row, label = ids[bad.argmax()], y[bad.argmax()]
            what = "is too large for float32; rescale the labels" if np.isfinite(label).all() else "is not finite"
            raise ValueError(f"expected finite real labels, but that of row {row}, {label}, {what}{_UNLABELED}")
        return y.astype(np.float64)
    if y.dtype == bool or not count:
        y = y.astype(np.int32)
    if not np.issubdtype(y.dtype, np.integer):
        raise ValueError(
            f"expected labels that are integer class numbers, got {y.dtype}; encode the classes as 0 to "
            f"{num_classes - 1}"
        )
    outside = (y < 0) | (y >= num_classes)
    if outside.any():
        raise ValueError(
            f"label {y[outside][0]} of row {ids[outside][0]} is out of range: expected classes in [0, {num_classes}); "
            "encode them with np.unique(y, return_inverse=True)[1], or give the learner an output for every class"
        )
    return y.astype(np.int32)


def check_distributions(labels: Values, count: int, num_classes: int | None, rows: Values | None = None) -> np.ndarray:
    """Soft labels ``[count, num_classes]``: each a distribution over classes. `rows` are the ids to name one by."""
    y = np.asarray(as_rows(labels, "labels"))
    if y.shape != (count, num_classes):
        raise ValueError(f"expected {count} distributions over {num_classes} classes, got labels of shape {y.shape}")
    bad = ~(np.isfinite(y).all(1) & (y >= 0).all(1) & (np.abs(y.sum(1) - 1) < 1e-3))
    if bad.any():
        row = np.arange(count)[bad.argmax()] if rows is None else np.asarray(rows)[bad.argmax()]
        raise ValueError(
            f"the label of row {row}, {y[bad.argmax()].tolist()}, is no distribution over classes; probabilities are "
            "at least 0 and sum to 1"
        )
    return y.astype(np.float64)


def check_label_sets(labels: Values, count: int, num_labels: int, rows: Values | None = None) -> None:
    """Several labels a row ``[count, num_labels]``: each 0, 1, a probability, or `ABSTAINED` where nobody knows."""
    y = np.asarray(as_rows(labels, "labels"))
    if y.shape != (count, num_labels):
        raise ValueError(f"expected {count} rows of {num_labels} labels, each 0 or 1, got an array of shape {y.shape}")
    bad = ~((y == ABSTAINED) | ((y >= 0) & (y <= 1))).all(-1)
    if bad.any():
        row = np.arange(count)[bad.argmax()] if rows is None else np.asarray(rows)[bad.argmax()]
        raise ValueError(
            f"the labels of row {row}, {y[bad.argmax()].tolist()}, are not all 0 or 1; a label that is not known is "
            "bal.typing.ABSTAINED"
        )


def check_tags(labels: Values, predictions: Tags, rows: Values) -> None:
    """Tags ``[count, T]`` of the words of rows: class numbers, or -1 where there is no word."""
    y, (_, _, num_words, num_tags) = np.asarray(as_rows(labels, "labels")), predictions.log_probs.shape
    if y.shape != (len(y), num_words):
        raise ValueError(
            f"expected tags of shape [rows, {num_words}], one for each word, got {y.shape}; pad them by -1"
        )
    bad = ~((y >= -1) & (y < num_tags) & (y == np.round(y))).all(-1)
    if bad.any():
        raise ValueError(
            f"the tags of row {np.asarray(rows)[bad.argmax()]}, {y[bad.argmax()].tolist()}, are not all class numbers "
            f"in [0, {num_tags}), or -1 where there is no word; number the tags"
        )


_UNLABELED = "; leave out or skip rows that have no label"


def as_stored(values: np.ndarray) -> np.ndarray:
    """Numbers as JAX will hold them: in a float32 program 1e39 is infinite."""
    if values.dtype.kind == "f" and values.dtype.itemsize > 4 and not jax.config.read("jax_enable_x64"):
        with np.errstate(over="ignore"):
            return values.astype(np.float32)
    return values


def check_predictions(predictions: Any, num_rows: int, num_classes: int | None = None) -> None:
    """What `predict` returned for `num_rows` rows: normalised finite ``log_probs [n, K, C]``, or moments."""
    if isinstance(predictions, Gaussian | Latent | MultiLabel):
        _check_moments(predictions, num_rows)
        return
    if isinstance(predictions, Tags):
        mask = np.asarray(predictions.mask)
        if mask.shape[:1] != (num_rows,):
            raise ValueError(f"expected Tags of {num_rows} rows, got a mask of shape {mask.shape}")
        check_predictions(np.asarray(predictions.log_probs).swapaxes(1, 2)[mask], int(mask.sum()), num_classes)
        return
    log_probs = np.asarray(predictions)
    if log_probs.ndim != 3 or log_probs.shape[0] != num_rows:
        raise ValueError(
            f"expected log probabilities of shape [{num_rows}, draws, classes], got {log_probs.shape}; "
            "a model without posterior draws has one: add an axis"
        )
    if not np.issubdtype(log_probs.dtype, np.floating):
        raise ValueError(f"expected floating-point log probabilities, got {log_probs.dtype}")
    if num_classes is not None and log_probs.shape[2] != num_classes:
        raise ValueError(f"expected {num_classes} classes on the last axis, got {log_probs.shape[2]}")
    if np.isnan(log_probs).any():
        raise ValueError(
            f"predictions of {np.isnan(log_probs).any((1, 2)).sum()} of {num_rows} rows are NaN; has training diverged?"
        )
    total = np.exp(log_probs.astype(np.float64)).sum(-1)
    worst = total.flat[np.abs(total - 1).argmax()]
    if abs(worst - 1) > 1e-3:
        raise ValueError(
            f"expected log probabilities that are normalised, got a row that sums to {worst:.4g}; "
            "apply jax.nn.log_softmax to logits, or take the log of probabilities"
        )


def _check_moments(prediction: Gaussian | Latent | MultiLabel, num_rows: int) -> None:
    for name, leaf in zip(prediction._fields, prediction, strict=True):
        leaf = np.asarray(leaf)
        if leaf.ndim not in (2, 3) or leaf.shape[0] != num_rows:
            raise ValueError(f"expected a {name} of shape [{num_rows}, draws] (or [.., .., outputs]), got {leaf.shape}")
        if not np.isfinite(leaf).all():
            raise ValueError(
                f"the predicted {name} is not finite everywhere: training diverged, or a Gaussian process found the "
                "covariance of its labeled rows singular in this arithmetic; then switch on jax_enable_x64 before "
                "making any array, or use more noise"
            )
        if name in ("variance", "noise") and (leaf < 0).any():
            raise ValueError(f"the predicted {name} is negative somewhere ({leaf.min():.3g}); variances are at least 0")


def _is_key(key: Any) -> bool:
    return isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)


def _briefly(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return repr(value) if shape is None else f"{value.dtype} of shape {tuple(shape)}"
