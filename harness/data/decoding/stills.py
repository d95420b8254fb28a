"""Read pictures with Pillow where FFmpeg and OpenCV fail without an error: damaged TIFF, GIF and PCX, JPEG in TIFF."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from harness.data.decoding.picture_headers import BIG_TIFF, TIFF
from zoo.limits import PIXELS

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_CHECKED = ("TIFF", "GIF", "PCX")
_JPEG = ("jpeg", "tiff_jpeg")  # compressions of a TIFF, of which FFmpeg makes a black or green picture
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB")
_BRANDS = 64  # bytes in which the file's kinds are listed

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, RuntimeError)
"""Errors of Pillow about a picture that is damaged or of no known form."""


def is_damaged(data: bytes) -> bool:
    """Return True if a file begins as a TIFF, GIF or PCX, but its first picture cannot be decoded to its end.

    FFmpeg and OpenCV leave the parts that they cannot decode black.
    """
    file = _opened(data, _CHECKED)
    if file is None:
        return False
    try:
        file.load()
    except UNREADABLE:
        return True
    return False


def read_tiff(data: bytes, *, jpeg_only: bool = False) -> np.ndarray | None:
    """Decode a TIFF's first page to uint8 RGB (H, W, 3), upright; None if it has not 8 bits or is of no known form.

    Args:
        data: A file that is not damaged, of any kind.
        jpeg_only: Return None if its pixels are not compressed as JPEG.
    """
    file = _opened(data, ("TIFF",)) if data.startswith((*TIFF, *BIG_TIFF)) else None
    if file is None or (jpeg_only and file.info.get("compression") not in _JPEG):
        return None
    return _upright(file)


def read_avif(data: bytes) -> np.ndarray | None:
    """Decode the first picture of an AVIF file to uint8 RGB (H, W, 3), upright; None if that fails."""
    file = _opened(data, ("AVIF",)) if _is_avif(data) else None
    return None if file is None else _upright(file)


def _is_avif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and any(brand in data[8:_BRANDS] for brand in (b"avif", b"avis"))


def _upright(file: ImageFile) -> np.ndarray | None:
    from PIL import ImageOps

    if file.mode not in _EIGHT_BITS:  # Pillow cuts off what is above 8 bits
        return None
    try:
        return np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    except UNREADABLE:
        return None


def _opened(data: bytes, formats: tuple[str, ...]) -> ImageFile | None:
    """Read a picture's header; None if it is of no known form, or declares more than PIXELS."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about tags that no pixel depends on
        try:
            file = Image.open(BytesIO(data), formats=formats)
        except (*UNREADABLE, Image.DecompressionBombError):
            return None
    return file if file.width * file.height <= PIXELS else None
