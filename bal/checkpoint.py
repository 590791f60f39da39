"""What a Python-driven run must keep between rounds, as named arrays, and back.

Only arrays are written: the structure of a state comes from initialising the learner again.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.loop import Carry, record_answers
from bal.typing import PyTree, Selection


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
        name.removeprefix("picks."): jnp.asarray(leaf) for name, leaf in arrays.items() if name.startswith("picks.")
    }
    info = {name.removeprefix("info."): fields.pop(name) for name in list(fields) if name.startswith("info.")}
    return carry._replace(state=state, memory=memory), Selection(**fields, info=info)


def pack_tree(tree: PyTree) -> dict[str, np.ndarray]:
    """The leaves of a tree of arrays, by number."""
    return {f"leaf.{number}": _to_numpy(leaf) for number, leaf in enumerate(jax.tree.leaves(tree))}


def unpack_tree(arrays: dict[str, np.ndarray], like: PyTree) -> PyTree:
    """The inverse of `pack_tree`, given a tree of the same structure."""
    leaves, tree = jax.tree.flatten(like)
    saved = [arrays[name] for name in map("leaf.{}".format, range(len(leaves))) if name in arrays]
    if [leaf.shape for leaf in saved] != [_to_numpy(leaf).shape for leaf in leaves]:
        raise ValueError(
            "the saved learner state is shaped otherwise than this learner's; resume with the same learner"
        )
    return tree.unflatten([_from_numpy(leaf, old) for leaf, old in zip(saved, leaves, strict=True)])


def rebuild(
    record: Any, seed: int, events: list[dict], carry: Carry, y_like: PyTree
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
            jnp.asarray(np.array(event["acquired"], np.int32)),
            jnp.asarray(np.array(event["scores"], np.float32)),
            jnp.asarray(np.array(event["valid"], bool)),
        )
        labeled = record_answers(labeled, picks, jnp.asarray(np.asarray(event["labels"]), y_like.dtype))
    carry, picks = unpack(arrays, carry._replace(labeled=labeled))
    return carry, picks, last + 1


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _to_numpy(leaf: Any) -> np.ndarray:
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic | int | float):
        raise TypeError(
            f"only learners whose state is made of arrays can be resumed from a record, got a {type(leaf).__name__}; "
            "run without a record, or keep the model as arrays"
        )
    return np.asarray(jax.random.key_data(jnp.asarray(leaf))) if _is_key(leaf) else np.asarray(leaf)


def _from_numpy(leaf: np.ndarray, like: Any) -> Any:
    return jax.random.wrap_key_data(jnp.asarray(leaf)) if _is_key(like) else jnp.asarray(leaf)
