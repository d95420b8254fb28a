"""A detector whose faces are bright squares, and videos with such squares: people at known places."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from zoo.api import DetectorSpec, Faces, Option

Place = Callable[[int], tuple[int, int, int] | None]  # frame -> left, top, side; None: not visible

MARKS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


class Squares:
    """A detector of squares brighter than ``threshold``; it misbehaves if ``folder`` has a file ``die`` or ``slow``."""

    def __init__(self, threshold: int = 128, folder: str = "") -> None:
        self.threshold, self.folder = threshold, Path(folder or "/nonexistent")

    def detect(self, frame: np.ndarray) -> Faces:
        if (self.folder / "die").is_file():
            os._exit(9)
        if (self.folder / "slow").is_file():
            time.sleep(0.02)
        mask = (frame.max(axis=2) > self.threshold).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        boxes = [[x, y, x + w, y + h] for x, y, w, h, area in stats[1:count] if area > 30]
        found = np.array(boxes, np.float32).reshape(-1, 4)
        marks = found[:, None, :2] + MARKS * (found[:, None, 2:] - found[:, None, :2])
        return Faces(found, np.full(len(found), 0.9, np.float32), marks.astype(np.float32))


def spec(portable: bool = True) -> DetectorSpec:
    """Return the detector as a plugin would register it."""
    options = {"threshold": Option(128, "brightness"), "folder": Option("", "where the files die and slow may be")}
    return DetectorSpec("squares", "tests.support.squares:Squares" if portable else Squares, options=options)


def write_squares(
    path: Path,
    people: Sequence[Place],
    n_frames: int = 30,
    size: tuple[int, int] = (320, 240),
    fps: int = 25,
    aspect: Fraction | None = None,
) -> None:
    """Write a video of squares, each of its own brightness (200, 230, ...), on black."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for k in range(n_frames):
            picture = np.zeros((size[1], size[0], 3), np.uint8)
            for who, place in enumerate(people):
                if (where := place(k)) is not None:
                    left, top, side = where
                    picture[top : top + side, left : left + side] = 200 + 30 * who
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def still(left: int, top: int = 80, side: int = 40, hidden: range = range(0)) -> Place:
    """Return the place of somebody who does not move."""
    return lambda k: None if k in hidden else (left, top, side)
