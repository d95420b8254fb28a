"""Face shape: MediaPipe's 468 landmarks of the aligned crop, normalised for position, size and roll.

Kartynnik et al. 2019, arXiv:1907.06724. The file is taken from the package mediapipe 0.10.21, whose graphs were read
(face_landmark_cpu, face_landmark_landmarks_to_roi). The network's input is a square of 192 pixels in [0, 1], 1.5 times
as large as the bounding box of the points and rotated so that the outer corners of the eyes are level. Outside the
image, its edge pixels are repeated. MediaPipe takes the first square from a detector and the following ones from the
points of the previous frame. Here each frame is processed independently: the first square is the whole crop, and the
points are found ``PASSES`` times, each time in the square around the previous points. Three passes are needed because
crops are tighter than the network's training data.

The points are then centred at their mean, rotated until the outer corners of the eyes are level, and divided by their
root mean square distance from the mean, with x, y and z treated equally. MediaPipe's score for the presence of a face
is not used: the stream is present at frames with a detected face.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from plugins.encoders.landmarks import LandmarkEncoder, mediapipe_card
from zoo.api import ModelCard
from zoo.layers.regions import Region, turned, whole
from zoo.weights.cards import describe, find
from zoo.weights.tflite import TfLite

SIDE, POINTS, PASSES, WIDER = 192, 468, 3, 1.5
LEFT, RIGHT = 33, 263  # outer corners of the eyes, left and right as in the image


class FaceMesh(LandmarkEncoder):
    """Landmark encoder on the CPU: (N, 3, 192, 192) -> (N, 1404), x, y, z of point after point; it is not trained."""

    def __init__(self, stream: str, argument: str | None) -> None:
        super().__init__(SIDE, POINTS, 3)
        self._net: TfLite | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_net": None}  # a copy reopens the file

    def load_file(self, path: Path) -> None:
        """Open the network's file. Without this call it is opened at the first image."""
        self._net = TfLite(path)

    def landmarks(self, picture: np.ndarray) -> np.ndarray:
        """Return the normalised landmarks (468, 3) of a face image, uint8 RGB (H, W, 3)."""
        return normalised(self.points(picture))

    def points(self, picture: np.ndarray) -> np.ndarray:
        """Find the landmarks (468, 3) in pixels of a face image, uint8 RGB (H, W, 3)."""
        region = whole(*picture.shape[:2])
        for _ in range(PASSES - 1):
            region = around(self.points_in(picture, region))
        return self.points_in(picture, region)

    def points_in(self, picture: np.ndarray, region: Region) -> np.ndarray:
        """Find the landmarks in a region of an image, (468, 3) in its pixels."""
        if self._net is None:
            self.load_file(find(card("landmarks", None)))
        assert self._net is not None
        seen = region.cut(picture, SIDE, edge=True).astype(np.float32) / 255
        found = self._net.run(seen)["conv2d_21"].reshape(POINTS, 3) / SIDE
        return region.project(found.astype(np.float64))

    def describe(self) -> dict[str, Any]:
        """Describe the weights for a run's record."""
        known = card("landmarks", None)
        return {**describe(known, find(known)), "precision": "float32"}


def around(points: np.ndarray) -> Region:
    """Return the square for the network's next pass around points (468, 3)."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    middle, size = (low + high) / 2, high - low
    angle = turned(points[LEFT], points[RIGHT])
    return Region(middle[0], middle[1], size[0], size[1], angle).squared(WIDER)


def normalised(points: np.ndarray) -> np.ndarray:
    """Normalise points (468, 3) in pixels for position, size and roll, in float32."""
    moved = points - points.mean(0)
    way = points[RIGHT, :2] - points[LEFT, :2]
    cos, sin = way / max(float(np.hypot(*way)), 1e-9)
    level = np.stack([cos * moved[:, 0] + sin * moved[:, 1], cos * moved[:, 1] - sin * moved[:, 0], moved[:, 2]], 1)
    size = np.sqrt((level**2).sum(1).mean())
    return np.asarray(level / max(float(size), 1e-9), np.float32)


def card(stream: str, argument: str | None) -> ModelCard:
    """Return the model card of the weights, which are in mediapipe's wheel."""
    return mediapipe_card(
        "mediapipe-face-landmark",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        "face_landmark/face_landmark.tflite",
        1_242_398,
        "192 x 192 RGB in [0, 1]",
        "Kartynnik et al. 2019, arXiv:1907.06724",
    )
