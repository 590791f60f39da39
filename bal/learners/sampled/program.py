"""A model written in numpyro as a learner."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.learners.padding import real_rows
from bal.learners.sampled.chains import Length, SampledState, begun, check_length, sample
from bal.learners.training import map_members
from bal.method import method
from bal.typing import Data, Gaussian, Learner, PRNGKey, PyTree

RADIUS = 2.0
"""Chains start uniformly in [-2, 2] of every unconstrained parameter, as those of Stan and numpyro do."""


@method
def from_numpyro(
    model: Callable,
    num_draws: int = 20,
    *,
    num_chains: int = 4,
    num_warmup: int = 300,
    thin: int = 5,
    dense_mass: bool = False,
) -> Learner:
    """K draws from the posterior of a numpyro model, by the no-U-turn sampler.

    ``model(x, y=None)`` samples its parameters, and in the end one site of all rows, observed as `y`. The observed
    distribution is what is predicted: classes where it has finitely many values 0 .. C - 1 (`Categorical`,
    `Bernoulli`), else its mean, and its variance as noise, of a `Gaussian`. Embeddings are the inputs. A row of weight
    w counts as w rows; a model with an argument `weight` ``[L]`` must see to that itself. Convergence is judged and
    told as in `mcmc`.

    Use it for any parametric model whose prior matters: hierarchical or robust regression, known physics with unknown
    constants. Variables of single rows are to be summed out by the model itself.

    Args:
      model: plain numpyro, traced anew for inputs of other shapes; no enumeration of discrete parameters.
      num_draws, num_chains, num_warmup, thin: as for `mcmc`.
      dense_mass: adapt a full mass matrix, for parameters that depend on each other.

    Raises:
      ValueError: when it is traced, a model without an observed site or with several, with parameters for each row or
        discrete ones, or whose observed site is not one value a row. Settings as for `mcmc`.

    >>> import numpy as np
    >>> import numpyro
    >>> import numpyro.distributions as dist
    >>> def model(x, y=None):
    ...     slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
    ...     numpyro.sample("y", dist.Normal(slope * x[:, 0], 0.5), obs=y)
    >>> learner = from_numpyro(model, 4, num_chains=2, num_warmup=20, thin=2)
    >>> data = Data(np.ones((4, 1)), np.array([0.5, 1.5, 1.0, 0.0]), np.array([1.0, 1.0, 1.0, 0.0]))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> jax.jit(learner.predict)(fit(jax.random.key(0), data), data.x).mean.shape
    (4, 4)

    Phan, Pradhan and Jankowiak 2019, "Composable Effects for Flexible and Accelerated Probabilistic Programming in
    NumPyro".
    """
    length = Length(num_draws, num_chains, num_warmup, thin)
    check_length(length)
    weighs_itself = "weight" in inspect.signature(model).parameters

    def seen(x: PyTree, y: PyTree, weight: Array) -> tuple[Callable, dict[str, Any]]:
        """The model with its rows weighted, and what to call it with beside `x`."""
        if weighs_itself:
            return model, {"y": y, "weight": weight}
        return _weighted(model, weight), {"y": y}

    def starts(key: PRNGKey, data: Data) -> PyTree:
        from numpyro.distributions import biject_to

        sites = _parameters(model, weighs_itself, data)
        values = {}
        for number, (name, site) in enumerate(sites.items()):
            like = jax.eval_shape(biject_to(site["fn"].support).inv, site["value"])
            drawn = jax.random.fold_in(key, number)
            values[name] = jax.random.uniform(drawn, (num_chains, *like.shape), like.dtype, -RADIUS, RADIUS)
        return values

    def constrained(data: Data, unconstrained: PyTree) -> PyTree:
        from numpyro.infer.util import constrain_fn

        run, rest = seen(data.x, data.y, data.weight)
        found = constrain_fn(run, (data.x,), rest, unconstrained)
        return {name: found[name] for name in unconstrained}

    def init(key: PRNGKey, data: Data) -> SampledState:
        state = begun(starts(key, data), length)
        return state._replace(draws=jax.vmap(lambda draw: constrained(data, draw))(state.draws))

    def fit(key: PRNGKey, state: SampledState, data: Data) -> SampledState:
        from numpyro.infer.util import potential_energy

        del state
        x, y = real_rows((data.x, data.y), data.weight)
        data = data._replace(x=x, y=y)
        key_start, key_chains = jax.random.split(key)
        run, rest = seen(data.x, data.y, data.weight)

        def log_likelihoods(draw: PyTree) -> Float[Array, "L"]:
            site = _observed(run, constrained(data, draw), data.x, **rest)
            return data.weight * site["fn"].log_prob(site["value"])

        found = sample(
            key_chains,
            lambda draw: jnp.asarray(potential_energy(run, (data.x,), rest, draw)),
            log_likelihoods,
            starts(key_start, data),
            length,
            dense_mass,
        )
        return found._replace(draws=jax.vmap(lambda draw: constrained(data, draw))(found.draws))

    def predict(state: SampledState, x: PyTree) -> PyTree:
        n = jax.tree.leaves(x)[0].shape[0]
        rest = {"weight": jnp.ones(n)} if weighs_itself else {}
        return _as_predictions(map_members(lambda draw: _distribution(model, draw, x, rest), state.draws))

    def embed(state: SampledState, x: PyTree) -> Float[Array, "N 1 F"]:
        del state
        flat = [jnp.reshape(leaf, (leaf.shape[0], 1, -1)) for leaf in jax.tree.leaves(x)]
        return jnp.concatenate(flat, -1)

    return Learner(init, fit, predict, embed)


def _weighted(model: Callable, weight: Float[Array, "L"]) -> Callable:
    """The model whose observed rows count `weight` times."""
    from numpyro.primitives import Messenger

    class Weighted(Messenger):
        def process_message(self, msg: dict) -> None:
            if msg["type"] == "sample" and msg["is_observed"]:
                msg["scale"] = weight if msg.get("scale") is None else msg["scale"] * weight

    return Weighted(model)


def _traced(model: Callable, values: PyTree, x: PyTree, **rest: Any) -> dict[str, Any]:
    from numpyro import handlers

    fixed = handlers.substitute(handlers.seed(model, jax.random.key(0)), data=values)
    return {name: site for name, site in handlers.trace(fixed).get_trace(x, **rest).items() if site["type"] == "sample"}


def _observed(model: Callable, values: PyTree, x: PyTree, **rest: Any) -> dict[str, Any]:
    """The site of the labels: the one that is observed, or has no value handed in where there are no labels."""
    sites = {name: site for name, site in _traced(model, values, x, **rest).items() if name not in values}
    if len(sites) != 1:
        raise ValueError(
            f"expected one observed site beside the parameters {sorted(values)}, got {sorted(sites)}; observe the "
            "labels once, numpyro.sample(name, distribution, obs=y)"
        )
    (site,) = sites.values()
    n = jax.tree.leaves(x)[0].shape[0]
    if site["fn"].batch_shape != (n,) or site["fn"].event_shape:
        raise ValueError(
            f"the observed site {site['name']} has batch shape {site['fn'].batch_shape} and event shape "
            f"{site['fn'].event_shape}; expected one value for each of {n} rows: ({n},) and ()"
        )
    return site


def _parameters(model: Callable, weighs_itself: bool, data: Data) -> dict[str, Any]:
    """The latent sites of a model; they are the same for any number of rows."""
    shapes = []
    found: dict[str, Any] = {}
    for n in (2, 3):
        some = lambda leaf, n=n: jnp.zeros((n, *leaf.shape[1:]), leaf.dtype)
        x, y = jax.tree.map(some, (data.x, data.y))
        rest = {"weight": jnp.ones(n)} if weighs_itself else {}
        sites = _traced(model, {}, x, y=y, **rest)
        observed = [name for name, site in sites.items() if site["is_observed"]]
        if len(observed) != 1:
            raise ValueError(
                f"expected a model with one observed site, got {observed}; observe the labels once, numpyro.sample("
                "name, distribution, obs=y)"
            )
        found = {name: site for name, site in sites.items() if not site["is_observed"]}
        shapes.append({name: jnp.shape(site["value"]) for name, site in found.items()})
    for name, site in found.items():
        if shapes[0][name] != shapes[1][name]:
            raise ValueError(
                f"the parameter {name} has a value for each row, so that the draws are no functions of the inputs; sum "
                "it out in the model"
            )
        if site["fn"].is_discrete:
            raise ValueError(
                f"the parameter {name} is discrete, which this sampler cannot draw; sum it out in the model"
            )
    if not found:
        raise ValueError(
            "expected a model with parameters, got none; sample them by numpyro.sample(name, distribution)"
        )
    return found


def _distribution(model: Callable, draw: PyTree, x: PyTree, rest: dict[str, Any]) -> Any:
    """Log probabilities ``[n, C]`` of the observed site, or its mean and variance ``[n]``."""
    given = _observed(model, draw, x, **rest)["fn"]
    if given.has_enumerate_support:
        values = given.enumerate_support(expand=True)
        return jax.nn.log_softmax(given.log_prob(values).T, -1)
    return given.mean, given.variance


def _as_predictions(found: Any) -> Any:
    """From ``[K, n, C]`` or moments ``[K, n]``."""
    if not isinstance(found, tuple):
        return found.transpose(1, 0, 2)
    mean, noise = found
    return Gaussian(mean.T, jnp.zeros_like(mean.T), noise.T)
