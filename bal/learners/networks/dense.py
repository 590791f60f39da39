"""Which parameters are the kernels of a network's dense layers, told from its program alone."""

import jax
import jax.numpy as jnp
from jax.interpreters.partial_eval import dce_jaxpr
from jaxtyping import Array

from bal.learners.networks.network import Network
from bal.typing import PyTree


def dense_kernels(network: Network, params: PyTree, x: PyTree) -> list[int | None]:
    """For each call of a dense layer, in order: the place of its kernel among the leaves of the parameters.

    None for a layer that is called more than once, or has further axes between rows and units (tokens), or whose kernel
    cannot be told. Empty for a network without `tapped`.

    >>> from bal.learners.networks import mlp
    >>> net, x = mlp((8,), num_outputs=3), jnp.ones((4, 5))
    >>> params = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> [jax.tree.leaves(params)[place].shape for place in dense_kernels(net, params, x)]
    [(5, 8), (8, 3)]
    """
    if network.tapped is None:
        return []
    tapped, found = network.tapped, []
    leaves, tree = jax.tree.flatten(params)
    shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]

    def tap(h: Array, z: Array, w: Array) -> Array:
        found.append((h.ndim, w))
        return z

    def weights(*leaves: Array) -> list[Array]:
        found.clear()
        tapped(tree.unflatten(leaves), jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape[1:]), leaf.dtype), x), tap)
        return [w for _, w in found]

    program = jax.make_jaxpr(weights)(*shapes).jaxpr
    places = []
    for number, (num_axes, w) in enumerate(found):
        _, used = dce_jaxpr(program, [number == other for other in range(len(found))])
        kernels = [place for place in range(len(leaves)) if used[place] and leaves[place].ndim == 2]
        kernels = [place for place in kernels if leaves[place].shape[1] == w.shape[-1]]
        places.append(kernels[0] if len(kernels) == 1 and num_axes == 2 else None)
    return [place if places.count(place) == 1 else None for place in places]
