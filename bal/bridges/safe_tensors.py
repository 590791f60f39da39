"""Posteriors as files of safetensors: named arrays that any library reads, and no code that runs when they are."""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bal.bridges.libraries import library
from bal.typing import Learner, Posterior, PyTree


def save_posterior(path: str | Path, posterior: Posterior) -> None:
    """Write the parameters of a posterior, all draws of them, to one file of safetensors.

    Arrays are named by their path in the state, as ``params.0.kernel``, and keep shape and type; the description of
    the learner goes into the file's metadata. The file appears as a whole or not at all.

    Use it when a posterior is to be used elsewhere: ``safetensors.torch.load_file`` reads it in torch. A run that is to
    go on takes a record, `bal.open_record`.

    Args:
      path: of the file, by custom ``.safetensors``; one that is there is replaced.
      posterior: as ``campaign.posterior``.

    Raises:
      ImportError: safetensors is not installed.
      TypeError: a state that is not made of arrays, such as a model of scikit-learn.
      SafetensorError: the folder is not there, or the disk refuses.
    """
    numpy, path = library("safetensors.numpy"), Path(path)
    arrays = {name: _as_numpy(name, leaf) for name, leaf in named_leaves(posterior.state).items()}
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        numpy.save_file(arrays, temporary, {"format": "bal", "learner": repr(posterior.learner)})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_posterior(path: str | Path, learner: Learner, like: PyTree) -> Posterior:
    """The posterior that `save_posterior` wrote, of the same learner.

    Args:
      path: of the file.
      learner: as it was made then.
      like: a state of this learner, or its shapes: ``jax.eval_shape(learner.init, key, data)``.

    Raises:
      ImportError: safetensors is not installed.
      ValueError: a file of another learner, or arrays of other names, shapes or types than `like`.
    """
    with library("safetensors").safe_open(path, "numpy") as file:
        saved = (file.metadata() or {}).get("learner")
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
    if saved != repr(learner):
        raise ValueError(f"expected the posterior of {learner!r}, but {Path(path).name} holds that of {saved}")
    leaves = named_leaves(like)
    if arrays.keys() != leaves.keys():
        odd = sorted(arrays.keys() ^ leaves.keys())[0]
        raise ValueError(
            f"{Path(path).name} and the state of this learner differ in array {odd!r}; give `like` of the same data"
        )
    tree = jax.tree.structure(like)
    return Posterior(tree.unflatten([_as_leaf(name, arrays[name], leaf) for name, leaf in leaves.items()]), learner)


def named_leaves(state: PyTree) -> dict[str, Any]:
    """The leaves of a tree by their path, in the order of the tree.

    >>> list(named_leaves({"params": [{"kernel": 1.0}, {"kernel": 2.0}]}))
    ['params.0.kernel', 'params.1.kernel']
    """
    found = jax.tree_util.tree_leaves_with_path(state)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") or "state" for path, _ in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"two arrays of this state would be called {sorted(twice)[0]!r}; leave dots out of its names")
    return {name: leaf for name, (_, leaf) in zip(names, found)}


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _as_numpy(name: str, leaf: Any) -> np.ndarray:
    array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf, order="C")
    if array.dtype == object:
        raise TypeError(
            f"expected a posterior made of arrays, but {name!r} is a {type(leaf).__name__}; save the model by its own "
            "library"
        )
    return array


def _as_leaf(name: str, saved: np.ndarray, like: Any) -> Any:
    leaf = jax.device_put(saved)
    if _is_key(like):
        leaf = jax.random.wrap_key_data(leaf)
    expected = jax.eval_shape(lambda leaf: leaf, like)
    if leaf.shape != expected.shape or leaf.dtype != expected.dtype:
        raise ValueError(
            f"array {name!r} is {saved.dtype}{list(saved.shape)} in the file, but {expected.dtype}"
            f"{list(expected.shape)} in the state of this learner; give `like` of data of the same sizes"
        )
    return leaf
