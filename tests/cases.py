"""The tables that the contract tests run over: every public acquisition, selector and learner is a row here."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx
from scipy import special

from bal import acquisition, kernels, learners, selection
from bal.testing.inputs import CLASSES, DRAWS, PREDICTIONS, ROWS
from bal.testing.inputs import normal as _normal
from bal.typing import Candidates, Gaussian, Latent, Learner, MultiLabel, Posterior

try:
    import gpjax

    from bal.learners import gp
except ModuleNotFoundError:  # then there are no rows of Gaussian processes, but all others (`accelerator_check`)
    gpjax = gp = None

# Numbers come from numpy: jax would compile a program for each shape.


def normal(seed: int, *shape: int) -> jax.Array:
    """Standard normal numbers."""
    return jax.device_put(_normal(seed, *shape))


def log_softmax(logits: Any) -> jax.Array:
    """Log probabilities along the last axis, of the same type."""
    return jax.device_put(special.log_softmax(np.asarray(logits), -1))


def ones(n: int) -> jax.Array:
    return jax.device_put(np.ones(n, np.float32))


def positions(n: int) -> jax.Array:
    return jax.device_put(np.arange(n, dtype=np.int32))


class Acquisition(NamedTuple):
    """lower, upper: bounds as functions of (K, C), or None; inputs: "log_probs", "gaussian" or "latent"."""

    function: Callable
    inputs: str
    lower: Callable[[int, int], float] | None = None
    upper: Callable[[int, int], float] | None = None


zero = lambda k, c: 0.0
log_2 = lambda k, c: float(np.log(2))
log_c = lambda k, c: float(np.log(c))
log_min = lambda k, c: float(np.log(min(k, c)))


# Six target rows whose draws agree in pairs, so that the contract's reordering of draws leaves them alone.
TARGETS = log_softmax(2 * _normal(7, 6, 3, CLASSES)[:, [0, 1, 2, 0, 2]])
GAUSSIAN_TARGETS = Gaussian(*map(jax.device_put, np.exp(TARGETS[..., :3]).transpose(2, 0, 1)))


def _covariance_epig(x: Gaussian) -> jax.Array:
    """The means stand for covariances with as many targets, the variance of the row being large enough for them."""
    one = jnp.ones(x.mean.shape[1], x.mean.dtype)
    return acquisition.covariance_epig(x.mean, jnp.sum(x.mean**2 + x.variance, -1), x.noise.mean(-1), one, one)


def _functional_epig(x: Gaussian) -> jax.Array:
    """The sum over as many targets; the rest as above."""
    own = jnp.sum(x.mean**2 + x.variance, -1), x.noise.mean(-1)
    one = jnp.ones((1, x.mean.shape[1]), x.mean.dtype)
    return acquisition.functional_epig(x.mean, *own, jnp.eye(one.size, dtype=one.dtype), one)


def _probit_epig(x: Latent) -> jax.Array:
    """Targets whose latents have correlation ½ with those of the rows."""
    mean, variance, _ = GAUSSIAN_TARGETS
    covariance = 0.5 * jnp.sqrt(x.variance.mean(-1))[:, None] * jnp.sqrt(variance.mean(-1))[None]
    return acquisition.probit_epig(x, Latent(mean, variance), covariance)


_CONFUSION = np.full((CLASSES, CLASSES), 0.1) + 0.6 * np.eye(CLASSES)


def _label_set(x: Any) -> MultiLabel:
    """Each class as a label of its own, as likely as the class is."""
    return MultiLabel(x - jnp.log1p(-jnp.exp(x)))


ACQUISITIONS = {
    "annotated_bald": Acquisition(acquisition.annotated_bald(_CONFUSION), "log_probs", zero, log_min),
    "annotated_epig": Acquisition(
        lambda x: acquisition.annotated_epig(_CONFUSION)(x, TARGETS), "log_probs", zero, log_min
    ),
    "bald": Acquisition(acquisition.bald, "log_probs", zero, log_min),
    "consensus_kl": Acquisition(acquisition.consensus_kl, "log_probs", zero, log_min),
    "corrected_bald": Acquisition(
        acquisition.corrected_bald, "log_probs", zero, lambda k, c: log_min(k, c) * k / (k - 1)
    ),
    "epig": Acquisition(lambda x: acquisition.epig(x, TARGETS), "log_probs", zero, log_min),
    "epig_by_entropies": Acquisition(
        lambda x: acquisition.epig_by_entropies(x, TARGETS), "log_probs", lambda k, c: -1e-6, log_min
    ),
    "expected_error_reduction": Acquisition(
        lambda x: acquisition.expected_error_reduction(x, TARGETS), "log_probs", zero, lambda k, c: 1 - 1 / c
    ),
    "functional_epig": Acquisition(_functional_epig, "gaussian", zero),
    "gaussian_functional_epig": Acquisition(
        lambda x: acquisition.gaussian_functional_epig(x, GAUSSIAN_TARGETS, jnp.tri(2, 6, dtype=x.mean.dtype)),
        "gaussian",
        zero,
    ),
    "value_of_information": Acquisition(
        lambda x: acquisition.value_of_information(np.eye(3, CLASSES))(x, TARGETS),
        "log_probs",
        zero,
        lambda k, c: 1.0,
    ),
    "gaussian_epig": Acquisition(lambda x: acquisition.gaussian_epig(x, GAUSSIAN_TARGETS), "gaussian", zero),
    "jepig": Acquisition(
        lambda x: acquisition.jepig(x, jax.nn.log_softmax(TARGETS[..., 0], -1)), "log_probs", zero, log_min
    ),
    "expected_entropy": Acquisition(acquisition.expected_entropy, "log_probs", zero, log_c),
    "joint_labels_bald": Acquisition(
        lambda x: acquisition.joint_labels_bald(_label_set(x)), "log_probs", zero, lambda k, c: float(np.log(k))
    ),
    "labels_bald": Acquisition(
        lambda x: acquisition.labels_bald(_label_set(x)), "log_probs", zero, lambda k, c: c * log_2(k, c)
    ),
    "over_labels": Acquisition(
        lambda x: acquisition.over_labels(acquisition.predictive_entropy)(_label_set(x)),
        "log_probs",
        zero,
        lambda k, c: c * log_2(k, c),
    ),
    "sampled_labels_bald": Acquisition(
        lambda x: acquisition.sampled_labels_bald(4)(_label_set(x)), "log_probs", zero, lambda k, c: float(np.log(k))
    ),
    "least_confidence": Acquisition(acquisition.least_confidence, "log_probs", zero, lambda k, c: 1 - 1 / c),
    "margin": Acquisition(acquisition.margin, "log_probs", lambda k, c: -1.0, zero),
    "log_margin": Acquisition(acquisition.log_margin, "log_probs", lambda k, c: -1000.0, zero),
    "max_consensus_kl": Acquisition(acquisition.max_consensus_kl, "log_probs", zero, lambda k, c: float(np.log(k))),
    "mean_std": Acquisition(acquisition.mean_std, "log_probs", zero, lambda k, c: 0.5),
    "robust_bald": Acquisition(acquisition.robust_bald(0.5), "log_probs", zero, log_min),
    "predictive_entropy": Acquisition(acquisition.predictive_entropy, "log_probs", zero, log_c),
    "standard_error": Acquisition(acquisition.standard_error(acquisition.bald), "log_probs", zero),
    "variation_ratio": Acquisition(acquisition.variation_ratio, "log_probs", zero, lambda k, c: 1 - 1 / c),
    "vote_entropy": Acquisition(acquisition.vote_entropy, "log_probs", zero, log_min),
    "vote_variation_ratio": Acquisition(
        acquisition.vote_variation_ratio, "log_probs", zero, lambda k, c: 1 - 1 / min(k, c)
    ),
    "alc": Acquisition(lambda x: acquisition.alc(x.mean, x.variance.mean(-1), x.noise.mean(-1)), "gaussian", zero),
    "b_alm": Acquisition(acquisition.b_alm, "gaussian", zero),
    "b_qbc": Acquisition(acquisition.b_qbc, "gaussian", zero),
    "covariance_epig": Acquisition(_covariance_epig, "gaussian", zero),
    "hyperparameter_bald": Acquisition(
        acquisition.hyperparameter_bald, "gaussian", zero, lambda k, c: float(np.log(k))
    ),
    "mixture_bald": Acquisition(acquisition.mixture_bald, "gaussian", zero),
    "mixture_bald_lower": Acquisition(acquisition.mixture_bald_lower, "gaussian", zero),
    "mixture_bald_upper": Acquisition(acquisition.mixture_bald_upper, "gaussian", zero),
    "over_outputs": Acquisition(
        lambda x: acquisition.over_outputs(acquisition.total_variance)(jax.tree.map(lambda leaf: leaf[..., None], x)),
        "gaussian",
        zero,
    ),
    "qb_mgp": Acquisition(acquisition.qb_mgp, "gaussian", zero),
    "straddle": Acquisition(acquisition.straddle(0.3), "gaussian"),
    "weighted_information": Acquisition(acquisition.weighted_information, "gaussian", zero),
    "weighted_variance": Acquisition(acquisition.weighted_variance, "gaussian", zero),
    "houlsby_bald": Acquisition(acquisition.houlsby_bald, "latent", lambda k, c: -0.0019, log_2),
    "probit_bald": Acquisition(acquisition.probit_bald, "latent", zero, log_2),
    "probit_entropy": Acquisition(acquisition.probit_entropy, "latent", zero, log_2),
    "probit_epig": Acquisition(_probit_epig, "latent", zero, log_2),
    "probit_probability": Acquisition(acquisition.probit_probability, "latent", zero, lambda k, c: 1.0),
    "epistemic_variance": Acquisition(acquisition.epistemic_variance, "gaussian", zero),
    "gaussian_bald": Acquisition(acquisition.gaussian_bald, "gaussian", zero),
    "gaussian_entropy": Acquisition(acquisition.gaussian_entropy, "gaussian"),
    "total_variance": Acquisition(acquisition.total_variance, "gaussian", zero),
}


REAL = jnp.array([1.0, 1.0, 0.0, 0.0])  # the places of the labeled buffer that hold a row


def candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are positive scores, at unit cost."""
    scores = jax.device_put(np.random.default_rng(seed).uniform(0.1, 1.0, n).astype(np.float32))
    eligible = jax.device_put(np.ones(n, bool) if eligible is None else eligible)
    return Candidates(scores, positions(n), eligible, ones(n))


