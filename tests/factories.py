"""Public factories of methods, called with two settings: `make, other`; and those in rows of `cases`, called again."""

from collections.abc import Callable
from typing import Any, NamedTuple

import gpjax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
from cases import ACQUISITIONS, KERNELS, LEARNERS, SELECTORS, TRANSFORMS, _by_rows, _noisy
from flax import nnx
from sklearn.ensemble import RandomForestClassifier

from bal import acquisition, bilevel, bridges, kernels, learners, pool, query, selection, strategies
from bal.learners import gp
from bal.method import made_by

X = np.linspace(0.0, 1.0, 6).reshape(3, 2)


class Made(NamedTuple):
    """The same factory with two settings."""

    make: Callable[[], Any]
    other: Callable[[], Any]


class Net(nnx.Module):
    """A user's own."""

    def __init__(self, rngs, shape):
        self.out = nnx.Linear(shape[0], 2, rngs=rngs)

    def __call__(self, x, drop):
        return self.out(x), x


class Wider(Net):
    """Another one."""


def forward(state, x, tap):
    """What `layer_gradients` takes."""
    return tap(x, x @ state)


def sampler(key):
    """What `sampled_targets` takes."""
    return X


def lengthscale(process):
    """What `prior` takes."""
    return process.kernel.lengthscale


def fit(x, y):
    """What `from_functions` takes."""
    return y.mean()


def classify(model, x):
    """Likewise."""
    return np.full((len(x), 2), 0.5)


FOREST = RandomForestClassifier(3)
SCALE = dist.LogNormal(0.0, 1.0)
rbf = lambda lengthscale=0.5: gp.process(gpjax.kernels.RBF(lengthscale=lengthscale), noise=0.1)
matern = lambda: gp.process(gpjax.kernels.Matern32(lengthscale=0.5), noise=0.1)
binary = lambda lengthscale=0.5: gp.process(gpjax.kernels.RBF(lengthscale=lengthscale))
vote = lambda annotators=2: learners.majority_vote(2, annotators)
net = lambda width=4: learners.mlp((width,), num_outputs=2)
bald = acquisition.bald
ALIKE, SGD = learners.in_turn(), optax.sgd(0.1)
embeddings = query.embeddings

