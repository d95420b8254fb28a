"""Pictures out of JPEGs and their like, and their size."""

from __future__ import annotations

import os

import cv2
import numpy as np
import simplejpeg

from harness.data.decoding.picture_headers import picture_size
from zoo.errors import UserError
from zoo.limits import PIXELS, check_picture


def read_jpeg(path: str | os.PathLike[str]) -> np.ndarray:
    """A JPEG, PNG, BMP or WebP file as uint8 RGB (H, W, 3).

    Raises:
        UserError: It is damaged, cut short, or declares more pixels than any crop has.
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
    """The same of a file's bytes; None where it is damaged or cut short."""
    image = decode_jpeg(np.frombuffer(data, np.uint8)) if is_complete(data) else None
    return None if image is None else np.asarray(image, np.uint8)


def is_complete(data: bytes) -> bool:
    """Whether a picture has its end: OpenCV fills the missing part of a cut file with grey and says nothing. Inside a
    JPEG's data the end marker cannot occur, and it must follow the last start of scan; a PNG ends with a chunk of its
    own; BMP and WebP say how long they are."""
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    if data.startswith(b"\x89PNG"):
        return data.rfind(b"IEND") > 0
    if data.startswith(b"BM"):
        return len(data) >= int.from_bytes(data[2:6], "little")
    if data.startswith(b"RIFF"):
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return True


def decode_jpeg(data: np.ndarray) -> np.ndarray | None:
    """The bytes (k,) uint8 of a whole JPEG as uint8 RGB (H, W, 3); None where they are none, or of another kind than
    read_jpeg's, or declare more than PIXELS: OpenCV would make room for 2**30 pixels, whatever else is there."""
    size = picture_size(data.data)
    if size is None or size[0] * size[1] > PIXELS:
        return None
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def decode_into(data: np.ndarray, out: np.ndarray, *, turned: bool = False) -> bool:
    """The picture that ``decode_jpeg`` gives written into ``out`` (H, W, 3), resized to it; False where there is none.

    A JPEG of that very size is decoded in place, pixel for pixel the same and at 224 pixels a quarter faster than by
    OpenCV, which has no such way in. Any other goes through OpenCV, and where it may be ``turned``: OpenCV heeds what
    a camera said of its position (EXIF).
    """
    if not turned:
        try:
            if simplejpeg.decode_jpeg(data, "RGB", buffer=out).shape == out.shape:
                return True
        except ValueError:  # larger than out, of four colours, damaged
            pass
    image = decode_jpeg(data)
    if image is not None:
        out[...] = resize(image, out.shape[1], out.shape[0])
    return image is not None


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 (H, W, 3) -> (height, width, 3): area average when shrinking, bilinear when growing."""
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    shrink = width < image.shape[1] or height < image.shape[0]
    out: np.ndarray = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return out
