"""LoRA: a matrix of low rank beside each frozen one.

Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang and Chen 2022, "LoRA: Low-Rank Adaptation of Large Language Models".
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.adapters.places import Adapter, Place, flat, nested
from bal.learners.settings import check_count
from bal.method import method
from bal.typing import PRNGKey, PyTree


@method
def lora(rank: int = 8, targets: tuple[str, ...] = ("query", "value")) -> Adapter:
    """LoRA as a value that `adapted` takes: ``x W + (x A) B`` in the layers named by `targets`.

    A is normal of variance 1 / inputs, B zero at first, so that nothing changes. A draw is that of `draw_lora`.

    Use it when (IA)³ is too stiff: a layer has ``rank (inputs + outputs)`` numbers to learn.

    Args:
      rank: of the product, whose usual factor alpha / rank is 1: it would be one more constant among what is learned.
      targets: last names of the layers.

    Raises:
      ValueError: a rank below 1.
      TypeError: targets that are one string.

    >>> lora(4)
    lora(rank=4, targets=('query', 'value'))
    """
    check_count("rank", rank)
    _check_targets(targets)

    def init(key: PRNGKey, places: tuple[Place, ...], params: PyTree) -> PyTree:
        del params
        return init_lora(key, places, rank, targets)

    return Adapter(init, draw_lora)


def init_lora(
    key: PRNGKey,
    places: tuple[Place, ...],
    rank: int = 8,
    targets: tuple[str, ...] = ("query", "value"),
    alpha: float | int | None = None,
) -> PyTree:
    """The collection "lora" for the layers among some places whose last name is one of `targets`.

    With `alpha` the product is multiplied by alpha / rank, a constant beside A and B.

    Use it when variables are handed to a module by hand; `adapted` does it by itself.

    Raises ValueError where no layer has such a name.

    >>> from bal.adapters.places import Place
    >>> entries = init_lora(jax.random.key(0), (Place(("query",), False, 4, 3),), rank=2, alpha=16)["lora"]["query"]
    >>> entries["a"].shape, entries["b"].shape, float(entries["scale"])
    ((4, 2), (2, 3), 8.0)
    """
    _check_targets(targets)
    chosen = [place for place in places if not place.scales and place.path[-1] in targets]
    if not chosen:
        names = sorted({place.path[-1] for place in places if not place.scales})
        raise ValueError(f"no layer is named by targets={targets}; the layers are called {', '.join(names)}")
    entries = {}
    for place, k in zip(chosen, jax.random.split(key, len(chosen)), strict=True):
        entries[*place.path, "a"] = jax.random.normal(k, (place.inputs, rank)) / math.sqrt(place.inputs)
        entries[*place.path, "b"] = jnp.zeros((rank, place.outputs))
        if alpha is not None:
            entries[*place.path, "scale"] = jnp.float32(alpha / rank)
    return {"lora": nested(entries)}


def _check_targets(targets: Any) -> None:
    if isinstance(targets, str):  # whose letters would name no layer, or by chance others
        raise TypeError(f"expected names of layers, got the string {targets!r}; give a tuple, ({targets!r},)")


def merge_lora(params: PyTree, collections: PyTree) -> PyTree:
    """Frozen weights with LoRA added: ``W + scale A B``.

    Use it to hand on a tuned network as one that knows nothing of adapters.

    Raises ValueError for entries of a layer that the network does not have.

    >>> entries = {"a": jnp.ones((2, 1)), "b": jnp.ones((1, 2)), "scale": jnp.float32(0.5)}
    >>> merge_lora({"query": {"kernel": jnp.eye(2)}}, {"lora": {"query": entries}})["query"]["kernel"].tolist()
    [[1.5, 0.5], [0.5, 1.5]]
    """
    merged, entries = dict(flat(params)), flat(collections["lora"])
    for layer in {path[:-1] for path in entries}:
        if (*layer, "kernel") not in merged:
            raise ValueError(f"the adapter has an entry for {'.'.join(layer)}, which the network does not have")
        product = jnp.matmul(entries[*layer, "a"], entries[*layer, "b"], precision="highest")
        merged[*layer, "kernel"] = merged[*layer, "kernel"] + entries.get((*layer, "scale"), 1.0) * product
    return nested(merged)


def draw_lora(key: PRNGKey, collections: PyTree, sigma: Any) -> PyTree:
    """A draw of a low-rank isotropic Gaussian around trained LoRA: the mean of ``A B`` stays, its noise is even.

    With the singular values of ``B = V diag(d) Uᵀ`` the draw is ``A + sigma E diag(1 / d) Vᵀ``, E standard normal, so
    that ``A B`` moves by ``sigma E Uᵀ``: by as much in every direction that B can reach, however A and B share the
    size of their product. Directions that B does not reach (d = 0) are left alone.

    Use it when draws of weights are wanted around an adapter that was trained as a point; `tfb` finds `sigma`.

    >>> entries = {"a": jnp.zeros((2, 1)), "b": jnp.full((1, 1), 4.0), "scale": jnp.float32(1.0)}
    >>> drawn = draw_lora(jax.random.key(0), {"lora": {"query": entries}}, 0.5)["lora"]["query"]
    >>> move = (drawn["a"] @ drawn["b"])[:, 0] / 0.5  # E, whatever B is
    >>> doubled = draw_lora(jax.random.key(0), {"lora": {"query": entries | {"b": 2 * entries["b"]}}}, 0.5)
    >>> bool(jnp.allclose((doubled["lora"]["query"]["a"] @ (2 * entries["b"]))[:, 0] / 0.5, move))
    True

    Shi, Wang, Han, Zhang and Wang 2025, "Training-Free Bayesianization for Low-Rank Adapters of Large Language Models".
    """
    entries = dict(flat(collections["lora"]))
    layers = sorted({path[:-1] for path in entries})
    for layer, k in zip(layers, jax.random.split(key, len(layers)), strict=True):
        entries[*layer, "a"] = _moved(k, entries[*layer, "a"], entries[*layer, "b"], sigma)
    return {"lora": nested(entries)}


def _moved(key: PRNGKey, a: Float[Array, "A r"], b: Float[Array, "r B"], sigma: Any) -> Float[Array, "A r"]:
    left, size, _ = jnp.linalg.svd(b, full_matrices=False)  # the sign of a direction is the noise's own
    reached = size > 1e-6 * jnp.maximum(size[0], 1e-30)
    inverse = jnp.where(reached, 1.0 / jnp.where(reached, size, 1.0), 0.0)
    noise = jax.random.normal(key, (a.shape[0], len(size))) * jnp.broadcast_to(inverse, (a.shape[0], len(size)))
    return a + sigma * noise @ left.T
