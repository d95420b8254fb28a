"""Decode pictures of a corpus to squares of one size: uint8 RGB."""

from __future__ import annotations

import os

import numpy as np

from harness.data.decoding.jpeg import EXIF, decode_in_place, decode_tiff, resize, whole_picture
from harness.data.decoding.picture_headers import TIFF
from zoo.corpora import CorpusTable
from zoo.errors import UserError
from zoo.files import reason_of

AT_ONCE = 1 << 18  # bytes; most pictures are smaller
END = b"\xff\xd9"  # of a JPEG


def read_picture(table: CorpusTable, i: int, out: np.ndarray) -> None:
    """Decode picture ``i`` of a corpus into ``out`` (size, size, 3) uint8 RGB, cut to its face and resized.

    Raises:
        UserError: The file cannot be read, is cut short, or is not a picture.
    """
    data = read_file(table, i)
    if not fill(table, i, data, out):
        raise UserError("corpus-picture-damaged", file=table.path(i))


def read_file(table: CorpusTable, i: int) -> bytes:
    """Return the bytes of a picture's file; raise UserError if it cannot be read."""
    try:
        # Paths stay bytes and the file object is left out: with 300,000 pictures an epoch, their share would show.
        file = os.open(os.fsencode(table.root) + b"/" + bytes(table.files[i]), os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = [os.read(file, AT_ONCE)]
            while len(parts[-1]) == AT_ONCE:
                parts.append(os.read(file, AT_ONCE))
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            os.close(file)
    except OSError as error:
        raise UserError("corpus-unreadable", file=table.path(i), reason=reason_of(error)) from error


def fill(table: CorpusTable, i: int, data: bytes, out: np.ndarray) -> bool:
    """Decode the bytes of picture ``i`` into ``out``; return False if they are damaged, or outside the face's box."""
    straight = table.boxes is None and EXIF not in data and data.endswith(END)
    if straight and decode_in_place(np.frombuffer(data, np.uint8), out):
        return True
    image = decode_tiff(data) if data.startswith(TIFF) else whole_picture(data)
    if image is not None and table.boxes is not None:
        image = cut(image, table.boxes[i])
    if image is None:
        return False
    out[...] = resize(image, out.shape[1], out.shape[0])
    return True


def cut(image: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """Return the part of a picture (H, W, 3) in a box (4,) of x, y, width, height; black where the box leaves it.

    Return None if the box lies outside the picture: nothing but black would be learned with its label.
    """
    x, y, width, height = box.tolist()
    inside = image[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    if not inside.size:
        return None
    if inside.shape[:2] == (height, width):
        return inside
    whole = np.zeros((height, width, 3), np.uint8)
    top, left = max(0, -y), max(0, -x)
    whole[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return whole
