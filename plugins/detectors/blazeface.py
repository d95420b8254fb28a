"""BlazeFace (Bazarevsky et al. 2019, arXiv:1907.05047): MediaPipe's short-range file, for faces within two metres.

The file comes out of the package mediapipe 0.10.21, whose code and graph (face_detection_short_range) were read: the
picture is padded to a square of 128, in [-1, 1]; 896 anchors; boxes that overlap by an IoU over 0.3 are merged, each
weighted by its score. It finds six points of a face: eyes, tip of the nose, middle of the mouth, both ears. The corners
of the mouth, which alignment wants, are not among them: they are put beside its middle, parallel to the eyes, and 0.414
of their distance from it, as in the mean face that crops are aligned to.
"""

from __future__ import annotations

import numpy as np

from zoo.api import Faces, ModelCard, Wheel
from zoo.errors import UserError
from zoo.layers.regions import whole
from zoo.weights.cards import find
from zoo.weights.tflite import TfLite

SIDE = 128
LAYERS = ((8, 2), (16, 6))  # stride in pixels, anchors of a cell
OVERLAP = 0.3
MOUTH = 0.414  # of the distance of the eyes: half the width of the mean face's mouth


class BlazeFace:
    """Finds faces in one picture at a time; ``threshold`` is the lowest score."""

    def __init__(self, threshold: float = 0.5) -> None:
        if not 0 < threshold < 1:
            raise UserError(f"detector blazeface: threshold is {threshold:g}; give a number between 0 and 1")
        self.threshold = threshold
        self._net = TfLite(find(card()))
        self._anchors = anchors()

    def detect(self, frame: np.ndarray) -> Faces:
        """Faces in ``frame``, uint8 RGB (H, W, 3), best first; boxes end at the picture's edge."""
        height, width = frame.shape[:2]
        found, scores = self.find(frame)
        corners = found[:, :2].clip(0, (width, height))
        boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1).reshape(-1, 4)
        inside = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= 1
        return Faces(
            boxes[inside].astype(np.float32), scores[inside].astype(np.float32), five_points(found[inside, 2:])
        )

    def find(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two corners of the box and six points, (N, 8, 2) in pixels, and scores (N,), best first."""
        square = whole(*frame.shape[:2])
        picture = square.cut(frame, SIDE).astype(np.float32) * (2 / 255) - 1
        out = self._net.run(picture)
        found, scores = merged(*self.decode(out["regressors"], out["classificators"]))
        return square.project(found.reshape(-1, 2)).reshape(-1, 8, 2), scores

    def decode(self, raw: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(896, 16), (896, 1) -> corners and points (N, 8, 2), 0 to 1 of the square, and scores (N,)."""
        scores = 1 / (1 + np.exp(-logits[:, 0].astype(np.float64).clip(-100, 100)))
        chosen = scores >= self.threshold
        points = raw[chosen].astype(np.float64).reshape(-1, 8, 2) / SIDE
        centre, size = points[:, 0] + self._anchors[chosen], points[:, 1]
        marks = points[:, 2:] + self._anchors[chosen][:, None]
        corners = np.stack([centre - size / 2, centre + size / 2], axis=1)
        return np.concatenate([corners, marks], axis=1), scores[chosen]


def anchors() -> np.ndarray:
    """(896, 2): the middles of the anchors, 0 to 1, in the order of the network's outputs."""
    parts = []
    for stride, count in LAYERS:
        middles = (np.arange(SIDE // stride) + 0.5) * stride / SIDE
        grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)  # rows of cells
        parts.append(grid.repeat(count, axis=0))
    return np.concatenate(parts)


def merged(points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted suppression: the best box becomes the mean of all that overlap it, and its score stays."""
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


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(2, 2), (N, 2, 2) corners -> (N,) intersection over union."""
    shared = (np.minimum(box[1], boxes[:, 1]) - np.maximum(box[0], boxes[:, 0])).clip(0).prod(1)
    both = (box[1] - box[0]).prod() + (boxes[:, 1] - boxes[:, 0]).prod(1) - shared
    return np.asarray(shared / np.maximum(both, 1e-12))


def five_points(points: np.ndarray) -> np.ndarray:
    """(N, 6, 2) -> (N, 5, 2): eyes, nose and both corners of the mouth, as seen in the picture."""
    along = MOUTH * (points[:, 1] - points[:, 0])
    corners = [points[:, 3] - along, points[:, 3] + along]
    return np.stack([points[:, 0], points[:, 1], points[:, 2], *corners], axis=1).astype(np.float32)


def card() -> ModelCard:
    """Where the weights are: in mediapipe's wheel."""
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
