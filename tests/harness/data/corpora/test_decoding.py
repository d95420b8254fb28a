"""Pictures of a corpus that are turned, damaged, of an odd kind, or outside the box of their face."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.data.corpora.decoding import fill
from harness.data.decoding.jpeg import resize
from zoo.corpora import CorpusTable

IMAGE = cv2.resize(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8), (64, 64))


def filled(data: bytes, size: int, box: tuple[int, int, int, int] | None = None) -> np.ndarray | None:
    boxes = None if box is None else np.array([box], np.int32)
    table = CorpusTable(Path("x"), (), np.array([b"a.jpg"]), np.zeros((1, 1), np.float32), np.ones(1, bool), boxes)
    out = np.empty((size, size, 3), np.uint8)
    return out if fill(table, 0, data, out) else None


@pytest.mark.parametrize("size", [64, 32])
def test_a_picture_is_turned_at_every_size(size: int) -> None:
    data = cv2.imencode(".jpg", IMAGE)[1].tobytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    upright = np.rot90(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), -1)
    np.testing.assert_array_equal(filled(data, 64), np.rot90(upright))
    np.testing.assert_array_equal(filled(turned, size), resize(upright, size, size))


@pytest.mark.parametrize("size", [64, 32])
def test_damage_is_found_at_every_size(size: int) -> None:
    data = cv2.imencode(".jpg", IMAGE)[1].tobytes()
    start = data.rfind(b"\xff\xda") + 14
    assert filled(data, size) is not None
    assert filled(data[:start] + bytes(len(data) - start - 2) + data[-2:], size) is None


@pytest.mark.parametrize(("box", "there"), [((63, 0, 9, 9), True), ((64, 0, 9, 9), False), ((0, -9, 9, 9), False)])
def test_a_box_outside_the_picture_gives_no_picture(box: tuple[int, int, int, int], there: bool) -> None:
    assert (filled(cv2.imencode(".png", IMAGE)[1].tobytes(), 32, box) is not None) == there


def test_a_tiff_is_a_picture() -> None:
    np.testing.assert_array_equal(filled(cv2.imencode(".tif", IMAGE)[1].tobytes(), 64), IMAGE[..., ::-1])
