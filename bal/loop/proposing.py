"""A batch of new inputs from a box, each the one that scores highest once the earlier ones count as answered."""

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.loop.round import Carry, training_data
from bal.pool.arrays import as_rows
from bal.query.about_targets import variance_drop
from bal.query.synthesis import Proposal, propose
from bal.selection.variance.integrated_variance import TargetRows
from bal.typing import (
    Data,
    Gaussian,
    Latent,
    Learner,
    Over,
    Pool,
    Posterior,
    PRNGKey,
    PyTree,
    Query,
    Round,
    Stage,
    Values,
)


def scoring_stage(query: Query, over: Over) -> Stage:
    """The first stage of a query that maps rows: its scores are climbed.

    Raises:
      ValueError: no stage maps rows. TypeError: a model that cannot be traced has no gradient to climb.
    """
    if over.place == "host":
        raise TypeError("propose climbs scores by their gradient, which a model of another library does not have")
    for stage in query.stages:
        if stage.rows is not None:
            return stage
    raise ValueError("no stage of this query maps rows to scores; hand one to propose: query=by_score(...)")


def check_box(low: Values, high: Values, x: PyTree) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a box of pool rows: finite, low below high, as long as a row, in the type of the pool.

    Raises:
      ValueError: anything else, or rows that are no vectors of real numbers.
    """
    shape = getattr(x, "shape", ())
    if len(shape) != 2 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(
            "propose needs a pool whose rows are vectors of real numbers, [rows, inputs]; others have no box"
        )
    corners = [np.asarray(as_rows(corner, "corners of the box"), np.float64) for corner in (low, high)]
    if any(corner.shape != (shape[1],) or not np.isfinite(corner).all() for corner in corners):
        shapes = [corner.shape for corner in corners]
        raise ValueError(f"expected corners low and high of {shape[1]} finite numbers each, got shapes {shapes}")
    if (corners[0] > corners[1]).any():
        raise ValueError(f"expected low <= high, got low {corners[0].tolist()} and high {corners[1].tolist()}")
    dtype = jax.dtypes.canonicalize_dtype(x.dtype)
    return corners[0].astype(dtype), corners[1].astype(dtype)


def propose_batch(
    key: PRNGKey, learner: Learner, stage: Stage, over: Over, pool: Pool, carry: Carry, low: Any, high: Any, size: int
) -> Proposal:
    """`size` proposals, stacked. `carry` is fitted, and its log has room for them.

    Input b is scored by a posterior to which inputs 1 .. b-1 were told with the label that it predicted for them, by
    the learner's `condition`: hyper-parameters are those of the labels that were measured. For scores of a covariance,
    which labels do not enter, that is the exact greedy batch; else "kriging believer".

    Ginsbourger, Le Riche and Carraro 2010, "Kriging Is Well-Suited to Parallelize Optimization".
    """
    climb, believe = _climb(stage, over), _believe(learner)
    data, state, found = training_data(learner, carry.labeled, pool), carry.state, []
    for number in range(size):
        key_climb, key_fit, key_context = jax.random.split(jax.random.fold_in(key, number), 3)
        if number:
            data, state = believe(key_fit, state, data, carry.labeled.count + number - 1, found[-1].x)
        posterior = Posterior(state, learner)
        context, round = None, Round(posterior, pool, carry.labeled, carry.memory)
        if over.place != "device":  # a pool outside the device does not enter a program
            context, round = None if stage.context is None else stage.context(key_context, round, over), None
        found.append(climb(key_climb, key_context, posterior, round, context, low, high))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


def check_proposed(found: Proposal) -> None:
    """Scores are finite somewhere in the box; where all were equal, that is warned of, at the caller's caller."""
    if not np.asarray(found.num_finite).all():
        raise ValueError("the scores of this query are finite nowhere in the box; check the predictions there")
    flat = np.asarray(found.all_equal)
    if flat.any():
        warnings.warn(
            f"for {int(flat.sum())} of {len(flat)} inputs all scores in the box were equal, so that chance chose "
            "them; has the fit gone wrong (a length scale far below the distance of the rows)?",
            stacklevel=3,
        )


@lru_cache(maxsize=16)
def _climb(stage: Stage, over: Over) -> Callable:
    """One program for every input of every batch."""

    def rows(posterior: Posterior, context: PyTree, x: PyTree) -> PyTree:
        if isinstance(context, TargetRows) and isinstance(context.context, Posterior):
            return variance_drop(posterior, context, x)
        scores = stage.rows(posterior, context, x)  # pyright: ignore[reportOptionalCall]
        if getattr(scores, "shape", None) != (len(x),):
            raise ValueError(
                "propose climbs one score per input, but the first stage of this query makes "
                f"{jax.tree.map(jnp.shape, scores)}; hand it a query that scores: query=by_score(...), or one of "
                "strategies.alc(x_target), epig(x_target), variance(), bald()"
            )
        return scores

    def climb(
        key: PRNGKey, key_context: PRNGKey, posterior: Posterior, round: PyTree, context: PyTree, low: Any, high: Any
    ) -> Proposal:
        if round is not None:
            context = None if stage.context is None else stage.context(key_context, round, over)
        return propose(key, posterior, rows, context, low, high)

    return jax.jit(climb)


@lru_cache(maxsize=16)
def _believe(learner: Learner) -> Callable:
    """One program for every believed label."""
    condition = learner.condition or learner.fit

    def believe(key: PRNGKey, state: PyTree, data: Data, place: Any, x: Any) -> tuple[Data, PyTree]:
        y = _expected(learner.predict(state, x[None]), data.y)
        put = lambda leaf, new: leaf.at[place].set(jnp.asarray(new, leaf.dtype))
        data = data._replace(x=put(data.x, x), y=put(data.y, y), weight=put(data.weight, 1.0))
        return data, condition(key, state, data)

    return jax.jit(believe)


def _expected(predictions: PyTree, y: Any) -> Any:
    """The label of one row that the predictions expect: the mean, or the most probable class."""
    if isinstance(predictions, Gaussian):
        return predictions.mean[0].mean(0)
    if isinstance(predictions, Latent):
        return predictions.mean[0].mean() > 0
    probs = jnp.exp(predictions[0]).mean(0)
    return probs if y.ndim == 2 else jnp.argmax(probs)
