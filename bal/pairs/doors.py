"""What is handed in about pairs, each wrong thing named in one sentence."""

import inspect
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from bal.learners.settings import check_count, named
from bal.loop.checks import check_rows
from bal.pairs.nouns import Items, PairSetup
from bal.typing import Learner


def check_items(items: Any) -> None:
    """`Items` of arrays that share their first axis; groups are whole numbers and have their prompts.

    >>> check_items(np.eye(3))
    Traceback (most recent call last):
    TypeError: expected Items, got an object of type ndarray; write Items(x)
    """
    if not isinstance(items, Items):
        raise TypeError(f"expected Items, got {named(items)}; write Items(x)")
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(items.x)}
    if len(lengths) != 1 or lengths == {()}:
        raise ValueError("expected items as an array [N, ...], or a tree of such arrays of one N; use np.asarray")
    if items.group is None:
        return
    if np.shape(items.group) not in lengths or not np.issubdtype(items.group.dtype, np.integer):
        raise ValueError(
            "expected the group of every item, whole numbers [N]; encode names by np.unique(names, return_inverse=True)"
        )
    if items.prompt is not None and is_known(items.prompt) and not np.isfinite(np.asarray(items.prompt)).all():
        raise ValueError("expected finite features of prompts, got some that are not; leave out such prompts")
    if items.prompt is not None and is_known(items.group):
        outside = (np.asarray(items.group) < 0) | (np.asarray(items.group) >= len(items.prompt))
        if outside.any():
            raise ValueError(
                f"item {outside.argmax()} answers prompt {np.asarray(items.group)[outside.argmax()]}, but there are "
                f"{len(items.prompt)} prompts; groups are their numbers"
            )


def check_campaign(learner: Any, query: Any, items: Any) -> None:
    """What a `PairCampaign` is opened with: finite items, a learner, and a query that was made."""
    check_items(items)
    check_rows(items.x)
    check_parts(learner, query)


def check_setup(setup: Any) -> None:
    """A `PairSetup`, its sizes whole numbers."""
    if not isinstance(setup, PairSetup):
        raise TypeError(
            f"expected a PairSetup, got {named(setup)}; write PairSetup(learner, query, batch_size, rounds)"
        )
    check_count("batch_size", setup.batch_size)
    check_count("num_rounds", setup.num_rounds, 0)
    check_count("num_initial", setup.num_initial, 0)
    check_parts(setup.learner, setup.query)


def check_parts(learner: Any, query: Any) -> None:
    """A learner, and a query of pairs."""
    if not isinstance(learner, Learner):
        raise TypeError(f"expected a Learner, got {named(learner)}; linear_reward(num_draws=16), say")
    try:
        inspect.signature(query).bind("key", "round", "batch_size")
    except TypeError as error:
        raise TypeError(f"expected a query of pairs, got {named(query)}; past_aware_d_optimal(), say") from error


def check_pair_ids(pairs: Any, num_items: int) -> None:
    """Pairs of two different items, where their numbers are known."""
    if np.ndim(pairs) != 2 or np.shape(pairs)[1] != 2 or not np.issubdtype(np.asarray(pairs).dtype, np.integer):
        raise ValueError(f"expected pairs of item ids, [m, 2] whole numbers, got shape {list(np.shape(pairs))}")
    found = np.asarray(pairs)
    if ((found < 0) | (found >= num_items)).any() or (found[:, 0] == found[:, 1]).any():
        raise ValueError(f"a pair is two different items among 0 to {num_items - 1}, got {found.tolist()}")


def is_known(leaf: Any) -> bool:
    """Whether numbers can be looked at, outside of a trace."""
    return not isinstance(leaf, Tracer)
