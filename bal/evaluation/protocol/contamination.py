"""Rows of one set that are in another, exactly or nearly: test rows that are trained on, or may be asked for."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import scipy.spatial.distance
from jaxtyping import Float, Int

BLOCK = 1024


class Twins(NamedTuple):
    """Pairs of rows, one of each set: equal ones, and near ones with how near they are.

    share: of the second set's rows, how many have a twin or a near twin in the first. verdict: a sentence.
    """

    exact: Int[np.ndarray, "E 2"]
    near: Int[np.ndarray, "P 2"]
    nearness: Float[np.ndarray, "P"]
    share: float
    verdict: str


def contamination(
    sets: Mapping[str, Any], near: float | None = None, shingle: int = 5, seed: int = 0
) -> dict[tuple[str, str], Twins]:
    """Equal and nearly equal rows between every two sets: of train, pool and test, in this order.

    Texts are compared after case, accents of encoding (NFKC), punctuation and runs of spaces are dropped; near are two
    whose sets of `shingle` successive characters have a Jaccard similarity of at least `near` (0.8). Arrays are
    compared value by value, NaN equal to NaN; near are two rows whose Euclidean distance, of columns in units of their
    standard deviation, is at most `near` (0.05) times the median distance of two rows drawn at random.

    Every pair is compared, in blocks: exact, and quadratic in the rows.

    Use it when a test set is built, before anything is measured on it; and when a pool comes from where the test came
    from. A near twin is to be looked at, not to be believed: two forms of one letter are near.

    Args:
      sets: by name; lists of texts, or arrays ``[N, ...]`` of one row shape.
      near: how near is near, see above.
      shingle: characters of a shingle.
      seed: of the pairs whose median distance is the unit.

    Returns:
      `Twins` by two names; entry (train, test) has the rows of train first.

    Raises:
      ValueError: fewer than two sets, one without rows, rows of several shapes or kinds, `near` outside (0, 1).

    >>> texts = {"train": ["A cat sat on the mat.", "Dogs bark."], "test": ["a cat  sat on the mat", "Birds sing."]}
    >>> found = contamination(texts)["train", "test"]
    >>> found.exact.tolist(), found.share
    ([[0, 0]], 0.5)
    >>> found.verdict
    '1 of 2 rows of test (50.0%) are in train: 1 equal, 0 nearly equal'

    Broder 1997, "On the Resemblance and Containment of Documents".
    """
    if len(sets) < 2 or any(not len(rows) for rows in sets.values()):
        raise ValueError("expected two sets of rows at least, none of them empty: {'train': x, 'test': x_test}")
    if near is not None and not 0 < near < 1:
        raise ValueError(f"near must lie in (0, 1), got {near}; 0.8 for texts and 0.05 for arrays are the defaults")
    is_text = {isinstance(row, str) for rows in sets.values() for row in rows}
    if len(is_text) > 1:
        raise ValueError("expected texts in all sets or arrays in all, got both; compare what is alike")
    if is_text.pop():
        plain = {name: [_plain(row) for row in rows] for name, rows in sets.items()}
        return _pairs(plain, _texts_near(plain, 0.8 if near is None else near, shingle))
    arrays = _as_matrices(sets)
    keyed = {name: [row.tobytes() for row in rows] for name, rows in arrays.items()}
    return _pairs(keyed, _rows_near(arrays, 0.05 if near is None else near, seed))


def _pairs(keyed: dict[str, list], find_near: Any) -> dict[tuple[str, str], Twins]:
    found = {}
    for one, two in combinations(keyed, 2):
        places: dict[Any, list[int]] = {}
        for number, key in enumerate(keyed[one]):
            places.setdefault(key, []).append(number)
        exact = [(first, second) for second, key in enumerate(keyed[two]) for first in places.get(key, ())]
        near, nearness = find_near(one, two)
        known = set(exact)
        new = [place for place, pair in enumerate(map(tuple, near.tolist())) if pair not in known]
        near, nearness = near[new], nearness[new]
        equal, all_twins = {second for _, second in exact}, {second for _, second in [*exact, *near.tolist()]}
        total = len(keyed[two])
        told = f"{len(equal)} equal, {len(all_twins) - len(equal)} nearly equal"
        verdict = f"{len(all_twins)} of {total} rows of {two} ({len(all_twins) / total:.1%}) are in {one}: {told}"
        pairs = np.array(exact, int).reshape(-1, 2)
        found[one, two] = Twins(pairs, near, nearness, len(all_twins) / total, verdict)
    return found


def _plain(text: str) -> str:
    """Words alone; of a text that has none, as a picture of a face, all of it."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[^\w\s]|_", " ", text).split()) or " ".join(text.split())


