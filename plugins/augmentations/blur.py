"""Gaussian blur."""

from __future__ import annotations

import math

from torchvision.transforms import v2

from zoo.layers.validation import between, ordered

WHO = "augmentation blur"


def blur(low: float, high: float) -> v2.Transform:
    """Return the transform; its kernel reaches two standard deviations of the widest Gaussian to each side."""
    between(WHO, 0.01, 20, low=low, high=high)
    ordered(WHO, low=low, high=high)
    return v2.GaussianBlur(2 * math.ceil(2 * high) + 1, sigma=(low, high))
