"""Upper blocks of an image encoder as a backbone: the features of the whole encoder, statistics left alone."""

import jax
import numpy as np
import pytest

from bal.backbones import image_features, tiny_image_encoder
from bal.proxies import image_backbone, image_rows

ENCODER = tiny_image_encoder(jax.random.key(0))
IMAGES = np.random.default_rng(0).integers(0, 255, (5, 12, 12)).astype(np.uint8)


def test_features_are_those_of_the_whole_encoder():
    backbone, rows = image_backbone(ENCODER, 2), image_rows(ENCODER, IMAGES, 2)
    found = jax.jit(lambda params, rows: backbone.apply(params, rows, None))(backbone.params, rows)
    np.testing.assert_allclose(found, image_features(ENCODER, IMAGES), atol=1e-5)


def test_only_the_upper_blocks_move():
    params = image_backbone(ENCODER, 2).params
    assert set(params) == {"block_2", "head_conv", "head_norm"}
    assert set(params["head_norm"]) == {"scale", "bias"}  # no running statistics


def test_blocks_that_are_not_there_are_refused():
    for make in (lambda: image_backbone(ENCODER, 3), lambda: image_rows(ENCODER, IMAGES, 3)):
        with pytest.raises(ValueError, match="expected start from 0 to 2"):
            make()
