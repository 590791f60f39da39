"""The learner of a Gaussian process: whatever finds a `GPState` predicts and covaries alike, in natural units."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from bal.learners.convergence import before_chains
from bal.learners.gp.buckets import by_bucket, compact
from bal.learners.gp.conditioned import GPRows, GPState, stretch
from bal.learners.gp.hyperparameters import Choose, Chosen, Hyperparameters
from bal.learners.gp.process import Process, as_dtype, join, split
from bal.learners.gp.units import Units, base, kind_of, measure, natural, standardized
from bal.learners.padding import real_rows
from bal.learners.training import map_members
from bal.numerics import as_floats, dot, in_row_blocks
from bal.typing import Data, Gaussian, Learner, PRNGKey, PyTree

Model = Callable[[PyTree], Process]
"""The process of the labels in their units, ``params -> process``."""


def gp_learner(
    process: Process,
    hyperparameters: Hyperparameters,
    fit: Callable[[Choose, GPState, Data, Model], GPState],
    read: Callable[[Gaussian], PyTree] = lambda found: found,
    capacity: int | None = None,
) -> Learner:
    """The learner of a fit.

    Args:
      process: split into hyper-parameters, which the state holds, and the rest.
      hyperparameters: their number of draws and their units; how they are chosen is handed to `fit`.
      fit: ``choose, state, data, model -> state``, of few labels for a leading block of data and of the state: data
        are in floating point, real rows first, labels in their units; num_labels and units of the result are those of
        the state handed in.
      read: predictions from posterior moments.
      capacity: rows that the state holds, if fewer than the labels.
    """
    num_draws, kind = hyperparameters.num_draws, kind_of(process, hyperparameters.units)
    model_of = lambda state, dtype: model(process, state.units, dtype)

    def init(key: PRNGKey, data: Data) -> GPState:
        del key
        x = as_floats(data.x)
        size = len(data.weight) if capacity is None else min(capacity, len(data.weight))
        draws = lambda leaf: jnp.broadcast_to(leaf, (num_draws, *leaf.shape))
        params = jax.tree.map(draws, as_dtype(split(process)[0], x.dtype))
        zeros, outputs = partial(jnp.zeros, dtype=x.dtype), data.y.shape[1:]
        shapes: Any = ((size, x.shape[1]), (num_draws, size, size), (num_draws, size, *outputs), (num_draws,))
        measured = None if kind == "given" else natural(x, outputs, zeros(len(x)))
        converged, num_labels = jnp.ones(num_draws, bool), jnp.zeros((), jnp.int32)
        _, whiten, alpha, gap = map(zeros, shapes)
        chain = before_chains(num_draws) if hyperparameters.is_sampled else None
        empty = jnp.broadcast_to(x[:1], shapes[0])
        return GPState(params, empty, whiten, alpha, gap, converged, num_labels, measured, chain)

    def fit_all(key: PRNGKey, state: GPState, data: Data) -> GPState:
        return solve(partial(hyperparameters.choose, key), state, data, None)

    def kept(choose: Choose, tells: Array) -> Choose:
        """The values that the process was made with where no label differs: the most likely variance is then 0."""

        def chosen(initial: PyTree, previous: PyTree, objective: Any) -> Chosen:
            found = choose(initial, previous, objective)
            params = jax.tree.map(lambda new, old: jnp.where(tells, new, old[None]), found.params, initial)
            return found._replace(params=params, converged=found.converged | ~tells)

        return chosen

    def condition(key: PRNGKey, state: GPState, data: Data) -> GPState:
        del key
        held = lambda initial, previous, objective: Chosen(previous, state.converged, state.chain)
        return solve(held, state, data, state.units)

    def solve(choose: Choose, state: GPState, data: Data, units: Units | None) -> GPState:
        x = as_floats(data.x)
        x, y, weight, *_ = compact(Data(x, data.y, data.weight.astype(x.dtype)))
        x, measured = real_rows(x, weight), None
        own = as_dtype(process, x.dtype)
        if process.noise is not None:
            y = y.astype(x.dtype)
        if units is not None:
            measured = units._replace(total=weight.sum())
        elif kind != "given":
            measured = measure(own, x, y, weight) if kind == "standardized" else natural(x, y.shape[1:], weight)
        if measured is not None and process.noise is not None:
            y = (y - base(own, measured, x)) / measured.scale[None]
        state = state._replace(num_labels=jnp.sum(weight > 0, dtype=jnp.int32), units=measured)
        if units is None and kind == "standardized" and process.noise is not None and not hyperparameters.is_sampled:
            real = (weight > 0).reshape(-1, *(1,) * (y.ndim - 1))
            choose = kept(choose, jnp.any(real & (y != y[:1])))  # real rows come first

        def at(size: int) -> GPState:
            found = fit(choose, leading(state, size), Data(x[:size], y[:size], weight[:size]), model_of(state, x.dtype))
            return jax.tree.map(lambda leaf, like: padded(leaf, like.shape, state.num_labels), found, state)

        return by_bucket(state.num_labels, len(weight), at)

    def predict(state: GPState, x: Shaped[Array, "n D"]) -> PyTree:
        x = as_floats(x)
        found = by_bucket(
            state.num_labels, len(state.x), lambda size: predict_rows(model_of(state, x.dtype), leading(state, size), x)
        )
        return read(found if state.units is None else of_labels(as_dtype(process, x.dtype), state.units, x, found))

    def embed(state: GPState, x: Shaped[Array, "n D"]) -> GPRows:
        x = as_floats(x)

        def at(size: int) -> GPRows:
            rows = embed_rows(model_of(state, x.dtype), leading(state, size), x)
            shape = (*rows.whitened.shape[:2], len(state.x))
            return rows._replace(whitened=padded(rows.whitened, shape, state.num_labels))

        rows = by_bucket(state.num_labels, len(state.x), at)
        if state.units is None:
            return rows
        mean = of_labels(as_dtype(process, x.dtype), state.units, x, Gaussian(rows.mean, rows.mean, rows.mean)).mean
        return rows._replace(mean=mean, noise=rows.noise * jnp.mean(state.units.scale**2))

    def kernel(state: GPState, a: GPRows, b: GPRows) -> Float[Array, ""]:
        return covariance(model_of(state, a.x.dtype), state, a, b)

    return Learner(init, fit_all, predict, embed, kernel, condition=condition)


def model(process: Process, units: Units | None, dtype: Any) -> Model:
    """The process in its units, as a function of the hyper-parameters."""
    rest = split(process)[1]
    return lambda params: standardized(join(params, rest, dtype), units)


def leading(state: GPState, size: int) -> GPState:
    """The state of the first rows, which all real ones must be among."""
    return state._replace(x=state.x[:size], whiten=state.whiten[:, :size, :size], alpha=state.alpha[:, :size])


def predict_rows(model: Model, state: GPState, x: Float[Array, "n D"]) -> Gaussian:
    """Posterior mean and variance of f and noise of y at rows, in units, for every draw of hyper-parameters."""

    def block(x: Float[Array, "n D"]) -> Gaussian:
        rows = embed_rows(model, state, x)
        prior = _over_draws(lambda params, whiten, alpha: model(params).variance(x), state)
        variance = jnp.maximum(prior.T - jnp.sum(rows.whitened**2, -1), 0.0)
        return Gaussian(rows.mean, stretch(variance, rows.mean), stretch(rows.noise, rows.mean))

    return in_row_blocks(block, x)


def embed_rows(model: Model, state: GPState, x: Float[Array, "n D"]) -> GPRows:
    """What `covariance` compares, in units."""

    def block(x: Float[Array, "n D"]) -> GPRows:
        whitened, mean, noise = _over_draws(partial(_embed, model, state.x, x), state)
        return GPRows(x, whitened.swapaxes(0, 1), mean.swapaxes(0, 1), noise.T)

    return in_row_blocks(block, x)


def covariance(model: Model, state: GPState, a: GPRows, b: GPRows) -> Float[Array, ""]:
    """Posterior covariance of f at two embedded rows; over several draws the mean of theirs plus that of their means.

    Several outputs share it: where their scales, or their means over draws, differ, it is the average over outputs.
    """
    prior = jax.vmap(lambda params, alpha: model(params).kernel(a.x, b.x))(state.params, state.alpha)
    within = jnp.mean(prior - jax.vmap(dot)(a.whitened, b.whitened))
    within = within if state.units is None else within * jnp.mean(state.units.scale**2)
    centered = lambda mean: mean - mean.mean(0, keepdims=True)
    return within + jnp.mean(centered(a.mean) * centered(b.mean))


def of_labels(process: Process, units: Units, x: Float[Array, "n D"], found: Gaussian) -> Gaussian:
    """Moments in the units of the labels."""
    scale = units.scale[None, None]
    mean = base(process, units, x)[:, None] + scale * found.mean
    return Gaussian(mean, scale**2 * found.variance, scale**2 * found.noise)


def _embed(model: Model, x_labeled: Array, x: Array, params: PyTree, whiten: Array, alpha: Array) -> tuple:
    process = model(params)
    cross = process.covariance(x, x_labeled)
    mean = process.prior_mean(x, alpha.shape[1:]) + dot(cross, alpha)
    return dot(cross, whiten.T), mean, process.noise_variance(x)


def _over_draws(fn: Callable, state: GPState) -> PyTree:
    return map_members(fn, state.params, state.whiten, state.alpha)


def padded(leaf: Array, shape: tuple[int, ...], num_labels: Int[Array, ""]) -> Array:
    """The leaf in the corner of zeros. Its place is 0, but XLA must not know: it would write the zeros one by one."""
    if leaf.shape == shape:
        return leaf
    return jax.lax.dynamic_update_slice(jnp.zeros(shape, leaf.dtype), leaf, [jnp.minimum(num_labels, 0)] * leaf.ndim)
