"""Proposals on a box from a campaign: the scores of its query, climbed; a batch as if answers had come; one program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from campaigns import COUNTING, KEY, QUERY, Kept, X, open_campaign
from gpjax.kernels import RBF

from bal.acquisition import epistemic_variance
from bal.learners.gp import gp_regression, process
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
    over = Campaign(KEY, **{**ON_LINE, "query": query, "over": streamed(5)})
    over.tell([0], [2.0])
    np.testing.assert_allclose(over.propose([0.0], [1.0], 2).x, x, atol=1e-4)


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
    assert campaign._query_of is QUERY
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
