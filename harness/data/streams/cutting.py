"""Rectangles of frames: the person cut out, or the scene with the person in black."""

from __future__ import annotations

import numpy as np

from harness.data.decoding.jpeg import resize


def whole_pixels(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Boxes (n, 4) as left, top, right, bottom in whole pixels of frames of this size; all 0 where none is in them."""
    box = np.nan_to_num(boxes)
    corners = np.concatenate([np.floor(box[:, :2]).clip(0), np.ceil(box[:, 2:]).clip(None, [width, height])], 1)
    inside = np.isfinite(boxes).all(1) & (corners[:, 2:] > corners[:, :2]).all(1)
    return np.where(inside[:, None], corners, 0).astype(np.int64)


def cut_out(frame: np.ndarray, corners: np.ndarray, size: int) -> np.ndarray | None:
    """A rectangle of a frame, padded with black to a square; None where it is empty."""
    x0, y0, x1, y1 = corners.tolist()
    if x1 == x0:
        return None
    scale = size / max(x1 - x0, y1 - y0)
    width, height = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    out = np.zeros((size, size, 3), dtype=np.uint8)
    left, top = (size - width) // 2, (size - height) // 2
    out[top : top + height, left : left + width] = resize(frame[y0:y1, x0:x1], width, height)
    return out


def squeezed_rectangles(corners: np.ndarray, size: int, width: int, height: int) -> np.ndarray:
    """Rectangles (n, 4) of frames of that width and height in frames squeezed to ``size``, a pixel more on each side;
    all 0 where they are empty."""
    scaled = corners * size / np.array([width, height, width, height])
    low, high = np.floor(scaled[:, :2]) - 1, np.ceil(scaled[:, 2:]) + 1
    out = np.concatenate([low.clip(0), high.clip(None, size)], axis=1).astype(np.int64)
    return np.where(corners[:, 2:3] > corners[:, :1], out, 0)


def blackened(frame: np.ndarray, corners: np.ndarray) -> np.ndarray | None:
    """A frame with a rectangle of it in black; None where that is empty."""
    left, top, right, bottom = corners.tolist()
    if right == left:
        return None
    scene = frame.copy()
    scene[top:bottom, left:right] = 0
    return scene
