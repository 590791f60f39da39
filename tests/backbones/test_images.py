"""Images on their way into the network, the features that come out, and what is refused at the door."""

import inspect
from functools import cache

import jax
import numpy as np
import pytest

from bal.backbones import efficientnet_lite0, image_features, image_inputs, images, tiny_image_encoder
from bal.datasets import CorruptDataError, MissingDataError

GRAY = np.random.default_rng(0).integers(0, 256, (5, 9, 7), dtype=np.uint8)


@cache
def encoder():
    return tiny_image_encoder(jax.random.key(0))


def slow_resize(image, size):
    """Bilinear between centers of pixels, edges repeated: every output pixel by itself."""
    image, out = np.asarray(image, np.float64), np.zeros((size, size, image.shape[2]))
    for i in range(size):
        for j in range(size):
            place = [(k + 0.5) * side / size - 0.5 for k, side in zip((i, j), image.shape)]
            low = [int(np.floor(p)) for p in place]
            for di in (0, 1):
                for dj in (0, 1):
                    share = np.prod([(p - l) if d else 1 - (p - l) for p, l, d in zip(place, low, (di, dj))])
                    y, x = (int(np.clip(l + d, 0, side - 1)) for l, d, side in zip(low, (di, dj), image.shape))
                    out[i, j] += share * image[y, x]
    return out


def test_inputs_are_resized_and_scaled():
    color = np.stack([GRAY, GRAY[::-1], 255 - GRAY], -1)
    for size in (4, 12):
        expected = np.stack([(slow_resize(image, size) - 127) / 128 for image in color])
        np.testing.assert_allclose(image_inputs(color, size), expected, atol=1e-5)


def test_gray_levels_and_shares_of_white_are_one():
    inputs = image_inputs(GRAY, 12)
    assert inputs.shape == (5, 12, 12, 3)
    np.testing.assert_array_equal(inputs[..., 0], inputs[..., 2])
    np.testing.assert_array_equal(image_inputs(GRAY[..., None], 12), inputs)
    np.testing.assert_allclose(image_inputs((GRAY / 255).astype(np.float32), 12), inputs, atol=1e-6)


def test_features_do_not_depend_on_the_batch():
    features = image_features(encoder(), GRAY)
    assert features.shape == (5, 16)
    assert len(np.unique(features, axis=0)) == 5
    twice = image_features(encoder(), np.concatenate([GRAY[::-1], GRAY]))  # two batches, the second not full
    np.testing.assert_allclose(twice, np.concatenate([features[::-1], features]), rtol=1e-5, atol=1e-6)
    assert image_features(encoder(), GRAY[:0]).shape == (0, 16)


@pytest.mark.parametrize(
    ("images", "error", "said"),
    [
        (np.zeros((2, 3, 8, 8), np.uint8), ValueError, r"with 1 or 3 channels behind, but got shape \(2, 3, 8, 8\)"),
        (np.zeros((2, 64), np.uint8), ValueError, r"expected images \[n, height, width\].* got shape \(2, 64\)"),
        (np.zeros((2, 0, 4), np.uint8), ValueError, r"got shape \(2, 0, 4\)"),
        (np.zeros((2, 4, 4), np.int32), TypeError, "floats between 0 and 1, but got int32"),
        (np.full((2, 4, 4), 9.0, np.float32), ValueError, "reach from 9 to 9; divide them by the value of white"),
        (np.full((2, 4, 4), np.nan, np.float32), ValueError, "reach from nan to nan"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_refused(images, error, said):
    with pytest.raises(error, match=said):
        image_features(encoder(), images)


def test_batches_and_encoders_that_cannot_be_meant():
    images = np.zeros((3, 8, 8), np.uint8)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got -1"):
        image_features(encoder(), images, batch_size=-1)  # no row came back
    with pytest.raises(TypeError, match=r"expected an encoder of images, as efficientnet_lite0\(\) returns, got str"):
        inspect.unwrap(image_features)("tiny", images)


def test_a_size_below_the_last_step_is_refused():
    with pytest.raises(ValueError, match="expected a size of at least 32 pixels"):
        efficientnet_lite0(size=16)


@pytest.mark.models
def test_facts_of_the_published_weights():
    """Classes of two photographs, for who has scikit-image."""
    pictures = pytest.importorskip("skimage.data", reason="two photographs: pip install scikit-image")
    try:
        whole = efficientnet_lite0()
    except MissingDataError as error:
        pytest.skip(str(error))
    for name, image, number, least in (
        ("cat", pictures.chelsea(), 285, 0.78),
        ("coffee", pictures.coffee(), 967, 0.90),
    ):
        scores = whole.module.apply(whole.variables, image_inputs(image[None], 224), method="logits")[0]
        chances = jax.nn.softmax(scores)
        assert (int(chances.argmax()), bool(chances.max() > least)) == (number, True), name


@pytest.mark.models
def test_features_of_the_published_weights_are_means_of_relu6():
    try:
        whole = efficientnet_lite0(size=64)
    except MissingDataError as error:
        pytest.skip(str(error))
    features = image_features(whole, np.stack([GRAY[0], 255 - GRAY[0]]))
    assert features.shape == (2, 1280)
    assert features.min() >= 0
    assert features.max() <= 6


def test_a_file_that_is_cut_off_is_named(tmp_path):
    pytest.importorskip("safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x08\0\0\0")
    with pytest.raises(CorruptDataError, match=r"cut.safetensors is not a readable file of safetensors"):
        efficientnet_lite0(tmp_path / "cut.safetensors")


def test_what_is_nowhere_may_be_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("BAL_DATA", str(tmp_path))
    monkeypatch.setattr(images, "KNOWN", images.KNOWN._replace(package="no-such-package"))
    with pytest.raises(MissingDataError, match=r"or download=True to fetch timm/tf_efficientnet_lite0.in1k"):
        efficientnet_lite0()
