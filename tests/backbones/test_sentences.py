"""Features of sentences are those of each alone, whatever the batch, and nothing is cut off in silence."""

import inspect

import jax
import numpy as np
import pytest
from backbones.bert_oracle import states

from bal.backbones import ImageEncoder, sentence_features, tiny_text_encoder, tokenize
from bal.backbones.sentences import batches, bucket
from bal.backbones.tokens import padded, token_rows

ENCODER = tiny_text_encoder(jax.random.key(0))
TEXTS = ["one", "two words", "and this is a longer sentence", "three words here", "", "unconstitutionally"]


def test_they_are_means_of_states():
    params = jax.tree.map(np.float64, ENCODER.variables["params"])
    features = sentence_features(ENCODER, TEXTS, batch_tokens=16)
    for row, ids in zip(features, token_rows(ENCODER, TEXTS)):
        np.testing.assert_allclose(row, states(params, ENCODER.module.config, ids)[-1].mean(0), atol=1e-5)
    again = sentence_features(ENCODER, np.array(TEXTS[::-1]), batch_tokens=16)
    np.testing.assert_allclose(again[::-1], features, atol=2e-6)
    assert features.dtype == np.float32


def test_no_sentences():
    assert sentence_features(ENCODER, []).shape == (0, 16)


def test_batches_hold_every_row_once_and_little_padding():
    rng = np.random.default_rng(0)
    rows = [[int(n)] * n for n in np.clip(rng.lognormal(3, 0.6, 3000), 3, 250).astype(int)]
    seen, total, shapes = [], 0, set()
    for places, (tokens, mask) in batches(rows, 2048):
        for row, place in enumerate(places):
            assert tokens[row][mask[row]].tolist() == rows[place]
        assert not mask[len(places) :].any()
        assert tokens.size <= 2048 + max(map(len, rows))
        seen += places.tolist()
        total += tokens.size
        shapes.add(tokens.shape)
    assert sorted(seen) == list(range(3000))
    assert 1 - sum(map(len, rows)) / total < 0.15
    assert len(shapes) < 25


def test_buckets_waste_at_most_a_fifth_of_long_rows():
    assert all(length <= bucket(length) <= max(length * 1.25, length + 3) for length in range(1, 513))
    assert bucket(512) == 512


def test_a_sentence_longer_than_the_model():
    long = "word " * 600
    with pytest.raises(
        ValueError,
        match=r"sentence 1 has 602 tokens, but tiny BERT with random weights takes at most 512; shorten it, or pass "
        r"truncate=512 to cut what is longer",
    ):
        sentence_features(ENCODER, ["short", long])
    (row,) = token_rows(ENCODER, [long], truncate=6)
    assert row == [*token_rows(ENCODER, [long[:20]])[0][:5], 2]
    assert token_rows(ENCODER, ["short"], truncate=6) == token_rows(ENCODER, ["short"])


@pytest.mark.parametrize(
    ("sentences", "settings", "error", "words"),
    [
        ("one string", {}, TypeError, "expected a list of sentences, each a string, got 'one string'; put strings"),
        (["text", 3], {}, TypeError, "expected a list of sentences, each a string, got 3; put strings into a list"),
        (
            ["text"],
            {"truncate": 513},
            ValueError,
            "expected truncate from 2 to 512, the most tokens of this model, got",
        ),
        (["text"], {"length": 2}, ValueError, "expected sentences of at most 2 tokens, got one of 3; pass truncate=2"),
    ],
)
def test_what_is_no_sentence(sentences, settings, error, words):
    with pytest.raises(error, match=words):
        tokenize(ENCODER, sentences, **settings)


def test_sentences_that_come_one_by_one_are_not_lost():
    """A generator can be read once."""
    once = inspect.unwrap(token_rows)  # past the types that tests check
    assert once(ENCODER, (text for text in TEXTS)) == token_rows(ENCODER, TEXTS)


def test_settings_and_encoders_that_cannot_be_meant():
    with pytest.raises(ValueError, match="batch_tokens must be at least 1, got 0"):
        sentence_features(ENCODER, TEXTS, batch_tokens=0)
    images = ImageEncoder(ENCODER.module, {}, 32, ENCODER.source)
    with pytest.raises(TypeError, match=r"expected an encoder of text, as minilm\(\) returns, got ImageEncoder"):
        inspect.unwrap(token_rows)(images, TEXTS)
    with pytest.raises(ValueError, match=r"expected truncate from 2 to 512, the most tokens of this model, got 2\.5"):
        inspect.unwrap(token_rows)(ENCODER, TEXTS, truncate=2.5)


def test_rows_of_one_shape():
    tokens, mask = tokenize(ENCODER, TEXTS, length=9)
    assert tokens.shape == mask.shape == (6, 9)
    assert mask.sum(1).tolist() == [3, 4, 8, 5, 2, 5]  # with both ends; the last word has three pieces
    assert padded([], 4).tokens.shape == (0, 4)


def test_words_know_their_pieces():
    encoded = ENCODER.tokenizer.encode_batch([["a", "unconstitutionally", "b"]], is_pretokenized=True)[0]
    assert encoded.word_ids == [None, 0, 1, 1, 1, 2, None]
    assert len(encoded.ids) == 7
