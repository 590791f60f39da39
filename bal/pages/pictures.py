"""Pixels as a picture that a page holds in itself, for it loads nothing."""

import base64
import io

import numpy as np
from jaxtyping import UInt8


def png(pixels: UInt8[np.ndarray, "H W *C"]) -> str:
    """Pixels, gray or of three colors, as the address of a picture that is in the address itself.

    >>> png(np.eye(4, dtype=np.uint8))[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
