"""Random rotation, scale, shift and shear."""

from __future__ import annotations

from torchvision.transforms import InterpolationMode, v2

from zoo.layers.validation import between, fraction

WHO = "augmentation affine"


def affine(degrees: float, scale: float, shift: float, shear: float) -> v2.Transform:
    """Return the transform; the defaults of its options are usual for aligned faces."""
    between(WHO, 0, 180, degrees=degrees)
    between(WHO, 0, 60, shear=shear)
    fraction(WHO, scale=scale, shift=shift)
    return v2.RandomAffine(
        degrees,
        translate=(shift, shift),
        scale=(1 - scale, 1 + scale),
        shear=shear or None,
        interpolation=InterpolationMode.BILINEAR,
        fill=None,  # black as well, and faster than a fill of 0, which needs a fourth channel
    )
