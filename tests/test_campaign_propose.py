"""Proposals on a box from a campaign: the scores of its query, climbed; a batch as if answers had come; one program."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from campaigns import COUNTING, KEY, QUERY, Kept, X, open_campaign
from gpjax.kernels import RBF, Matern52
from gpjax.parameters import PositiveReal, val
from paramax import non_trainable

from bal import strategies
from bal.acquisition import epistemic_variance
from bal.learners.gp import gp_regression, maximum_likelihood, process
from bal.loop import Campaign
from bal.loop.round import PROPOSE
from bal.pool import host, streamed
from bal.query import Query, Stage, alc_scores, by_score, embeddings, propose, score, targets
from bal.selection import best
from bal.typing import Gaussian, Learner

LINE = np.linspace(0, 1, 12, dtype=np.float32)[:, None]
TRACED = []


def counted(prediction):
    TRACED.append(1)
    return epistemic_variance(prediction)


GP = gp_regression(process(RBF(lengthscale=0.2), noise=0.01))
ON_LINE = {"learner": GP, "query": by_score(counted, best), "x": LINE, "capacity": 12}


@pytest.fixture(scope="module")
def measured():
    campaign = Campaign(KEY, **ON_LINE)
    campaign.tell([0, 11], [3.0, 5.0])
    return campaign


def variance(x, given):
    """Posterior variance of the process at x, by linear algebra."""
    k = lambda a, b: np.exp(-0.5 * ((a[:, None] - b[None]) / 0.2) ** 2)
    solved = np.linalg.solve(k(given, given) + 0.01 * np.eye(len(given)), k(given, x))
    return 1 - (k(x, given) * solved.T).sum(1)


def test_a_batch_is_the_greedy_one(measured):
    """Each input has the highest variance on the whole box, given all measured and the inputs before it."""
    found = measured.propose([0.0], [1.0], batch_size=3)
    assert found.x.shape == (3, 1)
    grid, given = np.linspace(0, 1, 2001), [0.0, 1.0]
    for x, height in zip(np.asarray(found.x)[:, 0].astype(float), np.asarray(found.score)):
        expected = variance(grid, np.array(given))
        np.testing.assert_allclose(height, expected.max(), rtol=1e-3)
        np.testing.assert_allclose(variance(np.array([x]), np.array(given)), expected.max(), rtol=1e-3)
        given.append(x)


def test_a_box_of_equal_scores_is_warned_of(measured):
    flat = by_score(lambda prediction: jnp.ones_like(epistemic_variance(prediction)))
    with pytest.warns(UserWarning, match="for 2 of 2 inputs all scores in the box were equal, so that chance chose"):
        measured.propose([0.0], [1.0], 2, query=flat)


LOW, HIGH = np.array([300.0, 4.0]), np.array([450.0, 9.0])
AXES = [np.linspace(low, high, 6) for low, high in zip(LOW, HIGH)]
DESIGN = np.stack(np.meshgrid(*AXES), -1).reshape(-1, 2)
TWICE = np.concatenate([DESIGN[::4], DESIGN[::4]])
LENGTH = np.array([100.0, 3.4])
FITTED = gp_regression(
    process(Matern52(lengthscale=non_trainable(PositiveReal(jnp.asarray(LENGTH)))), 0.1),
    maximum_likelihood(60, optimizer=optax.adam(0.1)),
)


class Exact:
    """The drop of the mean variance on the design by linear algebra in float64, under the fit of a campaign."""

    def __init__(self, state, given):
        square = np.mean(np.asarray(state.units.scale, float) ** 2)
        kernel, noise = state.params.kernel, np.asarray(val(state.params.noise), float)
        self.variance, self.noise = np.asarray(val(kernel.variance), float)[0] * square, noise[0] * square
        self.given = given

    def k(self, a, b):
        r = np.sqrt(5 * (((a[:, None] - b[None]) / LENGTH) ** 2).sum(-1))
        return self.variance * (1 + r + r**2 / 3) * np.exp(-r)

    def drop(self, x):
        known = self.k(self.given, self.given) + self.noise * np.eye(len(self.given))
        solved = np.linalg.solve(known, self.k(self.given, x))
        covariance = self.k(DESIGN, x) - self.k(DESIGN, self.given) @ solved
        variance = self.variance - (self.k(self.given, x) * solved).sum(0)
        return (covariance**2).mean(0) / (variance + self.noise)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:1 of 1 fits have not converged")
@pytest.mark.parametrize(("trend", "deviation"), [(1.0, 1.0), (0.1, 40.0)])
def test_a_batch_of_a_laboratory_is_the_greedy_one_under_the_fit(trend, deviation):
    """Two labels in natural units, hyper-parameters fitted to them and held within the batch, ALC of a batch rule.

    Little noise: eight different inputs. Much noise: the greedy batch is nearly one input again and again.
    """
    query = strategies.batch_alc(jnp.asarray(DESIGN))
    campaign = Campaign(KEY, FITTED, query, TWICE.astype(np.float32), capacity=28, num_outputs=2)
    height = trend * (TWICE[:, 0] - 375) / 3
    some = np.random.default_rng(0).normal(0, deviation, (len(TWICE) // 2, 2))
    noise = np.concatenate([some, -some])
    campaign.tell(np.arange(len(TWICE)), np.stack([60 + height, height / 1000], 1) + noise * [1, 1e-3])
    found = campaign.propose(LOW, HIGH, 8)
    exact = Exact(campaign.posterior.state, TWICE)
    grid = np.stack(np.meshgrid(*[np.linspace(low, high, 61) for low, high in zip(LOW, HIGH)]), -1).reshape(-1, 2)
    for x, gain in zip(np.asarray(found.x, float), np.asarray(found.score, float)):
        np.testing.assert_allclose(exact.drop(x[None])[0], gain, rtol=1e-3)
        assert gain >= 0.99 * exact.drop(grid).max()
        exact.given = np.vstack([exact.given, x])
    places = np.asarray(found.x, float) / (HIGH - LOW)
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)[np.triu_indices(8, 1)]
    if deviation == 1:
        assert exact.noise < 0.05 * exact.variance
        assert apart.min() > 0.05
    else:
        assert exact.noise > 10 * exact.variance
        assert apart.max() < 0.1


def test_the_climb_is_traced_once_for_a_batch():
    """Scores of the samples, and slopes in the loop: three times at most, where a loop is traced twice."""
    traced = []

    def noted(prediction):
        traced.append(1)
        return epistemic_variance(prediction)

    campaign = open_campaign(query=by_score(noted, best))
    campaign.tell([0, 1], [1.0, 2.0])
    campaign.propose([0, 0], [1, 1], 4)
    assert 0 < len(traced) <= 3


def test_one_program_serves_all_calls(measured):
    measured.propose([0.0], [1.0], batch_size=2)
    TRACED.clear()
    measured.propose([0.0], [0.5], batch_size=3)
    measured.tell([5], [1.0])
    measured.propose([0.1], [0.2])
    assert TRACED == []


def test_the_first_proposal_is_that_of_the_posterior():
    campaign = open_campaign(query=by_score(epistemic_variance, best))
    campaign.tell([0, 1], [1.0, 2.0])
    found = campaign.propose([0, 0], [1, 1])
    key = jax.random.split(jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(KEY, 0), PROPOSE), 0), 3)[0]
    alone = jax.jit(propose, static_argnames="rows")(
        key, campaign.posterior, score(epistemic_variance), None, np.zeros(2, np.float32), np.ones(2, np.float32)
    )
    np.testing.assert_allclose(found.x[0], alone.x, rtol=1e-6)
    np.testing.assert_allclose(found.score[0], alone.score, rtol=1e-6)


def test_nothing_changes_and_the_same_call_proposes_the_same():
    record = Kept()
    campaign = open_campaign(record, query=by_score(epistemic_variance, best))
    campaign.tell([0, 1], [1.0, 2.0])
    before, events = campaign._now, list(record.events)
    one, two = (campaign.propose([0, 0], [1, 1], 2) for _ in range(2))
    np.testing.assert_array_equal(one.x, two.x)
    assert campaign._now is before
    assert record.events == events
    x = np.asarray(one.x)
    assert ((x >= 0) & (x <= 1)).all()


def test_a_score_about_targets_is_climbed_with_its_context():
    """ALC on the right half: the first input is there, and what is proposed can join the pool and be told."""
    right = jnp.linspace(0.6, 1, 9)[:, None]
    query = Query((Stage(alc_scores, best, context=targets(right)),))
    campaign = Campaign(KEY, **{**ON_LINE, "query": query, "pool_capacity": 20})
    campaign.tell([0], [2.0])
    x = campaign.propose([0.0], [1.0], 2).x
    assert (np.asarray(x) > 0.6).all()
    rows = campaign.add(x)
    campaign.tell(rows, [1.0, 2.0])
    assert campaign.num_labeled == 3


@pytest.mark.slow
def test_a_streamed_pool_changes_no_proposal():
    query = Query((Stage(alc_scores, best, context=targets(jnp.linspace(0.6, 1, 9)[:, None])),))
    campaigns = [Campaign(KEY, **{**ON_LINE, "query": query, "over": over}) for over in (None, streamed(5))]
    for campaign in campaigns:
        campaign.tell([0], [2.0])
    whole, in_pieces = (campaign.propose([0.0], [1.0], 2).x for campaign in campaigns)
    np.testing.assert_allclose(in_pieces, whole, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 0], [1]), r"corners low and high of 2 finite numbers each, got shapes \[\(2,\), \(1,\)\]"),
        ((0, 1), "2 finite numbers each"),
        (([0, 0], ["a", "b"]), "expected the corners of the box as numbers"),
        (([0, 0], [1, np.inf]), "2 finite numbers each"),
        (([0, 2], [1, 1]), "expected low <= high"),
        (([0, 0], [1, 1], 0), "batch_size must be at least 1"),
        (([0, 0], [1, 1], 99), "room for 98 more"),
    ],
)
def test_wrong_boxes(arguments, message):
    campaign = open_campaign(query=by_score(epistemic_variance, best))
    campaign.tell([0, 1], [1.0, 2.0])
    with pytest.raises(ValueError, match=message):
        campaign.propose(*arguments)


def test_what_cannot_be_climbed_is_refused():
    with pytest.raises(ValueError, match="nothing is labeled yet"):
        open_campaign(query=by_score(epistemic_variance, best)).propose([0, 0], [1, 1])
    campaign = open_campaign()
    campaign.tell([0, 1], [1.0, 2.0])
    assert campaign._model.query is QUERY
    with pytest.raises(ValueError, match="no stage of this query maps rows to scores; hand one to propose"):
        campaign.propose([0, 0], [1, 1])
    assert campaign.propose([0, 0], [1, 1], query=by_score(epistemic_variance, best)).x.shape == (1, 2)
    embedded = open_campaign(
        learner=COUNTING._replace(embed=lambda state, x: x[:, None]), query=Query((Stage(embeddings, best),))
    )
    embedded.tell([0], [1.0])
    with pytest.raises(
        ValueError, match=r"climbs one score per input, but the first stage of this query makes \(1024, 1, 2\)"
    ):
        embedded.propose([0, 0], [1, 1])
    other = open_campaign(over=host(), query=by_score(epistemic_variance, best))
    other.tell([0], [1.0])
    with pytest.raises(TypeError, match="which a model of another library does not have"):
        other.propose([0, 0], [1, 1])


def test_scores_that_are_finite_nowhere_are_named():
    nothing = Learner(
        COUNTING.init, COUNTING.fit, lambda state, x: Gaussian(*(jnp.full((len(x), 1), jnp.nan) for _ in range(3)))
    )
    campaign = open_campaign(learner=nothing, query=by_score(epistemic_variance, best))
    campaign.tell([0], [1.0])
    with pytest.raises(ValueError, match="finite nowhere in the box"):
        campaign.propose([0, 0], [1, 1])
    assert X.shape[1] == 2
