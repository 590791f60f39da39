"""Several labels a row, labels that nobody knows, and answers that are sets of classes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from bal.acquisition import labels_bald
from bal.evaluation import label_sets
from bal.learners import candidate_sets, categorical, ensemble, evidence, linear, multi_label
from bal.loop import Campaign, run, seed_keys
from bal.loop.checks import check_kind, check_predictions
from bal.loop.doors import check_answers
from bal.pool import make_pool
from bal.query import by_score
from bal.typing import ABSTAINED, Data, Learner, MultiLabel, Setup, Task

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)).astype(np.float32)
Y = np.stack([X[:, 0] > 0, X[:, 1] > 0, X.sum(1) > 0], 1).astype(np.float32)
OUTPUTS = jnp.asarray(RNG.normal(size=(6, 3)))
ANSWERS = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0.5, 1, 0], [0, 1, ABSTAINED], [ABSTAINED] * 3], np.float32)
TOLD = jnp.asarray(ANSWERS)


@partial(jax.jit, static_argnums=0)
def with_slopes(likelihood, outputs, y):
    """The loss of each row, and its slopes in the outputs."""
    loss = lambda outputs: (likelihood.loss(outputs, y).sum(), likelihood.loss(outputs, y))
    slopes, each = jax.grad(loss, has_aux=True)(outputs)
    return each, slopes


def test_the_loss_is_that_of_each_label_that_was_told():
    p, told = 1 / (1 + np.exp(-np.asarray(OUTPUTS, float))), ANSWERS != ABSTAINED
    each = -ANSWERS * np.log(p) - (1 - ANSWERS) * np.log(1 - p)
    expected = np.where(told, each, 0).sum(1)
    loss, slopes = with_slopes(multi_label, OUTPUTS, TOLD)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(slopes, np.where(told, p - ANSWERS, 0), atol=1e-6)
    with pytest.raises(ValueError, match=r"expected labels of shape \(6, 3\), one for each output, got \(6,\)"):
        multi_label.loss(OUTPUTS, TOLD[:, 0])


def descend(key, state, data):
    """Two regressions for each label by plain descent: the second is stopped early."""

    def loss(slopes):
        return jnp.sum(data.weight * multi_label.loss(data.x @ slopes, data.y)) / jnp.maximum(data.weight.sum(), 1)

    step = lambda slopes, _: (slopes - 0.5 * jax.grad(loss)(slopes), slopes)
    last, path = jax.lax.scan(step, jnp.zeros_like(state[0]), None, 100)
    return jnp.stack([last, path[20]])


PLAIN = Learner(
    lambda key, data: jnp.zeros((2, data.x.shape[1], data.y.shape[1])),
    descend,
    lambda state, x: MultiLabel(jnp.einsum("nd,kdg->nkg", x, state)),
)


def test_a_whole_run_asks_for_label_sets():
    setup = Setup(PLAIN, by_score(labels_bald), 3, 4, num_initial=6, evaluate=label_sets())
    task = Task(make_pool(X), Y, (jnp.asarray(X), jnp.asarray(Y)))
    log = run(seed_keys(0, 1)[0], task, setup)
    assert log.y.shape == (4, 3, 3)
    np.testing.assert_array_equal(log.y, Y[np.asarray(log.indices)])
    assert float(log.metrics["f1"][-1]) > 0.8
    learned = np.concatenate([np.asarray(log.start), np.asarray(log.indices).ravel()])
    for g in range(3):  # an optimum of scikit-learn's without penalty separates as well
        own = LogisticRegression(C=10.0, fit_intercept=False).fit(X[learned], Y[learned, g])
        assert own.score(X, Y[:, g]) > 0.8


def test_labels_at_the_doors():
    prediction = MultiLabel(np.zeros((2, 3, 3), np.float32))
    check_kind(prediction, None, 3)
    check_predictions(MultiLabel(-np.ones((4, 2, 3))), 4)
    assert check_answers(prediction, Y > 0.5, np.arange(40)).dtype.kind == "f"
    np.testing.assert_array_equal(check_answers(prediction, ANSWERS, np.arange(6)), ANSWERS)
    for y, message in (
        (np.array([[0, 1, 2.0]]), r"the labels of row 7, \[0.0, 1.0, 2.0\], are not all 0 or 1"),
        (np.zeros((1, 2)), r"expected 1 rows of 3 labels, each 0 or 1, got an array of shape \(1, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            check_answers(prediction, y, np.array([7]))


def test_a_campaign_of_label_sets_and_of_what_nobody_knows():
    campaign = Campaign(seed_keys(0, 1)[0], PLAIN, by_score(labels_bald), X, capacity=12, num_outputs=3)
    rows = campaign.ask(4)
    unknown = Y[rows].copy()
    unknown[0, 1] = ABSTAINED
    with pytest.raises(ValueError, match="are not all 0 or 1; a label that is not known is"):
        campaign.tell(rows, unknown + 1)
    campaign.tell(rows, unknown)
    picked = campaign.ask(2)
    campaign.skip(picked[:1])  # "I don't know" of a whole row: asked, not answered, not asked again
    assert picked[0] not in campaign.ask(2)
    np.testing.assert_array_equal(campaign.labels[0], unknown[0])


def test_sets_of_possible_classes_are_evidence():
    sets = [2, (0, 1), [0, 1, 2], (1,)]
    rows = candidate_sets(sets, 3)
    log_p = log_softmax(np.asarray(OUTPUTS[:4], float), -1)
    sizes = np.array([1, 2, 3, 1])
    expected = [-np.log(np.exp(log_p[n])[np.atleast_1d(one)].sum()) for n, one in enumerate(sets)]
    outputs = np.asarray(OUTPUTS)[:4]
    loss, slopes = map(np.asarray, with_slopes(evidence, outputs, rows))
    np.testing.assert_allclose(loss, expected + np.log(sizes), atol=1e-6)
    assert abs(loss[2] - np.log(3)) < 1e-6  # says nothing
    soft = np.asarray(with_slopes(categorical, outputs, rows)[1])
    np.testing.assert_allclose(slopes[2], 0, atol=1e-6)
    assert np.abs(soft[2]).max() > 0.05  # as soft labels the same set asks for a third each
    np.testing.assert_allclose(slopes[np.array([0, 3])], soft[np.array([0, 3])], atol=1e-6)  # sets of one are labels


@pytest.mark.parametrize("one", [(), (3,), -1])
def test_sets_without_a_class(one):
    with pytest.raises(ValueError, match=r"expected for row 1 one or more classes in 0 \.\. 2, got"):
        candidate_sets([0, one], 3)


@pytest.mark.slow
def test_half_the_classes_ruled_out_teach_an_ensemble():
    """Candidate sets of two of three classes lead to the classes; as soft labels they leave it unsure."""
    y = np.argmax(X @ RNG.normal(size=(2, 3)), 1)
    other = (y + RNG.integers(1, 3, 40)) % 3
    rows = jnp.asarray(candidate_sets(list(zip(y, other)), 3), jnp.float32)
    chance = {}
    for name, likelihood in (("evidence", evidence), ("soft", categorical)):
        learner = ensemble(linear(3), 2, num_steps=300, likelihood=likelihood)
        data = Data(jnp.asarray(X), rows, jnp.ones(40))
        fit = jax.jit(lambda key, data, learner=learner: learner.fit(key, learner.init(key, data), data))
        probs = np.exp(jax.jit(learner.predict)(fit(jax.random.key(0), data), data.x)).mean(1)
        chance[name] = probs[np.arange(40), y].mean()
    assert chance["evidence"] > chance["soft"]
