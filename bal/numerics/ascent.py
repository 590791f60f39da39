"""Ascent of a smooth function by an optimizer of optax: of evidences, log densities and acquisitions alike."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from bal.typing import PyTree


class Summit(NamedTuple):
    """The best point seen, its value, and the largest slope there in any coordinate: infinite where there is none."""

    params: PyTree
    value: Float[Array, "*shape"]
    slope: Float[Array, "*shape"]


class Descent(NamedTuple):
    """Where an optimization is, the best point it has seen, and by how much the last step changed the value."""

    params: PyTree
    state: PyTree
    best: Summit
    value: Float[Array, ""]
    change: Float[Array, ""]
    number: Int[Array, ""]


def ascend(method: Any, objective: Callable[[PyTree], Float[Array, ""]], params: PyTree, num_steps: int) -> Summit:
    """The best point that at most `num_steps` steps of an optax optimizer have seen.

    Ends early where the value no longer changes, by 2e-9 of itself (scipy's criterion), or is not a number.
    """
    visit = jax.jit(jax.value_and_grad(lambda params: -objective(params)))
    loss = jax.custom_vjp(
        lambda params: visit(params)[0]
    )  # line searches differentiate it again: traced once all the same
    loss.defvjp(visit, lambda grad, by: (jax.tree.map(lambda leaf: (by * leaf).astype(leaf.dtype), grad),))
    like = jax.eval_shape(loss, params)
    infinity, tolerance = jnp.full((), jnp.inf, like.dtype), max(2e-9, 10 * float(jnp.finfo(like.dtype).eps))

    def seen(at: Descent, value: Array, grad: PyTree) -> Descent:
        better = value < at.best.value  # False for NaN
        slope = jnp.max(jnp.array([jnp.abs(leaf).max() for leaf in jax.tree.leaves(grad) if leaf.size]))
        new = Summit(at.params, value, slope.astype(value.dtype))
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), new, at.best)
        change = jnp.abs(at.value - value) / jnp.maximum(jnp.abs(value), 1.0)
        return at._replace(best=best, value=value, change=change)

    def goes_on(at: Descent) -> Bool[Array, ""]:
        return (at.number < num_steps) & (at.change > tolerance)

    def step(at: Descent) -> Descent:
        value, grad = visit(at.params)
        at = seen(at, value, grad)
        updates, state = method.update(grad, at.state, at.params, value=value, grad=grad, value_fn=loss)
        return at._replace(params=optax.apply_updates(at.params, updates), state=state, number=at.number + 1)

    first = Summit(params, infinity, infinity)
    start = Descent(params, method.init(params), first, infinity, infinity, jnp.zeros((), jnp.int32))
    end = jax.lax.while_loop(goes_on, step, start)
    best = seen(end, *visit(end.params)).best
    return best._replace(value=-best.value)
