"""Align face crops as Aff-Wild2 does: five landmarks are moved onto a fixed template of 112x112 pixels."""

from __future__ import annotations

import cv2
import numpy as np

SIZE = 112  # pixels per side of a stored face
QUALITY = 95  # of its JPEG

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float64
)
"""Eyes, nose, mouth corners in a 112x112 crop (x, y): the template of ArcFace, arXiv 1801.07698.

It fixes the margin around a face: the eyes are 35 pixels apart, at 46 % of the height.
"""


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the rotation, scale and shift (2, 3) that move points ``source`` (N, 2) nearest to ``target`` (N, 2).

    Least squares without reflection (Umeyama 1991). In the plane, rotation and scale are one complex factor by which
    the centred source is multiplied. If all source points coincide, they are only shifted.
    """
    a, b = source @ [1, 1j], target @ [1, 1j]
    centred = a - a.mean()
    spread = np.vdot(centred, centred).real
    factor = np.vdot(centred, b - b.mean()) / spread if spread > 0 else 1.0 + 0j
    shift = b.mean() - factor * a.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def align(frame: np.ndarray, landmarks: np.ndarray, size: int = 112) -> np.ndarray:
    """Return the face with ``landmarks`` (5, 2) in ``frame`` (H, W, 3) uint8, upright, as (size, size, 3) uint8.

    Parts of the crop outside the frame are black. A face of over twice the crop's size is first shrunk by area
    averaging, because sampling single pixels makes crops flicker.
    """
    points = np.asarray(landmarks, np.float64)
    matrix = similarity(points, TEMPLATE * (size / 112))
    shrink = int(1 / max(np.hypot(matrix[0, 0], matrix[1, 0]), 1e-6))
    if shrink >= 2:
        frame, points = _shrunk(frame, points, matrix, size, shrink)
        matrix = similarity(points, TEMPLATE * (size / 112))
    return np.asarray(cv2.warpAffine(frame, matrix, (size, size), flags=cv2.INTER_LINEAR))


def face_jpeg(frame: np.ndarray, landmarks: np.ndarray) -> bytes:
    """Return the aligned face as `harness data crop` stores it: a JPEG of SIZE pixels per side."""
    crop = cv2.cvtColor(align(frame, landmarks, SIZE), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _shrunk(
    frame: np.ndarray, points: np.ndarray, matrix: np.ndarray, size: int, shrink: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of the frame that the crop shows, ``shrink`` times smaller, and the landmarks in it."""
    height, width = frame.shape[:2]
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) @ cv2.invertAffineTransform(matrix).T
    low = np.maximum(np.floor(corners.min(0)).astype(int) - shrink, 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + shrink, (width, height))
    columns, rows = np.maximum((high - low) // shrink, 0)
    if columns < 1 or rows < 1:
        return frame, points
    part = frame[low[1] : low[1] + rows * shrink, low[0] : low[0] + columns * shrink]
    small = cv2.resize(part, (int(columns), int(rows)), interpolation=cv2.INTER_AREA)
    return small, (points - low + 0.5) / shrink - 0.5
