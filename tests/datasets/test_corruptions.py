"""Corruptions of images: what they do to single pixels, and that more of them is worse."""

import numpy as np
import pytest

from bal.datasets import CORRUPTIONS, corrupted, digits

X = digits().x[:40].reshape(-1, 8, 8)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_images_stay_images_and_get_worse(kind):
    spoiled = [corrupted(X, kind, severity) for severity in range(1, 6)]
    for images in spoiled:
        assert images.shape == X.shape
        assert images.dtype == X.dtype
        assert images.min() >= 0
        assert images.max() <= 1
    distance = [np.mean((images - X) ** 2) for images in spoiled]
    assert distance[0] > 0
    assert (np.diff(distance) >= 0).all(), distance
    assert distance[-1] > 1.2 * distance[0]


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_an_image_is_spoiled_alike_whatever_is_beside_it(kind):
    whole = corrupted(X, kind, 3, seed=7)
    np.testing.assert_array_equal(corrupted(X[:5], kind, 3, seed=7), whole[:5])
    np.testing.assert_array_equal(corrupted(X[..., None], kind, 3, seed=7)[..., 0], whole)
    again = corrupted(X, kind, 3, seed=8)
    assert (again != whole).any() == (kind in ("noise", "occlusion"))


def test_single_pixels():
    one = np.zeros((1, 25, 25), np.float32)
    one[0, 12, 12] = 1.0
    assert np.argwhere(corrupted(one, "shift", 1)[0]).tolist() == [[13, 13]]
    blurred = corrupted(one, "blur", 3)[0]  # of width 1.5
    assert blurred.sum() == pytest.approx(1, abs=1e-4)
    assert blurred[12, 13] / blurred[12, 12] == pytest.approx(np.exp(-0.5 / 1.5**2), rel=1e-4)
    hidden = corrupted(np.ones((200, 20, 20), np.float32), "occlusion", 2)
    assert (hidden == 0).sum((1, 2)).tolist() == [36] * 200
    noisy = corrupted(np.full((4, 50, 50), 0.5, np.float32), "noise", 1)
    assert noisy.std() == pytest.approx(0.08, rel=0.03)


@pytest.mark.parametrize(
    ("x", "kind", "severity", "message"),
    [
        (X, "rain", 1, "a corruption among noise, blur, contrast, occlusion, shift, got 'rain'"),
        (X, "blur", 6, "severity goes from 1 to 5, got 6"),
        (16 * X, "blur", 1, r"in \[0, 1\], got shape \(40, 8, 8\)"),
    ],
)
def test_what_is_no_corruption(x, kind, severity, message):
    with pytest.raises(ValueError, match=message):
        corrupted(x, kind, severity)
