"""Decode and resize pictures: JPEG, PNG, BMP and WebP."""

from __future__ import annotations

import os
import re

import cv2
import numpy as np
import simplejpeg

from harness.data.decoding.picture_headers import picture_size, tiff_size
from harness.data.decoding.stills import is_damaged
from zoo.errors import UserError
from zoo.limits import PIXELS, check_picture

EXIF = b"Exif\0\0"
_DAMAGE = re.compile(
    r"Premature end|Unsupported marker|Corrupt JPEG data: "
    r"(premature|found marker|bad (Huffman|arithmetic)|([4-9]|\d\d+) extraneous)"
)
"""Messages of libjpeg about damaged data. Up to three spare bytes are the padding of some programs, not damage."""


def read_jpeg(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a JPEG, PNG, BMP or WebP file as uint8 RGB (H, W, 3).

    Raises:
        UserError: The file is damaged, cut short, or declares more pixels than any crop has.
    """
    with open(path, "rb", buffering=0) as file:
        data = file.read()
    if size := picture_size(data):
        check_picture(path, *size)
    image = whole_picture(data)
    if image is None:
        raise UserError("jpeg-damaged", file=path, count=len(data))
    return image


def whole_picture(data: bytes) -> np.ndarray | None:
    """Decode a picture file's bytes to uint8 RGB (H, W, 3); None if they are damaged or cut short.

    OpenCV hides the decoder's warnings and fills what is damaged with grey, so a JPEG is decoded by libjpeg alone, or
    by both if it may be turned or is of an odd kind. Changed bytes after which all codes are still valid show nowhere.
    """
    size = picture_size(data)
    if size is None or size[0] * size[1] > PIXELS or not is_complete(data):
        return None
    array = np.frombuffer(data, np.uint8)
    if data.startswith(b"\xff\xd8"):
        try:
            image: np.ndarray = simplejpeg.decode_jpeg(array, "RGB")
            if EXIF not in data:
                return image
        except ValueError as error:
            if _DAMAGE.match(str(error)):
                return None
    return decode_jpeg(array)


def is_complete(data: bytes) -> bool:
    """Return True if a picture has its end. OpenCV fills the missing part of a cut file with grey, without an error.

    A JPEG's end marker cannot occur inside its data, and it must follow the last start of scan. A PNG ends with a
    special chunk, a GIF with a semicolon. BMP and WebP files have their length in the header.
    """
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    if data.startswith(b"\x89PNG"):
        return data.rfind(b"IEND") > 0
    if data.startswith(b"BM"):
        return len(data) >= int.from_bytes(data[2:6], "little")
    if data.startswith(b"GIF8"):
        return data.rstrip(b"\0\r\n").endswith(b";")
    if data.startswith(b"RIFF"):
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return True


def decode_jpeg(data: np.ndarray) -> np.ndarray | None:
    """Decode the bytes (k,) uint8 of a complete picture to uint8 RGB (H, W, 3).

    Return None if they are not a picture of a kind that ``read_jpeg`` reads, or declare more than PIXELS: OpenCV would
    allocate up to 2**30 pixels, whatever the file contains.
    """
    size = picture_size(data.data)
    if size is None or size[0] * size[1] > PIXELS:
        return None
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def decode_tiff(data: bytes) -> np.ndarray | None:
    """Decode the first page of a TIFF to uint8 RGB (H, W, 3); None if it is damaged or declares more than PIXELS."""
    size = tiff_size(data)
    if size is None or size[0] * size[1] > PIXELS or is_damaged(data):
        return None
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def decode_into(data: np.ndarray, out: np.ndarray, *, turned: bool = False) -> bool:
    """Decode a picture as ``decode_jpeg`` does into ``out`` (H, W, 3), resized to it; return False if it fails.

    A JPEG of exactly that size is decoded in place. The pixels are the same as OpenCV's, which cannot decode in place,
    and at 224 pixels it is a quarter faster. Other pictures go through OpenCV, and so do those that may be ``turned``,
    because OpenCV applies the EXIF orientation.
    """
    if not turned and decode_in_place(data, out):
        return True
    image = decode_jpeg(data)
    if image is not None:
        out[...] = resize(image, out.shape[1], out.shape[0])
    return image is not None


def decode_in_place(data: np.ndarray, out: np.ndarray) -> bool:
    """Decode a JPEG of exactly the size of ``out`` (H, W, 3) into it; return False if that fails."""
    try:
        return simplejpeg.decode_jpeg(data, "RGB", buffer=out).shape == out.shape
    except ValueError:  # larger than out, of an odd kind, or damaged
        return False


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize uint8 (H, W, 3) to (height, width, 3): area average when shrinking, bilinear when enlarging."""
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    shrink = width < image.shape[1] or height < image.shape[0]
    out: np.ndarray = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return out
