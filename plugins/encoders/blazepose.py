"""The pose of the body: MediaPipe's 33 points, x, y, z and visibility, without place and size.

Bazarevsky et al. 2020, arXiv:2006.10204. The files come out of the package mediapipe 0.10.21, whose graphs were read
(pose_detection_cpu, pose_detection_to_roi, pose_landmark_by_roi_cpu): a person is found in the picture, padded to a
square of 224, in [-1, 1]; around the middle of the hips lies a square, turned until the body is upright, in which the
second network finds 33 points at 256 and says how likely each is visible; x and y are refined by its heat map. Every
picture stands alone, as in MediaPipe's mode for still pictures.

The picture is the stream's, the person's box of the raw video. The points are moved to the mean of all, and divided by
their root mean square distance from it; they keep their lean, which a pose has and a face's shape has not. Where the
first network is not sure of a person the second looks at the whole picture, and its visibilities say what that is
worth.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.api import FrameInput, ModelCard, Wheel
from zoo.layers.regions import Region, turned, whole
from zoo.modules import FrameEncoder
from zoo.weights.cards import describe, find
from zoo.weights.tflite import TfLite

POINTS, SIDE = 33, 256
SEEN, LAYERS = 224, ((8, 2), (16, 2), (32, 6))  # of the first network: stride in pixels, anchors of a cell
SURE, OVERLAP, WIDER = 0.5, 0.3, 1.25
KERNEL = 7  # cells of the heat map around a point


class BlazePose(FrameEncoder):
    """(N, 3, 256, 256) -> (N, 132): x, y, z, visibility of the 33 points, point by point. It learns nothing."""

    def __init__(self, stream: str, argument: str | None) -> None:
        super().__init__(4 * POINTS, FrameInput(SIDE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))
        self._points: TfLite | None = None
        self._finder: TfLite | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_points": None, "_finder": None}  # a copy opens the files again

    def load_file(self, path: Path) -> None:
        """Open the file of the points; that of the person is found beside it in the same wheel."""
        self._points, self._finder = TfLite(path), TfLite(find(finder_card()))

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """(N, 3, 256, 256) -> (N, 132)."""
        if images.is_meta:
            return images.new_zeros(len(images), self.dim)
        pictures = images.float().mul(255).round().clamp(0, 255).byte().movedim(1, -1).cpu().numpy()
        poses = [self.pose(np.ascontiguousarray(picture)) for picture in pictures]
        return torch.from_numpy(np.stack(poses).reshape(len(images), self.dim)).to(images)

    def pose(self, picture: np.ndarray) -> np.ndarray:
        """Uint8 RGB (H, W, 3) -> (33, 4), normalised."""
        region = self.find(picture) or whole(*picture.shape[:2])
        return normalised(self.points_in(picture, region))

    def find(self, picture: np.ndarray) -> Region | None:
        """The square in which the second network is to look for the surest person; None where there is none."""
        square = whole(*picture.shape[:2])
        out = self._net("_finder").run(square.cut(picture, SEEN).astype(np.float32) * (2 / 255) - 1)
        scores = 1 / (1 + np.exp(-out["Identity_1"][:, 0].astype(np.float64).clip(-100, 100)))
        if scores.max() < SURE:
            return None
        best = scores.argmax()
        points = out["Identity"].astype(np.float64).reshape(-1, 6, 2) / SEEN
        points[:, 0] += anchors()
        points[:, 2:] += anchors()[:, None]
        boxes = np.stack([points[:, 0] - points[:, 1] / 2, points[:, 0] + points[:, 1] / 2], 1)
        near = (scores >= SURE) & (overlaps(boxes[best], boxes) > OVERLAP)
        weights = scores[near] / scores[near].sum()
        hips, head = square.project(np.tensordot(weights, points[near], 1)[2:4])
        side = 2 * math.dist(hips, head) * WIDER
        return Region(hips[0], hips[1], side, side, turned(hips, head, math.pi / 2))

    def points_in(self, picture: np.ndarray, region: Region) -> np.ndarray:
        """The points in a region of a picture: (33, 4) x, y, z in its pixels, and visibility from 0 to 1."""
        out = self._net("_points").run(region.cut(picture, SIDE, edge=True).astype(np.float32) / 255)
        found = out["Identity"].astype(np.float64).reshape(39, 5)[:POINTS]
        points = found[:, :3] / SIDE
        points[:, :2] = refined(points[:, :2], out["Identity_3"][..., :POINTS])
        return np.concatenate([region.project(points), 1 / (1 + np.exp(-found[:, 3:4]))], axis=1)

    def _net(self, name: str) -> TfLite:
        if getattr(self, name) is None:
            self.load_file(find(card("pose", None)))
        net: TfLite = getattr(self, name)
        return net

    def describe(self) -> dict[str, Any]:
        """For a run's record."""
        known = card("pose", None)
        return {**describe(known, find(known)), "precision": "float32"}


def anchors() -> np.ndarray:
    """(2254, 2): the middles of the anchors of the first network, 0 to 1."""
    parts = []
    for stride, count in LAYERS:
        middles = (np.arange(SEEN // stride) + 0.5) * stride / SEEN
        parts.append(np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2).repeat(count, axis=0))
    return np.concatenate(parts)


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(2, 2), (N, 2, 2) corners -> (N,) intersection over union."""
    shared = (np.minimum(box[1], boxes[:, 1]) - np.maximum(box[0], boxes[:, 0])).clip(0).prod(1)
    both = (box[1] - box[0]).prod() + (boxes[:, 1] - boxes[:, 0]).prod(1) - shared
    return np.asarray(shared / np.maximum(both, 1e-12))


def refined(points: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """(33, 2), 0 to 1, heat map (64, 64, 33) of logits -> points at the centre of the heat around them, if it is sure
    enough: RefineLandmarksFromHeatmapCalculator."""
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


def normalised(points: np.ndarray) -> np.ndarray:
    """(33, 4) -> the same without place and size, float32; visibility stays."""
    moved = points[:, :3] - points[:, :3].mean(0)
    size = max(float(np.sqrt((moved**2).sum(1).mean())), 1e-9)
    return np.concatenate([moved / size, points[:, 3:]], axis=1).astype(np.float32)


def card(stream: str, argument: str | None) -> ModelCard:
    """Where the weights of the points are: in mediapipe's wheel."""
    return _card(
        "mediapipe-pose-landmark-full",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        "pose_landmark/pose_landmark_full.tflite",
        6_440_512,
        "256 x 256 RGB in [0, 1]",
    )


def finder_card() -> ModelCard:
    """Where those of the person are."""
    return _card(
        "mediapipe-pose-detection",
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        "pose_detection/pose_detection.tflite",
        2_959_046,
        "224 x 224 RGB in [-1, 1]",
    )


def _card(name: str, sha256: str, file: str, size: int, seen: str) -> ModelCard:
    return ModelCard(
        name=name,
        sha256=sha256,
        license="Apache-2.0",
        source="the package mediapipe 0.10.21",
        wheel=Wheel(
            "mediapipe", "0.10.21", f"mediapipe/modules/{file}", python="3.12", platform="manylinux_2_28_x86_64"
        ),
        size=size,
        input=seen,
        citation="Bazarevsky et al. 2020, arXiv:2006.10204",
    )
