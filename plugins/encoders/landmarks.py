"""The common part of encoders that find landmarks in one image after another, on the CPU, with MediaPipe's networks."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from zoo.api import FrameInput, ModelCard, Wheel
from zoo.modules import FrameEncoder


class LandmarkEncoder(FrameEncoder):
    """An encoder whose features are the normalised landmarks of an image; it is not trained.

    Args:
        side: Side of the input images in pixels.
        points: Number of landmarks.
        values: Numbers of each landmark.
    """

    def __init__(self, side: int, points: int, values: int) -> None:
        super().__init__(values * points, FrameInput(side, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Encode images (N, 3, side, side) in [0, 1] to (N, dim), point after point."""
        if images.is_meta:
            return images.new_zeros(len(images), self.dim)
        pictures = images.float().mul(255).round().clamp(0, 255).byte().movedim(1, -1).cpu().numpy()
        found = [self.landmarks(np.ascontiguousarray(picture)) for picture in pictures]
        return torch.from_numpy(np.stack(found).reshape(len(images), self.dim)).to(images)

    @abstractmethod
    def landmarks(self, picture: np.ndarray) -> np.ndarray:
        """Return the normalised landmarks (points, values) of an image, uint8 RGB (H, W, 3), in float32."""


def mediapipe_card(name: str, sha256: str, file: str, size: int, seen: str, paper: str) -> ModelCard:
    """Return the model card of a file in the wheel of mediapipe 0.10.21.

    Args:
        name: Name of the weights.
        sha256: Digest of the file.
        file: Its path below ``mediapipe/modules``.
        size: Bytes.
        seen: The expected input.
        paper: The paper to cite.
    """
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
        citation=paper,
    )
