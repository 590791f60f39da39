"""Learning to rank sets: each part against its definition, and what is learned against true accuracies of digits."""

from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problem import CENTERS, CLASSES, POOL, TASK, X, Y
from scipy.stats import kendalltau

from bal.datasets import digits
from bal.learned import (
    RankingTasks,
    SetFunction,
    adapt,
    bilevel_ranker,
    deep_sets,
    draw_subsets,
    fixed,
    greedy_sets,
    interpolated,
    learned_utility,
    ranked_subsets,
    ranking_loss,
    set_embedding,
    set_scores,
    task_loss,
    trained,
)
from bal.learners import bayesian_linear
from bal.loop import Campaign, run_eager, run_seeds, seed_keys
from bal.typing import Candidates, Data, Learner, Setup

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
SETS = deep_sets(4, (8,))
MEAN = SetFunction(lambda key, rows: (), lambda params, rows: rows, lambda params, total, size: total[:, 0] / size)
"""A function of sets that can be said in a word: the mean of the first feature."""


def network_by_hand(part, h):
    (hidden,) = part["hidden"].values()
    h = np.maximum(h @ np.float64(hidden["kernel"]) + np.float64(hidden["bias"]), 0)
    return h @ np.float64(part["out"]["kernel"]) + np.float64(part["out"]["bias"])


def scores_by_hand(params, rows, masks):
    """``ρ(mean φ, log size)`` of each set in float64, row by row."""
    phi = [network_by_hand(params["phi"], row) for row in np.float64(rows)]
    members = [np.flatnonzero(mask) for mask in masks]
    means = [np.append(np.mean([phi[row] for row in some], 0), np.log(len(some))) for some in members]
    return np.array([network_by_hand(params["rho"], mean)[0] for mean in means])


@pytest.fixture(scope="module")
def ranked():
    """A function of sets with random parameters, twelve rows, and twenty sets of them."""
    rows = jax.device_put(RNG.normal(size=(12, 5)).astype(np.float32))
    masks = (RNG.random((20, 12)) < 0.4).astype(np.float32)
    masks[:, 0] = 1
    params = jax.jit(SETS.init)(KEY, rows)
    shaken = jax.tree.map(lambda leaf: jax.device_put(leaf + RNG.normal(size=leaf.shape).astype(np.float32)), params)
    return shaken, rows, jax.device_put(masks)  # biases begin at 0


def test_the_score_of_a_set_is_its_definition_in_any_order(ranked):
    params, rows, masks = ranked
    scores = jax.jit(lambda rows, masks: set_scores(SETS, params, rows, masks))
    found = scores(rows, masks)
    np.testing.assert_allclose(found, scores_by_hand(params, np.asarray(rows), np.asarray(masks)), rtol=1e-5)
    order = RNG.permutation(12)
    np.testing.assert_allclose(scores(rows[order], masks[:, order]), found, rtol=1e-6, atol=1e-6)


def test_ranking_loss_is_the_mean_over_ordered_pairs():
    scores, utility = RNG.normal(size=9).astype(np.float32), RNG.integers(0, 4, 9).astype(np.float32)
    pairs = [scores[a] - scores[b] for a in range(9) for b in range(9) if utility[a] > utility[b]]
    loss = jax.jit(ranking_loss)
    np.testing.assert_allclose(loss(scores, utility), np.mean(np.log1p(np.exp(-np.float64(pairs)))), rtol=1e-6)
    assert loss(scores, np.ones(9, np.float32)) == 0


def test_the_outer_gradient_goes_through_the_inner_steps(ranked):
    """Against finite differences of the loss after two of them."""
    params, rows, masks = ranked
    utility = jax.device_put(RNG.random(20).astype(np.float32))
    flat, tree = jax.flatten_util.ravel_pytree(params)
    direction = RNG.normal(size=len(flat))
    with jax.enable_x64(True):
        rows, masks, utility, flat, direction = (
            jnp.asarray(np.float64(one)) for one in (rows, masks, utility, flat, direction)
        )

        def loss(step):
            moved = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), tree(flat + step * direction))
            adapted = adapt(SETS, moved, rows, masks[:10], utility[:10], 0.3, 2)
            return task_loss(SETS, adapted, rows, masks[10:], utility[10:])

        slope = jax.jit(jax.value_and_grad(loss))
        numeric = (slope(1e-6)[0] - slope(-1e-6)[0]) / 2e-6
        np.testing.assert_allclose(slope(0.0)[1], numeric, rtol=1e-4)


