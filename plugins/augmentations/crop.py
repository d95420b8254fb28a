"""Random resized crop (Szegedy et al. 2015, arXiv:1409.4842)."""

from __future__ import annotations

from typing import Any

from torchvision.transforms import v2

from zoo.augmenting import from_corner
from zoo.layers.validation import between, ordered

WHO = "augmentation crop"


class Crop:
    """Random part of pictures, resized to their size; its area and the ratio of its sides are drawn.

    The field's usual range of areas begins at 0.08, which can leave a face's mouth out. Here it begins at 0.7.
    """

    def __init__(self, low: float, high: float, ratio: float) -> None:
        between(WHO, 0.01, 1, low=low, high=high)
        ordered(WHO, low=low, high=high)
        between(WHO, 1, 100, ratio=ratio)
        self.scale, self.ratio = (low, high), (1 / ratio, ratio)

    def __call__(self, *given: Any) -> Any:
        """Crop images (T, 3, H, W), and move points (T, P, 2) with it if they are given."""
        crop = v2.RandomResizedCrop(given[0].shape[-2:], self.scale, self.ratio, antialias=True)
        return from_corner(crop, *given)
