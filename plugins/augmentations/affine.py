"""Random rotation, scale, shift and shear."""

from __future__ import annotations

from typing import Any

from torchvision.transforms import InterpolationMode, v2

from zoo.augmenting import from_corner
from zoo.layers.validation import between, fraction

WHO = "augmentation affine"


class Affine:
    """Random affine map around the middle of pictures; the defaults of its options are usual for aligned faces."""

    def __init__(self, degrees: float, scale: float, shift: float, shear: float) -> None:
        between(WHO, 0, 180, degrees=degrees)
        between(WHO, 0, 60, shear=shear)
        fraction(WHO, scale=scale, shift=shift)
        self.transform = v2.RandomAffine(
            degrees,
            translate=(shift, shift),
            scale=(1 - scale, 1 + scale),
            shear=shear or None,
            interpolation=InterpolationMode.BILINEAR,
            fill=None,  # black as well, and faster than a fill of 0, which needs a fourth channel
        )

    def __call__(self, *given: Any) -> Any:
        """Move images (T, 3, H, W), and points (T, P, 2) with them if they are given."""
        return from_corner(self.transform, *given)
