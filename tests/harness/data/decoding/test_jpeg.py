"""JPEGs decoded straight into a batch: the pixels that OpenCV gives."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from harness.data.decoding.jpeg import decode_into, decode_tiff, resize, whole_picture


@pytest.mark.parametrize("kind", ["whole", "grey", "larger", "smaller", "turned"])
def test_a_jpeg_is_decoded_in_place_as_opencv_decodes_it(kind: str) -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 24, 3), np.uint8)
    data = cv2.imencode(".jpg", image[..., 0] if kind == "grey" else image)[1].ravel()
    if kind == "turned":  # orientation 6: a quarter turn
        exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
        head = b"\xff\xd8\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
        data = np.frombuffer(head + data.tobytes()[2:], np.uint8)
    expected = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    assert expected.shape[:2] == ((24, 20) if kind == "turned" else (20, 24))
    height, width = {"larger": (30, 36), "smaller": (10, 12)}.get(kind, expected.shape[:2])
    out = np.empty((height, width, 3), np.uint8)
    assert decode_into(data, out, turned=kind == "turned")
    np.testing.assert_array_equal(out, resize(expected, width, height))
    assert not decode_into(data[:100], out)


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("harm", ["zeroed", "third", "removed", "ended"])
def test_damage_between_header_and_end_is_found(harm: str, progressive: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    start = data.rfind(b"\xff\xda") + 14
    third = (len(data) - start) // 3
    first, last = data[: start + third], data[start + 2 * third :]
    harmed = {
        "zeroed": data[:start] + bytes(len(data) - start - 2) + data[-2:],
        "third": first + bytes(third) + last,
        "removed": first + last,
        "ended": first + data[-2:],
    }[harm]
    assert whole_picture(data) is not None
    assert whole_picture(harmed) is None


@pytest.mark.parametrize("spare", [b"\0\0\0", b"\xff\xff"])
def test_padding_before_the_end_of_a_jpeg_is_no_damage(spare: bytes) -> None:
    data = cv2.imencode(".jpg", np.full((20, 24, 3), 90, np.uint8), [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes()
    assert whole_picture(data[:-2] + spare + data[-2:] + b"more") is not None


def test_a_tiff_is_decoded_whole_or_not_at_all() -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 24, 3), np.uint8)
    data = cv2.imencode(".tif", image)[1].tobytes()
    np.testing.assert_array_equal(decode_tiff(data), image[..., ::-1])
    assert decode_tiff(data[: len(data) // 2]) is None
    damaged = bytearray(cv2.imencode(".tif", image, [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes())
    damaged[400:440] = b"\xff" * 40
    assert decode_tiff(bytes(damaged)) is None
