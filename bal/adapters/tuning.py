"""Training of a few collections beside frozen ones."""

from collections.abc import Callable

import jax
import optax

from bal.learners.training import train
from bal.typing import Data, PRNGKey, PyTree


def only(optimizer: optax.GradientTransformation, *collections: str) -> optax.GradientTransformation:
    """An optimizer of whole variables that moves some collections and has no moments of the others.

    ``optax.multi_transform`` by the name of the collection; the number `scale` of LoRA stays too.

    Use it in a training loop of your own over ``{"params": ..., "ia3": ..., "head": ...}``. Gradients of what is frozen
    are still computed there; `tune` does without.

    Args:
      optimizer: of what moves.
      collections: names of what moves.

    >>> import jax.numpy as jnp
    >>> variables = {"params": jnp.ones(1000), "ia3": jnp.ones(3)}
    >>> rule = only(optax.adam(0.1), "ia3")
    >>> moments = rule.init(variables)
    >>> sum(leaf.size for leaf in jax.tree.leaves(moments))
    7
    >>> updates, _ = rule.update(variables, moments, variables)
    >>> float(abs(updates["params"]).max())
    0.0
    """

    def labels(variables: PyTree) -> PyTree:
        def label(path: tuple, leaf: jax.Array) -> str:
            names = [getattr(part, "key", None) for part in path]
            constant = "lora" in names and names[-1] == "scale"
            return "moves" if names[0] in collections and not constant else "stays"

        return jax.tree_util.tree_map_with_path(label, variables)

    return optax.multi_transform({"moves": optimizer, "stays": optax.set_to_zero()}, labels)


def tune(
    loss: Callable,
    optimizer: optax.GradientTransformation,
    key: PRNGKey,
    trained: PyTree,
    frozen: PyTree,
    data: Data,
    num_steps: int,
    minibatch_size: int,
) -> PyTree:
    """Minimise the weighted mean of ``loss(variables, x, y, key) -> [M]`` over some collections of the variables.

    ``variables = frozen | trained``. Gradients and moments are of `trained` alone; `frozen` is an argument of the
    compiled program, never a constant or a copy.

    Use it for adapters of a model that no `Network` describes, as the ranking of answers by a language model.

    Args:
      loss: one number a row, of padding too.
      optimizer: such as `bal.adapters.tfew_optimizer`.
      key: for the order of data, and handed to the loss.
      trained, frozen: collections by name.
      data: rows, labels and weights; rows of weight 0 teach nothing.
      num_steps, minibatch_size: length of the training.

    Returns:
      `trained` after the last step.

    Raises:
      ValueError: a collection both trained and frozen; a loss that is not one number a row.

    >>> import jax.numpy as jnp
    >>> loss = lambda variables, x, y, key: (x * variables["params"] * variables["ia3"] - y) ** 2
    >>> data = Data(jnp.ones(4), jnp.full(4, 6.0), jnp.ones(4))
    >>> fit = jax.jit(lambda params: tune(
    ...     loss, optax.sgd(0.05), jax.random.key(0), {"ia3": jnp.ones(())}, {"params": params}, data, 40, 4
    ... ))
    >>> round(float(fit(jnp.float32(2.0))["ia3"]), 3)
    3.0
    """
    both = trained.keys() & frozen.keys()
    if both:
        raise ValueError(f"collections are trained or frozen, but {', '.join(sorted(both))} are both; leave one out")
    rows = lambda trained, x, y, key: (loss(frozen | trained, x, y, key), None)
    rule = only(optimizer, *trained)
    return train(rows, rule, key, trained, data, num_steps, minibatch_size)
