"""RandAugment (Cubuk et al. 2020, arXiv:1909.13719)."""

from __future__ import annotations

from torchvision.transforms import InterpolationMode, v2

from zoo.layers.validation import between

WHO = "augmentation randaugment"


def randaugment(operations: int, magnitude: int) -> v2.Transform:
    """Return the transform with torchvision's list of operations and 31 steps of magnitude."""
    between(WHO, 1, 1000, operations=operations)
    between(WHO, 0, 30, magnitude=magnitude)
    return v2.RandAugment(operations, magnitude, interpolation=InterpolationMode.BILINEAR)
