"""Gaussian noise in pictures."""

from __future__ import annotations

from typing import Any

import torch
from torchvision.transforms.v2 import functional

from zoo.layers.validation import between, ordered

WHO = "augmentation noise"


class Noise:
    """Gaussian noise; every pixel has its own, and every frame its own noise and standard deviation."""

    def __init__(self, low: float, high: float) -> None:
        between(WHO, 0, 1, low=low, high=high)
        ordered(WHO, low=low, high=high)
        self.low, self.high = low, high

    def __call__(self, images: Any) -> Any:
        """Add noise to images, uint8 (T, 3, H, W)."""
        sigma = float(torch.empty(()).uniform_(self.low, self.high))
        return functional.gaussian_noise(images, sigma=sigma)
