"""Random erasing (Zhong et al. 2020, arXiv:1708.04896)."""

from __future__ import annotations

from torchvision.transforms import v2

from zoo.layers.validation import between, ordered

WHO = "augmentation erase"


def erase(low: float, high: float) -> v2.Transform:
    """Return the transform; the ratio of the rectangle's sides is that of the paper, 0.3 to 3.3."""
    between(WHO, 0, 1, low=low, high=high)
    ordered(WHO, low=low, high=high)
    return v2.RandomErasing(p=1.0, scale=(low, high))