def test_subsets_have_their_sizes_and_only_real_rows():
    weight = np.array([1, 1, 0, 1, 1, 1, 1, 0], np.float32)
    rows = RNG.normal(size=(8, 3)).astype(np.float32)
    rows[2] = np.nan
    masks = np.asarray(jax.jit(draw_subsets, static_argnums=(4, 5))(KEY, rows, weight, np.array([2, 5]), 400, 0.0))
    assert set(np.unique(masks)) == {0, 1}
    assert (masks.sum(2) == np.array([[2], [5]])).all()
    assert not masks[:, :, weight == 0].any()
    np.testing.assert_allclose(masks[0].mean(0)[weight > 0], 2 / 6, atol=4 * (2 / 9 / 400) ** 0.5)  # 4 s.e.


def nearest_mean(num_classes):
    """The class whose mean is nearest, among those with a row."""

    def fit(key, state, data):
        members = jax.nn.one_hot(data.y, num_classes, axis=0) * data.weight[None, :]
        count = members.sum(1)
        return members @ data.x / jnp.maximum(count, 1)[:, None], count

    def predict(state, x):
        means, count = state
        nearness = 2 * x @ means.T - jnp.square(means).sum(1)[None, :]
        return jax.nn.log_softmax(jnp.where(count[None, :] > 0, nearness, -1e3), -1)[:, None, :]

    start = lambda key, data: (jnp.zeros((num_classes, data.x.shape[1])), jnp.zeros(num_classes))
    return Learner(start, fit, predict)


def test_utility_is_the_accuracy_of_a_model_of_the_set():
    """Against scikit-learn on the rows of each set alone."""
    from sklearn.neighbors import NearestCentroid

    x, y = digits().x[:60], digits().y[:60].astype(np.int32)
    masks = np.zeros((6, 60), np.float32)
    for mask in masks:
        mask[RNG.choice(40, 20, replace=False)] = 1
    data, validation = Data(x, y, np.ones(60, np.float32)), np.repeat(np.float32([0, 1]), [40, 20])
    found = jax.jit(trained(nearest_mean(10)))(KEY, x, data, masks, validation)
    for mask, one in zip(masks > 0, found, strict=True):
        np.testing.assert_allclose(one, NearestCentroid().fit(x[mask], y[mask]).score(x[40:], y[40:]), atol=1e-6)
    soft = data._replace(y=np.eye(10, dtype=np.float32)[y])
    with pytest.raises(TypeError, match="plain Python"):
        trained(nearest_mean(10)._replace(host=True))
    one_hot_model = nearest_mean(10)
    hard = one_hot_model._replace(fit=lambda key, state, data: one_hot_model.fit(key, state, data._replace(y=y)))
    np.testing.assert_allclose(jax.jit(trained(hard))(KEY, x, soft, masks, validation), found, atol=1e-6)


def test_interpolation_keeps_what_was_measured_and_continues_a_line():
    """The utility is linear in the mean row, which the regression can learn."""
    rows = jax.device_put(RNG.normal(size=(30, 2)).astype(np.float32))
    masks, ones = (jax.device_put(np.float32(one)) for one in (RNG.random((40, 30)) < 0.3, np.ones(30)))
    truth = set_embedding(rows, masks)[:, 0]
    utility = lambda key, rows, data, masks, validation: set_embedding(rows, masks)[:, 0]
    learned = interpolated(utility, 20, bayesian_linear(noise=1e-3, prior=10.0))
    data = Data(rows, np.zeros(30, np.int32), ones)
    found = jax.jit(learned)(KEY, rows, data, masks, ones)
    some = np.linspace(0, 39, 20).round().astype(int)
    np.testing.assert_array_equal(found[some], truth[some])
    np.testing.assert_allclose(found, truth, atol=1e-3)
    logits = Learner(lambda key, data: (), lambda key, state, data: (), lambda state, x: jnp.zeros((len(x), 1, 3)))
    with pytest.raises(TypeError, match=r"real numbers.*use gp_regression"):
        jax.eval_shape(interpolated(utility, 20, logits), KEY, rows, data, masks, ones)


@pytest.fixture(scope="module")
def digits_tasks():
    """Of 80 digits, 256 sets of 5, 10 and 20 to learn from, and 100 new ones of each; accuracies on 300 other rows."""
    order = np.random.default_rng(1).permutation(len(digits().y))[:380]
    x, y = (jax.device_put(one[order]) for one in (digits().x, digits().y.astype(np.int32)))
    real, eye = (jax.device_put(np.float32(one)) for one in (np.repeat([1, 0], [80, 300]), np.eye(10)))
    data, told = Data(x, y, jnp.ones(380)), jnp.concatenate([x, eye[y]], 1)
    utility = trained(nearest_mean(10))

    @jax.jit
    def tasks(key):
        masks = draw_subsets(key, x, real, jnp.array([5, 10, 20]), 356)
        found = utility(key, told, data, masks.reshape(-1, 380), 1 - real)
        return RankingTasks(told[:80], masks[..., :80], found.reshape(3, -1))

    found = tasks(KEY)
    part = lambda rows: found._replace(masks=found.masks[:, rows], utility=found.utility[:, rows])
    return part(slice(0, 256)), part(slice(256, 356))


