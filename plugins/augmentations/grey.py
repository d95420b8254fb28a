"""Grey pictures."""

from __future__ import annotations

from torchvision.transforms import v2


def grey() -> v2.Transform:
    """Return the transform; the three channels of its result are equal."""
    return v2.Grayscale(num_output_channels=3)
