"""The llama against float64 from the papers; padding, parts, adapters, dropout, gradients, half precision."""

from functools import partial

import jax
import jax.numpy as jnp
import llama_numpy as slow
import numpy as np
import pytest

from bal.backbones import Llama, LlamaConfig, answer_log_probs, answered, log_probabilities, tiny_language_model

CONFIG = LlamaConfig(vocabulary=50, width=16, feed=24, num_layers=2, num_heads=4, num_shared=2, base=100.0)
MODULE = Llama(CONFIG)
RNG = np.random.default_rng(0)
TOKENS, MASK = jnp.asarray(RNG.integers(50, size=(2, 6))), jnp.asarray(np.arange(6) < np.array([[6], [4]]))
LM = tiny_language_model(jax.random.key(1))


def random_variables(config):
    """Weights that make a difference in every place, norms included."""
    shapes = jax.eval_shape(Llama(config).init, jax.random.key(0), TOKENS, MASK)
    return jax.tree.map(
        lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape) / np.sqrt(leaf.shape[0]) + (leaf.ndim == 1), jnp.float32),
        shapes,
    )


VARIABLES = random_variables(CONFIG)
apply = jax.jit(MODULE.apply)
LOGITS = apply(VARIABLES, TOKENS, MASK)


@pytest.mark.parametrize("tied", [True, False])
def test_the_papers_in_float64(tied):
    config = CONFIG._replace(tied=tied)
    variables = VARIABLES if tied else random_variables(config)
    found = LOGITS if tied else jax.jit(Llama(config).apply)(variables, TOKENS, MASK)
    for row, length in enumerate(MASK.sum(1).tolist()):
        expected = slow.logits(variables["params"], TOKENS[row, :length], config)
        np.testing.assert_allclose(found[row, :length], expected, rtol=1e-4, atol=1e-5)


def test_padding_changes_nothing_at_either_end():
    row = TOKENS[1:, :4]
    left = jnp.concatenate([jnp.full((1, 2), 7), row], 1)
    padded = apply(VARIABLES, jnp.concatenate([TOKENS[:1], left]), jnp.array([[1] * 6, [0, 0, 1, 1, 1, 1]], bool))
    np.testing.assert_allclose(padded[1, 2:], LOGITS[1, :4], rtol=1e-5, atol=1e-5)
    other = jnp.where(MASK, TOKENS, 11)
    assert (np.asarray(apply(VARIABLES, other, MASK))[MASK] == np.asarray(LOGITS)[MASK]).all()


def test_later_tokens_change_nothing():
    assert (apply(VARIABLES, TOKENS.at[0, 3:].set(1), MASK)[0, :3] == LOGITS[0, :3]).all()


def test_parts_make_the_whole():
    part = jax.jit(partial(MODULE.apply, VARIABLES), static_argnums=(2, 3), static_argnames="method")
    hidden = part(TOKENS, method="embed")
    for start in range(2):
        hidden = part(hidden, MASK, start, start + 1, method="blocks")
    np.testing.assert_allclose(part(hidden, method="logits"), LOGITS, rtol=1e-5, atol=1e-5)


def ia3(make):
    """A collection with an entry at every place of (IA)^3."""
    layer = lambda: {
        "attention": {name: {"scale": make(8)} for name in ("key", "value")},
        "feed_scale": {"scale": make(24)},
    }
    return {f"layers_{number}": layer() for number in range(2)}


def test_adapters_scale_keys_values_and_the_linear_branch():
    found = apply({**VARIABLES, "ia3": ia3(jnp.ones)}, TOKENS, MASK)
    assert (found == LOGITS).all()
    scales = ia3(lambda size: jnp.asarray(RNG.normal(size=size), jnp.float32))
    found = apply({**VARIABLES, "ia3": scales}, TOKENS, MASK)
    told = {
        number: [
            np.asarray(part["scale"], float)
            for part in (*(layer["attention"][name] for name in ("key", "value")), layer["feed_scale"])
        ]
        for number, layer in enumerate(scales.values())
    }
    expected = slow.logits(VARIABLES["params"], TOKENS[0], CONFIG, ia3=told)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)


