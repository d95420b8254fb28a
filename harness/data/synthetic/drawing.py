"""Draw in a person's own coordinates: pixels from the middle of the head, at the scale of a person who is alone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from harness.data.synthetic.appearance import Colour, Figure, Look
from harness.data.synthetic.latents import Floats

SHIFT = 4  # fractional bits of the fixed-point coordinates for cv2; without them slow movements would jump


@dataclass(frozen=True)
class Pen:
    """Drawing functions for one person in one picture. Colours are BGR and are multiplied by the video's light."""

    image: np.ndarray
    """(H, W, 3) uint8, modified in place."""
    look: Look
    figure: Figure
    frame: int

    def polygon(self, points: ArrayLike, colour: Colour, *, lit: bool = True) -> None:
        """Fill the polygon of `points` (N, 2)."""
        cv2.fillPoly(self.image, [_fixed(self._place(points))], self._lit(colour, lit), cv2.LINE_AA, SHIFT)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Fill a rectangle, regardless of the light: panels and head rests stay plain."""
        self.polygon([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], colour, lit=False)

    def line(self, points: ArrayLike, width: float, colour: Colour) -> None:
        """Draw an open line through `points` (N, 2)."""
        width_px = max(1, round(width * self.figure.scale))
        path = _fixed(self._place(points))
        cv2.polylines(self.image, [path], False, self._lit(colour), width_px, cv2.LINE_AA, SHIFT)

    def ellipse(self, x: float, y: float, half_width: float, half_height: float, colour: Colour) -> None:
        """Fill an upright ellipse around (x, y)."""
        middle = _fixed(self._place([[x, y]]))[0].tolist()
        axes = _fixed(np.array([half_width, half_height]) * self.figure.scale).tolist()
        cv2.ellipse(self.image, middle, axes, 0, 0, 360, self._lit(colour), -1, cv2.LINE_AA, SHIFT)

    def _place(self, points: ArrayLike) -> Floats:
        figure = self.figure
        own = np.asarray(points, dtype=np.float64)
        return self.look.place(self.frame, figure.centre[self.frame] + figure.scale * own)

    def _lit(self, colour: Colour, lit: bool = True) -> Colour:
        light = float(self.look.light[self.frame]) if lit else 1.0
        blue, green, red = (min(255.0, light * value) for value in colour)
        return blue, green, red


def _fixed(points: Floats) -> np.ndarray:
    return np.round(points * (1 << SHIFT)).astype(np.int32)