@pytest.mark.slow
def test_it_ranks_new_sets_of_digits_and_does_not_when_shuffled(digits_tasks):
    seen, new = digits_tasks
    sets = deep_sets(16, (32,))
    ranker = bilevel_ranker(sets, num_steps=80, optimizer=optax.adamw(3e-3, weight_decay=0.1), inner_steps=1)
    shuffled = np.stack([np.random.default_rng(2).permutation(one) for one in np.asarray(seen.utility)])

    @jax.jit
    def scores(utility):
        params = ranker(KEY, seen._replace(utility=utility))
        return jnp.stack([set_scores(sets, params, new.rows, masks) for masks in new.masks])

    taus = lambda found: [kendalltau(*pair).statistic for pair in zip(found, new.utility, strict=True)]
    error = (2 * (2 * 100 + 5) / (9 * 100 * 99)) ** 0.5  # of one tau of 100 pairs without any relation
    assert np.mean(taus(scores(seen.utility))) > 0.3
    assert abs(np.mean(taus(scores(shuffled)))) < 4 * error / 3**0.5


def hidden_preference(key):
    """Three sizes of sets of 24 rows; what a set is worth is how near its mean is to a point, of another scale in each
    size. The middle one has few sets and the last is asked about."""
    rows = jax.random.normal(key, (24, 4))
    masks = draw_subsets(key, rows, jnp.ones(24), jnp.array([3, 6, 12]), 24, 2.0)
    worth = -jnp.square(set_embedding(rows, masks.reshape(-1, 24))[:, :2] - 0.3).sum(1).reshape(3, 24)
    return RankingTasks(rows, masks, worth)


@pytest.mark.slow
def test_two_levels_rank_the_next_size_better_than_one_task():
    """The loss at a size that was never seen, paired over 12 seeds: the t interval of the difference is below 0."""
    two_levels = bilevel_ranker(SETS, num_steps=60, inner_steps=2)
    one_task = bilevel_ranker(SETS, num_steps=60, inner_steps=0)

    @jax.jit
    @jax.vmap
    def losses(key):
        tasks = hidden_preference(key)
        learned = tasks._replace(masks=tasks.masks[:2], utility=tasks.utility[:2])
        alone = learned._replace(masks=learned.masks[jnp.array([0, 0])], utility=learned.utility[jnp.array([0, 0])])
        last = tasks.masks[2], tasks.utility[2]
        found = two_levels(key, learned), one_task(key, alone)
        return jnp.stack([task_loss(SETS, params, tasks.rows, *last) for params in found])

    found = np.asarray(losses(seed_keys(0, 12)))
    difference = found[:, 0] - found[:, 1]
    assert difference.mean() + 2.2 * difference.std(ddof=1) / 12**0.5 < 0  # t of 11 degrees of freedom
    assert found[:, 0].mean() < np.log(2)


@pytest.fixture(scope="module")
def candidates(ranked):
    """Forty rows of what φ makes of them, two of which may not be picked and one is no number, and a labeled sum."""
    from bal.learned.greedy_sets import LabeledSum

    params, *_ = ranked
    elements = RNG.normal(size=(40, 4)).astype(np.float32)
    elements[7] = np.nan
    eligible = np.ones(40, bool)
    eligible[[3, 11]] = False
    labeled = LabeledSum(params, jax.device_put(np.float32([1, -1, 2, 0])), jax.device_put(np.float32(5)))
    index, cost = np.arange(40, dtype=np.int32), np.ones(40, np.float32)
    return jax.tree.map(jax.device_put, Candidates(elements, index, eligible, cost, context=labeled))


def value(candidates, rows):
    """``f(L ∪ rows)``, the sum made anew."""
    labeled, size = candidates.context, float(candidates.context.size) + len(rows)
    total = np.float64(labeled.total) + np.float64(candidates.rows)[np.array(rows, int)].sum(0)
    return network_by_hand(labeled.params["rho"], np.append(total / size, np.log(size)))[0]


