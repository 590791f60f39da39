"""(IA)³, LoRA, T-Few's losses, and learners made of adapters, on a tiny encoder with random weights."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bal.adapters import (
    TokenStates,
    adapted,
    adapter_ensemble,
    beta,
    count_parameters,
    draw_lora,
    full,
    head_only,
    ia3,
    ia3_size,
    inference_flops,
    init_ia3,
    init_lora,
    length_normalized_loss,
    lm_loss,
    lora,
    merge_ia3,
    merge_lora,
    only,
    places_of,
    rank,
    tfb,
    tfew_loss,
    tfew_optimizer,
    training_flops,
    tune,
    unlikelihood_loss,
    upper,
)
from bal.adapters.tfew import OFFICIAL_EPSILON
from bal.backbones import Source, TextEncoder
from bal.backbones.bert import Bert, BertConfig
from bal.learners import ensemble
from bal.testing import check_learner
from bal.typing import Data

KEY = jax.random.key(0)
SIZES = BertConfig(vocabulary=20, width=8, num_layers=2, num_heads=2, feed=12, positions=8)
RNG = np.random.default_rng(0)


def weights(module):
    """Random ones, norms at 1, nothing compiled."""
    shapes = jax.eval_shape(module.init, KEY, jnp.zeros((1, 2), jnp.int32), jnp.ones((1, 2), bool))
    draw = lambda path, leaf: np.float32(("norm" in str(path)) + 0.4 * RNG.normal(size=leaf.shape))
    return jax.tree.map(jnp.asarray, jax.tree_util.tree_map_with_path(draw, shapes))


ENCODER = TextEncoder(Bert(SIZES), weights(Bert(SIZES)), None, Source("tiny", "", "", ""))
TOKENS, MASK = jnp.asarray(RNG.integers(0, 20, (3, 5))), jnp.asarray(np.arange(5) < np.array([[5], [3], [1]]))
TOP = upper(ENCODER, last=1)
PARAMS = ENCODER.variables["params"]


def states(params=PARAMS, **collections):
    return ENCODER.module.apply({"params": params} | collections, TOKENS, MASK)


def random_like(tree, scale=0.5):
    return jax.tree.map(lambda leaf: leaf + scale * np.float32(RNG.normal(size=leaf.shape)), tree)


def states_data(num_rows=10):
    """A buffer of token states, some rows of weight 0, labels that the states tell."""
    hidden = np.float32(RNG.normal(size=(num_rows, 5, 8)))
    x = TokenStates(jnp.asarray(hidden), jnp.asarray(np.arange(5) < RNG.integers(1, 6, (num_rows, 1))))
    return Data(x, jnp.asarray(hidden[:, 0, 0] > 0, jnp.int32), jnp.asarray([1.0, 0.0] + [1.0] * (num_rows - 2)))


ALL = places_of(ENCODER.module, ENCODER.variables)


@pytest.mark.parametrize(
    "adapter", [init_ia3(ALL), init_lora(KEY, ALL, 2), init_lora(KEY, ALL, 2, ("key", "feed_in"), alpha=4.0)]
)
def test_an_adapter_begins_as_the_identity_bit_by_bit(adapter):
    np.testing.assert_array_equal(states(**adapter), states())


def test_an_adapter_that_is_merged_has_the_same_outputs():
    scales = random_like(init_ia3(ALL))
    np.testing.assert_allclose(states(merge_ia3(PARAMS, scales, ALL)), states(**scales), atol=1e-5)
    assert np.abs(states(**scales) - states()).max() > 0.1
    product = random_like(init_lora(KEY, ALL, 2, ("query", "feed_out")))
    product["lora"]["layers_0"]["attention"]["query"]["scale"] = jnp.float32(0.3)
    np.testing.assert_allclose(states(merge_lora(PARAMS, product)), states(**product), atol=1e-5)
    with pytest.raises(ValueError, match=r"entry for layers_9\.key, which the network does not have"):
        merge_ia3(PARAMS, {"ia3": {"layers_9": {"key": {"scale": jnp.ones(2)}}}}, ALL)


def test_parameters_and_flops_are_those_of_the_paper():
    assert count_parameters(init_ia3(ALL)) == ia3_size(2, 0, 8, 8, 12) == 2 * 28
    assert count_parameters(init_ia3(TOP.places)) == 28
    assert {place.block for place in TOP.places} == {1}
    assert count_parameters(init_lora(KEY, ALL, 3)) == 2 * 2 * 3 * (8 + 8)
    assert ia3_size(24, 24, 64 * 64, 64 * 64, 10240) == 1_081_344
    assert 4 * ia3_size(24, 24, 4096, 4096, 10240) == pytest.approx(4.33e6, rel=2e-3)  # bytes: "4.2 MB"
    assert inference_flops(11e9, 103) == pytest.approx(1.1e12, rel=0.05)
    assert inference_flops(175e9, 41 * 98 + 103, decoder_only=True) == pytest.approx(1.4e15, rel=0.05)
    assert training_flops(11e9, 1000, 8, 103) == pytest.approx(2.7e16, rel=0.02)


def answers():
    log_probs = np.log(RNG.uniform(0.05, 0.95, (4, 3, 5)))
    mask = np.arange(5) < RNG.integers(1, 6, (4, 3, 1))
    y = RNG.integers(0, 3, 4)
    hidden = np.where(mask, log_probs, np.array([np.nan, np.inf, -np.inf, 3.0, -7.0]))  # padding says anything
    return log_probs, mask, y, (jnp.asarray(hidden, jnp.float32), jnp.asarray(mask), jnp.asarray(y))


def test_losses_of_t_few_against_their_definition():
    log_probs, mask, y, given = answers()
    row_lm, row_ul, row_ln, scores = [], [], [], []
    for n in range(4):
        means = [np.mean([log_probs[n, c, t] for t in range(5) if mask[n, c, t]]) for c in range(3)]
        wrong = [(c, t) for c in range(3) for t in range(5) if c != y[n] and mask[n, c, t]]
        row_lm.append(-means[y[n]])
        row_ul.append(-sum(np.log(1 - np.exp(log_probs[n, c, t])) for c, t in wrong) / len(wrong))
        row_ln.append(-np.log(np.exp(means[y[n]]) / np.exp(means).sum()))
        scores.append(means)

    @jax.jit
    def every(p, mask, y):
        given = p, mask, y
        plain = {"unlikelihood": False, "length_normalized": False}
        slopes = jax.grad(lambda p: tfew_loss(p, mask, y).sum())(p)
        parts = lm_loss(*given), unlikelihood_loss(*given), length_normalized_loss(*given)
        sums = tfew_loss(*given), tfew_loss(*given, unlikelihood=False), tfew_loss(*given, **plain)
        return beta(p, mask), rank(p, mask), parts, sums, unlikelihood_loss(*given, OFFICIAL_EPSILON), slopes

    means, ranked, parts, sums, damped, slopes = every(*given)
    np.testing.assert_allclose(means, scores, rtol=1e-5)
    np.testing.assert_array_equal(ranked.argmax(1), np.argmax(scores, 1))
    np.testing.assert_allclose(parts, [row_lm, row_ul, row_ln], rtol=1e-4)
    whole = np.sum([row_lm, row_ul, row_ln], 0)
    np.testing.assert_allclose(sums, [whole, np.add(row_lm, row_ln), row_lm], rtol=1e-4)
    assert (damped < parts[1]).all()
    assert np.isfinite(slopes).all()
    assert not np.asarray(slopes)[~mask].any()


def test_an_answer_that_is_not_there_is_no_answer():
    tokens, mask = jnp.full((2, 3, 2), -0.7), jnp.asarray([[[True, True], [True, False], [False, False]]] * 2)
    tokens, mask, y = (
        tokens.at[0, 2].set(0.0),
        mask.at[1].set(False),
        jnp.array([0, 0]),
    )  # as log_probabilities fills it
    np.testing.assert_allclose(np.exp(rank(tokens, mask)), [[0.5, 0.5, 0.0], [1 / 3] * 3], rtol=1e-6)
    np.testing.assert_allclose(length_normalized_loss(tokens, mask, y), np.log([2, 3]), rtol=1e-6)
    slopes = jax.grad(lambda tokens: tfew_loss(tokens, mask, y).sum())(tokens)
    assert np.isfinite(slopes).all()
    assert not np.asarray(slopes)[~np.asarray(mask)].any()


@pytest.mark.parametrize("num_wrong", [1, 4])
def test_equal_answers_cost_the_logarithm_of_their_number(num_wrong):
    tokens = jnp.full((2, num_wrong + 1, 3), -0.7)
    mask = np.arange(3) < np.arange(1, num_wrong + 2)[None, :, None] % 3 + 1  # of different lengths
    loss = length_normalized_loss(tokens, jnp.asarray(np.broadcast_to(mask, tokens.shape)), jnp.array([0, 1]))
    np.testing.assert_allclose(loss, np.log(num_wrong + 1), rtol=1e-6)


@pytest.mark.slow  # its docstring says it of one direction
def test_draws_of_lora_are_isotropic_in_what_b_reaches():
    a, b = np.float32(RNG.normal(size=(3, 2))), np.float32(RNG.normal(size=(2, 5)))
    drawn = jax.vmap(lambda key: draw_lora(key, {"lora": {"key": {"a": jnp.asarray(a), "b": jnp.asarray(b)}}}, 0.3))(
        jax.random.split(KEY, 4000)
    )
    moves = np.einsum("kir,ro->kio", np.asarray(drawn["lora"]["key"]["a"]) - a, b)
    reached = b.T @ np.linalg.solve(b @ b.T, b)  # the projector on the rows of B
    covariance = np.einsum("kio,kjp->iojp", moves, moves) / len(moves)
    wanted = 0.09 * np.einsum("ij,op->iojp", np.eye(3), reached)
    np.testing.assert_allclose(covariance, wanted, atol=6 * 0.09 / np.sqrt(4000))
    flat = draw_lora(
        KEY, {"lora": {"key": {"a": jnp.asarray(a), "b": jnp.zeros((2, 5))}}}, 0.3
    )  # nothing is reached: nothing moves
    np.testing.assert_array_equal(flat["lora"]["key"]["a"], a)


def test_training_moves_the_adapter_and_has_moments_of_it_alone():
    variables = {"params": PARAMS, **random_like(init_lora(KEY, ALL, 2, alpha=4.0)), "head": jnp.ones(8)}
    rule = only(optax.adam(0.1), "lora", "head")
    moments = rule.init(variables)
    learned = sum(leaf.size for leaf in jax.tree.leaves(variables) if leaf.shape) - count_parameters(PARAMS)
    assert count_parameters(moments) == 2 * learned + 1
    moved, _ = rule.update(jax.tree.map(jnp.ones_like, variables), moments, variables)
    size = {name: max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(moved[name])) for name in moved}
    assert size["params"] == 0 < size["head"]
    assert not any(leaf.any() for leaf in jax.tree.leaves(moved["lora"]) if not leaf.shape)  # alpha / rank
    row = lambda v, x, y, key: (x @ v["params"] * v["ia3"] - y) ** 2
    data = Data(jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32), jnp.ones(6), jnp.ones(6))
    fit = lambda frozen: tune(row, optax.sgd(0.1), KEY, {"ia3": jnp.ones(())}, {"params": frozen}, data, 3, 2)
    program = jax.make_jaxpr(fit)(jnp.ones(4))
    assert not any(np.shape(const) == (4,) for const in program.consts)
    with pytest.raises(ValueError, match="ia3 are both; leave one out"):
        tune(row, optax.sgd(0.1), KEY, {"ia3": 1}, {"ia3": 1}, data, 3, 2)


def test_padding_of_tokens_changes_nothing():
    net, data = adapted(TOP, 3, head_only()), states_data(3)
    params = net.init(KEY, data.x)
    other = data.x._replace(hidden=jnp.asarray(np.where(data.x.mask[..., None], data.x.hidden, np.float32(77.0))))
    np.testing.assert_allclose(net.apply(params, other)[0], net.apply(params, data.x)[0], atol=1e-6)
    with pytest.raises(ValueError, match=r"hidden states are \[n, T, 8\], got \(3, 5, 4\)"):
        net.apply(params, data.x._replace(hidden=data.x.hidden[..., :4]))


def test_the_upper_blocks_are_those_of_the_whole_encoder():
    net = adapted(TOP, 2, full())
    below = ENCODER.module.apply(ENCODER.variables, ENCODER.module.apply(ENCODER.variables, TOKENS, method="embed"),
                                 MASK, 0, 1, method="blocks")  # fmt: skip
    params = net.init(KEY, TokenStates(below, MASK))
    assert count_parameters(params["adapter"]) == count_parameters(PARAMS["layers_1"])
    found = net.apply(params, TokenStates(below, MASK))[1]
    weight = np.asarray(MASK, float)[..., None]
    np.testing.assert_allclose(found, (states() * weight).sum(1) / weight.sum(1), rtol=1e-5, atol=1e-6)


@pytest.mark.slow  # members are those of `ensemble` by the test below, which keeps it
def test_an_ensemble_of_adapters_keeps_the_contract_of_learners():
    learner = adapter_ensemble(adapted(TOP, 2, ia3()), 2, num_steps=8, minibatch_size=8)
    data = states_data()
    state = jax.eval_shape(learner.init, KEY, data)
    assert count_parameters(state) == 2 * (28 + 2 * 8 + 2)  # of what is frozen not one number
    check_learner(learner, data=data)


@pytest.mark.slow  # the search itself is in the docstring of `largest_within`
def test_a_bayesian_adapter_keeps_to_its_tolerance():
    adapter = lora(2)
    learner = tfb(adapted(TOP, 2, adapter), adapter, 3, tolerance=0.02, max_sigma=4.0, num_steps=40,
                  optimizer=optax.adam(0.05), num_bisections=8, minibatch_size=8)  # fmt: skip
    data = states_data()
    state = jax.jit(lambda key: learner.fit(key, learner.init(key, data), data))(KEY)
    assert 0 < state.sigma < 4.0
    assert 0 <= state.drawn_loss - state.loss <= 0.02
    predictions = jax.jit(learner.predict)(state, data.x)
    each = -np.take_along_axis(np.asarray(predictions), np.asarray(data.y)[:, None, None], 2)[..., 0].mean(1)
    weight = np.asarray(data.weight)
    np.testing.assert_allclose(state.drawn_loss, (weight * each).sum() / weight.sum(), rtol=1e-4)
    with pytest.raises(ValueError, match=r"has no `draw`; use lora\(...\) or ia3\(\)"):
        tfb(adapted(TOP, 2, full()), full(), 3)


@pytest.mark.slow  # the contract does not ask for it
def test_members_mapped_together_are_those_of_an_ensemble_one_after_the_other():
    net, data = adapted(TOP, 2, lora(2)), states_data()
    settings = {"optimizer": optax.adam(0.01), "num_steps": 20, "minibatch_size": 8, "bootstrap": True}
    found = []
    for learner in (adapter_ensemble(net, 3, **settings), ensemble(net, 3, **settings)):
        fit = jax.jit(lambda key, learner=learner: learner.fit(key, learner.init(key, data), data))
        found.append(jax.jit(learner.predict)(fit(KEY), data.x))
    np.testing.assert_allclose(*found, atol=1e-4)


def test_the_recipe_warms_up_and_decays():
    rule, params = tfew_optimizer(20), {"scale": jnp.ones(4)}

    def step(moments, _):
        updates, moments = rule.update({"scale": jnp.full(4, 0.1)}, moments, params)
        return moments, jnp.abs(updates["scale"]).max()

    sizes = np.asarray(jax.jit(lambda: jax.lax.scan(step, rule.init(params), None, 20)[1])())
    assert sizes[0] == 0  # the first step of the warm-up
    np.testing.assert_allclose(sizes[2:] / sizes[1], 1 - np.arange(1, 19) / 19, rtol=1e-3)  # 6 % of 20 is one step


@pytest.mark.slow  # what the ensemble promises by default
def test_a_bayesian_adapter_keeps_the_contract_of_learners():
    adapter = ia3()
    check_learner(tfb(adapted(TOP, 2, adapter), adapter, 3, num_steps=8, minibatch_size=8), data=states_data())


def test_what_has_no_adapters_says_so():
    with pytest.raises(ValueError, match="expected last between 1 and the 2 blocks of the network, got 3"):
        upper(ENCODER, 3)
    with pytest.raises(ValueError, match=r"no layer is named by targets=.*are called feed_in"):
        init_lora(KEY, ALL, 2, ("nothing",))
    with pytest.raises(TypeError, match=r"got the string 'query'; give a tuple, \('query',\)"):
        inspect.unwrap(init_lora)(KEY, ALL, 2, "query")
    with pytest.raises(ValueError, match="layers named key or value"):
        init_ia3(())
