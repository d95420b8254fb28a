"""Rotated rectangles of an image, cropped as in MediaPipe, and points mapped back. NumPy and OpenCV, no torch.

Written after mediapipe 0.10.21: ImageToTensorCalculator with its OpenCV converter, DetectionsToRectsCalculator,
RectTransformationCalculator, LandmarkProjectionCalculator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Region:
    """A rotated rectangle in an image.

    Attributes:
        x: Centre, pixels.
        y: Centre, pixels.
        width: Pixels.
        height: Pixels.
        angle: Radians, clockwise.

    Examples:
        >>> import numpy as np
        >>> from zoo.layers.regions import Region
        >>> region = Region(x=50, y=40, width=20, height=10)
        >>> region.squared(1.5).height
        30.0
        >>> region.cut(np.zeros((80, 100, 3), np.uint8), side=16).shape
        (16, 16, 3)
    """

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    def squared(self, scale: float = 1.0) -> Region:
        """Return the square on the longer side.

        Args:
            scale: Factor on the side.

        Returns:
            A square region with the same centre and angle.
        """
        side = max(self.width, self.height) * scale
        return replace(self, width=side, height=side)

    def cut(self, picture: np.ndarray, side: int, *, edge: bool = False) -> np.ndarray:
        """Crop the region.

        Args:
            picture: uint8 (H, W, 3).
            side: Side of the result in pixels.
            edge: Outside the image, repeat its border instead of black.

        Returns:
            uint8 (side, side, 3).
        """
        import cv2

        x, y, width, height = (float(number) for number in (self.x, self.y, self.width, self.height))
        corners = cv2.boxPoints(((x, y), (width, height), math.degrees(self.angle)))
        places = np.array([[0, side], [0, 0], [side, 0], [side, side]], np.float32)
        border = cv2.BORDER_REPLICATE if edge else cv2.BORDER_CONSTANT
        how = cv2.getPerspectiveTransform(np.asarray(corners, np.float32), places)
        cut: np.ndarray = cv2.warpPerspective(picture, how, (side, side), flags=cv2.INTER_LINEAR, borderMode=border)
        return cut

    def project(self, points: np.ndarray) -> np.ndarray:
        """Map points of the region to the image.

        Args:
            points: (N, 2) or (N, 3), 0 to 1 in the region; z is in units of the width, as x.

        Returns:
            The points in pixels of the image.

        Examples:
            >>> import numpy as np
            >>> from zoo.layers.regions import Region
            >>> Region(x=50, y=40, width=20, height=10).project(np.array([[0.0, 0.0], [0.5, 0.5]])).tolist()
            [[40.0, 35.0], [50.0, 40.0]]
        """
        x, y = points[:, 0] - 0.5, points[:, 1] - 0.5
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        flat = [(cos * x - sin * y) * self.width + self.x, (sin * x + cos * y) * self.height + self.y]
        return np.stack([*flat, *(points[:, 2:].T * self.width)], axis=1)


def whole(height: int, width: int) -> Region:
    """Return the square around a whole image, for a square tensor that is padded and not squeezed.

    Args:
        height: Of the image, pixels.
        width: Of the image, pixels.

    Returns:
        The square around the image's centre.

    Examples:
        >>> from zoo.layers.regions import whole
        >>> whole(height=80, width=100)
        Region(x=50.0, y=40.0, width=100.0, height=100.0, angle=0.0)
    """
    return Region(width / 2, height / 2, width, height).squared()


def turned(start: np.ndarray, end: np.ndarray, target: float = 0.0) -> float:
    """Return the angle of a region in which the line between two points has the angle ``target``.

    Args:
        start: The first point, (2,) pixels.
        end: The second point, (2,) pixels.
        target: Radians, counterclockwise.

    Returns:
        Radians within -pi and pi.

    Examples:
        >>> import numpy as np
        >>> from zoo.layers.regions import turned
        >>> round(turned(np.array([0, 0]), np.array([10, 10])), 3)  # 45 degrees clockwise
        0.785
    """
    angle = target - math.atan2(-(float(end[1]) - float(start[1])), float(end[0]) - float(start[0]))
    return angle - 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))
