"""BlazeFace (Bazarevsky et al. 2019, arXiv:1907.05047): MediaPipe's short-range model, for faces within two metres.

The file is taken from the package mediapipe 0.10.21, whose code and graph (face_detection_short_range) were read: the
image is padded to a square of 128 pixels in [-1, 1]; there are 896 anchors; boxes with an IoU over 0.3 are merged,
weighted by their scores.

The network finds six points of a face: eyes, tip of the nose, middle of the mouth, both ears. Alignment needs the
corners of the mouth instead. They are estimated on both sides of its middle, on a line parallel to that of the eyes, at
0.414 of the distance of the eyes, as in the mean face that crops are aligned to.
"""

from __future__ import annotations

import numpy as np

from zoo.api import Faces, ModelCard, Wheel
from zoo.errors import UserError
from zoo.layers.anchors import anchor_centres, overlaps
from zoo.layers.regions import whole
from zoo.weights.cards import find
from zoo.weights.tflite import TfLite

SIDE = 128
LAYERS = ((8, 2), (16, 6))  # stride in pixels, anchors per cell
OVERLAP = 0.3
MOUTH = 0.414  # half the width of the mean face's mouth, as a fraction of the distance of the eyes


class BlazeFace:
    """Face detector for single images. ``threshold``: lowest score of a face."""

    def __init__(self, threshold: float = 0.5) -> None:
        if not 0 < threshold < 1:
            raise UserError(f"detector blazeface: threshold is {threshold:g}; give a number between 0 and 1")
        self.threshold = threshold
        self._net = TfLite(find(card()))
        self._anchors = anchor_centres(SIDE, LAYERS)

    def detect(self, frame: np.ndarray) -> Faces:
        """Return the faces in ``frame``, uint8 RGB (H, W, 3), best first; boxes are clipped to the image."""
        height, width = frame.shape[:2]
        found, scores = self.find(frame)
        corners = found[:, :2].clip(0, (width, height))
        boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1).reshape(-1, 4)
        inside = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= 1
        return Faces(
            boxes[inside].astype(np.float32), scores[inside].astype(np.float32), five_points(found[inside, 2:])
        )

    def find(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return two corners of each box and six points, (N, 8, 2) in pixels, and scores (N,), best first."""
        square = whole(*frame.shape[:2])
        picture = square.cut(frame, SIDE).astype(np.float32) * (2 / 255) - 1
        out = self._net.run(picture)
        found, scores = merged(*self.decode(out["regressors"], out["classificators"]))
        return square.project(found.reshape(-1, 2)).reshape(-1, 8, 2), scores

    def decode(self, raw: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decode raw (896, 16) and logits (896, 1) to corners and points (N, 8, 2) and scores (N,).

        Coordinates are fractions of the square, 0 to 1.
        """
        scores = 1 / (1 + np.exp(-logits[:, 0].astype(np.float64).clip(-100, 100)))
        chosen = scores >= self.threshold
        points = raw[chosen].astype(np.float64).reshape(-1, 8, 2) / SIDE
        centre, size = points[:, 0] + self._anchors[chosen], points[:, 1]
        marks = points[:, 2:] + self._anchors[chosen][:, None]
        corners = np.stack([centre - size / 2, centre + size / 2], axis=1)
        return np.concatenate([corners, marks], axis=1), scores[chosen]


def merged(points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Apply weighted suppression: replace the best box by the mean of all that overlap it, and keep its score."""
    left = np.argsort(-scores, kind="stable")
    found: list[np.ndarray] = []
    best: list[float] = []
    while len(left):
        near = overlaps(points[left[0], :2], points[left, :2]) > OVERLAP
        near[0] = True
        weights = scores[left[near]]
        found.append(np.tensordot(weights / weights.sum(), points[left[near]], 1))
        best.append(float(scores[left[0]]))
        left = left[~near]
    return np.array(found).reshape(-1, 8, 2), np.array(best)


def five_points(points: np.ndarray) -> np.ndarray:
    """Convert points (N, 6, 2) to (N, 5, 2): eyes, nose, both corners of the mouth, left and right as in the image."""
    along = MOUTH * (points[:, 1] - points[:, 0])
    corners = [points[:, 3] - along, points[:, 3] + along]
    return np.stack([points[:, 0], points[:, 1], points[:, 2], *corners], axis=1).astype(np.float32)


def cards() -> list[ModelCard]:
    """Return the model card of the detector's file."""
    return [card()]


def card() -> ModelCard:
    """Return the model card of the weights, which are in mediapipe's wheel."""
    return ModelCard(
        name="blazeface-short-range",
        sha256="bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        license="Apache-2.0",
        source="the package mediapipe 0.10.21",
        wheel=Wheel(
            "mediapipe",
            "0.10.21",
            "mediapipe/modules/face_detection/face_detection_short_range.tflite",
            python="3.12",
            platform="manylinux_2_28_x86_64",
        ),
        size=229_714,
        input="128 x 128 RGB in [-1, 1]",
        citation="Bazarevsky et al. 2019, arXiv:1907.05047",
    )
