"""Drawing primitives of overlays: text, rectangles, lines and dots, in RGB."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

Colour = tuple[int, int, int]
Point = tuple[int, int]

BACK: Colour = (24, 26, 31)
FAINT: Colour = (58, 62, 70)
GREY: Colour = (150, 155, 165)
WHITE: Colour = (240, 240, 240)
BLUE: Colour = (86, 156, 255)
ORANGE: Colour = (255, 166, 77)

PALETTE: tuple[Colour, ...] = (
    (150, 155, 165),
    (232, 93, 93),
    (122, 184, 92),
    (170, 120, 214),
    (247, 201, 72),
    (86, 156, 255),
    (255, 150, 90),
    (84, 196, 190),
    (226, 132, 186),
    (166, 138, 104),
)
"""Colours of classes and people, in order; they repeat if there are more."""


@cache
def _face() -> cv2.FontFace:
    return cv2.FontFace("sans")


def width_of(words: str, size: int, weight: int = 400) -> int:
    """Return the width of a text in pixels."""
    return int(cv2.getTextSize((0, 0), words, (0, 0), _face(), size, weight)[2])


def write(image: np.ndarray, words: str, at: Point, size: int, colour: Colour = WHITE, weight: int = 400) -> None:
    """Write a text; its baseline begins at the point ``at``."""
    cv2.putText(image, words, at, colour, _face(), size, weight)


def fill(image: np.ndarray, low: Point, high: Point, colour: Colour) -> None:
    """Fill a rectangle; its end ``high`` is exclusive."""
    if high[0] > low[0] and high[1] > low[1]:
        cv2.rectangle(image, low, (high[0] - 1, high[1] - 1), colour, cv2.FILLED)


def outline(image: np.ndarray, low: Point, high: Point, colour: Colour, thick: int) -> None:
    """Draw a rectangle."""
    cv2.rectangle(image, low, high, colour, thick, cv2.LINE_AA)


def curve(image: np.ndarray, points: np.ndarray, colour: Colour, thick: int = 1) -> None:
    """Draw a line through points (n, 2)."""
    if len(points) > 1:
        cv2.polylines(image, [np.round(points).astype(np.int32)], False, colour, thick, cv2.LINE_AA)


def dot(image: np.ndarray, at: Point, radius: int, colour: Colour) -> None:
    """Draw a filled circle."""
    cv2.circle(image, at, radius, colour, cv2.FILLED, cv2.LINE_AA)


def shade(colour: Colour, share: float) -> Colour:
    """Mix a colour with the background: ``share`` 1 gives the colour, 0 the background."""
    mixed = [round(share * c + (1 - share) * b) for c, b in zip(colour, BACK, strict=True)]
    return mixed[0], mixed[1], mixed[2]
