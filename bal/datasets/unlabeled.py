"""Rows that nobody has labeled yet, from files: texts and pictures as numbers that a linear model can learn from."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""How names of files end that are taken for pictures."""
SIDE = 32
"""Pixels of a side of a picture as the features see it."""
MOST_PIXELS = 50_000_000


class Pictures(NamedTuple):
    """names: of the files, relative to the folder, sorted. pixels: downsampled, in RGB."""

    names: tuple[str, ...]
    pixels: UInt8[np.ndarray, "N 32 32 3"]


def text_features(texts: Sequence[str], num_features: int = 50) -> Float[np.ndarray, "N F"]:
    """TF-IDF of words, and its first principal components, at most `num_features`, of mean square 1.

    Use it when texts are to be labeled and no encoder is at hand; vectors of a language model tell more.

    Args:
      texts: N of them.
      num_features: F at most; fewer where there are fewer texts or words.

    Raises:
      ValueError: fewer than three texts, or no words in them.

    >>> text_features(["a red fox", "a red dog", "blue skies above", "skies of blue"], 2).shape
    (4, 2)
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second to import

    if len(texts) < 3:
        raise ValueError(f"expected at least 3 texts, got {len(texts)}; add rows")
    try:
        counts = TfidfVectorizer(max_features=20_000, sublinear_tf=True).fit_transform(texts)
    except ValueError as error:
        raise ValueError(f"the texts hold no words ({error}); name another column") from None
    return _components(counts, num_features)


def picture_features(pixels: UInt8[np.ndarray, "N H W 3"], num_features: int = 50) -> Float[np.ndarray, "N F"]:
    """First principal components of pixels, at most `num_features`, of mean square 1.

    Use it when pictures are to be labeled and no encoder is at hand; features of a pretrained network tell more.

    Args:
      pixels: N pictures of one size.
      num_features: F at most.

    Raises:
      ValueError: fewer than three pictures.

    >>> picture_features(np.arange(48, dtype=np.uint8).reshape(4, 2, 2, 3) ** 2, 2).shape
    (4, 2)
    """
    if len(pixels) < 3:
        raise ValueError(f"expected at least 3 pictures, got {len(pixels)}; add files")
    flat = pixels.reshape(len(pixels), -1).astype(np.float64)
    return _components(flat - flat.mean(0), num_features)


def read_pictures(folder: str | Path) -> Pictures:
    """All pictures in a folder and the folders in it, downsampled to 32 by 32.

    Args:
      folder: where they are; what is no picture by its name is passed over.

    Raises:
      ValueError: no folder, no picture in it, or a file that cannot be read, by its name.
    """
    folder, files = Path(folder), picture_files(folder)
    pixels = _brought_to(files, SIDE, "BOX")
    return Pictures(tuple(file.relative_to(folder).as_posix() for file in files), pixels)


def picture_files(folder: str | Path) -> list[Path]:
    """All pictures in a folder and the folders in it, sorted by name; what is no picture by its name is passed over.

    Raises:
      ValueError: no folder, or no picture in it.

    >>> picture_files("no/such/folder")
    Traceback (most recent call last):
    ValueError: expected a folder of pictures, but there is no folder 'no/such/folder'
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"expected a folder of pictures, but there is no folder {str(folder)!r}")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in PICTURES and file.is_file())
    if not files:
        raise ValueError(f"expected pictures in {folder}, files ending in {', '.join(PICTURES)}, got none")
    return files


def picture_pixels(files: Sequence[Path], size: int) -> UInt8[np.ndarray, "n S S 3"]:
    """Pictures in RGB, brought to ``size x size`` pixels by bilinear interpolation, smoothed where they are larger.

    Use it when an encoder is to see them: batches of equal shape, a few files at a time.

    Raises:
      ValueError: a file that cannot be read, by its name.
    """
    return _brought_to(files, size, "BILINEAR")


def _brought_to(files: Sequence[Path], size: int, how: str) -> UInt8[np.ndarray, "n S S 3"]:
    from PIL import Image  # comes with matplotlib

    pixels = np.zeros((len(files), size, size, 3), np.uint8)
    for number, file in enumerate(files):
        pixels[number] = np.asarray(opened(file).resize((size, size), Image.Resampling[how]))
    return pixels


def opened(file: Path, longest: int | None = None):
    """A picture in RGB, no side of it longer than `longest`; of 16 bits a level, the upper 8.

    Raises:
      ValueError: a file that is no picture, one of more than 50 million pixels, or of levels without a known white.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"{picture.width} by {picture.height} pixels are too many")
            found = ImageOps.exif_transpose(picture)
            if found.mode.startswith("I;16") or (found.mode == "I" and picture.format == "PNG"):
                found = Image.fromarray(
                    (np.asarray(found) >> 8).astype(np.uint8)
                )  # convert makes white of all above 255
            elif found.mode in ("I", "F"):
                raise ValueError("its levels have 32 bits, and nothing tells which of them is white")
            found = found.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{file.name} cannot be read as a picture ({error}); mend it or take it away") from None
    if longest is not None:
        found.thumbnail((longest, longest))
    return found


def _components(matrix, num_features: int) -> Float[np.ndarray, "N F"]:
    from sklearn.decomposition import TruncatedSVD

    most = min(num_features, matrix.shape[0] - 1, matrix.shape[1] - 1)
    if most < 1:
        raise ValueError(f"expected rows that differ, got features of shape {matrix.shape}; add rows")
    found = TruncatedSVD(most, random_state=0).fit_transform(matrix)
    scale = np.sqrt(np.mean(found**2))
    return (found / (scale or 1.0)).astype(np.float32)
