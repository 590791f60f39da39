"""Words through an encoder of pieces, tiny and random."""

import inspect

import jax
import numpy as np
import pytest

from bal.backbones import minilm, tiny_text_encoder, token_states, tokenize
from bal.tagging import encoded, padded_tags
from bal.tagging.words import first_pieces

SENTENCES = [["one", "extraordinarily", "long", "word"], ["two", "words"], ["three"]]


@pytest.fixture(scope="module")
def encoder():
    return tiny_text_encoder(jax.random.key(0))


@pytest.fixture(scope="module")
def plain(encoder):
    return encoded(encoder, SENTENCES, dtype=np.float32)


def test_a_word_has_the_state_of_its_first_piece(encoder, plain):
    assert plain.mask.tolist() == [[True] * 4, [True, True, False, False], [True, False, False, False]]
    tokens, mask = tokenize(encoder, ["one extraordinarily long word", "two words", "three"])
    states = np.asarray(token_states(encoder, tokens, mask))
    for row, places in enumerate([[1, 2, 4, 5], [1, 2], [1]]):  # the second word has two pieces
        np.testing.assert_allclose(plain.states[row, : len(places)], states[row, places], rtol=1e-5, atol=1e-6)
    assert (plain.states[~plain.mask] == 0).all()


@pytest.mark.slow
def test_padding_changes_nothing(encoder, plain):
    alone = encoded(encoder, SENTENCES[1:2], 7, dtype=np.float32)
    assert alone.states.shape == (1, 7, 16)
    np.testing.assert_allclose(alone.states[0, :2], plain.states[1, :2], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_draws_share_their_masks_over_sentences_and_stop_where_asked(encoder, plain):
    key = jax.random.key(1)
    some = encoded(encoder, SENTENCES, dtype=np.float32, draws=key, num_draws=2, rate=0.3)
    np.testing.assert_array_equal(some.states, plain.states)
    assert some.drawn.shape == (3, 2, 4, 16)
    assert np.abs(some.drawn[:, 0] - some.drawn[:, 1])[plain.mask].max() > 0.01
    other = encoded(encoder, SENTENCES[:0:-1], 4, dtype=np.float32, draws=key, num_draws=2, rate=0.3)
    np.testing.assert_allclose(other.drawn[::-1], some.drawn[1:], rtol=1e-5, atol=1e-6)
    none = encoded(encoder, SENTENCES, dtype=np.float32, draws=key, num_draws=1, rate=0.0)
    np.testing.assert_allclose(none.drawn[:, 0], plain.states, rtol=1e-5, atol=1e-6)
    below = encoded(encoder, SENTENCES[2:], dtype=np.float32, stop=1).states
    tokens, mask = tokenize(encoder, ["three"])
    np.testing.assert_allclose(below[0, 0], token_states(encoder, tokens, mask, 0, 1)[0, 1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("sentences", "changes", "says"),
    [
        (["a sentence"], {}, "lists of words, got strings"),
        ([], {}, "at least 1 word, got none$"),
        ([["one"], []], {}, "got none in one of them"),
        ([["one", "two"]], {"num_words": 1}, "at most num_words=1 words a sentence, got 2"),
        ([["word"] * 600], {}, "sentence 0 has 602 pieces, but .* takes at most 512"),
        ([["one"]], {"stop": 3}, "stop from 0 to 2, the layers of this encoder, got 3"),
    ],
)
def test_sentences_that_cannot_be_read(encoder, sentences, changes, says):
    with pytest.raises((TypeError, ValueError), match=says):
        encoded(encoder, sentences, **changes)


def test_tags_beside_them():
    assert padded_tags([[1, 2], [0]], 3).tolist() == [[1, 2, -1], [0, -1, -1]]
    for tags in ([["B-x"]], [[1.5, 1.0]]):
        with pytest.raises(TypeError, match="expected tags by number, got"):
            inspect.unwrap(padded_tags)(tags)


@pytest.mark.models
def test_words_of_minilm_are_those_of_its_sentence():
    encoder = minilm()
    words = ["Empire", "State", "Building", "=", "ESB", ".", "\u200b"]
    rows, first = first_pieces(encoder, [words])
    assert rows[0] == encoder.tokenizer.encode(" ".join(words)).ids
    pieces = [encoder.tokenizer.id_to_token(rows[0][place]) for place in first[0]]
    assert pieces[:4] == ["empire", "state", "building", "="]
    assert pieces[4].startswith("es") or pieces[4] == "esb"
    assert first[0][-1] == 0  # the tokenizer leaves nothing of a zero-width space
