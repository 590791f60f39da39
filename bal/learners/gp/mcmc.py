"""Draws of hyper-parameters by Hamiltonian Monte Carlo: slow, and right for posteriors of any shape."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array
from numpyro.infer import NUTS

from bal.learners.convergence import check_steps, judge_chains
from bal.learners.gp.coordinates import coordinates
from bal.learners.gp.hyperparameters import Chosen, Hyperparameters, Objective, check_free, units_of
from bal.learners.restart import Restart, cold
from bal.method import method
from bal.typing import PRNGKey, PyTree


@method
def nuts(
    num_draws: int, num_warmup: int = 200, thin: int = 5, *, restart: Restart = cold, standardize: bool = True
) -> Hyperparameters:
    """K draws from the posterior of the hyper-parameters: every `thin`-th of one chain of the no-U-turn sampler.

    Runs inside `jit`, `scan` and `vmap`, where the longest trajectory of all lanes sets the pace. Compiling takes
    seconds; a step costs up to a thousand Cholesky factors, tens as a rule. Positive parameters are sampled by their
    logarithm. Without a `log_prior` the prior is flat in the constrained values, and the posterior may not exist. A
    chain has not `converged` where it accepts less than half of its steps, 0.8 being aimed at, or where its halves
    disagree (split R-hat above 1.1), hold fewer than K / 2 independent draws, or one step in a hundred diverged:
    ``chain`` of the state, and ``info`` of every query, say so by number.

    Args:
      num_draws: K.
      num_warmup: steps that adapt the step size and the (dense) mass matrix, discarded.
      thin: steps from one draw to the next.
      restart: `cold`, or `warm` to start from the last draw of the round before.
      standardize: as for `maximum_likelihood`; the prior is then one of standardized values.

    Raises:
      ValueError: fewer draws or steps than 1, or fewer than 4 steps behind the warm-up, which cannot be judged.

    Hoffman and Gelman 2014, "The No-U-Turn Sampler"; for active learning with Gaussian processes Riis et al. 2022,
    "Bayesian Active Learning with Fully Bayesian Gaussian Processes".
    """
    if num_draws < 1 or num_warmup < 1 or thin < 1:
        raise ValueError(
            f"expected at least 1 draw, 1 warm-up step and 1 step a draw, got {num_draws}, {num_warmup} and {thin}"
        )
    check_steps(num_draws * thin)

    def choose(key: PRNGKey, initial: PyTree, previous: PyTree, objective: Objective) -> Chosen:
        check_free(initial)
        at = coordinates(restart(jax.tree.map(lambda leaf: leaf[-1], previous), initial), objective)
        wide = jnp.result_type(float)  # in which the sampler adapts, whatever the inputs are in
        sampler = NUTS(potential_fn=lambda theta: -at.log_density(theta).astype(wide), dense_mass=True)
        start = jax.tree.map(lambda leaf: leaf.astype(wide), at.start)
        chain = sampler.init(key, num_warmup, init_params=start)
        step = lambda _, chain: sampler.sample(chain, (), {})
        chain = jax.lax.fori_loop(0, num_warmup, step, chain)

        def watched(chain: PyTree, _: None) -> tuple[PyTree, tuple[Array, Array]]:
            chain = step(0, chain)
            return chain, (jnp.append(ravel_pytree(chain.z)[0], chain.potential_energy), chain.diverging)

        def draw(chain: PyTree, _: None) -> tuple[PyTree, tuple]:
            chain, seen = jax.lax.scan(watched, chain, length=thin)
            return chain, (chain.z, *seen)

        chain, (draws, values, diverging) = jax.lax.scan(draw, chain, length=num_draws)
        report, trusted = judge_chains(values.reshape(1, num_draws * thin, -1), diverging.sum(), num_draws)
        trusted &= chain.mean_accept_prob > 0.5
        draws = jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), draws, at.start)
        return Chosen(jax.vmap(at.params)(draws), jnp.broadcast_to(trusted, num_draws), report)

    return Hyperparameters(num_draws, choose, units_of(standardize), True)
