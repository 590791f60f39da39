"""The encoder against BERT written in float64 loops, and what padding, halves of the layers and dropout do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from backbones.bert_oracle import states

from bal.backbones import Bert, BertConfig, tiny_text_encoder, token_states
from bal.backbones.tiny import TINY_BERT

RNG = np.random.default_rng(0)
ENCODER = tiny_text_encoder(jax.random.key(0))
LENGTHS = (7, 4, 1)
TOKENS = np.zeros((3, 7), np.int32)
for number, length in enumerate(LENGTHS):
    TOKENS[number, :length] = RNG.integers(3, 50, length)
ONE = TINY_BERT._replace(num_layers=1)
MASK = np.arange(7) < np.array(LENGTHS)[:, None]


def shaken(variables, seed=1):
    """Weights larger than those of the start, biases and norms that are not trivial."""
    leaves, tree = jax.tree.flatten(variables)
    rng = np.random.default_rng(seed)
    return tree.unflatten([np.float32(np.asarray(leaf) + 0.3 * rng.normal(size=leaf.shape)) for leaf in leaves])


VARIABLES = shaken(ENCODER.variables)
APPLY = jax.jit(ENCODER.module.apply)


def in_double(variables):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])


def check(module, variables, tolerance, tokens=TOKENS, lengths=LENGTHS, apply=None):
    found = np.asarray((apply or module.apply)(variables, tokens, MASK), float)
    for row, length in enumerate(lengths):
        expected = states(in_double(variables), module.config, tokens[row, :length])[-1]
        np.testing.assert_allclose(found[row, :length], expected, atol=tolerance)


def test_it_is_bert():
    check(ENCODER.module, VARIABLES, 1e-5, apply=APPLY)


@pytest.mark.parametrize(
    "change",
    [
        {"first_position": 2, "token_types": 1, "epsilon": 1e-5},
        {"token_types": 0, "activation": "relu"},
        {"activation": "gelu_tanh"},
    ],
    ids=["RoBERTa", "DistilBERT", "tanh"],
)
def test_its_relatives(change):
    module = Bert(TINY_BERT._replace(num_layers=1, **change))
    shapes = jax.eval_shape(module.init, jax.random.key(0), TOKENS, MASK)
    check(module, shaken(jax.tree.map(lambda leaf: np.zeros(leaf.shape), shapes)), 1e-5, apply=jax.jit(module.apply))


def test_half_precision():
    """States have unit variance: 8 bits of mantissa, over 2 layers."""
    module = Bert(TINY_BERT, dtype=jnp.bfloat16)
    apply = jax.jit(module.apply)
    check(module, VARIABLES, 0.1, apply=apply)
    assert apply(VARIABLES, TOKENS, MASK).dtype == jnp.float32


def test_padding_changes_nothing():
    wide, tokens = np.pad(MASK, ((0, 2), (0, 5))), np.pad(TOKENS, ((0, 2), (0, 5)), constant_values=9)
    plain = APPLY(VARIABLES, TOKENS, MASK)
    found = APPLY(VARIABLES, tokens, wide)
    np.testing.assert_allclose(np.where(MASK[..., None], found[:3, :7] - plain, 0), 0, atol=2e-6)
    assert np.isfinite(found).all()
    one = states(in_double(VARIABLES), TINY_BERT, TOKENS[1, :4])[-1]
    np.testing.assert_allclose(found[1, :4], one, atol=1e-5)


def test_lower_and_upper_layers_are_the_whole():
    encoder = ENCODER._replace(variables=VARIABLES)
    below = token_states(encoder, TOKENS, MASK, 0, 1)
    whole = token_states(encoder, TOKENS, MASK)
    assert (token_states(encoder, below, MASK, 1) == whole).all()
    np.testing.assert_allclose(whole, APPLY(VARIABLES, TOKENS, MASK), atol=1e-6)
    oracle = states(in_double(VARIABLES), TINY_BERT, TOKENS[0])
    np.testing.assert_allclose(below[0], oracle[1], atol=1e-5)
    np.testing.assert_allclose(token_states(encoder, TOKENS, MASK, 0, 0)[0], oracle[0], atol=1e-5)


def test_gradient_by_finite_differences():
    """Along random directions of all parameters, in double precision."""
    with jax.enable_x64(True):
        params = {name: part for name, part in in_double(VARIABLES).items() if name != "layers_1"}
        module = Bert(ONE, dtype=jnp.float64)
        weight = RNG.normal(size=(3, 7, 16)) * MASK[..., None]

        @jax.jit
        @jax.value_and_grad
        def loss(params):
            return (module.apply({"params": params}, TOKENS, MASK) * weight).sum()

        leaves, tree = jax.tree.flatten(params)
        along = tree.unflatten([RNG.normal(size=leaf.shape) for leaf in leaves])
        moved = lambda h: jax.tree.map(lambda leaf, step: leaf + h * step, params, along)
        difference = (loss(moved(1e-5))[0] - loss(moved(-1e-5))[0]) / 2e-5
        products = jax.tree.map(lambda g, d: np.sum(np.asarray(g) * d), loss(params)[1], along)
        np.testing.assert_allclose(sum(jax.tree.leaves(products)), difference, rtol=1e-6)


def test_adapters_come_in_where_they_are_named():
    """(IA)³ on keys, values and units is the same as rows of weights multiplied: l (W x + b) = (l W) x + l b."""
    scales = {
        name: np.float32(RNG.normal(size=size)) for name, size in {"key": 16, "value": 16, "feed_scale": 32}.items()
    }
    layer = {"attention": {name: {"scale": scales[name]} for name in ("key", "value")}}
    ia3 = {"layers_1": layer | {"feed_scale": {"scale": scales["feed_scale"]}}}
    merged = jax.tree.map(np.copy, VARIABLES)
    theirs = merged["params"]["layers_1"]
    for name in ("key", "value"):
        theirs["attention"][name] = {part: w * scales[name] for part, w in theirs["attention"][name].items()}
    theirs["feed_out"]["kernel"] = theirs["feed_out"]["kernel"] * scales["feed_scale"][:, None]
    found = APPLY(VARIABLES | {"ia3": ia3}, TOKENS, MASK)
    np.testing.assert_allclose(found, APPLY(merged, TOKENS, MASK), atol=1e-5)
    assert np.abs(found - APPLY(VARIABLES, TOKENS, MASK)).max() > 0.1
    ones = jax.tree.map(np.ones_like, ia3)
    assert (APPLY(VARIABLES | {"ia3": ones}, TOKENS, MASK) == APPLY(VARIABLES, TOKENS, MASK)).all()


def test_a_shared_mask_is_one_draw_for_every_row():
    module = Bert(ONE, rate=0.3, shared=True)
    draw = jax.jit(lambda tokens, mask, key: module.apply(VARIABLES, tokens, mask, rngs={"dropout": key}))
    together = draw(TOKENS, MASK, jax.random.key(5))
    twice = draw(TOKENS[[1, 1, 0]], MASK[[1, 1, 0]], jax.random.key(5))
    assert (twice[0] == twice[1]).all()
    np.testing.assert_allclose(twice[2], together[0], atol=1e-6)
    assert np.abs(together - draw(TOKENS, MASK, jax.random.key(6))).max() > 0.1
    without, plain = jax.jit(module.apply), jax.jit(Bert(ONE).apply)  # no key, no dropout
    assert (without(VARIABLES, TOKENS, MASK) == plain(VARIABLES, TOKENS, MASK)).all()
    assert np.abs(together - plain(VARIABLES, TOKENS, MASK)).max() > 0.1


def test_parts_of_the_network_take_the_same_masks_as_the_whole():
    module = Bert(ONE, rate=0.3, shared=True)

    @jax.jit
    def both(key):
        rngs = {"dropout": key}
        states = module.apply(VARIABLES, TOKENS, method="embed", rngs=rngs)
        states = module.apply(VARIABLES, states, MASK, 0, 1, method="blocks", rngs=rngs)
        return states, module.apply(VARIABLES, TOKENS, MASK, rngs=rngs)

    np.testing.assert_allclose(*both(jax.random.key(5)), atol=1e-6)


def test_masks_of_training_differ_by_row_and_keep_the_mean():
    module, key = Bert(ONE, rate=0.25), jax.random.key(2)
    tokens, mask = np.full((400, 5), 7, np.int32), np.ones((8, 5), bool)

    @jax.jit
    def states(key):
        embed = lambda **settings: module.apply(VARIABLES, tokens, method="embed", **settings)
        return embed(), embed(rngs={"dropout": key}), module.apply(VARIABLES, tokens[:8], mask, rngs={"dropout": key})

    plain, dropped, whole = map(np.asarray, states(key))
    gone = dropped == 0
    np.testing.assert_allclose(dropped[~gone], plain[~gone] / 0.75, rtol=1e-6)
    assert abs(gone.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / gone.size)
    assert np.abs(whole[0] - whole[1]).max() > 0.1


def test_longer_than_the_table_of_positions():
    module = Bert(BertConfig(50, 16, 1, 2, 32, positions=6, first_position=2))
    with pytest.raises(ValueError, match=r"expected at most 4 tokens, .* got 7; cut the sentences"):
        jax.eval_shape(module.init, jax.random.key(0), TOKENS, MASK)


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (r"expected 0 <= start <= stop <= 2, the layers of this model, got 1, 3", (TOKENS, MASK, 1, 3)),
        (r"expected states \[n, T, D\] to start after layer 1, got token numbers; start at 0", (TOKENS, MASK, 1)),
    ],
)
def test_layers_that_are_not_there(words, arguments):
    with pytest.raises(ValueError, match=words):
        token_states(ENCODER, *arguments)