def _texts_near(plain: dict[str, list[str]], near: float, shingle: int) -> Any:
    numbers: dict[str, int] = {}
    sets = {
        name: [{numbers.setdefault(part, len(numbers)) for part in _shingles(text, shingle)} for text in texts]
        for name, texts in plain.items()
    }
    matrices = {name: _incidence(rows, len(numbers)) for name, rows in sets.items()}
    sizes = {name: np.array([len(row) for row in rows]) for name, rows in sets.items()}

    def find(one: str, two: str) -> tuple[np.ndarray, np.ndarray]:
        pairs, values = [], []
        for first in range(0, len(sizes[one]), BLOCK):
            common = (matrices[one][first : first + BLOCK] @ matrices[two].T).tocoo()
            a, b = common.row + first, common.col
            similarity = common.data / (sizes[one][a] + sizes[two][b] - common.data)
            kept = similarity >= near
            pairs.append(np.stack([a[kept], b[kept]], 1))
            values.append(similarity[kept])
        return np.concatenate(pairs), np.concatenate(values)

    return find


def _shingles(text: str, size: int) -> Iterable[str]:
    return {text[place : place + size] for place in range(max(1, len(text) - size + 1))}


def _incidence(rows: Sequence[set[int]], num_columns: int) -> Any:
    columns = np.fromiter((column for row in rows for column in sorted(row)), np.int64)
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return scipy.sparse.csr_array((np.ones(len(columns)), columns, starts), shape=(len(rows), num_columns))


def _as_matrices(sets: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Rows of float64, in which -0 is 0 and all NaN are one."""
    arrays = {name: np.asarray(rows) for name, rows in sets.items()}
    if len({rows.shape[1:] for rows in arrays.values()}) > 1 or any(
        rows.dtype.kind not in "biuf" for rows in arrays.values()
    ):
        kinds = {name: f"{rows.dtype}{list(rows.shape)}" for name, rows in arrays.items()}
        raise ValueError(
            f"expected arrays of numbers with one row shape, got {kinds}; give rows as the model sees them"
        )
    flat = {name: rows.reshape(len(rows), -1).astype(np.float64) + 0.0 for name, rows in arrays.items()}
    return {name: np.where(np.isnan(rows), np.nan, rows) for name, rows in flat.items()}


def _rows_near(arrays: dict[str, np.ndarray], near: float, seed: int) -> Any:
    every = np.concatenate(list(arrays.values()))
    known = np.where(np.isfinite(every), every, np.nan)
    center, spread = np.nan_to_num(np.nanmean(known, 0)), np.nan_to_num(np.nanstd(known, 0))
    standard = lambda rows: np.nan_to_num(
        (rows - center) / np.where(spread > 0, spread, 1), nan=10, posinf=20, neginf=-20
    )
    units = {name: standard(rows) for name, rows in arrays.items()}
    whole, rng = np.concatenate(list(units.values())), np.random.default_rng(seed)
    drawn = rng.integers(0, len(whole), (2, 2000))
    drawn = drawn[:, drawn[0] != drawn[1]]
    unit = float(np.median(np.sqrt(((whole[drawn[0]] - whole[drawn[1]]) ** 2).sum(1)))) if drawn.size else 0.0

    def find(one: str, two: str) -> tuple[np.ndarray, np.ndarray]:
        pairs, values = [], []
        for first in range(0, len(units[one]), BLOCK):
            distance = scipy.spatial.distance.cdist(units[one][first : first + BLOCK], units[two])
            a, b = np.nonzero(distance <= near * unit)
            pairs.append(np.stack([a + first, b], 1))
            values.append(distance[a, b] / (unit or 1.0))
        return np.concatenate(pairs), np.concatenate(values)

    return find
