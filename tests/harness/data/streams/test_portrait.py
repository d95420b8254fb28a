"""Portraits: the face with a margin, cut out of the raw video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.affwild2.build import build_index
from harness.data.decoding.frames import pictures
from harness.data.decoding.video import probe, read_frames
from harness.data.index.index import Index
from harness.data.streams.box_readers import MARGIN, PortraitReader
from harness.data.streams.cutting import cut_square, squares_around
from harness.data.streams.sources import source_of
from harness.data.tracking.person_boxes import read_boxes
from tests.support.refusals import refused
from zoo.readers import FrameView
from zoo.registry.registry import load
from zoo.registry.tracks import find_track

FRAME = np.random.default_rng(0).integers(1, 256, (40, 60, 3), np.uint8)
coordinates = st.floats(-90, 90, width=32)


@pytest.fixture(scope="module")
def index(program) -> Index:  # type: ignore[no-untyped-def]
    edition, track = find_track(load([]), "va", None)
    return build_index(program.demo, edition, track)


@given(left=coordinates, top=coordinates, side=st.floats(1, 80), size=st.sampled_from([8, 32]))
def test_a_square_is_a_piece_of_the_frame_on_black(left: float, top: float, side: float, size: int) -> None:
    wide = 200
    padded = np.pad(FRAME, ((wide, wide), (wide, wide), (0, 0)))
    y, x, pixels = int(np.floor(top)) + wide, int(np.floor(left)) + wide, max(1, round(side))
    piece = padded[y : y + pixels, x : x + pixels]
    found = cut_square(FRAME, np.array([left, top, left + side, top + side]), size)
    if not piece.any():
        assert found is None
        return
    assert found is not None
    shrinks = pixels > size
    wanted = cv2.resize(piece, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    np.testing.assert_array_equal(found, wanted)


def test_squares_are_wider_than_the_longer_side() -> None:
    boxes = np.array([[10, 20, 30, 60], [0, 0, 50, 10], [np.nan] * 4])
    squares = squares_around(boxes, 0.25)
    np.testing.assert_allclose(squares[:2], [[-10, 10, 50, 70], [-12.5, -32.5, 62.5, 42.5]])
    assert np.isnan(squares[2]).all()


@pytest.mark.parametrize(
    "square",
    [
        [np.nan] * 4,
        [-np.inf, -np.inf, np.inf, np.inf],
        [-1e9, -1e9, 1e9, 1e9],
        [-3e38, -3e38, 3e38, 3e38],
        [3e38, 0, 3e38, 9],
        [60, 0, 70, 10],
        [0, -10, 10, 0],
        [20, 20, 10, 10],
        [20, 20, 20, 20],
    ],
)
def test_no_square_of_what_is_no_face(square: list[float]) -> None:
    """A file of boxes may hold any number: none costs memory."""
    assert cut_square(FRAME, np.array(square), 8) is None


def test_the_portraits_of_a_video_show_the_faces_of_its_boxes(index: Index) -> None:
    """The middle of a portrait is what the face's box shows."""
    video = next(v for v in index.videos if v.video is not None and v.video.suffix == ".mp4")
    assert video.video is not None
    faces = read_boxes(index.root / "boxes" / f"{video.name}.parquet").face
    reader, size = PortraitReader(source_of(index, video)), 96
    shown = min(video.n_frames, probe(video.video).n_frames)
    found = [image for (image,) in pictures([(reader, size)], video.video, shown)]
    assert [image is not None for image in found] == np.isfinite(faces[:shown]).all(1).tolist()
    compared = 0
    for frame, face, image in zip(read_frames(video.video), faces, found, strict=False):
        if image is None or (face < 0).any():
            continue
        x0, y0, x1, y1 = face.round().astype(int).tolist()
        if min(x1 - x0, y1 - y0) < 8 or x1 > frame.shape[1] or y1 > frame.shape[0]:
            continue
        scale = size / ((1 + 2 * MARGIN) * max(x1 - x0, y1 - y0))
        width, height = round((x1 - x0) * scale), round((y1 - y0) * scale)
        own = cv2.resize(frame[y0:y1, x0:x1], (width, height), interpolation=cv2.INTER_AREA).astype(float)
        top, left = (size - height) // 2, (size - width) // 2
        middle = image[top : top + height, left : left + width].astype(float)
        assert np.corrcoef(own.ravel(), middle.ravel())[0, 1] > 0.9
        compared += 1
        view = FrameView(frame, None, np.full(4, np.nan, np.float32), (frame.shape[1], frame.shape[0]), face)
        np.testing.assert_array_equal(PortraitReader.picture(view, size), image)
    assert compared > 10


def test_other_boxes_are_another_content(index: Index) -> None:
    video = next(v for v in index.videos if v.video is not None)
    source = source_of(index, video)
    assert source.faces is not None
    moved = source.faces() + 1
    assert PortraitReader(source).fingerprint() != PortraitReader(replace(source, faces=lambda: moved)).fingerprint()


def test_key_points_do_not_stand_in_for_faces(index: Index, tmp_path: Path) -> None:
    """OpenPose gives the person; where no faces were looked for, the portraits are refused and not silently absent."""
    video = next(v for v in index.videos if v.video is not None)
    assert video.video is not None
    (tmp_path / "openpose" / f"{video.name}_openpose_body25" / "json").mkdir(parents=True)
    there = replace(index, root=tmp_path)
    with refused("boxes-missing-for-video", value=video.video, root=tmp_path):
        PortraitReader(source_of(there, video))
