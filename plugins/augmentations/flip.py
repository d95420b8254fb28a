"""Mirror pictures left to right."""

from __future__ import annotations

from torchvision.transforms import v2


def flip() -> v2.Transform:
    """Return the mirror.

    Points keep their order: the one that was on the left eye is then on what looks like the right eye.
    """
    return v2.RandomHorizontalFlip(p=1.0)
