"""Crop a person out of a frame, or black the person out."""

from __future__ import annotations

import numpy as np

from harness.data.decoding.jpeg import resize

LARGEST = 4
"""Width of a square around a face at most, in widths of the frame (or heights, if it is higher)."""


def whole_pixels(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Round boxes (n, 4) to whole pixels (left, top, right, bottom) of a frame of this size; all 0 if a box is outside.

    A box that is NaN gives zeros too.
    """
    box = np.nan_to_num(boxes)
    corners = np.concatenate([np.floor(box[:, :2]).clip(0), np.ceil(box[:, 2:]).clip(None, [width, height])], 1)
    inside = np.isfinite(boxes).all(1) & (corners[:, 2:] > corners[:, :2]).all(1)
    return np.where(inside[:, None], corners, 0).astype(np.int64)


def cut_out(frame: np.ndarray, corners: np.ndarray, size: int) -> np.ndarray | None:
    """Return a rectangle of a frame as (size, size, 3), padded with black to a square; None if it is empty."""
    x0, y0, x1, y1 = corners.tolist()
    if x1 == x0:
        return None
    scale = size / max(x1 - x0, y1 - y0)
    width, height = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    out = np.zeros((size, size, 3), dtype=np.uint8)
    left, top = (size - width) // 2, (size - height) // 2
    out[top : top + height, left : left + width] = resize(frame[y0:y1, x0:x1], width, height)
    return out


def squares_around(boxes: np.ndarray, share: float) -> np.ndarray:
    """Return squares (n, 4) around the middle of boxes, wider than a box's longer side by ``share`` on each side."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (0.5 + share) * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    squares: np.ndarray = np.concatenate([middle - half, middle + half], axis=1)
    return squares


def cut_square(frame: np.ndarray, square: np.ndarray, size: int) -> np.ndarray | None:
    """Return a square of a frame as (size, size, 3), black where it reaches beyond the frame.

    Return None if the square is NaN, empty, wholly outside, or more than LARGEST times as wide as the frame: boxes come
    from files, and black pixels take memory too.
    """
    height, width = frame.shape[:2]
    inside = (square[:2] < [width, height]).all() and (square[2:] > 0).all()  # False for NaN
    if not inside or not 0 < square[2] - square[0] <= LARGEST * max(width, height):
        return None
    left, top = np.floor(square[:2]).astype(int).tolist()
    side = max(1, round(float(square[2] - square[0])))
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    if x0 >= x1 or y0 >= y1:
        return None
    whole = np.zeros((side, side, 3), np.uint8)
    whole[y0 - top : y1 - top, x0 - left : x1 - left] = frame[y0:y1, x0:x1]
    return resize(whole, size, size)


def squeezed_rectangles(corners: np.ndarray, size: int, width: int, height: int) -> np.ndarray:
    """Map rectangles (n, 4) of frames of this width and height to frames squeezed to ``size`` x ``size``.

    Each rectangle gets one pixel more on every side. Empty rectangles give zeros.
    """
    scaled = corners * size / np.array([width, height, width, height])
    low, high = np.floor(scaled[:, :2]) - 1, np.ceil(scaled[:, 2:]) + 1
    out = np.concatenate([low.clip(0), high.clip(None, size)], axis=1).astype(np.int64)
    return np.where(corners[:, 2:3] > corners[:, :1], out, 0)


def blackened(frame: np.ndarray, corners: np.ndarray) -> np.ndarray | None:
    """Return a copy of a frame with a rectangle blacked out; None if the rectangle is empty."""
    left, top, right, bottom = corners.tolist()
    if right == left:
        return None
    scene = frame.copy()
    scene[top:bottom, left:right] = 0
    return scene