def negative_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are negative scores, as of `log_margin`."""
    some = candidates(seed, n, eligible)
    return some._replace(rows=-some.rows)


def feature_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are features ``[n, 3]``, beside a labeled buffer of four places of which two are real."""
    scores = candidates(seed, n, eligible)
    return scores._replace(rows=normal(seed, n, 3), known=normal(seed + 1, 4, 3), known_weight=REAL)


def draw_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are log probabilities ``[n, K, C]``, all positive."""
    return candidates(seed, n, eligible)._replace(rows=log_softmax(_normal(seed, n, DRAWS, CLASSES)))


class Selector(NamedTuple):
    """A selector and what it promises.

    deterministic: the picks do not depend on the key; by_score: rows are scores and the first pick is the best;
    draws_by_position: its random draws hang on the array, not on row ids, so that masking changes them.
    """

    select: Callable
    candidates: Callable[..., Candidates]
    deterministic: bool = True
    by_score: bool = False
    draws_by_position: bool = False


def targeted_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are log probabilities; the context is two target rows and their weights."""
    return draw_candidates(seed, n, eligible)._replace(context=(draw_candidates(9, 2).rows, ones(2)))


def scored_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows and labeled rows that are a score and features ``[n, 3]``."""
    some = feature_candidates(seed, n, eligible)
    rows = selection.ScoredFeatures(candidates(seed, n).rows, some.rows)
    return some._replace(rows=rows, known=selection.ScoredFeatures(jnp.array([0.0] * 4), some.known))


def clustered_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are scores; the context is the cluster of every pool row."""
    return candidates(seed, n, eligible)._replace(
        context=jax.device_put(np.arange(max(n, ROWS), dtype=np.int32) // 7 % 3)
    )


def gradient_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are gradients ``outer [n, 4] ⊗ inner [n, 3]``, as are the labeled rows."""
    some = feature_candidates(seed, n, eligible)
    gradients = lambda seed, rows: (kernels.Factors(normal(seed, len(rows), 4), rows),)
    return some._replace(rows=gradients(seed + 2, some.rows), known=gradients(seed + 3, some.known))


def distinct_counts(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Features of which, within 1.2, no two of the first picks tie."""
    return feature_candidates(seed + 7, n, eligible)


_sum_rows, _sum_fisher = jax.jit(selection.sum_rows), jax.jit(selection.sum_fisher)
_softmax_fisher = jax.jit(selection.softmax_fisher)


def sparse_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are features and variances, the context their sums over the pool."""
    some = feature_candidates(seed, n, eligible)
    rows = selection.SparseRows(some.rows, candidates(seed, n).rows)
    return some._replace(rows=rows, context=_sum_rows(rows, some.cost))


def variance_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are features, the context three targets of the same linear function."""
    some = feature_candidates(seed, n, eligible)
    targets = selection.TargetRows(feature_candidates(9, 3).rows, jnp.array([1.0, 2.0, 1.0]))
    return some._replace(context=targets)


def pool_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are features, the context those of the whole pool."""
    some = feature_candidates(seed, n, eligible)
    return some._replace(context=selection.PoolRows(some.rows, some.cost))


def fisher_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are factors of Fisher information for two classes, as are the labeled rows; context: the pool's sum."""
    some = feature_candidates(seed, n, eligible)
    fisher = lambda x: _softmax_fisher(log_softmax(np.asarray(x)[:, None, :2]), x)
    rows = fisher(some.rows)
    return some._replace(rows=rows, known=fisher(some.known), context=_sum_fisher(rows, some.cost))


def selector(select: Callable, some: Callable[..., Candidates] = candidates, **promises: bool) -> Selector:
    """Compiled once a shape: several tests share each of them."""
    return Selector(jax.jit(select, static_argnums=2), some, **promises)


_by_rows = lambda key, c, batch_size: selection.Greedy((), lambda state: c.rows, lambda state, i: state)

_noisy = kernels.noisy(kernels.linear, 0.1)
_posterior_max_det = selection.transformed(selection.max_det(_noisy), kernels.scaled, kernels.given_known(0.1))

SELECTORS = {
    "best": selector(selection.best, by_score=True),
    "greedy": selector(selection.greedy(_by_rows), by_score=True),
    "greedy_draw": selector(selection.greedy(_by_rows, draw=True), deterministic=False, draws_by_position=True),
    "per_cost": selector(selection.per_cost(selection.best), by_score=True),
    "power": selector(selection.power(1.0), deterministic=False),
    "random_uniform": selector(selection.random_uniform, deterministic=False),
    "shortlist": selector(selection.shortlist(3), by_score=True),
    "batchbald": selector(selection.batchbald(64), draw_candidates),
    "epig_batch": selector(selection.epig_batch(16), targeted_candidates),
    "gaussian_batch": selector(selection.gaussian_batch(), draw_candidates),
    "budgeted": selector(selection.budgeted(selection.additive, 1000.0), by_score=True),
    "cluster_margin": selector(selection.cluster_margin(6), clustered_candidates),
    "k_medoids": selector(selection.k_medoids(), feature_candidates),
    "probcover": selector(selection.probcover(1.2), distinct_counts),
    "ranked_batch": selector(selection.ranked_batch, scored_candidates),
    "typiclust": selector(selection.typiclust(), feature_candidates, deterministic=False),
    "badge": selector(selection.badge, gradient_candidates, deterministic=False, draws_by_position=True),
    "k_center": selector(selection.k_center(), feature_candidates),
    "kmeans_pp": selector(selection.kmeans_pp(), feature_candidates, deterministic=False, draws_by_position=True),
    "lcmd": selector(selection.lcmd(kernels.gradient), gradient_candidates),
    "max_det": selector(selection.max_det(_noisy), feature_candidates),
    "integrated_variance": selector(selection.integrated_variance(_noisy), variance_candidates),
    "mutual_information": selector(selection.mutual_information(_noisy), feature_candidates),
    "max_diag": selector(selection.max_diag(), feature_candidates),
    "transformed": selector(_posterior_max_det, feature_candidates),
    "bait": selector(selection.bait(), fisher_candidates),
    "confident_coreset": selector(selection.confident_coreset(), scored_candidates),
    "frank_wolfe": selector(selection.frank_wolfe(), sparse_candidates),
    "frank_wolfe_kernel": selector(selection.frank_wolfe_kernel(jnp.dot), pool_candidates),
    "sparse_greedy": selector(selection.sparse_greedy(), sparse_candidates),
    "sparse_iht": selector(selection.sparse_iht(), sparse_candidates),
    "inverse_gap": selector(
        selection.inverse_gap(5.0), negative_candidates, deterministic=False, draws_by_position=True
    ),
    "softmax": selector(selection.softmax(2.0), deterministic=False),
    "softrank": selector(selection.softrank(1.0), deterministic=False),
    "with_standard_errors": selector(selection.with_standard_errors(acquisition.bald), draw_candidates),
}


class KernelCase(NamedTuple):
    """A kernel and rows that it compares."""

    kernel: Callable
    candidates: Callable[..., Candidates] = feature_candidates


def process_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows as a Gaussian process embeds them, the context its posterior: a linear one whose noise differs by row."""
    some = feature_candidates(seed, n, eligible)
    zeros = lambda *shape: jax.device_put(np.zeros(shape, np.float32))
    rows = lambda x: gp.GPRows(
        x, zeros(len(x), 1, 1), zeros(len(x), 1), jax.device_put(0.1 + np.asarray(x)[:, :1] ** 2)
    )
    context = Posterior(jnp.array(2.0), Learner(None, None, None, None, lambda state, a, b: state * a.x @ b.x))
    return some._replace(rows=rows(some.rows), known=rows(some.known), context=context)


def matrix_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are positions in a covariance matrix."""
    some = feature_candidates(seed, n, eligible)
    both = np.concatenate([some.rows, some.known]).astype(float)  # whose products are rounded only where all are
    return some._replace(
        rows=positions(n), known=jax.device_put(n + np.arange(4)), context=jax.device_put(both @ both.T)
    )


def fingerprint_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows and labeled rows that are packed fingerprints of 70 bits, the first one empty."""
    bits = np.random.default_rng(seed).uniform(size=(n + 4, 70)) < 0.3
    bits[0] = False
    words = kernels.packed_bits(bits)
    some = feature_candidates(seed, n, eligible)
    return some._replace(rows=jax.device_put(words[:n]), known=jax.device_put(words[n:]))


def known_draws(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows and labeled rows that are log probabilities."""
    known = draw_candidates(seed + 1, 4).rows
    return draw_candidates(seed, n, eligible)._replace(known=known, known_weight=REAL)


KERNELS = {
    "conditioned": KernelCase(kernels.conditioned(kernels.noisy(kernels.linear, 0.1))),
    "covariance_matrix": KernelCase(kernels.covariance_matrix, matrix_candidates),
    "draw_covariance": KernelCase(kernels.draw_covariance(), known_draws),
    "gradient": KernelCase(kernels.gradient, gradient_candidates),
    "kernel_of_part": KernelCase(kernels.kernel_of_part(lambda rows: rows.features, kernels.linear), scored_candidates),
    "kernel_sum": KernelCase(kernels.kernel_sum(kernels.linear, _noisy)),
    "learner_covariance": KernelCase(kernels.learner_covariance, process_candidates),
    "linear": KernelCase(kernels.linear),
    "make_kernel": KernelCase(
        lambda some: kernels.make_kernel(some, jnp.tanh, jnp.array(2.0), lambda scale, a, b: scale * jnp.vdot(a, b))
    ),
    "nngp": KernelCase(kernels.nngp(2)),
    "noisy": KernelCase(_noisy),
    "ntk": KernelCase(kernels.ntk(1, bias_variance=0.1)),
    "posterior_covariance": KernelCase(kernels.posterior_covariance, process_candidates),
    "rbf": KernelCase(kernels.rbf(1.5)),
    "scaled_by": KernelCase(kernels.scaled_by(kernels.linear, 3.0)),
    "tanimoto": KernelCase(kernels.tanimoto, fingerprint_candidates),
}

TRANSFORMS = {
    "acs_features": kernels.acs_features(5, 0.1),
    "centered": kernels.centered,
    "given_known": kernels.given_known(0.1),
    "map_rows": kernels.map_rows(lambda rows: 2 * rows),
    "pool_only": kernels.pool_only,
    "scaled": kernels.scaled,
    "sketch": kernels.sketch(5),
}


class Case(NamedTuple):
    """A learner; image: its inputs are images; keyed: its posterior depends on the key.

    labels: "classes", "binary" (0 and 1) or "real".
    grows: its variance differs between rows and grows away from labels.
    """

    learner: Learner
    image: bool = False
    labels: str = "classes"
    keyed: bool = True
    grows: bool = False


def _small(**kwargs: Any) -> dict:
    return {"num_steps": 20, "minibatch_size": 8, **kwargs}


def _slopes(x, y=None):
    """A model of numpyro."""
    import numpyro
    import numpyro.distributions as dist

    slopes = numpyro.sample("slopes", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    numpyro.sample("y", dist.Normal(x @ slopes, 0.5), obs=y)


_CHAINS = {"num_draws": 4, "num_chains": 2, "num_warmup": 10, "thin": 2}

PARTS = {  # names of `bal.learners` not learners, not of JAX, or taught by annotators or a pool: tests/learners/
    *("candidate_sets", "from_functions", "from_sklearn", "multi_label"),
    *("fixmatch", "hide", "in_turn", "jitter", "shift"),
    *("Answers", "Asked", "Consensus", "by_consensus", "by_evidence", "dawid_skene", "evidence", "majority_vote"),
    *("Likelihood", "Network", "categorical", "cold", "gal_cnn", "gaussian", "lenet", "linear", "mixture_density"),
    *("mlp", "network"),
    *("shrink_and_perturb", "tapped_members", "warm"),
}

GP_PARTS = {  # names of `bal.learners.gp` that are not learners
    *("Chosen", "GPRows", "GPState", "Hyperparameters", "Inference", "Link", "Process", "WeightedDraws", "split"),
    *("effective_size", "given", "laplace", "laplace_draws", "log_posterior", "logit", "lognormal_prior"),
    *("maximum_likelihood", "nuts", "prior", "probit", "process", "variational", "weighted_draws"),
    *("NoisyInputProcess", "NoisyInputRBF", "noise_free", "noisy_input_process", "noisy_rows"),
}


_GIVEN = {"labels": "real", "keyed": False}


def _choose(key, initial, previous, objective):
    return gp.Chosen(jax.tree.map(lambda leaf: jnp.stack([leaf, leaf + 0.5]), initial), jnp.ones(2, bool))


class Flax(nnx.Module):
    """A module as flax teaches it."""

    def __init__(self, outputs: int, *, rngs: nnx.Rngs):
        self.hidden, self.norm = nnx.Linear(3, 16, rngs=rngs), nnx.BatchNorm(16, rngs=rngs)
        self.dropout, self.out = nnx.Dropout(0.5, rngs=rngs), nnx.Linear(16, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(self.dropout(nnx.relu(self.norm(self.hidden(x)))))


class Linen(linen.Module):
    """Convolution, batch norm and dropout of all rows at once, with the rows on another axis for a while."""

    @linen.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = linen.BatchNorm(use_running_average=not train)(linen.Conv(2, (3, 3), (2, 2))(x))
        x = linen.Dropout(0.5, deterministic=not train)(linen.relu(x).transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)
        return linen.Dense(CLASSES)(x.reshape(len(x), -1))


LEARNERS = {
    "bayesian_linear": Case(learners.bayesian_linear(jnp.abs), **_GIVEN, grows=True),
    "bayesian_softmax": Case(learners.bayesian_softmax(CLASSES, 4), grows=True),
    "bayesian_softmax: factored": Case(
        learners.bayesian_softmax(CLASSES, 4, jnp.abs, prior=1.0, structure="factored"), grows=True
    ),
    "laplace": Case(learners.laplace(learners.mlp((8,), num_outputs=CLASSES), 4, **_small()), grows=True),
    "laplace: kfac": Case(
        learners.laplace(learners.mlp((8,), 1), 4, "kfac", **_small(likelihood=learners.gaussian(0.1))),
        labels="real",
        grows=True,
    ),
    "neural_linear": Case(
        learners.neural_linear(
            learners.mlp((8,), num_outputs=CLASSES), learners.bayesian_softmax(CLASSES, 4, prior=1.0), **_small()
        ),
        grows=True,
    ),
    "normal_inverse_gamma": Case(learners.normal_inverse_gamma(3), labels="real", grows=True),
    "ensemble: flax": Case(learners.ensemble(learners.network(Flax, CLASSES), 3, **_small())),
    "mc_dropout: flax": Case(learners.mc_dropout(learners.network(Flax, CLASSES), 4, **_small())),
    "mc_dropout: linen": Case(learners.mc_dropout(learners.network(Linen()), 4, **_small(num_steps=3)), True),
    "ensemble": Case(learners.ensemble(learners.mlp((16,), num_outputs=CLASSES), 3, **_small())),
    "ensemble: bootstrap": Case(
        learners.ensemble(learners.linear(CLASSES), 3, **_small(bootstrap=True, restart=learners.shrink_and_perturb()))
    ),
    "ensemble: convolutions": Case(
        learners.ensemble(learners.lenet(CLASSES, channels=(2, 3), kernel=3, hidden=8), 2, **_small(num_steps=3)), True
    ),
    "ensemble: gaussian": Case(
        learners.ensemble(learners.mlp((16,), num_outputs=2), 3, **_small(likelihood=learners.gaussian())),
        labels="real",
    ),
    "ensemble: mixture density": Case(
        learners.ensemble(
            learners.mlp((16,), num_outputs=6),
            3,
            **_small(likelihood=learners.mixture_density(2), restart=learners.warm),
        ),
        labels="real",
    ),
    "from_numpyro": Case(learners.from_numpyro(_slopes, **_CHAINS), labels="real"),
    "mcmc": Case(learners.mcmc(learners.linear(CLASSES), **_CHAINS)),
    "mc_dropout": Case(
        learners.mc_dropout(learners.mlp((16,), num_outputs=CLASSES, dropout=0.5), 4, **_small(restart=learners.warm))
    ),
    "mean_field": Case(learners.mean_field(learners.mlp((16,), num_outputs=CLASSES), 4, **_small())),
    "batch_ensemble": Case(
        learners.batch_ensemble(learners.mlp((16,), num_outputs=CLASSES), 3, **_small(restart=learners.warm))
    ),
    "masksembles": Case(learners.masksembles(learners.mlp((16,), num_outputs=CLASSES), 3, **_small())),
    "neuronal": Case(learners.neuronal(CLASSES, width=8, **_small(optimizer=optax.adam(1e-2)))),
    "epinet": Case(learners.epinet(learners.mlp((16,), num_outputs=CLASSES), 4, **_small())),
    "snapshot": Case(
        learners.snapshot(learners.mlp((16,), num_outputs=CLASSES), 3, **_small(restart=learners.shrink_and_perturb()))
    ),
    "vbll": Case(learners.vbll(learners.mlp((8,), num_outputs=CLASSES), 4, **_small(diagonal=False)), grows=True),
    "vbll_regression": Case(
        learners.vbll_regression(learners.mlp((8,), 1), **_small(optimizer=optax.adam(1e-2))),
        labels="real",
        grows=True,
    ),
    "swag": Case(learners.swag(learners.mlp((16,), num_outputs=CLASSES), 4, num_members=2, rank=3, **_small())),
}


def _gp_learners() -> dict[str, Case]:
    process = gp.process(gpjax.kernels.RBF(lengthscale=1.5, n_dims=3), noise=0.1)
    two_draws = gp.Hyperparameters(2, _choose)
    return {
        "gp_classification": Case(gp.gp_classification(gp.process(gpjax.kernels.RBF())), labels="binary", keyed=False),
        "gp_classification_draws": Case(
            gp.gp_classification_draws(gp.process(gpjax.kernels.RBF(n_dims=3)), 3, num_features=64), labels="binary"
        ),
        "gp_regression": Case(gp.gp_regression(process), **_GIVEN),
        "gp_regression_draws": Case(gp.gp_regression_draws(process, 4, two_draws, num_features=64), labels="real"),
        "gp_regression: mixture": Case(gp.gp_regression(process, two_draws), **_GIVEN),
        "gp_softmax": Case(
            gp.gp_softmax(gp.process(gpjax.kernels.RBF(lengthscale=2.0, variance=9.0)), CLASSES, 64, num_features=64),
            grows=True,
        ),
        "sparse_gp": Case(gp.sparse_gp(process, 4, two_draws), **_GIVEN),
    }


if gp is not None:
    LEARNERS |= _gp_learners()
if find_spec("blackjax") is not None:
    LEARNERS["mile"] = Case(
        learners.mile(learners.linear(CLASSES), 4, num_members=2, num_warmup=10, thin=2, **_small(num_steps=5))
    )


def predictions(kind: str, seed: int = 0, rows: int = ROWS) -> Any:
    """Random predictions, hard ones among them."""
    return PREDICTIONS[kind](rows, seed)
