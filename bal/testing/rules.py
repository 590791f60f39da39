"""What a batch rule promises, checked on anybody's."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from bal.learners.settings import named
from bal.testing.faults import check_handed, check_lowers, expect, name_of, traced
from bal.testing.inputs import CANDIDATES, ROWS, chosen
from bal.typing import Candidates, PyTree, Select, Selection

BATCH = 3


def check_rule(
    select: Select,
    candidates: str | Callable[..., Candidates] = "scores",
    *,
    deterministic: bool = True,
    by_position: bool = False,
) -> None:
    """A selector keeps its contract, as those of `bal.selection` do; of a rule check ``greedy(rule)``.

    Picks are distinct and eligible, in arrays of the batch's length; a pool that runs out marks the rest as not valid;
    a row with NaN is never picked, and is counted; rows that may not be picked change nothing; equal rows are picked by
    position; the same key gives the same picks, and of a rule that is deterministic every key; rows in another order
    are the same rows picked; a translation for CPU, CUDA and TPU. It takes a few seconds.

    Args:
      select: ``key, candidates, batch_size -> Selection``.
      candidates: what it works on: "scores", "features" or "log_probs", or a function ``n=, eligible= ->
        Candidates``.
      deterministic: the picks do not depend on the key.
      by_position: its random draws hang on places in the array, not on row ids, so that masking changes them.

    Raises:
      Fault: in one sentence, the promise that does not hold, where, and how to mend it.
      TypeError: no function.

    >>> from bal.selection import k_center
    >>> check_rule(k_center(), "features")
    """
    check_handed(select, None, "a selector, key, candidates, batch_size -> Selection", "greedy(rule)")
    make, name = chosen("candidates", CANDIDATES, candidates), name_of(select)
    compiled = jax.jit(select, static_argnums=2)
    pick = lambda some, seed=0: jax.device_get(traced(compiled, jax.random.key(seed), some, BATCH, what=name))
    whole = make(n=ROWS)
    first = pick(whole)
    expect(
        isinstance(first, Selection),
        f"expected a Selection, got {named(first)} from {name}; return Selection(indices, scores, valid), or hand in "
        "greedy(rule)",
    )
    _check_picks(name, first, np.ones(ROWS, bool), "of a whole pool")
    _check_keys(name, pick, whole, first, deterministic)
    allowed = np.arange(ROWS) % 3 != 0
    _check_picks(name, pick(make(n=ROWS, eligible=allowed)), allowed, "where a third may not be picked")
    _check_end(name, pick, make)
    _check_nan(name, pick, whole)
    if deterministic:
        ranks = pick(whole._replace(rows=_set(whole.rows, slice(None), 1.0))).indices.tolist()
        expect(
            ranks == list(range(BATCH)),
            f"expected equal rows to be picked by position, {list(range(BATCH))}, got {ranks} from {name}; take the "
            "first best row (bal.numerics.first_argmax, or greedy)",
        )
    if not by_position:
        _check_places(name, pick, whole, first)
    check_lowers(lambda key, some: select(key, some, BATCH), (jax.random.key(0), whole), name)


def _check_picks(name: str, picks: Selection, eligible: np.ndarray, where: str) -> None:
    for part in ("indices", "scores", "valid"):
        shape = np.shape(getattr(picks, part))
        expect(
            shape == (BATCH,),
            f"expected {part} of shape ({BATCH},) {where}, got {shape} from {name}; a batch is never shorter: what is "
            "left over has valid False",
        )
    valid = picks.indices[picks.valid]
    inside = (valid >= 0) & (valid < len(eligible))
    expect(
        inside.all(),
        f"expected picks to be positions below {len(eligible)} {where}, got {valid[~inside]} from {name}; return "
        "positions in the array of candidates, not row ids",
    )
    expect(
        len(set(valid.tolist())) == len(valid),
        f"expected distinct picks {where}, got {valid.tolist()} from {name}; take a row out of the eligible once it is "
        "picked",
    )
    expect(
        eligible[valid].all(),
        f"expected eligible picks {where}, got row {valid[~eligible[valid]][:1]} from {name}; mask scores by "
        "candidates.eligible (bal.numerics.mask_scores) before the best is taken",
    )


def _check_keys(name: str, pick: Callable, whole: Candidates, first: Selection, deterministic: bool) -> None:
    again, others = pick(whole), [pick(whole, seed) for seed in range(1, 6)]
    expect(
        (again.indices == first.indices).all(),
        f"expected the same key to give the same picks, got {first.indices.tolist()} and {again.indices.tolist()} from "
        f"{name}; draw from the key that is handed in alone",
    )
    same = [(other.indices == first.indices).all() for other in others]
    if deterministic:
        expect(
            all(same),
            f"expected a deterministic rule to give {first.indices.tolist()} under every key, got others from {name}; "
            "leave the key alone, or say deterministic=False",
        )
    else:
        expect(
            not all(same),
            f"expected a random rule to pick by its key, got {first.indices.tolist()} under six keys from {name}; use "
            "the key that is handed in, no other, or say deterministic=True",
        )


def _check_end(name: str, pick: Callable, make: Callable[..., Candidates]) -> None:
    for left in (0, 2):
        picks = pick(make(n=ROWS, eligible=np.arange(ROWS) < left))
        expected = [place < left for place in range(BATCH)]
        expect(
            picks.valid.tolist() == expected,
            f"expected valid to be {expected} where {left} rows are left, got {picks.valid.tolist()} from {name}; mark "
            "what was not there to pick, and never pick a row again",
        )


def _check_nan(name: str, pick: Callable, whole: Candidates) -> None:
    bad = np.arange(ROWS - BATCH - 1)
    picks = pick(whole._replace(rows=_set(whole.rows, bad, np.nan)))
    expect(
        not np.isin(picks.indices[picks.valid], bad).any(),
        f"expected rows with NaN never to be picked, got {picks.indices.tolist()} from {name}, of which those below "
        f"{len(bad)} hold NaN; NaN wins in jnp.argmax: rank by bal.numerics.mask_scores and first_argmax",
    )
    expect(
        int(picks.info.get("num_nan", 0)) >= len(bad),
        f"expected {name} to count rows with NaN in info['num_nan'], got {picks.info.get('num_nan')} for {len(bad)} of "
        "them; build on bal.selection.greedy or best, which count them",
    )


def _check_places(name: str, pick: Callable, whole: Candidates, first: Selection) -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    rows, index, eligible, cost = jax.tree.map(lambda leaf: np.asarray(leaf)[order], tuple(whole[:4]))
    turned = pick(whole._replace(rows=rows, index=index, eligible=eligible, cost=cost))
    found = order[turned.indices].tolist()
    expect(
        found == first.indices.tolist(),
        f"expected rows in another order to give the same rows, {first.indices.tolist()}, got {found} from {name}; "
        "hang randomness on candidates.index (jax.random.fold_in), or say by_position=True",
    )


def _set(tree: PyTree, rows: Any, value: float) -> PyTree:
    def leaf(x: Any) -> np.ndarray:
        x = np.array(x)
        x[rows] = value
        return x

    return jax.tree.map(leaf, jax.device_get(tree))
