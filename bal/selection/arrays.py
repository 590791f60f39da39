"""Features in, picks out: any batch rule on plain arrays, for models and pools that live elsewhere."""

import inspect
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from bal.kernels.gradient import label_gradients
from bal.pool import as_rows, num_rows
from bal.selection.cover.ranked_batch import ScoredFeatures
from bal.typing import Candidates, PRNGKey, PyTree, Select, Selection

_UNEVEN = 1e-3  # of the probabilities of a row: more is no rounding


def select(
    features: Any,
    known: Any,
    rule: Select,
    batch_size: int,
    *,
    scores: Any = None,
    log_probs: Any = None,
    kernel: Any = None,
    cost: Any = None,
    eligible: Any = None,
    context: PyTree = None,
    key: PRNGKey | int | np.integer = 0,
) -> Selection:
    """A batch of rows by a rule of `bal.selection`: one call on plain arrays, without a learner and without a pool.

    What the rule sees follows from what is given: `features`; or `scores` alone; or `log_probs` alone; scores and
    features together as `ScoredFeatures`; log_probs and features together as the last-layer gradients of BADGE. With
    `kernel`, rows are positions in that matrix, and the rule is one of ``covariance_matrix``.

    Use it when a model of another library gives features, scores, predictions or covariances. It compiles once for a
    rule, a batch size and shapes.

    Args:
      features: ``[n, F]``, or the tree of rows that the rule works on (`FisherRows`, `SparseRows`), or None; positions
        ``[n]`` in `kernel`, all of them unless given.
      known: the same of rows that have a label or wait for one, ``[L, F]``, or None: centers, what is covered.
      rule: as `bal.selection.k_center()`.
      batch_size: B.
      scores: ``[n]``, higher = label first.
      log_probs: log probabilities ``[n, K, C]`` of K posterior draws that all rows share.
      kernel: covariances ``[m, m]`` of all rows, candidates and known ones.
      cost: of each label, all 1 unless given; eligible: rows that may be picked, all unless given.
      context: what else the rule reads (targets, pool sums), see there.
      key: of rules that draw, or a seed; the same key draws the same batch.

    Returns:
      A `Selection`: positions in what was handed in, scores at the moment of picking, `valid`, `log_q`, `info`.

    Raises:
      ValueError: nothing to choose from, arrays that do not belong together, a batch larger than what may be picked.
      TypeError: a rule that is no selector.

    >>> from bal.selection import k_center
    >>> select([[5.0], [6.0], [9.0]], [[8.0]], k_center(), 2).indices.tolist()
    [0, 1]
    """
    _check_rule(rule)
    rows, known = _rows(features, known, scores, log_probs, kernel)
    n = num_rows(rows)
    weight = None if known is None else _one_a_row("weights", None, num_rows(known), float)
    able = _one_a_row("eligible", eligible, n, bool)
    if kernel is not None:
        if context is not None:
            raise ValueError("expected a kernel or a context, which is where a rule finds the kernel, but got both")
        context = _numbers(kernel, "kernel")
    price = _one_a_row("cost", cost, n, float)
    if cost is not None and not isinstance(price, Tracer) and not _are_costs(price):
        raise ValueError("expected positive, finite costs: a cost of 0 would be worth any score")
    candidates = Candidates(rows, jax.device_put(np.arange(n, dtype=np.int32)), able, price, known, weight, context)
    num_able = n if isinstance(able, Tracer) else int(np.asarray(able).sum())
    if not 1 <= batch_size <= num_able:
        raise ValueError(f"expected a batch of 1 to {num_able} rows, as many as may be picked, got {batch_size}")
    key = jax.random.key(int(key)) if isinstance(key, int | np.integer) else key
    return _compiled(rule)(key, candidates, batch_size)


# Compiled as one: operation by operation, each would be a program for each shape.
_gradients = jax.jit(lambda log_probs, x: label_gradients(log_probs, x[:, None]))
_are_costs = jax.jit(lambda cost: (jnp.isfinite(cost) & (cost > 0)).all())
_are_uneven = jax.jit(lambda log_probs: (jnp.abs(jax.nn.logsumexp(log_probs, -1)) > _UNEVEN).any())


@lru_cache(maxsize=64)
def _compiled(rule: Select) -> Any:
    return jax.jit(rule, static_argnums=2)


