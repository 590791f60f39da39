"""Gaussian process classification into C classes: a softmax of C latent functions, by joint draws of all of them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from bal.learners.convergence import before_chains
from bal.learners.gp.buckets import by_bucket, compact
from bal.learners.gp.features import check_draws
from bal.learners.gp.hyperparameters import Choose, Chosen, Hyperparameters, given
from bal.learners.gp.learner import padded
from bal.learners.gp.priors import LogPrior
from bal.learners.gp.process import Process, as_dtype, join, split
from bal.learners.gp.softmax_draws import SoftmaxDraws, draw, values
from bal.learners.gp.softmax_laplace import ClassLabels, SoftmaxApproximation, approximate_softmax
from bal.learners.gp.softmax_state import (
    GPSoftmaxRows,
    GPSoftmaxState,
    Model,
    Processes,
    covariances,
    embed_rows,
    leading,
    mean_pair_covariance,
    prior_means,
)
from bal.learners.gp.units import Units, measure, natural, standardized
from bal.learners.padding import real_rows
from bal.learners.settings import check_count
from bal.learners.training import map_members
from bal.method import method
from bal.numerics import as_floats, in_row_blocks
from bal.typing import Data, Learner, PRNGKey, PyTree


@method
def gp_softmax(
    process: Process | Sequence[Process],
    num_classes: int,
    num_draws: int,
    hyperparameters: Hyperparameters = given,
    *,
    num_features: int = 1024,
    num_steps: int = 50,
    log_prior: LogPrior | None = None,
) -> Learner:
    """Joint draws of C latent functions f_c by Laplace's approximation: ``predict`` gives ``log_probs [N, K, C]``.

    ``p(y = c | x) = exp f_c(x) / Σ_d exp f_d(x)`` with independent f_c before any label, which the labels make
    dependent: all of them are drawn together from ``N(f̂, (K⁻¹ + W)⁻¹)`` at the mode f̂ of the posterior, as functions,
    see `gp_regression_draws` for how. So a draw is the same function at every row, and all acquisitions of draws apply.
    A probability averaged over draws has a standard error of at most ``1 / 2√K``; BALD of K draws is low by about one
    part in K. Random features stand for the prior covariance with an error of about ``variance / √num_features``, away
    from the labels; f̂, the evidence, ``embed`` and ``kernel`` are exact. ``kernel`` is the posterior covariance of the
    difference of two latents, averaged over pairs of classes.

    Two classes of kernel k are those of `gp_classification` with kernel 2 k, the logit link and `laplace`:
    ``f_1 - f_0`` has its posterior. Labels are class numbers ``[L]``, or distributions ``[L, C]``; a row of weight 2
    counts twice. One class only, or none, is no special case: the prior decides. A number that is no class makes NaN.
    Costs O(C L³) a step of a fit, and O(C L²) memory.

    Everything is in the dtype of the inputs; float64 is recommended, ``jax.config.update("jax_enable_x64", True)``.
    Laplace's approximation is at its worst where labels are few and the variance of the kernel is far above 1: the mode
    is then closer to 0 than the mean.

    Args:
      process: the prior of every latent, or a sequence of one for each class; made without noise, of stationary kernels
        with a spectral density (RBF, Matern12, Matern32 or Matern52 of gpjax), see `process`. What the means have in
        common makes no difference.
      num_classes: C.
      num_draws: K, shared evenly among the draws of hyper-parameters if there are several.
      hyperparameters: `given`, `maximum_likelihood(...)`, or a sampler of several draws; the evidence is Laplace's.
      num_features: cosines and sines together.
      num_steps: of Newton's method, at most; the ``gap`` of the state, else rounding, tells an early end.
      log_prior: of a process, added to the log evidence; for several the sum of theirs.

    Raises:
      ValueError: a setting out of range; a process with noise, or another kernel; neither one process nor C; labels
        that are neither class numbers nor distributions over C classes.
      TypeError: a setting of the wrong kind.

    >>> import gpjax
    >>> from bal.learners.gp import process
    >>> learner = gp_softmax(process(gpjax.kernels.RBF()), num_classes=3, num_draws=4)
    >>> data = Data(jnp.arange(5.0)[:, None], jnp.arange(5) % 3, jnp.ones(5))
    >>> state = jax.jit(learner.fit)(jax.random.key(0), learner.init(jax.random.key(0), data), data)
    >>> jax.jit(learner.predict)(state, data.x).shape
    (5, 4, 3)

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", algorithms 3.3 and 3.4; draws as in Wilson
    et al. 2020, "Efficiently Sampling Functions from Gaussian Process Posteriors", for classes reconstructed.
    """
    processes, num_hyper = _checked(process, num_classes), hyperparameters.num_draws
    check_count("num_draws", num_draws)
    check_count("num_steps", num_steps)
    for one in processes:
        check_draws(one.kernel, num_draws, num_hyper, num_features)
    each, half = num_draws // num_hyper, num_features // 2
    rest, standardizes = split(processes)[1], hyperparameters.units == "standardized"

    def joined(params: PyTree, dtype: Any) -> Processes:
        return tuple(join(*parts, dtype) for parts in zip(params, rest))

    def model(units: Units | None, dtype: Any) -> Model:
        return lambda params: tuple(standardized(one, units) for one in joined(params, dtype))

    def init(key: PRNGKey, data: Data) -> GPSoftmaxState:
        del key
        x = as_floats(data.x)
        size, zeros = len(x), partial(jnp.zeros, dtype=x.dtype)
        stack = lambda leaf: jnp.broadcast_to(leaf, (num_hyper, *leaf.shape))
        params = jax.tree.map(stack, as_dtype(split(processes)[0], x.dtype))
        widths = [x[:, one.kernel.active_dims].shape[1] for one in processes]
        frequencies = tuple(zeros((num_hyper, half, width)) for width in widths)
        drawn = (num_hyper, num_classes, each)
        draws = SoftmaxDraws(frequencies, zeros((*drawn, 2 * half)), zeros((*drawn, size)))
        square, flat = zeros((num_hyper, num_classes, size, size)), zeros((num_hyper, num_classes, size))
        measured = natural(x, (), zeros(size)) if standardizes else None
        converged, num_labels = jnp.ones(num_hyper, bool), jnp.zeros((), jnp.int32)
        chain = before_chains(num_hyper) if hyperparameters.is_sampled else None
        empty = jnp.broadcast_to(x[:1], x.shape)
        return GPSoftmaxState(
            params, empty, square, square, flat, draws, zeros(num_hyper), converged, num_labels, measured, chain
        )

    def fit(key: PRNGKey, state: GPSoftmaxState, data: Data) -> GPSoftmaxState:
        return solve(key, hyperparameters.choose, state, data, None)

    def condition(key: PRNGKey, state: GPSoftmaxState, data: Data) -> GPSoftmaxState:
        held = lambda key, initial, previous, objective: Chosen(previous, state.converged, state.chain)
        return solve(key, held, state, data, state.units)

    def solve(key: PRNGKey, choose: Callable, state: GPSoftmaxState, data: Data, units: Units | None) -> GPSoftmaxState:
        key_choose, key_draws = jax.random.split(key)
        x = as_floats(data.x)
        x, target, weight, *_ = compact(Data(x, _shares(data, num_classes, x.dtype), data.weight.astype(x.dtype)))
        x = real_rows(x, weight)
        if standardizes:
            units = measure(processes[0], x, weight, weight) if units is None else units
        state = state._replace(num_labels=jnp.sum(weight > 0, dtype=jnp.int32), units=units)

        def at(size: int) -> GPSoftmaxState:
            labels = target[:size].T, weight[:size]
            found = fitted(key_draws, partial(choose, key_choose), leading(state, size), x[:size], *labels)
            return jax.tree.map(lambda leaf, like: padded(leaf, like.shape, state.num_labels), found, state)

        return by_bucket(state.num_labels, len(weight), at)

    def fitted(
        key: PRNGKey, choose: Choose, state: GPSoftmaxState, x: Array, target: Array, weight: Array
    ) -> GPSoftmaxState:
        made, start = model(state.units, x.dtype), state.alpha.mean(0)

        def classify(params: PyTree) -> tuple[SoftmaxApproximation, Float[Array, "P L L"]]:
            gram = covariances(made(params), x, x)
            labels = ClassLabels(target, weight, prior_means(made(params), x, num_classes))
            return approximate_softmax(gram, labels, start, num_steps), gram

        def objective(params: PyTree) -> Float[Array, ""]:
            evidence = classify(params)[0].log_evidence
            return evidence if log_prior is None else evidence + sum(map(log_prior, joined(params, x.dtype)))

        def one_draw(number: Array, params: PyTree) -> tuple:
            found, gram = classify(params)
            draws = draw(jax.random.fold_in(key, number), made(params), x, gram, weight, found, each, half)
            return found.blocks.whiten, found.blocks.coupling(), found.alpha, draws, found.gap

        params, converged, chain = choose(as_dtype(split(processes)[0], x.dtype), state.params, objective)
        whiten, coupling, alpha, draws, gap = map_members(one_draw, jnp.arange(num_hyper), params)
        converged &= gap <= jnp.finfo(x.dtype).eps ** 0.25
        return GPSoftmaxState(
            params, x, whiten, coupling, alpha, draws, gap, converged, state.num_labels, state.units, chain
        )

    def predict(state: GPSoftmaxState, x: Shaped[Array, "n D"]) -> Float[Array, "n K C"]:
        x = as_floats(x)
        made = model(state.units, x.dtype)

        def at(size: int) -> Float[Array, "n K C"]:
            some = leading(state, size)

            def block(x: Float[Array, "n D"]) -> Float[Array, "n K C"]:
                one = lambda params, draws: values(made(params), draws, some.x, x)
                f = map_members(one, some.params, some.draws).swapaxes(0, 1)
                return jax.nn.log_softmax(f.reshape(x.shape[0], num_draws, num_classes), -1)

            return in_row_blocks(block, x)

        return by_bucket(state.num_labels, len(state.x), at)

    def embed(state: GPSoftmaxState, x: Shaped[Array, "n D"]) -> GPSoftmaxRows:
        x = as_floats(x)
        made = model(state.units, x.dtype)

        def at(size: int) -> GPSoftmaxRows:
            some = leading(state, size)

            def block(x: Float[Array, "n D"]) -> GPSoftmaxRows:
                one = lambda params, *parts: embed_rows(made(params), some.x, x, *parts)
                found = map_members(one, some.params, some.whiten, some.coupling, some.alpha)
                whitened, coupled, mean = (jnp.moveaxis(leaf, 2, 0) for leaf in found)
                return GPSoftmaxRows(x, whitened, coupled, mean, jnp.zeros(mean.shape[:2], x.dtype))

            rows = in_row_blocks(block, x)
            wide = lambda leaf: padded(leaf, (*leaf.shape[:3], len(state.x)), state.num_labels)
            return rows._replace(whitened=wide(rows.whitened), coupled=wide(rows.coupled))

        return by_bucket(state.num_labels, len(state.x), at)

    def kernel(state: GPSoftmaxState, a: GPSoftmaxRows, b: GPSoftmaxRows) -> Float[Array, ""]:
        return mean_pair_covariance(model(state.units, a.x.dtype), state, a, b)

    return Learner(init, fit, predict, embed, kernel, condition=condition)


def _checked(process: Process | Sequence[Process], num_classes: int) -> Processes:
    check_count("num_classes", num_classes, least=2)
    processes = (process,) if isinstance(process, Process) else tuple(process)
    if len(processes) not in (1, num_classes):
        raise ValueError(
            f"expected one process, or one for each of the {num_classes} classes, got {len(processes)} processes"
        )
    for one in processes:
        if one.noise is not None:
            raise ValueError(
                "classes have no noise variance, the softmax is their noise; make the process without noise"
            )
    return processes


def _shares(data: Data, num_classes: int, dtype: Any) -> Float[Array, "L C"]:
    """The share of each class in a label: 0 where it is padding, NaN where it names no class."""
    y, real = jnp.asarray(data.y), data.weight[:, None] > 0
    if y.ndim == 2 and y.shape[1] == num_classes:
        return jnp.where(real, y, 0).astype(dtype)
    if y.ndim == 1 and jnp.issubdtype(y.dtype, jnp.integer):
        known = (y >= 0) & (y < num_classes)
        share = jnp.where(known[:, None], jax.nn.one_hot(y, num_classes, dtype=dtype), jnp.nan)
        return jnp.where(real, share, 0.0).astype(dtype)
    raise ValueError(
        f"expected integer class numbers [L], or distributions over {num_classes} classes [L, C], as labels, got "
        f"{y.dtype} {list(y.shape)}; for real labels use gp_regression"
    )
