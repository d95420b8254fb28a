"""Anchors and overlaps of single-shot detectors, as MediaPipe's networks have them. NumPy, no torch.

Written after mediapipe 0.10.21: SsdAnchorsCalculator with anchors of a fixed size, NonMaxSuppressionCalculator.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def anchor_centres(side: int, layers: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return the centres of all anchors, in the order of a network's outputs.

    Args:
        side: Side of the network's square input in pixels.
        layers: (stride in pixels, anchors per cell) of each layer.

    Returns:
        (N, 2), x and y as fractions of the side, row after row of cells.

    Examples:
        >>> from zoo.layers.anchors import anchor_centres
        >>> anchor_centres(16, [(8, 1)]).tolist()
        [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    """
    parts = []
    for stride, count in layers:
        middles = (np.arange(side // stride) + 0.5) * stride / side
        parts.append(np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2).repeat(count, axis=0))
    return np.concatenate(parts)


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the intersection over union of a box with others.

    Args:
        box: (2, 2), the corner of the lowest coordinates and the opposite one.
        boxes: (N, 2, 2).

    Returns:
        (N,), from 0 to 1.
    """
    shared = (np.minimum(box[1], boxes[:, 1]) - np.maximum(box[0], boxes[:, 0])).clip(0).prod(1)
    both = (box[1] - box[0]).prod() + (boxes[:, 1] - boxes[:, 0]).prod(1) - shared
    return np.asarray(shared / np.maximum(both, 1e-12))