def _rows(features: Any, known: Any, scores: Any, log_probs: Any, kernel: Any) -> tuple[PyTree, PyTree]:
    """What the rule compares, of candidates and of known rows."""
    given = {"features": features, "scores": scores, "log_probs": log_probs, "kernel": kernel}
    names = [name for name, value in given.items() if value is not None]
    if not names:
        raise ValueError(
            "expected features [n, F], scores [n], log_probs [n, K, C] or a kernel [m, m]; got none of them"
        )
    if names not in (["features"], ["scores"], ["log_probs"], ["kernel"], *(["features", more] for more in given)):
        raise ValueError(f"expected features, and one of scores, log_probs and kernel beside them, got {names}")
    x = None if features is None else _numbers(features, "features")
    known = None if known is None else _numbers(known, "known rows")
    known = None if known is None or not num_rows(known) else known  # no label yet
    if kernel is not None:
        size = len(_numbers(kernel, "kernel"))
        x = jnp.arange(size) if x is None else x
        for name, rows in (("features", x), ("known rows", known)):
            _check_positions(name, rows, size)
        return _like(x, known)
    if known is not None and x is None:
        raise ValueError(f"known rows are compared with features, but only {names[0]} came; give features [n, F], too")
    x, known = (x, None) if x is None else _like(x, known)
    if scores is not None:
        scores = _one_a_row("scores", scores, None if x is None else num_rows(x), float)
        some = None if known is None else ScoredFeatures(jnp.zeros(num_rows(known), scores.dtype), known)
        return (scores, None) if x is None else (ScoredFeatures(scores, x), some)
    if log_probs is not None:
        found = _log_probs(log_probs)
        if x is None:
            return found, None
        if known is not None:
            raise ValueError(
                "gradients of known rows need their predictions: give gradients as features, or known=None"
            )
        if getattr(x, "ndim", 0) != 2 or len(x) != len(found):
            raise ValueError(f"expected features [{len(found)}, F] beside log_probs, got {jax.tree.map(jnp.shape, x)}")
        return _gradients(found, x), None
    return x, known


def _like(x: PyTree, known: PyTree) -> tuple[PyTree, PyTree]:
    """Candidates and known rows, if they are of one kind."""
    if known is not None:
        kinds = [(jax.tree.structure(rows), [leaf.shape[1:] for leaf in jax.tree.leaves(rows)]) for rows in (x, known)]
        if kinds[0] != kinds[1]:
            shapes = [jax.tree.map(jnp.shape, rows) for rows in (x, known)]
            raise ValueError(f"expected known rows like the features, {shapes[0]}, got {shapes[1]}")
    return x, known


def _check_positions(name: str, rows: PyTree, size: int) -> None:
    """Rows lie in the kernel; others would be read as its first or last one."""
    for leaf in jax.tree.leaves(rows):
        if not isinstance(leaf, Tracer) and not bool(((leaf >= 0) & (leaf < size)).all()):
            raise ValueError(f"beside a kernel [{size}, {size}] {name} are positions 0 .. {size - 1} in it, got others")


def _numbers(x: Any, name: str) -> PyTree:
    return jax.tree.map(jnp.asarray, as_rows(x, name))


def _one_a_row(name: str, given: Any, n: int | None, dtype: type) -> Array:
    if given is None:
        return jax.device_put(np.ones(n or 0, jax.dtypes.canonicalize_dtype(dtype)))
    x = jnp.asarray(as_rows(given, name))
    x = x.astype(dtype) if dtype is bool or not jnp.issubdtype(x.dtype, jnp.floating) else x
    if x.ndim != 1 or (n is not None and len(x) != n):
        raise ValueError(f"expected {name} of shape [{'n' if n is None else n}], one for each row, got {list(x.shape)}")
    return x


def _log_probs(given: Any) -> Float[Array, "n K C"]:
    x = jnp.asarray(as_rows(given, "log probabilities"))
    if x.ndim != 3:
        advice = ": add the axis of draws, log_probs[:, None]" if x.ndim == 2 else ""
        raise ValueError(f"expected log_probs [n, K, C], of K posterior draws, got {list(x.shape)}{advice}")
    if not isinstance(x, Tracer) and _are_uneven(x):
        raise ValueError(
            "expected log probabilities, whose exponentials sum to 1 over classes; take np.log of probabilities, "
            "log_softmax of logits"
        )
    return x


def _check_rule(rule: Any) -> None:
    name = getattr(rule, "__name__", repr(rule))
    try:
        inspect.signature(rule).bind(None, None, None)
    except TypeError as error:
        raise TypeError(
            f"expected a rule (key, candidates, batch_size -> Selection), such as k_center(), got {name}; a function "
            f"that makes a rule must be called: {name}()"
        ) from error