FACTORIES = {
    acquisition: {
        "annotated_epig": Made(
            lambda: acquisition.annotated_epig(np.eye(2)), lambda: acquisition.annotated_epig(np.full((2, 3), 1 / 3))
        ),
        "value_of_information": Made(
            lambda: acquisition.value_of_information(np.eye(2)), lambda: acquisition.value_of_information(np.eye(3))
        ),
        "over_labels": Made(
            lambda: acquisition.over_labels(acquisition.bald), lambda: acquisition.over_labels(acquisition.margin)
        ),
        "sampled_labels_bald": Made(acquisition.sampled_labels_bald, lambda: acquisition.sampled_labels_bald(8)),
        "over_outputs": Made(
            lambda: acquisition.over_outputs(acquisition.total_variance),
            lambda: acquisition.over_outputs(acquisition.epistemic_variance),
        ),
        "straddle": Made(lambda: acquisition.straddle(0.3), lambda: acquisition.straddle(0.3, width=2.0)),
    },
    bridges: {
        "as_modal": Made(
            lambda: bridges.as_modal(strategies.bald()), lambda: bridges.as_modal(strategies.bald(), by_member=True)
        ),
    },
    bilevel: {
        "bilevel": Made(bilevel.bilevel, lambda: bilevel.bilevel(bilevel.ridge_coreset(), num_landmarks=9)),
        "contrastive": Made(
            lambda: bilevel.contrastive(X, net(), ALIKE, optimizer=SGD, num_steps=0),
            lambda: bilevel.contrastive(X, net(), ALIKE, optimizer=SGD, num_steps=0, key=1),
        ),
        "embedded_by": Made(lambda: bilevel.embedded_by(jnp.sin), lambda: bilevel.embedded_by(jnp.cos)),
        "nystrom": Made(lambda: bilevel.nystrom(X, 2), lambda: bilevel.nystrom(X, 2, key=1)),
        "principal_components": Made(
            lambda: bilevel.principal_components(X, 1), lambda: bilevel.principal_components(X, 2)
        ),
        "ridge_coreset": Made(bilevel.ridge_coreset, lambda: bilevel.ridge_coreset(0.1)),
        "softmax_coreset": Made(bilevel.softmax_coreset, lambda: bilevel.softmax_coreset(0.1)),
    },
    kernels: {
        "acs_features": Made(lambda: kernels.acs_features(4, 0.1), lambda: kernels.acs_features(4, 0.2)),
        "conditioned": Made(lambda: kernels.conditioned(_noisy), lambda: kernels.conditioned(kernels.linear)),
        "draw_covariance": Made(lambda: kernels.draw_covariance(), lambda: kernels.draw_covariance(jnp.sin)),
        "given_known": Made(lambda: kernels.given_known(0.1), lambda: kernels.given_known(0.2)),
        "kernel_sum": Made(
            lambda: kernels.kernel_sum(kernels.linear, kernels.noisy(kernels.linear, 0.1)),
            lambda: kernels.kernel_sum(kernels.linear, kernels.noisy(kernels.linear, 0.2)),
        ),
        "map_rows": Made(lambda: kernels.map_rows(jnp.sin), lambda: kernels.map_rows(jnp.cos)),
        "nngp": Made(lambda: kernels.nngp(2), lambda: kernels.nngp(2, bias_variance=0.1)),
        "noisy": Made(lambda: kernels.noisy(kernels.linear, 0.1), lambda: kernels.noisy(kernels.linear, 0.2)),
        "ntk": Made(lambda: kernels.ntk(2), lambda: kernels.ntk(3)),
        "kernel_of_part": Made(
            lambda: kernels.kernel_of_part(jnp.sin, kernels.linear),
            lambda: kernels.kernel_of_part(jnp.cos, kernels.linear),
        ),
        "scaled_by": Made(
            lambda: kernels.scaled_by(kernels.linear, jnp.float32(2.0)), lambda: kernels.scaled_by(kernels.linear, 2.5)
        ),
        "sketch": Made(lambda: kernels.sketch(4), lambda: kernels.sketch(5)),
    },
    learners: {
        "by_consensus": Made(
            lambda: learners.by_consensus(learners.ensemble(net(), 2), vote()),
            lambda: learners.by_consensus(learners.ensemble(net(), 2), vote(3)),
        ),
        "by_evidence": Made(
            lambda: learners.by_evidence(learners.ensemble(net(), 2, likelihood=learners.evidence), vote()),
            lambda: learners.by_evidence(learners.ensemble(net(), 2), vote()),
        ),
        "dawid_skene": Made(
            lambda: learners.dawid_skene([np.eye(2)]), lambda: learners.dawid_skene([np.eye(2)], [np.inf])
        ),
        "majority_vote": Made(vote, lambda: vote(3)),
        "ensemble": Made(
            lambda: learners.ensemble(net(), 3, optimizer=optax.adam(1e-3), likelihood=learners.gaussian()),
            lambda: learners.ensemble(net(), 3, optimizer=optax.adam(1e-3), bootstrap=True),
        ),
        "fixmatch": Made(
            lambda: learners.fixmatch(net(), 3, strong=learners.jitter(0.1)),
            lambda: learners.fixmatch(net(), 3, strong=learners.jitter(0.2)),
        ),
        "from_functions": Made(
            lambda: learners.from_functions(fit, classify), lambda: learners.from_functions(fit, classify, classify)
        ),
        "from_sklearn": Made(
            lambda: learners.from_sklearn(FOREST, num_classes=3),
            lambda: learners.from_sklearn(FOREST, num_classes=3, by_member=True),
        ),
        "hide": Made(lambda: learners.hide(0.1), lambda: learners.hide(0.2)),
        "in_turn": Made(
            lambda: learners.in_turn(learners.jitter(0.1), learners.hide(0.1)),
            lambda: learners.in_turn(learners.hide(0.1), learners.jitter(0.1)),
        ),
        "jitter": Made(lambda: learners.jitter(0.1), lambda: learners.jitter(0.2)),
        "shift": Made(lambda: learners.shift(1), lambda: learners.shift(2)),
        "gal_cnn": Made(lambda: learners.gal_cnn(), lambda: learners.gal_cnn(hidden=16)),
        "gaussian": Made(lambda: learners.gaussian(), lambda: learners.gaussian(0.1)),
        "mixture_density": Made(lambda: learners.mixture_density(2), lambda: learners.mixture_density(3)),
        "lenet": Made(lambda: learners.lenet(), lambda: learners.lenet(hidden=16)),
        "linear": Made(lambda: learners.linear(3), lambda: learners.linear(4)),
        "mc_dropout": Made(
            lambda: learners.mc_dropout(net(), 4, restart=learners.shrink_and_perturb()),
            lambda: learners.mc_dropout(net(), 4, restart=learners.warm),
        ),
        "mlp": Made(lambda: net(), lambda: net(5)),
        "network": Made(lambda: learners.network(Net), lambda: learners.network(Wider)),
        "shrink_and_perturb": Made(learners.shrink_and_perturb, lambda: learners.shrink_and_perturb(0.5)),
        "tapped_members": Made(lambda: learners.tapped_members(net()), lambda: learners.tapped_members(net(5))),
    },
    gp: {
        "gp_classification": Made(lambda: gp.gp_classification(binary()), lambda: gp.gp_classification(binary(0.25))),
        "gp_classification_draws": Made(
            lambda: gp.gp_classification_draws(binary(), 3), lambda: gp.gp_classification_draws(binary(), 4)
        ),
        "gp_regression": Made(lambda: gp.gp_regression(rbf()), lambda: gp.gp_regression(matern())),
        "gp_regression_draws": Made(
            lambda: gp.gp_regression_draws(rbf(), 3), lambda: gp.gp_regression_draws(rbf(), 3, num_features=64)
        ),
        "gp_softmax": Made(lambda: gp.gp_softmax(binary(), 3, 4), lambda: gp.gp_softmax([binary()] * 3, 3, 4)),
        "laplace": Made(gp.laplace, lambda: gp.laplace(51)),
        "laplace_draws": Made(lambda: gp.laplace_draws(3), lambda: gp.laplace_draws(3, standardize=False)),
        "lognormal_prior": Made(gp.lognormal_prior, lambda: gp.lognormal_prior(1.0)),
        "maximum_likelihood": Made(
            lambda: gp.maximum_likelihood(7), lambda: gp.maximum_likelihood(7, optimizer=optax.adam(0.1))
        ),
        "nuts": Made(lambda: gp.nuts(3), lambda: gp.nuts(3, thin=2)),
        "prior": Made(lambda: gp.prior((lengthscale, SCALE)), lambda: gp.prior()),
        "sparse_gp": Made(
            lambda: gp.sparse_gp(rbf(), 4, gp.maximum_likelihood(7)), lambda: gp.sparse_gp(rbf(), 4, gp.nuts(2))
        ),
        "variational": Made(gp.variational, lambda: gp.variational(32)),
    },
    pool: {
        "chunked": Made(lambda: pool.chunked(7), lambda: pool.chunked(8)),
        "host": Made(pool.host, lambda: pool.host(7)),
        "streamed": Made(lambda: pool.streamed(7), lambda: pool.streamed(None, 2**20)),
    },
    query: {
        "by_score": Made(
            lambda: query.by_score(bald, selection.power(1.0)), lambda: query.by_score(bald, selection.power(2.0))
        ),
        "ask_whom": Made(lambda: query.ask_whom(3, 1.0, 2), lambda: query.ask_whom(3, 1.0, 2, query.targets(X))),
        "class_prior": Made(
            lambda: query.class_prior(jnp.array([0.5, 0.5]), query.pool_targets(8)),
            lambda: query.class_prior(jnp.array([0.5, 0.25, 0.25]), query.pool_targets(8)),
        ),
        "fisher_rows": Made(lambda: query.fisher_rows(4), lambda: query.fisher_rows(5)),
        "functional_targets": Made(
            lambda: query.functional_targets([[1.0, -1.0]], query.pool_targets(2)),
            lambda: query.functional_targets([[1.0, 1.0]], query.pool_targets(2)),
        ),
        "joint_targets": Made(
            lambda: query.joint_targets(query.pool_targets(8)), lambda: query.joint_targets(query.pool_targets(9))
        ),
        "layer_gradients": Made(
            lambda: query.layer_gradients(forward), lambda: query.layer_gradients(forward, jnp.ones_like)
        ),
        "pool_fisher": Made(
            lambda: query.pool_fisher(query.fisher_rows(4)), lambda: query.pool_fisher(query.fisher_rows(5))
        ),
        "pool_rows": Made(lambda: query.pool_rows(embeddings), lambda: query.pool_rows(query.features)),
        "pool_sums": Made(
            lambda: query.pool_sums(query.sparse_rows(selection.expected_log_likelihoods)),
            lambda: query.pool_sums(query.gradient_rows),
        ),
        "pool_targets": Made(lambda: query.pool_targets(8), lambda: query.pool_targets(9)),
        "remembered": Made(
            lambda: query.remembered(query.by_score(bald, selection.best), 8),
            lambda: query.remembered(query.by_score(bald, selection.best), 8, temperature=2.0),
        ),
        "sampled_targets": Made(lambda: query.sampled_targets(sampler), lambda: query.sampled_targets(forward)),
        "score": Made(lambda: query.score(acquisition.straddle(0.1)), lambda: query.score(bald)),
        "score_about": Made(
            lambda: query.score_about(acquisition.epig), lambda: query.score_about(acquisition.expected_error_reduction)
        ),
        "scored_features": Made(lambda: query.scored_features(bald), lambda: query.scored_features(acquisition.margin)),
        "sketched": Made(lambda: query.sketched(embeddings, 4), lambda: query.sketched(embeddings, 5)),
        "sparse_rows": Made(
            lambda: query.sparse_rows(selection.expected_log_likelihoods),
            lambda: query.sparse_rows(selection.expected_gaussian_log_likelihoods),
        ),
        "target_rows": Made(
            lambda: query.target_rows(query.targets(X)), lambda: query.target_rows(query.targets(X[:2]))
        ),
        "targets": Made(lambda: query.targets(X, jnp.ones(3)), lambda: query.targets(X)),
    },
    selection: {
        "bait": Made(selection.bait, lambda: selection.bait(backward=False)),
        "batchbald": Made(lambda: selection.batchbald(64), lambda: selection.batchbald(65)),
        "cluster_margin": Made(lambda: selection.cluster_margin(6), lambda: selection.cluster_margin(7)),
        "confident_coreset": Made(selection.confident_coreset, lambda: selection.confident_coreset(0.25)),
        "epig_batch": Made(lambda: selection.epig_batch(16), lambda: selection.epig_batch(17)),
        "frank_wolfe": Made(selection.frank_wolfe, lambda: selection.frank_wolfe(9)),
        "frank_wolfe_kernel": Made(
            lambda: selection.frank_wolfe_kernel(jnp.dot), lambda: selection.frank_wolfe_kernel(selection.linear_fisher)
        ),
        "gaussian_batch": Made(selection.gaussian_batch, lambda: selection.gaussian_batch(0.1)),
        "greedy": Made(lambda: selection.greedy(_by_rows), lambda: selection.greedy(_by_rows, draw=True)),
        "integrated_variance": Made(
            lambda: selection.integrated_variance(kernels.noisy(kernels.linear, 0.1)),
            lambda: selection.integrated_variance(kernels.noisy(kernels.linear, 0.2)),
        ),
        "inverse_gap": Made(selection.inverse_gap, lambda: selection.inverse_gap(mu=100.0)),
        "k_center": Made(selection.k_center, lambda: selection.k_center(kernels.gradient)),
        "k_medoids": Made(selection.k_medoids, lambda: selection.k_medoids(3)),
        "kmeans_pp": Made(selection.kmeans_pp, lambda: selection.kmeans_pp(kernels.gradient)),
        "lcmd": Made(selection.lcmd, lambda: selection.lcmd(kernels.gradient)),
        "max_det": Made(
            lambda: selection.max_det(kernels.noisy(kernels.linear, 0.1)),
            lambda: selection.max_det(kernels.noisy(kernels.linear, 0.2)),
        ),
        "max_diag": Made(selection.max_diag, lambda: selection.max_diag(kernels.gradient)),
        "mutual_information": Made(
            lambda: selection.mutual_information(_noisy), lambda: selection.mutual_information(kernels.linear)
        ),
        "one_per_group": Made(
            lambda: selection.one_per_group(selection.additive, [0, 1]),
            lambda: selection.one_per_group(selection.additive, [0, 0]),
        ),
        "per_cost": Made(
            lambda: selection.per_cost(selection.best), lambda: selection.per_cost(selection.softmax(1.0))
        ),
        "power": Made(selection.power, lambda: selection.power(2.0)),
        "probcover": Made(lambda: selection.probcover(1.2), lambda: selection.probcover(1.25)),
        "shortlist": Made(lambda: selection.shortlist(3), lambda: selection.shortlist(3, selection.power(2.0))),
        "softmax": Made(selection.softmax, lambda: selection.softmax(2.0)),
        "softrank": Made(selection.softrank, lambda: selection.softrank(2.0)),
        "sparse_greedy": Made(selection.sparse_greedy, lambda: selection.sparse_greedy(2.0)),
        "sparse_iht": Made(selection.sparse_iht, lambda: selection.sparse_iht(2.0)),
        "transformed": Made(
            lambda: selection.transformed(selection.max_det(_noisy), kernels.scaled, kernels.given_known(0.1)),
            lambda: selection.transformed(selection.max_det(_noisy), kernels.given_known(0.1)),
        ),
        "typiclust": Made(selection.typiclust, lambda: selection.typiclust(9)),
    },
}