def test_gradient_by_differences_in_float64():
    rows = np.arange(5)

    @jax.jit
    @jax.grad
    def slope_of(variables):
        log_probs = jax.nn.log_softmax(MODULE.apply(variables, TOKENS, MASK)[0])
        return -log_probs[rows, TOKENS[0, 1:]].mean()

    def told(params):
        return -slow.log_softmax(slow.logits(params, TOKENS[0], CONFIG))[rows, TOKENS[0, 1:]].mean()

    slope = slope_of(VARIABLES)["params"]
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, float), VARIABLES["params"])
    for name in ("embedding", "layers_0", "layers_1", "norm"):
        way = jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape), exact[name])
        moved = [{**exact, name: jax.tree.map(lambda a, b, s=s: a + s * b, exact[name], way)} for s in (1e-5, -1e-5)]
        along = sum(
            float((np.asarray(a) * b).sum()) for a, b in zip(*map(jax.tree.leaves, (slope[name], way)), strict=True)
        )
        np.testing.assert_allclose(along, (told(moved[0]) - told(moved[1])) / 2e-5, rtol=1e-3, atol=1e-5)


def test_half_precision():
    half = Llama(CONFIG, jnp.bfloat16)
    found = jax.jit(half.apply)(VARIABLES, TOKENS, MASK)
    assert found.dtype == jnp.float32
    error = np.abs(found - LOGITS).max() / np.abs(LOGITS).max()
    assert 1e-4 < error < 0.03
    kinds = jax.eval_shape(half.init, jax.random.key(0), TOKENS, MASK)
    assert {leaf.dtype for leaf in jax.tree.leaves(kinds)} == {jnp.dtype("float32")}


@pytest.mark.slow  # the same functions as those of `test_bert`, whose masks are held there
def test_dropout():
    twice = TOKENS[:1].repeat(2, 0), MASK[:1].repeat(2, 0)

    @jax.jit
    def passed(key):
        drops = [Llama(CONFIG, rate=0.5, shared=shared) for shared in (True, False)]
        return [module.apply(VARIABLES, *twice, rngs={"dropout": key}) for module in drops]

    (first, second), (one, other) = passed(jax.random.key(0))
    assert np.abs(first - LOGITS[0]).max() > 0.1
    assert np.abs(first - second).max() < 1e-5
    assert np.abs(one - other).max() > 0.1
    assert (jax.jit(Llama(CONFIG, rate=0.5).apply)(VARIABLES, TOKENS, MASK) == LOGITS).all()


def test_answers_by_token():
    prompts, answers = ["one and one is", "a"], [[" two", " three"], [" longer than that"]]
    found = log_probabilities(LM, prompts, answers, batch_tokens=40)
    assert found.mask.sum(-1).tolist() == [[4, 6], [17, 0]]
    assert (found.log_probs[~found.mask] == 0).all()
    for row, choices in enumerate(answers):
        for choice, answer in enumerate(choices):
            before, after = (one.ids for one in LM.tokenizer.encode_batch([prompts[row], answer]))
            told = slow.log_softmax(slow.logits(LM.variables["params"], [*before, *after], LM.module.config))
            expected = [told[len(before) - 1 + place, token] for place, token in enumerate(after)]
            np.testing.assert_allclose(found.log_probs[row, choice, : len(after)], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow  # the numbers are those of `test_answers_by_token`
def test_answers_in_a_program_of_ones_own():
    rows = answered(LM, ["one and one is", "a"], [" two", " three"], (40, 8))
    assert rows.tokens.shape == (2, 40)

    @jax.jit
    def score(rows):
        hidden = LM.module.apply(LM.variables, rows.tokens, method="embed")
        hidden = LM.module.apply(LM.variables, hidden, rows.mask, 0, 2, method="blocks")
        return answer_log_probs(LM.module, LM.variables, hidden, rows)

    found = score(rows)
    expected = log_probabilities(LM, ["one and one is", "a"], [[" two"], [" three"]]).log_probs[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("prompts", "answers", "said"),
    [
        ([""], [["a"]], "empty prompt"),
        (["a"], [[""]], "empty answer"),
        (["a"], [[]], "some answers for each of 1 prompts"),
        (["a"], [["b"], ["c"]], "lists for 2"),
        ([], [], "each of 0 prompts"),
        ("ab", [["c"], ["d"]], "got a string"),
        (["a", "b"], [" yes", " no"], "got a string"),
        (["a"], "b", "got a string"),
        (
            ["a" * 2000],
            [["b" * 100]],
            "at most 2048 tokens of tiny llama with random weights, got 2100; shorten the text",
        ),
    ],
)
def test_answers_refused(prompts, answers, said):
    with pytest.raises((TypeError, ValueError), match=said):
        log_probabilities(LM, prompts, answers)


def test_answers_that_do_not_fit_a_shape():
    with pytest.raises(ValueError, match=r"at most 8 tokens, 1 of them of an answer, got \(3, 2\)"):
        answered(LM, ["a"], ["bc"], (8, 1))
    with pytest.raises(ValueError, match="one answer a prompt"):
        answered(LM, ["a"], ["b", "c"])
    with pytest.raises(TypeError, match="got a string; put it into a list"):
        answered(LM, "ab", ["c", "d"])
