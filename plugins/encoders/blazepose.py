"""Body pose: MediaPipe's 33 landmarks (x, y, z and visibility), normalised for position and size.

Bazarevsky et al. 2020, arXiv:2006.10204. The files are taken from the package mediapipe 0.10.21, whose graphs were read
(pose_detection_cpu, pose_detection_to_roi, pose_landmark_by_roi_cpu). The first network finds a person in the image,
padded to a square of 224 pixels in [-1, 1]. A square around the middle of the hips is rotated until the body is
upright. In it, scaled to 256 pixels, the second network finds 33 points and the probability that each is visible; its
heat map refines x and y. Each image is processed independently, as in MediaPipe's mode for still images.

The input image is the stream's: the person's box in the raw video. The points are centred at their mean and divided by
their root mean square distance from it. Rotation is kept, because the lean is part of a pose, unlike a face's shape. If
the first network is not confident of a person, the second one is applied to the whole image, and its visibilities show
how reliable the result is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from plugins.encoders.landmarks import LandmarkEncoder, mediapipe_card
from zoo.api import ModelCard
from zoo.layers.anchors import anchor_centres, overlaps
from zoo.layers.regions import Region, turned, whole
from zoo.weights.cards import describe, find
from zoo.weights.tflite import TfLite

POINTS, SIDE = 33, 256
SEEN, LAYERS = 224, ((8, 2), (16, 2), (32, 6))  # first network: input side; stride in pixels, anchors per cell
SURE, OVERLAP, WIDER = 0.5, 0.3, 1.25
PAPER = "Bazarevsky et al. 2020, arXiv:2006.10204"
NOSE, EYES, MOUTH, SHOULDERS, FEET = 0, [2, 5], [9, 10], [11, 12], [27, 28, 29, 30, 31, 32]  # points by number
CROWN, FLESH, NEAR = 2.0, 0.2, 0.25  # see body_box
KERNEL = 7  # cells of the heat map around a point


class BlazePose(LandmarkEncoder):
    """Pose encoder: (N, 3, 256, 256) -> (N, 132), x, y, z and visibility of point after point; it is not trained."""

    def __init__(self, stream: str, argument: str | None) -> None:
        super().__init__(SIDE, POINTS, 4)
        self._points: TfLite | None = None
        self._finder: TfLite | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_points": None, "_finder": None}  # a copy reopens the files

    def load_file(self, path: Path) -> None:
        """Open the file of the landmark network, and that of the person detector from the same wheel."""
        self._points, self._finder = TfLite(path), TfLite(find(finder_card()))

    def landmarks(self, picture: np.ndarray) -> np.ndarray:
        """Return the normalised landmarks (33, 4) of an image, uint8 RGB (H, W, 3)."""
        region = self.find(picture) or whole(*picture.shape[:2])
        return normalised(self.points_in(picture, region))

    def find(self, picture: np.ndarray) -> Region | None:
        """Return the square for the second network around the most confident person, or None if there is none."""
        square = whole(*picture.shape[:2])
        out = self._net("_finder").run(square.cut(picture, SEEN).astype(np.float32) * (2 / 255) - 1)
        scores = 1 / (1 + np.exp(-out["Identity_1"][:, 0].astype(np.float64).clip(-100, 100)))
        if scores.max() < SURE:
            return None
        best = scores.argmax()
        points = out["Identity"].astype(np.float64).reshape(-1, 6, 2) / SEEN
        centres = anchor_centres(SEEN, LAYERS)
        points[:, 0] += centres
        points[:, 2:] += centres[:, None]
        boxes = np.stack([points[:, 0] - points[:, 1] / 2, points[:, 0] + points[:, 1] / 2], 1)
        near = (scores >= SURE) & (overlaps(boxes[best], boxes) > OVERLAP)
        weights = scores[near] / scores[near].sum()
        hips, head = square.project(np.tensordot(weights, points[near], 1)[2:4])
        side = 2 * math.dist(hips, head) * WIDER
        return Region(hips[0], hips[1], side, side, turned(hips, head, math.pi / 2))

    def points_in(self, picture: np.ndarray, region: Region) -> np.ndarray:
        """Find the landmarks in a region of an image: (33, 4), x, y, z in its pixels and visibility from 0 to 1."""
        out = self._net("_points").run(region.cut(picture, SIDE, edge=True).astype(np.float32) / 255)
        found = out["Identity"].astype(np.float64).reshape(39, 5)[:POINTS]
        points = found[:, :3] / SIDE
        points[:, :2] = refined(points[:, :2], out["Identity_3"][..., :POINTS])
        return np.concatenate([region.project(points), 1 / (1 + np.exp(-found[:, 3:4]))], axis=1)

    def person_box(self, frame: np.ndarray, face: np.ndarray, person: np.ndarray) -> np.ndarray | None:
        """Return the box (4,) of a person's body in a frame; None if its pose is not seen.

        Args:
            frame: uint8 RGB (H, W, 3).
            face: The person's face (4,), x0 y0 x1 y1 in pixels: the nose of the pose must be in it.
            person: Where to look, a box (4,) inside the frame.
        """
        (x0, y0), (x1, y1) = np.floor(person[:2]).astype(int), np.ceil(person[2:]).astype(int)
        if min(x1 - x0, y1 - y0) < 2:
            return None
        near = self.find(np.ascontiguousarray(frame[y0:y1, x0:x1]))
        if near is None:
            return None
        return body_box(self.points_in(frame, replace(near, x=near.x + x0, y=near.y + y0)), face, person, frame.shape)

    def _net(self, name: str) -> TfLite:
        if getattr(self, name) is None:
            self.load_file(find(card("pose", None)))
        net: TfLite = getattr(self, name)
        return net

    def describe(self) -> dict[str, Any]:
        """Describe the weights for a run's record."""
        known = card("pose", None)
        return {**describe(known, find(known)), "precision": "float32"}


