"""Gaussian blur."""

from __future__ import annotations

import math
from typing import Any

from torchvision.transforms import v2

from zoo.layers.validation import between, ordered

WHO = "augmentation blur"


class Blur:
    """Gaussian blur; the kernel reaches two standard deviations of the widest Gaussian to each side.

    On small pictures it is shorter: what lies outside is mirrored, so it reaches at most across the picture.
    """

    def __init__(self, low: float, high: float) -> None:
        between(WHO, 0.01, 20, low=low, high=high)
        ordered(WHO, low=low, high=high)
        self.sigma = (low, high)

    def __call__(self, images: Any) -> Any:
        """Blur images (T, 3, H, W)."""
        reach = min(math.ceil(2 * self.sigma[1]), *(side - 1 for side in images.shape[-2:]))
        return v2.GaussianBlur(2 * reach + 1, sigma=self.sigma)(images)
