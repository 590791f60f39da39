"""(IA)³: keys, values and feed-forward units of every block, each times a number that is learned.

Liu, Tam, Muqeeth, Mohta, Huang, Bansal and Raffel 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper
than In-Context Learning".
"""

from typing import Any

import jax
import jax.numpy as jnp

from bal.adapters.places import Adapter, Place, flat, nested
from bal.method import method
from bal.typing import PRNGKey, PyTree

SCALED = ("key", "value")


@method
def ia3() -> Adapter:
    """(IA)³ as a value that `adapted` takes: ``softmax(Q (l_k ∘ K)ᵀ / √d) (l_v ∘ V)`` and ``(l_ff ∘ act(W₁ x)) W₂``.

    All l are ones at first, so that nothing changes. A draw adds normal noise of scale `sigma` to each of them.

    Use it when labels are few: a block has ``d_k + d_v + d_ff`` numbers to learn, and so has a member of an ensemble.

    >>> ia3()
    ia3()
    """

    def init(key: PRNGKey, places: tuple[Place, ...], params: PyTree) -> PyTree:
        del key, params
        return init_ia3(places)

    def draw(key: PRNGKey, collections: PyTree, sigma: Any) -> PyTree:
        leaves, tree = jax.tree.flatten(collections)
        keys = jax.random.split(key, len(leaves))
        return tree.unflatten([leaf + sigma * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves)])

    return Adapter(init, draw)


def init_ia3(places: tuple[Place, ...]) -> PyTree:
    """The collection "ia3" of ones for the keys, values and feed-forward units among some places.

    Use it when variables are handed to a module by hand; `adapted` does it by itself.

    Raises ValueError where there is none of them.

    >>> from bal.adapters.places import Place
    >>> init_ia3((Place(("query",), False, 2, 2), Place(("key",), False, 2, 2)))
    {'ia3': {'key': {'scale': Array([1., 1.], dtype=float32)}}}
    """
    entries = {(*place.path, "scale"): jnp.ones(place.outputs) for place in places if is_scaled(place)}
    if not entries:
        raise ValueError("expected layers named key or value, or a Scale, among the places; got none of them")
    return {"ia3": nested(entries)}


def merge_ia3(params: PyTree, collections: PyTree, places: tuple[Place, ...]) -> PyTree:
    """Frozen weights with (IA)³ multiplied in: ``l ∘ (W x + b) = (diag(l) W) x + l ∘ b``.

    What a `Scale` multiplies goes into the rows of the layer that is called next, the second one of a feed-forward
    block. The outputs are those of weights and adapter to rounding, at no cost at all.

    Use it to hand on a tuned network as one that knows nothing of adapters.

    Args:
      params: the collection "params".
      collections: ``{"ia3": ...}``; entries of a single member.
      places: of the network (`places_of`).

    Raises:
      ValueError: entries for layers that are not among the places.

    >>> from bal.adapters.places import Place
    >>> places = (Place(("key",), False, 2, 2),)
    >>> merge_ia3({"key": {"kernel": jnp.eye(2)}}, {"ia3": {"key": {"scale": jnp.array([2.0, 3.0])}}}, places)
    {'key': {'kernel': Array([[2., 0.],
           [0., 3.]], dtype=float32)}}
    """
    merged = dict(flat(params))
    order = [place.path for place in places]
    for path, scale in flat(collections["ia3"]).items():
        layer = path[:-1]
        if layer not in order:
            raise ValueError(f"the adapter has an entry for {'.'.join(layer)}, which the network does not have")
        at = order.index(layer)
        if places[at].scales:
            kernel = (*next(place.path for place in places[at + 1 :] if not place.scales), "kernel")
            merged[kernel] = scale[:, None] * merged[kernel]
            continue
        for name in ("kernel", "bias"):
            if (*layer, name) in merged:
                merged[*layer, name] = jnp.broadcast_to(scale, merged[*layer, name].shape) * merged[*layer, name]
    return nested(merged)


def is_scaled(place: Place) -> bool:
    """Whether (IA)³ has a vector at this place."""
    return place.scales or place.path[-1] in SCALED