def refined(points: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Move points (33, 2), 0 to 1, to the centre of mass of the heat map around them, if it is confident enough.

    ``heat``: logits (64, 64, 33). This is MediaPipe's RefineLandmarksFromHeatmapCalculator.
    """
    height, width, count = heat.shape
    out, half = points.copy(), (KERNEL - 1) // 2
    for k in range(count):
        column, row = int(points[k, 0] * width), int(points[k, 1] * height)
        if not (0 <= column < width and 0 <= row < height):
            continue
        rows = np.arange(max(0, row - half), min(height, row + half + 1))
        columns = np.arange(max(0, column - half), min(width, column + half + 1))
        warm = 1 / (1 + np.exp(-heat[rows[:, None], columns, k].astype(np.float64)))
        if warm.max() >= SURE:
            out[k] = (warm * columns).sum() / width / warm.sum(), (warm * rows[:, None]).sum() / height / warm.sum()
    return out


def body_box(points: np.ndarray, face: np.ndarray, person: np.ndarray, shape: Sequence[int]) -> np.ndarray | None:
    """Return the box (4,) float32 around the visible points of a body, inside the frame; None if it is not seen.

    The body is seen if nose and shoulders are visible, and the nose is in the face. Shoulders and wrists are points
    inside the body, so the box is wider by a part of the shoulders' distance. The crown is as far above the eyes as
    CROWN times the mouth is below them. If no foot is visible, the frame or a table hides the end of the body, and the
    lower edge is that of ``person``.

    Args:
        points: (33, 4), x, y, z in pixels and visibility.
        face: (4,), the face's box.
        person: (4,), the box by body proportions.
        shape: Height and width of the frame.
    """
    visible = points[:, 3] >= SURE
    nose, margin = points[NOSE, :2], NEAR * (face[2:] - face[:2])
    if not visible[[NOSE, *SHOULDERS]].all() or (nose < face[:2] - margin).any() or (nose > face[2:] + margin).any():
        return None
    places = points[visible, :2]
    flesh = FLESH * math.dist(*points[SHOULDERS, :2])
    eyes, mouth = points[EYES, 1].mean(), points[MOUTH, 1].mean()
    low, high = places.min(0) - flesh, places.max(0) + flesh
    low[1] = min(low[1], eyes - CROWN * abs(mouth - eyes))
    if not visible[FEET].any():
        high[1] = person[3]
    box = np.concatenate([low, high]).clip(0, [shape[1], shape[0]] * 2)
    return box.astype(np.float32) if (box[2:] > box[:2]).all() else None


def normalised(points: np.ndarray) -> np.ndarray:
    """Normalise points (33, 4) for position and size, in float32; visibility is unchanged."""
    moved = points[:, :3] - points[:, :3].mean(0)
    size = max(float(np.sqrt((moved**2).sum(1).mean())), 1e-9)
    return np.concatenate([moved / size, points[:, 3:]], axis=1).astype(np.float32)


def card(stream: str, argument: str | None) -> ModelCard:
    """Return the model card of the landmark network, whose weights are in mediapipe's wheel."""
    return mediapipe_card(
        "mediapipe-pose-landmark-full",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        "pose_landmark/pose_landmark_full.tflite",
        6_440_512,
        "256 x 256 RGB in [0, 1]",
        PAPER,
    )


def cards() -> list[ModelCard]:
    """Return the model card of the second file, that of the person detector."""
    return [finder_card()]


def finder_card() -> ModelCard:
    """Return the model card of the person detector."""
    return mediapipe_card(
        "mediapipe-pose-detection",
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        "pose_detection/pose_detection.tflite",
        2_959_046,
        "224 x 224 RGB in [-1, 1]",
        PAPER,
    )
