"""What a language model writes: with kept keys and values as without, greedy and drawn, up to the stop."""

import jax
import numpy as np
import pytest

from bal.backbones import chat, generate, tiny_language_model
from bal.backbones.generating import continued

LM = tiny_language_model(jax.random.key(3))
PROMPTS = ["one and one is", "more"]
TOKENS = [one.ids for one in LM.tokenizer.encode_batch(PROMPTS)]
apply = jax.jit(LM.module.apply)


def logits(tokens):
    """Of the next token, without anything kept; padded on the right, so that one program serves."""
    padded = np.zeros((1, 24), np.int32)
    padded[0, : len(tokens)] = tokens
    return np.asarray(apply(LM.variables, padded, np.arange(24)[None] < len(tokens)))[0, len(tokens) - 1]


@jax.jit
def draw(key, row, step, logits):
    return jax.random.categorical(jax.random.fold_in(jax.random.fold_in(key, row), step), logits / 0.7)


def test_greedy_as_without_keeping():
    texts = generate(LM, PROMPTS, num_tokens=6)
    for tokens, text in zip(TOKENS, texts, strict=True):
        written = []
        for _ in range(6):
            written.append(int(logits([*tokens, *written]).argmax()))
            if written[-1] == 0:
                break
        assert text == LM.tokenizer.decode(written)


@pytest.mark.slow  # the loop and what it keeps are those of the greedy test
def test_drawn_as_without_keeping_and_whatever_is_beside_it():
    key = jax.random.key(7)
    texts = generate(LM, PROMPTS, num_tokens=6, temperature=0.7, key=key)
    for row, (tokens, text) in enumerate(zip(TOKENS, texts, strict=True)):
        written = []
        for step in range(6):
            written.append(int(draw(key, row, step, logits([*tokens, *written]))))
            if written[-1] == 0:
                break
        assert text == LM.tokenizer.decode(written)
    again = generate(LM, [PROMPTS[0], "another"], num_tokens=6, temperature=0.7, key=key)
    assert again[0] == texts[0]


def test_tokens_to_choose_among():
    some = sorted({token for tokens in TOKENS for token in tokens})
    texts = generate(LM, PROMPTS, num_tokens=6, among=some)
    for tokens, text in zip(TOKENS, texts, strict=True):
        first = logits(tokens)[[0, *some]].argmax()
        assert LM.tokenizer.decode([[0, *some][first]]) == text[:1]
        assert set(text) <= set("".join(PROMPTS))


def test_nothing_is_written_behind_the_stop():
    lengths = np.array(list(map(len, TOKENS)), np.int32)
    padded = np.zeros((2, 16), np.int32)
    for row, tokens in zip(padded, TOKENS, strict=True):
        row[: len(tokens)] = tokens
    keys, rest = jax.random.split(jax.random.key(0), 2), (padded, lengths)
    free = np.asarray(continued(LM.module, LM.variables, keys, *rest, 0.0, 0, 6, True))
    stop = int(free[0, 1])
    found = np.asarray(continued(LM.module, LM.variables, keys, *rest, 0.0, stop, 6, True))
    for row, expected in zip(found, free, strict=True):
        end = np.flatnonzero(expected == stop)
        assert (
            row.tolist() == (expected if len(end) == 0 else np.r_[expected[: end[0]], [stop] * (6 - end[0])]).tolist()
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"prompts": "one text"}, "a list of prompts"),
        ({"prompts": []}, "a list of prompts"),
        ({"prompts": [""]}, "an empty one"),
        ({"prompts": ["a"], "temperature": 1.0}, "no key"),
        ({"prompts": ["a"], "temperature": -1.0}, "at least 0"),
        ({"prompts": ["a"], "among": []}, r"numbers from 0 to \d+, got \[\]"),
        ({"prompts": ["a"], "among": [2, 10**6]}, r"numbers from 0 to \d+, got \[2, 1000000\]"),
        ({"prompts": ["a"], "num_tokens": 0}, "num_tokens must be at least 1"),
        ({"prompts": ["a"], "batch_size": 0}, "batch_size must be at least 1"),
        ({"prompts": ["a"], "stop": "end"}, "a stop of one token, got 'end' of 3"),
        (
            {"prompts": ["a" * 2040], "num_tokens": 10},
            "at most 2048 tokens of tiny llama with random weights, got 2050",
        ),
    ],
)
def test_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        generate(LM, **arguments)


TEMPLATE = (  # as the file of SmolLM2-135M-Instruct has it
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def test_chat_as_the_template_of_the_model():
    jinja2 = pytest.importorskip("jinja2")
    said = [{"role": role, "content": text} for role, text in [("user", "Hi"), ("assistant", "Hello"), ("user", "2?")]]
    expected = jinja2.Template(TEMPLATE, keep_trailing_newline=True).render(messages=said, add_generation_prompt=True)
    assert chat("Hi", "Hello", "2?") == expected
    said.insert(0, {"role": "system", "content": "Brief"})
    expected = jinja2.Template(TEMPLATE, keep_trailing_newline=True).render(messages=said, add_generation_prompt=True)
    assert chat("Hi", "Hello", "2?", system="Brief") == expected
