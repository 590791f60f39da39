"""The tables that the contract tests run over: every public acquisition, selector and learner is a row here."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal import acquisition, learners, selection
from bal.typing import Candidates, Gaussian, Learner

CLASSES, DRAWS, ROWS = 4, 5, 24


class Acquisition(NamedTuple):
    """lower, upper: bounds as functions of (K, C), or None; inputs: "log_probs" or "gaussian"."""

    function: Callable
    inputs: str
    lower: Callable[[int, int], float] | None = None
    upper: Callable[[int, int], float] | None = None


zero = lambda k, c: 0.0
log_c = lambda k, c: float(np.log(c))
log_min = lambda k, c: float(np.log(min(k, c)))

ACQUISITIONS = {
    "bald": Acquisition(acquisition.bald, "log_probs", zero, log_min),
    "consensus_kl": Acquisition(acquisition.consensus_kl, "log_probs", zero, log_min),
    "corrected_bald": Acquisition(
        acquisition.corrected_bald, "log_probs", zero, lambda k, c: log_min(k, c) * k / (k - 1)
    ),
    "expected_entropy": Acquisition(acquisition.expected_entropy, "log_probs", zero, log_c),
    "least_confidence": Acquisition(acquisition.least_confidence, "log_probs", zero, lambda k, c: 1 - 1 / c),
    "margin": Acquisition(acquisition.margin, "log_probs", lambda k, c: -1.0, zero),
    "mean_std": Acquisition(acquisition.mean_std, "log_probs", zero, lambda k, c: 0.5),
    "predictive_entropy": Acquisition(acquisition.predictive_entropy, "log_probs", zero, log_c),
    "variation_ratio": Acquisition(acquisition.variation_ratio, "log_probs", zero, lambda k, c: 1 - 1 / c),
    "vote_entropy": Acquisition(acquisition.vote_entropy, "log_probs", zero, log_min),
    "vote_variation_ratio": Acquisition(
        acquisition.vote_variation_ratio, "log_probs", zero, lambda k, c: 1 - 1 / min(k, c)
    ),
    "epistemic_variance": Acquisition(acquisition.epistemic_variance, "gaussian", zero),
    "gaussian_bald": Acquisition(acquisition.gaussian_bald, "gaussian", zero),
    "gaussian_entropy": Acquisition(acquisition.gaussian_entropy, "gaussian"),
    "total_variance": Acquisition(acquisition.total_variance, "gaussian", zero),
}


def candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are positive scores, at unit cost."""
    scores = jax.random.uniform(jax.random.key(seed), (n,), minval=0.1)
    eligible = jnp.ones(n, bool) if eligible is None else jnp.asarray(eligible)
    return Candidates(scores, jnp.arange(n, dtype=jnp.int32), eligible, jnp.ones(n))


def feature_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are features ``[n, 3]``, beside a labeled buffer of four places of which two are real."""
    rows = jax.random.normal(jax.random.key(seed), (n, 3))
    known = jax.random.normal(jax.random.key(seed + 1), (4, 3))
    scores = candidates(seed, n, eligible)
    return scores._replace(rows=rows, known=known, known_weight=jnp.array([1.0, 1.0, 0.0, 0.0]))


def draw_candidates(seed: int = 0, n: int = ROWS, eligible: Any = None) -> Candidates:
    """Rows that are log probabilities ``[n, K, C]``, all positive."""
    rows = jax.nn.log_softmax(jax.random.normal(jax.random.key(seed), (n, DRAWS, CLASSES)), -1)
    return candidates(seed, n, eligible)._replace(rows=rows)


class Selector(NamedTuple):
    """A selector and what it promises.

    deterministic: the picks do not depend on the key; by_score: rows are scores and the first pick is the best;
    draws_by_position: its random draws hang on the array, not on row ids, so that masking changes them.
    """

    select: Callable
    deterministic: bool
    by_score: bool
    candidates: Callable[..., Candidates] = candidates
    draws_by_position: bool = False


_by_rows = selection.GreedyRule(lambda key, c: (), lambda state, c: c.rows, lambda state, c, i: state)

SELECTORS = {
    "best": Selector(selection.best, True, True),
    "greedy": Selector(selection.greedy(_by_rows), True, True),
    "greedy_draw": Selector(selection.greedy(_by_rows, draw=True), False, False, draws_by_position=True),
    "per_cost": Selector(selection.per_cost(selection.best), True, True),
    "power": Selector(selection.power(1.0), False, False),
    "random_uniform": Selector(selection.random_uniform, False, False),
    "shortlist": Selector(selection.shortlist(3), True, True),
    "softmax": Selector(selection.softmax(2.0), False, False),
    "softrank": Selector(selection.softrank(1.0), False, False),
}
RULES = {"GreedyRule", "Select"}  # names of `bal.selection` that are not selectors


class Case(NamedTuple):
    """A learner with inputs of its kind; has_members: its draws come from separate members."""

    learner: Learner
    image: bool = False


def _small(**kwargs: Any) -> dict:
    return {"num_steps": 20, "minibatch_size": 8, **kwargs}


LEARNERS = {
    "ensemble": Case(learners.ensemble(learners.mlp((16,), num_outputs=CLASSES), 3, **_small())),
    "ensemble_bootstrap": Case(
        learners.ensemble(learners.linear(CLASSES), 3, **_small(bootstrap=True, restart=learners.shrink_and_perturb()))
    ),
    "ensemble_conv": Case(
        learners.ensemble(learners.lenet(CLASSES, channels=(2, 3), kernel=3, hidden=8), 2, **_small(num_steps=3)), True
    ),
    "mc_dropout": Case(
        learners.mc_dropout(learners.mlp((16,), num_outputs=CLASSES, dropout=0.5), 4, **_small(restart=learners.warm))
    ),
}


def log_probs(seed: int = 0, rows: int = ROWS, dtype: Any = jnp.float32) -> jax.Array:
    """Random log probabilities, some of them of probability zero."""
    logits = 2 * jax.random.normal(jax.random.key(seed), (rows, DRAWS, CLASSES), dtype)
    logits = logits.at[::5, :, 0].set(-jnp.inf)
    logits = logits.at[3, 1, 1:].set(-jnp.inf).at[3, 1, 0].set(0.0)
    return jax.nn.log_softmax(logits, -1)


def gaussian(seed: int = 0, rows: int = ROWS, dtype: Any = jnp.float32) -> Gaussian:
    """Random Gaussian predictions."""
    mean, variance, noise = jax.random.normal(jax.random.key(seed), (3, rows, DRAWS), dtype)
    return Gaussian(mean, variance**2, 0.1 + noise**2)


def predictions(kind: str, **kwargs: Any) -> Any:
    return log_probs(**kwargs) if kind == "log_probs" else gaussian(**kwargs)
