"""Images as cameras and dust spoil them: the same images, harder, to see how predictions and confidence follow.

Images are ``[N, H, W]`` or ``[N, H, W, channels]`` with values in [0, 1]; so are the corrupted ones. The same seed
gives the same corruption of image n whatever the number of images. A posterior is measured on them as on any test set:
``evaluate(posterior, (corrupted(x, "blur", 3), y))``.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Images = Float[np.ndarray, "N H W *channels"]


def corrupted(x: Images, kind: str, severity: int, seed: int = 0) -> Images:
    """Images spoiled in one of `CORRUPTIONS`, at a severity from 1 (hardly seen) to 5 (hardly recognized).

    noise: normal, of standard deviation 0.08 to 0.4. blur: a normal kernel of 0.02 to 0.1 of the height. contrast:
    towards the image's mean, by 0.25 to 0.9. occlusion: a square of 0.2 to 0.6 of the height, black, anywhere. shift:
    0.04 to 0.2 of the height down and right, black coming in.

    Raises:
      ValueError: another kind or severity; values outside [0, 1].

    >>> x = np.tile([[[0.0, 1.0], [1.0, 0.0]]], (3, 1, 1))
    >>> corrupted(x, "contrast", 3)[0].round(3).tolist()
    [[0.275, 0.725], [0.725, 0.275]]

    Hendrycks and Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions", in spirit.
    """
    if kind not in CORRUPTIONS:
        raise ValueError(f"expected a corruption among {', '.join(CORRUPTIONS)}, got {kind!r}")
    if severity not in range(1, 6):
        raise ValueError(f"severity goes from 1 to 5, got {severity}")
    if not (x.ndim in (3, 4) and x.size and x.min() >= 0 and x.max() <= 1):
        raise ValueError(f"expected images [N, H, W] or [N, H, W, channels] in [0, 1], got shape {x.shape}")
    spoil, strengths = CORRUPTIONS[kind]
    images = x if x.ndim == 4 else x[..., None]
    spoiled = [
        spoil(image, strengths[severity - 1], np.random.default_rng((seed, n))) for n, image in enumerate(images)
    ]
    return np.clip(np.stack(spoiled), 0, 1).astype(x.dtype).reshape(x.shape)


def _noise(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    return image + strength * random.standard_normal(image.shape)


def _blur(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import gaussian_filter  # half the time of importing all of `bal.datasets`

    width = strength * len(image)
    return gaussian_filter(image.astype(np.float64), (width, width, 0), mode="nearest")


def _contrast(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    return image.mean() + (1 - strength) * (image - image.mean())


def _occlusion(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    size = max(round(strength * len(image)), 1)
    top, left = (random.integers(0, max(length - size, 0) + 1) for length in image.shape[:2])
    spoiled = image.copy()
    spoiled[top : top + size, left : left + size] = 0
    return spoiled


def _shift(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    distance = max(round(strength * len(image)), 1)
    spoiled = np.zeros_like(image)
    spoiled[distance:, distance:] = image[: len(image) - distance, : image.shape[1] - distance]
    return spoiled


CORRUPTIONS: dict[str, tuple[Callable, tuple[float, ...]]] = {
    "noise": (_noise, (0.08, 0.14, 0.2, 0.3, 0.4)),
    "blur": (_blur, (0.02, 0.04, 0.06, 0.08, 0.1)),
    "contrast": (_contrast, (0.25, 0.4, 0.55, 0.75, 0.9)),
    "occlusion": (_occlusion, (0.2, 0.3, 0.4, 0.5, 0.6)),
    "shift": (_shift, (0.04, 0.08, 0.12, 0.16, 0.2)),
}
"""How each kind spoils an image, and how strongly at severities 1 to 5."""
