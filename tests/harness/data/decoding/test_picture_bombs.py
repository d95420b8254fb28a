"""A picture or video whose header declares more pixels than a machine has memory for is refused, and takes none."""

from __future__ import annotations

import struct
import subprocess
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from harness.data.decoding.jpeg import read_jpeg
from harness.data.decoding.picture_headers import picture_size
from harness.data.decoding.video import probe, read_frames
from tests.support.bombs import read_in_child
from tests.support.refusals import refused
from zoo.limits import PIXELS

CHILD = subprocess
KINDS = (".jpg", ".png", ".bmp", ".webp")


def picture(path: Path, height: int = 30, width: int = 50, *flags: int) -> Path:
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    assert cv2.imwrite(str(path), image, flags)
    return path


def declared(path: Path, width: int = 60_000, height: int = 60_000) -> Path:
    """The same file with another size in its header."""
    content = bytearray(picture(path).read_bytes())
    if path.suffix == ".jpg":
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", height, width)
    elif path.suffix == ".png":
        content[16:24] = struct.pack(">II", width, height)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    elif path.suffix == ".bmp":
        content[18:26] = struct.pack("<ii", width, -height)
    else:  # an animation's canvas: WebP's own limit for one picture is lower
        canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = b"WEBPVP8X" + struct.pack("<I", len(canvas)) + canvas + bytes(content[12:])
        content = bytearray(b"RIFF" + struct.pack("<I", len(body)) + body)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", KINDS)
def test_the_size_is_that_of_the_picture(tmp_path: Path, suffix: str) -> None:
    path = picture(tmp_path / f"a{suffix}", 31, 57)
    assert picture_size(path.read_bytes()) == (57, 31)
    assert read_jpeg(path).shape == (31, 57, 3)
    assert picture_size(path.read_bytes()[:15]) is None


@pytest.mark.parametrize("flags", [(cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)])
def test_the_size_of_other_jpegs(tmp_path: Path, flags: tuple[int, int]) -> None:
    content = picture(tmp_path / "a.jpg", 31, 57, *flags).read_bytes()
    assert picture_size(content) == (57, 31)
    exif = b"\xff\xe1" + struct.pack(">H", 20) + b"Exif\0\0\xff\xc0\0\x11\x08\xff\xff\xff\xff\0\0\0"[:18]
    assert picture_size(content[:2] + exif + b"\xff\xff" + content[3:]) == (57, 31)


@pytest.mark.parametrize("lossless", [80, 101])
def test_the_size_of_both_kinds_of_webp(tmp_path: Path, lossless: int) -> None:
    path = picture(tmp_path / "a.webp", 31, 57, cv2.IMWRITE_WEBP_QUALITY, lossless)
    assert picture_size(path.read_bytes()) == (57, 31)


@pytest.mark.parametrize("suffix", KINDS)
def test_pictures_too_large_are_named(tmp_path: Path, suffix: str) -> None:
    path = declared(tmp_path / f"a{suffix}")
    with refused("memory-picture", file=path, width=60_000, height=60_000, limit=PIXELS):
        read_jpeg(path)


def test_pictures_too_large_take_no_memory(tmp_path: Path) -> None:
    files = [declared(tmp_path / f"a{suffix}") for suffix in KINDS]
    found = read_in_child("harness.data.decoding.jpeg:read_jpeg", files)
    assert {reading.code for reading in found.values()} == {"memory-picture"}
    assert max(reading.grown for reading in found.values()) < 20


def video(path: Path, width: int, height: int, frames: int = 5) -> Path:
    with av.open(str(path), "w") as container:
        codec, options = ("mpeg2video", {}) if path.suffix == ".ts" else ("libx264", {"preset": "ultrafast"})
        stream = container.add_stream(codec, rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        black = av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), format="rgb24")
        for packet in [p for _ in range(frames) for p in stream.encode(black)] + stream.encode():
            container.mux(packet)
    return path


def test_a_video_of_too_many_pixels_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.limits.PIXELS", 64 * 48 - 1)
    path = video(tmp_path / "a.mp4", 64, 48)
    for read in (probe, lambda path: list(read_frames(path))):
        with refused("memory-picture", file=path, width=64, height=48):
            read(path)


def test_a_video_whose_pictures_grow_ends_where_they_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first pictures are as the header says."""
    monkeypatch.setattr("harness.data.decoding.video._HELD", {"max_pixels": str(64 * 48)})
    small, large = video(tmp_path / "a.ts", 64, 48, 100), video(tmp_path / "b.ts", 640, 480, 100)
    (tmp_path / "c.ts").write_bytes(small.read_bytes() + large.read_bytes())
    assert len(list(read_frames(small))) == probe(small).n_frames == 100
    with refused("video-decoding-broke-off", file=tmp_path / "c.ts"):
        list(read_frames(tmp_path / "c.ts"))


def test_a_large_video_takes_little_memory(tmp_path: Path) -> None:
    """144 million pixels: FFmpeg decodes the first ones while it opens a file."""
    path = video(tmp_path / "a.mp4", 12_000, 12_000, 1)
    found = read_in_child("harness.data.decoding.video:probe", [path])["a.mp4"]
    assert found.code == "memory-picture"
    assert found.grown < 150
