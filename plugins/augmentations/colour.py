"""Random brightness, contrast, saturation and hue."""

from __future__ import annotations

from torchvision.transforms import v2

from zoo.layers.validation import between

WHO = "augmentation colour"


def colour(brightness: float, contrast: float, saturation: float, hue: float) -> v2.Transform:
    """Return the transform."""
    between(WHO, 0, 100, brightness=brightness, contrast=contrast, saturation=saturation)
    between(WHO, 0, 0.5, hue=hue)
    return v2.ColorJitter(brightness, contrast, saturation, hue)
