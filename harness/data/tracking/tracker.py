"""Track faces over frames: a track follows boxes that overlap from frame to frame."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from zoo.api import Faces


@dataclass(frozen=True)
class Track:
    """One person's faces.

    ``frames``: (m,) from 0, increasing. ``faces``: (m,) index into that frame's Faces. ``boxes``: (m, 4) pixels.
    ``scores``: (m,). m may be 0.
    """

    frames: np.ndarray
    faces: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """Square root of each box's area, (m,) pixels."""
        return np.sqrt(np.prod(self.boxes[:, 2:] - self.boxes[:, :2], axis=1))

    @property
    def weight(self) -> float:
        """Sum of the sizes, which grows with length and size. The heaviest subject is the main one."""
        return float(self.sizes.sum())

    @property
    def centres(self) -> np.ndarray:
        """Centre of each box, (m, 2) x, y."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2


NOBODY = Track(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 4), np.float32), np.empty(0, np.float32))
"""The empty track."""


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes (M, 4) and (N, 4), as (M, N)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a, area_b = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b))
    return common / np.maximum(area_a[:, None] + area_b[None] - common, 1e-9)


def track_faces(per_frame: Sequence[Faces], *, max_gap: int = 15, min_overlap: float = 0.3) -> list[Track]:
    """Track faces and return the tracks in order of their first frame.

    In every frame, faces and predicted boxes of tracks are matched greedily by overlap, the largest first, down to
    ``min_overlap``. A track without a face is kept for ``max_gap`` frames and moves on at its last speed.
    """
    tracker = Tracker(max_gap=max_gap, min_overlap=min_overlap)
    for faces in per_frame:
        tracker.add(faces)
    return tracker.tracks()


class Tracker:
    """Incremental form of ``track_faces``: frames are added one by one."""

    def __init__(self, *, max_gap: int = 15, min_overlap: float = 0.3) -> None:
        self.max_gap, self.min_overlap = max_gap, min_overlap
        self.frames = 0
        self._open: list[_Path] = []
        self._closed: list[_Path] = []

    def add(self, faces: Faces) -> None:
        """Add the faces of the next frame."""
        index, self.frames = self.frames, self.frames + 1
        self._closed += [path for path in self._open if index - path.frames[-1] > self.max_gap + 1]
        self._open = [path for path in self._open if index - path.frames[-1] <= self.max_gap + 1]
        free = set(range(len(faces.boxes)))
        if self._open and free:
            shared = overlap(np.array([path.predicted(index) for path in self._open]), faces.boxes)
            for row, column in _matches(shared, self.min_overlap):
                self._open[row].add(index, column, faces)
                free.discard(column)
        for column in sorted(free):
            path = _Path()
            path.add(index, column, faces)
            self._open.append(path)

    def leading(self) -> int | None:
        """Return the face of the last added frame whose track is the heaviest so far; None if it has no face."""
        here = [path for path in self._open if path.frames[-1] == self.frames - 1]
        return max(here, key=lambda path: path.weight).faces[-1] if here else None

    def tracks(self) -> list[Track]:
        """Return the tracks so far, in order of their first frame."""
        every = sorted(self._closed + self._open, key=lambda path: (path.frames[0], path.faces[0]))
        return [path.track() for path in every]


@dataclass
class _Path:
    """A track while it grows."""

    frames: array[int] = field(default_factory=lambda: array("i"))  # arrays, because a video may have a million faces
    faces: array[int] = field(default_factory=lambda: array("i"))
    boxes: array[float] = field(default_factory=lambda: array("f"))  # four per face
    scores: array[float] = field(default_factory=lambda: array("f"))
    speed: np.ndarray = field(default_factory=lambda: np.zeros(2))
    last: np.ndarray = field(default_factory=lambda: np.zeros(4))
    weight: float = 0.0  # Track.weight so far

    def add(self, frame: int, face: int, faces: Faces) -> None:
        box = np.asarray(faces.boxes[face], np.float64)
        if self.frames:
            moved = (box - self.last).reshape(2, 2).mean(0) / (frame - self.frames[-1])
            self.speed = 0.7 * self.speed + 0.3 * moved  # smoothed, because boxes jitter
        self.frames.append(frame)
        self.faces.append(face)
        self.boxes.extend(box)
        self.scores.append(float(faces.scores[face]))
        self.last = box
        self.weight += float(np.sqrt(np.prod(box[2:] - box[:2])))

    def predicted(self, frame: int) -> np.ndarray:
        return self.last + np.tile(self.speed * (frame - self.frames[-1]), 2)

    def track(self) -> Track:
        boxes, scores = np.array(self.boxes, np.float32).reshape(-1, 4), np.array(self.scores, np.float32)
        return Track(np.array(self.frames, np.int64), np.array(self.faces, np.int64), boxes, scores)


def _matches(shared: np.ndarray, least: float) -> Iterator[tuple[int, int]]:
    """Yield (row, column) greedily: the highest entry, then the highest outside its row and column, down to least."""
    left = shared.copy()
    while left.size and left.max() >= least:
        row, column = np.unravel_index(left.argmax(), left.shape)
        yield int(row), int(column)
        left[row] = left[:, column] = -1
