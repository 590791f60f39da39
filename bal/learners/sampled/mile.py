"""Ensembles whose members go on as Langevin chains at constant energy: trained first, then sampled."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from bal.learners.convergence import ChainReport, judge_chains
from bal.learners.ensemble import ensemble
from bal.learners.likelihood import Likelihood, categorical
from bal.learners.networks import Network
from bal.learners.padding import real_rows
from bal.learners.sampled.chains import Begin, Length, Seen, begun, check_length, run_chains
from bal.learners.sampled.weights import as_wide, check_prior, energies, functions
from bal.learners.settings import check_factor
from bal.learners.training import check_no_statistics
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree

MOST_ENERGY_VARIANCE = 0.5
"""Of a chain that may be trusted: the largest that the paper lets a warm-up have."""

FIRST_STEP = 0.05
"""Of the distance that a draw of the prior has from zero; much smaller ones are forgotten too slowly by the tuning."""


class MileState(NamedTuple):
    """K draws, chain after chain, and what the chains say of themselves, as a `SampledState`.

    energy_variance: the mean squared error of the energy in a step, by parameter, of the worst chain.
    """

    draws: PyTree
    converged: Bool[Array, "1"]
    chain: ChainReport
    energy_variance: Float[Array, ""]


@method
def mile(
    network: Network,
    num_draws: int = 40,
    *,
    num_members: int = 4,
    num_warmup: int = 1000,
    thin: int = 20,
    prior_scale: float = 1.0,
    temperature: float = 1.0,
    energy_variance: float = 5e-4,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 64,
    likelihood: Likelihood = categorical,
) -> Learner:
    """K draws of a network's weights by microcanonical Langevin chains that start at the members of a deep ensemble.

    The density is ``p(θ) ∝ (Π_n p(y_n | x_n, θ)^w_n N(θ | 0, prior_scale²))^(1 / temperature)``, at temperature 1 that
    of `mcmc`. Members are trained as those of `ensemble`; each then walks at constant energy, with gradients over all
    labels, two a step, and its direction forgotten after a length L. Warm-up tunes step size (to the energy variance)
    and L; draws are every `thin`-th step behind it. Steps are not corrected: the smaller `energy_variance`, the smaller
    the bias of the draws. Dropout of the network is not used.

    The state says that the chains have not `converged` where they disagree, hold fewer than K / 2 independent draws,
    more than one step in a hundred was no number (``num_divergent``), or the energy varied by more than 0.5 a parameter
    and step, the step size being too large; whoever drives the learner warns. ``r_hat``, ``effective_size``,
    ``num_divergent`` and ``energy_variance`` are in the state and in ``info`` of every query.

    Use it for the posterior of networks of thousands of weights, at a known price: ``num_members (num_warmup + thin
    num_draws / num_members)`` steps, whatever the labels. Where labels are few and never wrong, as in benchmarks, the
    posterior is less sharp, and its likelihood lower, than that of a well trained ensemble; a temperature far below 1
    and a wider prior are as sharp, of chains that are then far from converged.

    Args:
      network: of two weights at least; layer norm or no norm, as running statistics belong to one set of weights only.
      num_draws: K, a multiple of num_members.
      num_members: members, and chains; one after the other on a CPU.
      num_warmup, thin: steps before the first draw, and from one draw to the next.
      prior_scale: standard deviation of every parameter at temperature 1.
      temperature: 1 is Bayes' rule; below 1 the posterior is colder, around the same most probable weights.
      energy_variance: what the step size is tuned to, by parameter; at the 0.1 of the paper steps are longer, and some
        fail.
      optimizer, num_steps, minibatch_size: the training of the members, as for `ensemble`.
      likelihood: `categorical`, or `gaussian(noise)` for real labels.

    Raises:
      ImportError: where blackjax is not installed.
      ValueError: a setting out of range, draws that do not come evenly from the members, chains too short to be judged;
        a network with running statistics, when fitted. TypeError: a setting of the wrong kind.

    >>> import numpy as np
    >>> from bal.learners import linear
    >>> learner = mile(linear(2), 4, num_members=2, num_warmup=20, thin=2, num_steps=5)
    >>> data = Data(np.ones((4, 3)), np.array([0, 1, 0, 1]), np.ones(4))
    >>> fit = lambda key, data: learner.fit(key, learner.init(key, data), data)
    >>> jax.eval_shape(lambda key, data: learner.predict(fit(key, data), data.x), jax.random.key(0), data).shape
    (4, 4, 2)

    Sommer, Robnik, Nozadze, Seljak and Rügamer 2025, "Microcanonical Langevin Ensembles: Advancing the Sampling of
    Bayesian Neural Networks"; Robnik and Seljak 2023, "Fluctuation without Dissipation: Microcanonical Langevin Monte
    Carlo"; temperature as in Wenzel et al. 2020, "How Good is the Bayes Posterior in Deep Neural Networks Really?".
    """
    blackjax = _blackjax()
    length = Length(num_draws, num_members, num_warmup, thin)
    check_length(length, "num_members")
    check_prior(prior_scale)
    for name, value in (("temperature", temperature), ("energy_variance", energy_variance)):
        check_factor(name, value)
        if value == 0:
            raise ValueError(f"{name} must be positive, got 0; without it the chains cannot move")
    members = ensemble(
        network,
        num_members,
        optimizer=optimizer,
        num_steps=num_steps,
        minibatch_size=minibatch_size,
        likelihood=likelihood,
    )
    scale = prior_scale * temperature**0.5

    def init(key: PRNGKey, data: Data) -> MileState:
        state = begun(as_wide(members.init(key, data).params), length)
        return MileState(*state, jnp.zeros((), jnp.result_type(float)))

    def fit(key: PRNGKey, state: MileState, data: Data) -> MileState:
        del state
        x, y = real_rows((data.x, data.y), data.weight)
        data = data._replace(x=x, y=y)
        key_members, key_chains = jax.random.split(key)
        starts = as_wide(members.fit(key_members, members.init(key_members, data), data).params)
        check_no_statistics(network, jax.tree.map(lambda leaf: leaf[0], starts), data.x)
        losses, potential = energies(network, likelihood, prior_scale, data)
        begin = _microcanonical(
            blackjax, lambda params: -potential(params) / temperature, num_warmup, scale, energy_variance
        )
        draws, values, flaws = run_chains(key_chains, begin, losses, starts, length)
        report, trusted = judge_chains(values, flaws["lost"].sum(), num_draws)
        variance = (flaws["squares"].max() / values.shape[1]).astype(jnp.result_type(float))
        return MileState(draws, (trusted & (variance <= MOST_ENERGY_VARIANCE))[None], report, variance)

    return Learner(init, fit, *functions(network, likelihood))


def _blackjax() -> Any:
    try:
        import blackjax
    except ModuleNotFoundError as error:
        raise ImportError(
            'mile samples by blackjax, which is not installed; pip install "bal-jax[mcmc]", or use mcmc or ensemble'
        ) from error
    return blackjax


def _microcanonical(blackjax: Any, log_density: Any, num_warmup: int, scale: float, energy_variance: float) -> Begin:
    """Chains of a log density whose prior has a standard deviation of `scale`; flaws: steps that were no numbers, and
    squared errors of the energy, by parameter."""
    kernel = blackjax.mcmc.mclmc.build_kernel()

    def begin(key: PRNGKey, start: PyTree) -> tuple[PyTree, Any]:
        key_direction, key_warmup, key_steps = jax.random.split(key, 3)
        size = sum(leaf.size for leaf in jax.tree.leaves(start))
        far = jnp.asarray(scale * size**0.5, jax.tree.leaves(start)[0].dtype)
        state = blackjax.mcmc.mclmc.init(start, log_density, key_direction)
        state, tuned, _ = blackjax.mclmc_find_L_and_step_size(
            kernel,
            num_warmup,
            state,
            key_warmup,
            log_density,
            frac_tune1=0.8,
            frac_tune2=0.1,
            frac_tune3=0.1,
            desired_energy_var=energy_variance,
            num_effective_samples=max(num_warmup // 20, 2),
            diagonal_preconditioning=False,
            params=blackjax.adaptation.mclmc_adaptation.MCLMCAdaptationState(far, FIRST_STEP * far, jnp.ones(size)),
        )

        def step(carry: tuple[PyTree, PRNGKey]) -> tuple[PyTree, Seen]:
            state, key = carry
            key, key_step = jax.random.split(key)
            state, info = kernel(key_step, state, log_density, tuned.inverse_mass_matrix, tuned.L, tuned.step_size)
            flaws = {"lost": ~info.nonans, "squares": info.energy_change**2 / size}
            return (state, key), Seen(state.position, -state.logdensity, flaws)

        return (state, key_steps), step

    return begin
