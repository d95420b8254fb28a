"""Pictures that are part of a page."""

from __future__ import annotations

import base64

import numpy as np

from harness.data.packed.writer import encode_jpeg


def picture_uri(image: np.ndarray, quality: int) -> str:
    """Return uint8 RGB (H, W, 3) as a data URI of a JPEG."""
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(image, quality)).decode()
