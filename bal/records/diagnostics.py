"""What a batch of picks looks like, in a few numbers: whether scores told rows apart, and what was picked."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

_QUANTILES = ("score_min", "score_q25", "score_median", "score_q75", "score_max")


def diagnostics(
    scores: np.ndarray,
    valid: np.ndarray,
    labels: np.ndarray | None = None,
    rows: np.ndarray | None = None,
    num_draws: int | None = None,
    info: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Numbers that warn of a batch that was not chosen as it seems; those that cannot be told are left out.

    score_min, score_q25, score_median, score_q75, score_max: quantiles of the picks' scores, those that are finite.
    tied: picks whose score another pick of the batch has too. pool_tied, nan_share: rows of the pool that tie with the
    last pick, and the share of eligible rows without a score, where the selector counts them.
    score_over_log_draws: the mean score in units of log K, which a mutual information under K draws cannot exceed: near
    1 the draws are used up. It says nothing of other scores.
    duplicates: picks that are the same row, bit for bit, as an earlier one of the batch.
    classes, entropy: how often each class was answered, and the entropy (nats) of these shares.

    Use it on the lists of a round on record; `run_eager` and `run_seeds` write its result there as they go.

    Args:
      scores, valid: ``[B]``, NaN where a pick has no score.
      labels: ``[B]`` class numbers; others have no histogram.
      rows: ``[B, ...]`` inputs of the picks.
      num_draws: K, of a learner that predicts class probabilities.
      info: of the selection: ``num_nan``, ``num_eligible`` and ``num_tied`` are looked at.

    >>> found = diagnostics(np.array([0.5, 0.25, 0.25]), np.array([True] * 3), np.array([1, 1, 0]), num_draws=4)
    >>> found["tied"], found["classes"], round(found["score_over_log_draws"], 3), round(found["entropy"], 3)
    (2, {'0': 1, '1': 2}, 0.24, 0.637)
    """
    found: dict[str, Any] = {}
    valid = np.asarray(valid, bool)
    info = info or {}
    finite = np.asarray(scores, np.float64)[valid]
    finite = finite[np.isfinite(finite)]
    if len(finite):
        places = np.linspace(0, len(finite) - 1, len(_QUANTILES))
        found |= dict(zip(_QUANTILES, np.interp(places, np.arange(len(finite)), np.sort(finite)).tolist(), strict=True))
        found["tied"] = sum(count for count in Counter(finite.tolist()).values() if count > 1)
        if num_draws is not None and num_draws > 1:
            found["score_over_log_draws"] = float(finite.mean() / np.log(num_draws))
    if np.ndim(info.get("num_tied", [])) == 0:
        found["pool_tied"] = int(info["num_tied"])
    if all(np.ndim(info.get(name, [])) == 0 for name in ("num_nan", "num_eligible")):
        found["nan_share"] = float(info["num_nan"] / max(info["num_eligible"], 1))
    if rows is not None:
        distinct = {row.tobytes() for row in np.asarray(rows)[valid]}
        found["duplicates"] = int(valid.sum()) - len(distinct)
    if labels is not None and np.ndim(labels) == 1 and np.asarray(labels).dtype.kind in "iu" and valid.any():
        counts = dict(sorted(Counter(np.asarray(labels)[valid].tolist()).items()))
        shares = np.array([*counts.values()]) / valid.sum()
        found["classes"] = {str(name): count for name, count in counts.items()}
        found["entropy"] = float(abs((shares * np.log(shares)).sum()))
    return found