def test_greedy_increments_are_those_of_brute_force(candidates):
    selection = jax.jit(greedy_sets(SETS), static_argnums=2)(KEY, candidates, 4)
    picks = selection.indices.tolist()
    assert selection.valid.all()
    assert selection.info["num_nan"] == 4  # one row, counted at every pick
    for number, gain in enumerate(selection.scores):
        before = picks[:number]
        allowed = [row for row in range(40) if row not in (3, 7, 11, *before)]
        gains = {row: value(candidates, [*before, row]) - value(candidates, before) for row in allowed}
        np.testing.assert_allclose(gain, gains[picks[number]], atol=1e-5)
        assert gains[picks[number]] >= max(gains.values()) - 1e-5


def test_a_greedy_batch_promises_more_than_a_hundred_random_ones(candidates):
    found = {
        epsilon: jax.jit(greedy_sets(SETS, epsilon), static_argnums=2)(KEY, candidates, 8) for epsilon in (None, 0.2)
    }
    allowed = np.setdiff1d(np.arange(40), [3, 7, 11])
    by_chance = [value(candidates, RNG.choice(allowed, 8, replace=False)) for _ in range(100)]
    assert value(candidates, found[None].indices.tolist()) > max(by_chance)
    lazy = found[0.2]
    assert value(candidates, lazy.indices.tolist()) > np.mean(by_chance) + 2 * np.std(by_chance)
    assert lazy.valid.all()
    assert len(set(lazy.indices.tolist())) == 8
    assert set(lazy.indices.tolist()) <= set(allowed.tolist())
    assert lazy.indices.tolist() != found[None].indices.tolist()  # eight of forty rows are looked at


QUERY = learned_utility(MEAN, fixed(()))
SETUP = Setup(CENTERS, QUERY, 2, 3, 4)


def test_known_parameters_pick_what_they_say_in_a_run():
    """The mean of the first feature rises most by the largest one."""
    log = run_seeds(seed_keys(0, 1), TASK, SETUP).log
    left = [row for row in range(len(X)) if row not in log.start[0]]
    expected = sorted(left, key=lambda row: -float(X[row, 0]))[:6]
    assert log.indices[0].reshape(-1).tolist() == expected


@pytest.mark.slow
def test_known_parameters_pick_the_same_in_a_campaign():
    log = run_seeds(seed_keys(0, 1), TASK, SETUP).log
    campaign = Campaign(KEY, CENTERS, QUERY, X, capacity=10, num_classes=CLASSES)
    campaign.tell(log.start[0], np.asarray(Y)[log.start[0]])
    assert list(campaign.ask(2)) == log.indices[0, 0].tolist()


def test_of_fewer_than_three_labeled_rows_nothing_is_learned():
    size = lambda key, rows, data, masks, validation: masks.sum(1)
    rank = ranked_subsets(size, lambda key, tasks: jnp.ones(2), num_subsets=2)
    of = jax.jit(lambda weight: rank(KEY, jnp.eye(4), Data(jnp.eye(4), jnp.zeros(4, int), weight)))
    assert np.isnan(of(jnp.array([1.0, 1.0, 0.0, 0.0]))).all()
    assert (of(jnp.array([1.0, 1.0, 1.0, 0.0])) == 1).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: unwrap(learned_utility)(SETS, bilevel_ranker(SETS)), "expected ranked_subsets"),
        (lambda: unwrap(ranked_subsets)(CENTERS, bilevel_ranker(SETS)), "trained.learner. makes"),
        (lambda: unwrap(trained)(SETS), "expected a Learner"),
        (lambda: unwrap(bilevel_ranker)(CENTERS), "expected a function of sets"),
        (lambda: unwrap(interpolated)(trained(CENTERS), 2, SETS), "a utility and a Learner"),
    ],
)
def test_parts_of_another_kind(make, words):
    with pytest.raises(TypeError, match=words):
        make()


@pytest.mark.slow
def test_what_is_learned_from_the_labeled_rows_is_the_same_compiled_and_eager():
    rank = ranked_subsets(
        trained(CENTERS), bilevel_ranker(SETS, num_steps=2, inner_steps=1), fractions=(0.3, 0.6), num_subsets=8
    )
    setup = Setup(CENTERS, learned_utility(SETS, rank, epsilon=0.5), 2, 2, 9)
    log = run_seeds(seed_keys(0, 2), TASK, setup).log
    eager = run_eager(seed_keys(0, 2)[1], TASK, setup)
    np.testing.assert_array_equal(log.indices[1], eager.indices)
    np.testing.assert_allclose(log.scores[1], eager.scores, atol=1e-5)
    assert log.valid.all()
    poisoned = np.where(np.isin(np.arange(40), [*eager.start, *eager.indices.reshape(-1)]), np.asarray(Y), CLASSES - 1)
    again = run_eager(seed_keys(0, 2)[1], TASK._replace(oracle=poisoned), setup)
    np.testing.assert_array_equal(again.indices, eager.indices)
    assert POOL.present.all()
