"""The person that is guessed while a video is read is the person that it turns out to be, picture by picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.decoding.display import Size
from harness.data.decoding.jpeg import resize
from harness.data.decoding.video import VideoInfo
from harness.data.streams.box_readers import BodyReader, ContextReader, PortraitReader
from harness.data.streams.readers import FaceReader, FrameReader
from harness.data.tracking.detection import FaceFinder
from harness.data.tracking.face_tracks import choose, people_in
from harness.data.tracking.pose_boxes import Posed, PosedPeople
from harness.predicting.video_scan import VideoScan, Wanted
from zoo.api import DetectorSpec, Faces

WIDTH, HEIGHT, RATE = 160, 120, 10
MARKS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


@dataclass
class Film:
    """Frames of noise with faces that are known; ``shown``: boxes of each frame."""

    shown: Sequence[Sequence[tuple[float, ...]]]
    readings: int = 0
    has_pictures = True
    name = "film"

    @property
    def info(self) -> VideoInfo:
        return VideoInfo(Path("film.mp4"), WIDTH, HEIGHT, np.arange(len(self.shown)) / RATE, 0.0, False)

    def pictures(self, kinds: Sequence[Size | None]) -> Iterator[tuple[np.ndarray, ...]]:
        self.readings += 1
        for index in range(len(self.shown)):
            frame = np.random.default_rng(index).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
            frame[0, 0, 0] = index  # what the detector goes by
            yield tuple(frame if kind is None else resize(frame, *kind) for kind in kinds)

    def detect(self, frame: np.ndarray) -> Faces:
        boxes = np.array(self.shown[int(frame[0, 0, 0])], np.float32).reshape(-1, 4)
        size = boxes[:, None, 2:] - boxes[:, None, :2]
        points = boxes[:, None, :2] + MARKS.astype(np.float32) * size
        return Faces(boxes, np.full(len(boxes), 0.9, np.float32), points)


def scan(film: Any, *readers: Any) -> VideoScan:
    finder = FaceFinder(DetectorSpec("film", lambda: film, summary="known faces"))
    needs = {FaceReader: ("crops",)} | dict.fromkeys((BodyReader, ContextReader, PortraitReader), ("boxes",))
    return VideoScan(film, finder, [Wanted(reader, 32, needs.get(reader, ())) for reader in readers])


EVERY = (FaceReader, BodyReader, ContextReader, FrameReader, PortraitReader)


def face(x: float, size: float = 40) -> tuple[float, ...]:
    return (x, 30, x + size, 30 + size)


def same(a: Any, b: Any) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))


STEADY = [[face(60 + k / 2)] for k in range(30)]
SHORT_GAP = [[] if 10 <= k < 14 else [face(60)] for k in range(30)]
LONG_GAP = [[] if 5 <= k < 24 else [face(60)] for k in range(40)]
LATE = [[] if k < 8 or k > 20 else [face(60)] for k in range(30)]
BYSTANDER = [[face(90), face(10, 12)] for _ in range(30)]
NOBODY: list[list[tuple[float, ...]]] = [[] for _ in range(12)]


@pytest.mark.parametrize("shown", [STEADY, SHORT_GAP, LONG_GAP, LATE, BYSTANDER, NOBODY])
def test_the_guess_is_the_truth(shown: list[list[tuple[float, ...]]]) -> None:
    film = Film(shown)
    one = scan(film, *EVERY)
    rows = list(one.guessed())
    track = choose(one.tracks(), "film", WIDTH)
    assert len(rows) == len(shown)
    assert one.was_guessed(track)
    known = list(one.of(track))
    assert film.readings == 2
    assert all(same(a, b) for row, other in zip(rows, known, strict=True) for a, b in zip(row, other, strict=True))


class Shifted(PosedPeople):
    """Person boxes that depend on the frame and the face; frames with an even index fall back to the rule."""

    def __init__(self) -> None:
        self._finder = self

    def person_box(self, frame: np.ndarray, face: np.ndarray, person: np.ndarray) -> np.ndarray | None:
        index = int(frame[0, 0, 0])
        return face + index % 5 if index % 2 else None


@pytest.mark.parametrize("shown", [STEADY, SHORT_GAP, LONG_GAP, LATE])
def test_boxes_by_pose_are_the_same_in_both_readings(shown: list[list[tuple[float, ...]]]) -> None:
    one, rule = scan(Film(shown), BodyReader), scan(Film(shown), BodyReader)
    one.finder.people, one.posed = Shifted(), Posed()
    rows, plain = list(one.guessed()), list(rule.guessed())
    seen = [k for k, (a, b) in enumerate(zip(rows, plain, strict=True)) if not same(a[0], b[0])]
    assert seen == [k for k, row in enumerate(plain) if row[0] is not None and k % 2]
    assert one.posed == Posed(len(seen), sum(row[0] is not None for row in plain))
    known = list(one.of(choose(one.tracks(), "film", WIDTH)))
    assert all(same(a, b) for row, other in zip(rows, known, strict=True) for a, b in zip(row, other, strict=True))


def test_two_people_of_like_size_are_not_guessed() -> None:
    one = scan(Film([[face(10), face(100, 44)] for _ in range(40)]), *EVERY)
    assert len(list(one.guessed())) < 40
    assert one.unsure
    assert one.found == 40  # all faces are known all the same
    assert not one.was_guessed(choose(one.tracks(), "film", WIDTH))
    assert [len(person.frames) for person in people_in(one.tracks())] == [40, 40]


def test_a_wrong_guess_is_found_out() -> None:
    """Somebody is there first; somebody else turns out to be the main person."""
    shown = [[face(10, 30)] if k < 10 else [face(100, 80)] for k in range(40)]
    one = scan(Film(shown), *EVERY)
    assert len(list(one.guessed())) == 40
    track = choose(one.tracks(), "film", WIDTH)
    guessed_all = np.frombuffer(one.guess, np.int64) >= 0
    assert guessed_all.all()
    assert one.was_guessed(track) == (len(track.frames) == 40)


def test_who_is_looked_at_is_no_matter_for_whole_frames() -> None:
    one = scan(Film([[face(10), face(100, 44)] for _ in range(20)]), FrameReader)
    assert len(list(one.guessed())) == 20
    assert one.was_guessed(choose(one.tracks(), "film", WIDTH))