NEEDED = {  # settings of recipes that have no default
    **dict.fromkeys(["alc", "batch_alc", "epig", "epig_batch", "expected_error_reduction", "jepig"], (X,)),
    **{"cluster_margin": (np.arange(9) % 3,), "probcover": (1.0,), "straddle": (0.5,)},
    **{"functional_epig": (X, [[1.0, -1.0, 0.0]]), "value_of_information": (X, [[0.0, -9.0], [-1.0, 0.0]])},
}


def recipes() -> dict[str, Any]:
    """Every strategy with its usual settings, made anew."""
    names = [name for name in strategies.__all__ if name != "remembered"]
    return {name: getattr(strategies, name)(*NEEDED.get(name, ())) for name in names}


def of_cases() -> dict[str, Any]:
    """What factories made for the tables of `cases`, by the name of the factory: a new one needs no row here."""
    rows = [
        *(row.function for row in ACQUISITIONS.values()),
        *(row.kernel for row in KERNELS.values()),
        *(row.learner for row in LEARNERS.values()),
        *(row.select.__wrapped__ for row in SELECTORS.values()),
        *TRANSFORMS.values(),
    ]
    made = [(row, made_by(row)) for row in rows]
    return {call.factory.__name__: row for row, call in made if call is not None}


ALL = {f"{package.__name__}.{name}": made for package, table in FACTORIES.items() for name, made in table.items()}
