"""Faces that are followed between detections: where they are, when the detector looks again, and how it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.data.decoding.video import read_frames
from harness.data.preprocessing.crop import crop_folder
from harness.data.tracking.between import EVERY, FollowedFaces
from harness.data.tracking.detection import FaceFinder, detector_settings
from harness.data.tracking.tracker import overlap
from tests.support.program import Program
from tests.support.refusals import refused
from tests.support.squares import spec, still, write_squares
from zoo.api import Faces
from zoo.registry.registry import load

SIZE, SIDE = (180, 320), 60
MARKS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)


def texture(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Blotches of some pixels, which flow can follow."""
    coarse = np.random.default_rng(seed).integers(0, 256, (shape[0] // 4 + 1, shape[1] // 4 + 1), np.uint8)
    return np.kron(coarse, np.ones((4, 4), np.uint8))[: shape[0], : shape[1]]


class Scene:
    """A face that moves over a still background, and a detector that knows where it is."""

    def __init__(self, places: Sequence[tuple[float, float] | None], cuts: Sequence[int] = ()) -> None:
        self.places, self.looked = list(places), []
        self.frames = []
        for i, place in enumerate(self.places):
            scene = sum(i >= cut for cut in cuts)
            frame = texture(scene, SIZE) // (2 + scene) + 60 * scene
            if place is not None:
                x, y = map(round, place)
                frame[y : y + SIDE, x : x + SIDE] = texture(99 + scene, (SIDE, SIDE))
            self.frames.append(np.repeat(frame[..., None], 3, axis=2).astype(np.uint8))

    def truth(self, i: int) -> Faces:
        place = self.places[i]
        boxes = np.array([] if place is None else [[*place, place[0] + SIDE, place[1] + SIDE]], np.float32).reshape(
            -1, 4
        )
        return Faces(boxes, np.full(len(boxes), 0.9, np.float32), boxes[:, None, :2] + MARKS * SIDE)

    def detect(self, frame: np.ndarray) -> Faces:
        i = next(i for i, one in enumerate(self.frames) if one is frame)
        self.looked.append(i)
        return self.truth(i)

    def followed(self) -> list[Faces]:
        follow = FollowedFaces(self.detect)
        return [follow(frame) for frame in self.frames]


def test_a_moving_face_is_followed() -> None:
    scene = Scene([(40 + 3 * i, 50 + i) for i in range(20)])
    found = scene.followed()
    assert scene.looked == list(range(0, 20, EVERY))
    for i, faces in enumerate(found):
        assert overlap(scene.truth(i).boxes, faces.boxes)[0, 0] > 0.95, i
        np.testing.assert_allclose(faces.landmarks, scene.truth(i).landmarks, atol=2)
    assert found[0].boxes.dtype == found[1].boxes.dtype == np.float32


def test_the_detector_looks_at_once_after_a_cut() -> None:
    scene = Scene([(40, 50)] * 6 + [(200, 90)] * 4, cuts=[6])
    found = scene.followed()
    assert 6 in scene.looked
    assert (overlap(scene.truth(6).boxes, found[6].boxes) > 0.95).all()


def test_and_where_a_face_is_gone_or_none_is_known() -> None:
    scene = Scene([(40, 50), (40, 50), None, None, (40, 50), (40, 50)])
    assert [len(faces.boxes) for faces in scene.followed()] == [1, 1, 0, 0, 1, 1]
    assert scene.looked == [0, 2, 3, 4]


def test_faces_at_the_edge_stay_inside() -> None:
    scene = Scene([(max(0.0, 12.0 - 4 * i), 20.0) for i in range(8)])
    for faces in scene.followed():
        assert (faces.boxes >= 0).all()
        assert (faces.boxes[:, 2:] <= np.array(SIZE[::-1])).all()


def test_real_faces(real: Path) -> None:
    frames = [
        frame for _, frame in zip(range(60), read_frames(real / "videos" / "01-01-01-01-02-01-05.mp4"), strict=False)
    ]
    finder = FaceFinder(load([]).get("detectors", "centerface"), {"mode": "track"})  # type: ignore[arg-type]
    follow = finder.start()
    near = [overlap(finder.faces(frame).boxes, follow(frame).boxes).max() for frame in frames]
    assert np.mean(np.array(near) >= 0.9) >= 0.99
    assert follow.detections <= 60 / EVERY + 2  # type: ignore[attr-defined]


def test_every_video_is_begun_anew() -> None:
    finder = FaceFinder(spec(), {"mode": "track"})
    assert finder.start() is not finder.start()
    plain = FaceFinder(spec())
    assert plain.start() == plain.faces
    assert "mode" not in plain.label
    assert finder.label == f"{plain.label} mode=track"


def test_settings_of_a_detector() -> None:
    assert detector_settings(["detector.mode=track", "detector.size=640"]) == {"mode": "track", "size": 640}
    for text in ("mode=track", "detector.mode", "train.lr=1", "detector.=3"):
        with refused("detector-setting", got=text):
            detector_settings([text])
    with refused("detector-mode", got="sometimes"):
        FaceFinder(spec(), {"mode": "sometimes"})


def test_crops_of_followed_faces(tmp_path: Path) -> None:
    write_squares(tmp_path / "raw" / "one.mp4", [still(100)])

    def crop(**options: str) -> int:
        report = crop_folder(
            tmp_path / "raw", tmp_path / "out", detector=spec(portable=False), progress=False, options=options
        )
        return report.skipped

    crop()
    assert crop() == 1
    assert crop(mode="track") == 0, "faces of another mode are found again"
    assert crop(mode="track") == 1


def test_from_the_command_line(program: Program, tmp_path: Path) -> None:
    write_squares(tmp_path / "raw" / "one.mp4", [still(100)])
    answer = program("data", "crop", tmp_path / "raw", "--out", tmp_path / "out", "--set", "detector.mode=track")
    assert answer.code == 0, answer.err
    run = program.kept(
        "--track", "expr", "--encoders", "frame,audio", "--fusion", "late", "--epochs", 1, "--head", "gru"
    )
    video, how = tmp_path / "raw" / "one.mp4", ("--model", run, "--out", tmp_path / "tables")
    assert program("predict", video, *how, "--set", "detector.mode=track").code == 0
    program("predict", video, *how, "--set", "detector.mode=x").refused("detector-mode", got="x")
    program("predict", video, *how, "--set", "train.lr=1").refused("detector-setting", got="train.lr=1")


@pytest.mark.parametrize("every", [1, 3])
def test_how_often(every: int) -> None:
    scene = Scene([(40, 50)] * 9)
    follow = FollowedFaces(scene.detect, every)
    for frame in scene.frames:
        follow(frame)
    assert follow.detections == 9 / every
