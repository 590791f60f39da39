"""Upper layers of a text encoder as a backbone: the features of the whole encoder, and what training moves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.backbones import sentence_features, tiny_text_encoder
from bal.proxies import fine_tuned, text_backbone, text_rows
from bal.typing import Data

ENCODER = tiny_text_encoder(jax.random.key(0))
SENTENCES = ["a word", "and another one, longer", "see you", "win a free prize now"]


@pytest.mark.parametrize("start", [0, 1])
def test_features_are_those_of_the_whole_encoder(start):
    backbone, rows = text_backbone(ENCODER, start), text_rows(ENCODER, SENTENCES, start, length=8, batch_size=3)
    assert set(rows) == {"states" if start else "tokens", "mask"}
    assert rows["mask"].shape == (4, 8)
    found = jax.jit(lambda params, rows: backbone.apply(params, rows, None))(backbone.params, rows)
    np.testing.assert_allclose(found, sentence_features(ENCODER, SENTENCES), atol=1e-5)


def test_only_the_upper_layers_move():
    assert set(text_backbone(ENCODER, 1).params) == {"layers_1"}
    assert set(text_backbone(ENCODER).params) == set(ENCODER.variables["params"])


@pytest.mark.slow
def test_the_whole_encoder_learns_from_its_tokens():
    rows = text_rows(ENCODER, SENTENCES, length=8)
    learner = fine_tuned(text_backbone(ENCODER), 2, num_steps=40, minibatch_size=4)
    data = Data(jax.tree.map(jnp.asarray, rows), jnp.array([0, 1, 0, 1]), jnp.ones(4))
    state = jax.jit(lambda key: learner.fit(key, learner.init(key, data), data))(jax.random.key(0))
    assert (learner.predict(state, data.x)[:, 0].argmax(-1) == data.y).all()
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), state.start, state.backbone)
    assert moved["words"]
    assert all(jax.tree.leaves(moved["layers_0"]["attention"]["query"]))


def test_rows_of_another_layer_and_layers_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="expected start from 0 to 1"):
        text_backbone(ENCODER, 2)
    with pytest.raises(ValueError, match="expected start from 0 to 1"):
        text_rows(ENCODER, SENTENCES, -1)
    backbone = text_backbone(ENCODER, 1)
    with pytest.raises(ValueError, match=r"begins after layer 1 with states, but rows hold tokens, mask.*start=1"):
        backbone.apply(backbone.params, text_rows(ENCODER, SENTENCES), None)
