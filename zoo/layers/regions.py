"""Turned rectangles of a picture, cut out as MediaPipe does it and points brought back. NumPy and OpenCV, no torch.

mediapipe 0.10.21 was read: ImageToTensorCalculator with its OpenCV converter, DetectionsToRectsCalculator,
RectTransformationCalculator, LandmarkProjectionCalculator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Region:
    """A rectangle around ``x``, ``y`` in pixels, ``width`` by ``height``, turned by ``angle`` (radians, clockwise)."""

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    def squared(self, scale: float = 1.0) -> Region:
        """Return the square on the longer side, ``scale`` times as large."""
        side = max(self.width, self.height) * scale
        return replace(self, width=side, height=side)

    def cut(self, picture: np.ndarray, side: int, *, edge: bool = False) -> np.ndarray:
        """Return the region as uint8 (side, side, 3); outside the picture there is black, or its ``edge`` goes on."""
        import cv2

        x, y, width, height = (float(number) for number in (self.x, self.y, self.width, self.height))
        corners = cv2.boxPoints(((x, y), (width, height), math.degrees(self.angle)))
        places = np.array([[0, side], [0, 0], [side, 0], [side, side]], np.float32)
        border = cv2.BORDER_REPLICATE if edge else cv2.BORDER_CONSTANT
        how = cv2.getPerspectiveTransform(np.asarray(corners, np.float32), places)
        cut: np.ndarray = cv2.warpPerspective(picture, how, (side, side), flags=cv2.INTER_LINEAR, borderMode=border)
        return cut

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return points (N, 2) or (N, 3) of the region, 0 to 1, in pixels of the picture; z in widths, as x."""
        x, y = points[:, 0] - 0.5, points[:, 1] - 0.5
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        flat = [(cos * x - sin * y) * self.width + self.x, (sin * x + cos * y) * self.height + self.y]
        return np.stack([*flat, *(points[:, 2:].T * self.width)], axis=1)


def whole(height: int, width: int) -> Region:
    """Return the square around a whole picture: a tensor of equal sides is padded, not squeezed."""
    return Region(width / 2, height / 2, width, height).squared()


def turned(start: np.ndarray, end: np.ndarray, target: float = 0.0) -> float:
    """Return the angle of a region in which the way from one point to another has the angle ``target`` (radians,
    counterclockwise), within -pi and pi."""
    angle = target - math.atan2(-(float(end[1]) - float(start[1])), float(end[0]) - float(start[0]))
    return angle - 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))
