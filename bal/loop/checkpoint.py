"""What a Python-driven run must keep between rounds, as named arrays, and back.

Only arrays are written: the structure of a state comes from initialising the learner again.
"""

from typing import Any

import jax
import numpy as np

from bal.loop.round import Carry, record_answers
from bal.typing import Pool, PyTree, Selection


def pack(carry: Carry, picks: Selection, seed: int) -> dict[str, np.ndarray]:
    """Learner state, query memory and the picks that await their labels, as named arrays."""
    arrays = {"seed": np.asarray(seed), **pack_tree((carry.state, carry.memory))}
    for name in ("indices", "scores", "valid", "log_q"):
        if getattr(picks, name) is not None:
            arrays[f"picks.{name}"] = np.asarray(getattr(picks, name))
    for name, value in picks.info.items():
        arrays[f"picks.info.{name}"] = np.asarray(value)
    return arrays


def unpack(arrays: dict[str, np.ndarray], carry: Carry) -> tuple[Carry, Selection]:
    """The inverse of `pack`, given a carry of the same structure."""
    state, memory = unpack_tree(arrays, (carry.state, carry.memory))
    fields = {
        name.removeprefix("picks."): jax.device_put(leaf) for name, leaf in arrays.items() if name.startswith("picks.")
    }
    info = {name.removeprefix("info."): fields.pop(name) for name in list(fields) if name.startswith("info.")}
    return carry._replace(state=state, memory=memory), Selection(**fields, info=info)


def pack_tree(tree: PyTree) -> dict[str, np.ndarray]:
    """The leaves of a tree of arrays, by number."""
    return {f"leaf.{number}": _to_numpy(leaf) for number, leaf in enumerate(jax.tree.leaves(tree))}


def unpack_tree(arrays: dict[str, np.ndarray], like: PyTree) -> PyTree:
    """The inverse of `pack_tree`, given a tree of the same structure, whose arrays may have grown.

    A saved array fills the leading corner of a larger one: with a larger capacity, places that are not taken yet
    follow; with a larger pool, rows that were not seen yet.

    Raises:
      ValueError: another number of arrays, or one that is smaller, has other axes or another type.
    """
    leaves, tree = jax.tree.flatten(like)
    names = {name for name in arrays if name.startswith("leaf.")}
    if names != set(pack_tree(leaves)):
        raise ValueError(
            f"the saved state has {len(names)} arrays, that of this learner and query {len(leaves)}; resume with the "
            "same learner and query"
        )
    return tree.unflatten([_grown(arrays[f"leaf.{number}"], leaf) for number, leaf in enumerate(leaves)])


def pack_parts(parts: dict[str, tuple[PyTree, PyTree]]) -> dict[str, np.ndarray]:
    """Named parts of a campaign, before and after its last ask, as named arrays.

    A part that is not made of arrays, such as the model of another library, is left out.
    """
    arrays = {}
    for name, versions in parts.items():
        if all(map(_is_array, jax.tree.leaves(versions))):
            for when, tree in zip(("before", "after"), versions, strict=True):
                arrays |= {f"{name}.{when}.{leaf}": array for leaf, array in pack_tree(tree).items()}
        else:
            arrays[f"{name}.left_out"] = np.ones(())
    return arrays


def restore(
    loaded: tuple[int, dict[str, np.ndarray]] | None, number: int, state: PyTree, memory: PyTree, news: set[str]
) -> tuple[PyTree, PyTree]:
    """Learner state and query memory behind ask `number`, from what `pack_parts` made and the fresh ones.

    What belongs to a learner or query that is new, or was left out, begins anew.
    """
    if loaded is None:
        return state, memory
    saved, arrays = loaded
    if saved not in (number, number + 1):
        raise ValueError(
            f"the saved state is that of ask {saved}, but the log ends behind ask {number}: the files of this record "
            "do not belong together; restore both from one copy"
        )
    when = "after" if saved == number else "before"  # one ahead: killed before the ask was written
    if "leaf.0" in arrays:  # as saved before the parts had names
        both = unpack_tree(arrays, ((state, memory), (state, memory)))
        return both[0] if when == "after" else both[1]
    found = []
    for name, fresh, method in (("state", state, "learner"), ("memory", memory, "query")):
        prefix = f"{name}.{when}."
        own = {key.removeprefix(prefix): leaf for key, leaf in arrays.items() if key.startswith(prefix)}
        found.append(fresh if method in news or f"{name}.left_out" in arrays else unpack_tree(own, fresh))
    return found[0], found[1]


def rebuild(
    record: Any, seed: int, events: list[dict], carry: Carry, pool: Pool, y_like: PyTree
) -> tuple[Carry, Selection, int] | None:
    """Carry, awaiting picks and number of the round to do next, from a record; None if there is nothing to use.

    Without a usable state the run starts over and is checked, round by round, against the recorded picks.
    """
    loaded = None if record is None else record.load_state()
    if loaded is None or loaded[0] >= len(events) or int(loaded[1]["seed"]) != seed:
        return None
    last, arrays = loaded
    labeled = carry.labeled
    for event in events[: last + 1]:
        picks = Selection(
            jax.device_put(np.array(event["acquired"], np.int32)),
            jax.device_put(np.array(event["scores"], np.float32)),
            jax.device_put(np.array(event["valid"], bool)),
        )
        y = np.asarray(event["labels"], y_like.dtype)
        labeled = record_answers(labeled, pool, picks, y, event["round"])
    carry, picks = unpack(arrays, carry._replace(labeled=labeled))
    return carry, picks, last + 1


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | int | float) or (
        isinstance(leaf, np.ndarray | np.generic) and leaf.dtype != object
    )


def _to_numpy(leaf: Any) -> np.ndarray:
    if not _is_array(leaf):
        raise TypeError(
            f"only learners whose state is made of arrays can be resumed from a record, got a {type(leaf).__name__}; "
            "keep the model as arrays, or make it a host learner, Learner(..., host=True), which is fitted anew"
        )
    return np.asarray(jax.random.key_data(leaf)) if _is_key(leaf) else np.asarray(leaf)


def _grown(saved: np.ndarray, like: Any) -> Any:
    whole = np.array(_to_numpy(like))
    fits = saved.ndim == whole.ndim and all(
        small <= large for small, large in zip(saved.shape, whole.shape, strict=True)
    )
    if not fits or not np.can_cast(saved.dtype, whole.dtype, "same_kind"):
        raise ValueError(
            f"the saved state has an array {saved.dtype}{list(saved.shape)} where this learner and query have "
            f"{whole.dtype}{list(whole.shape)}; resume with the same learner and query, and no smaller capacity "
            "or pool"
        )
    whole[tuple(map(slice, saved.shape))] = saved
    return jax.random.wrap_key_data(jax.device_put(whole)) if _is_key(like) else jax.device_put(whole)
