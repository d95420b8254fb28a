"""JPEG compression."""

from __future__ import annotations

from typing import Any

from torchvision.transforms import v2

from zoo.layers.validation import between, ordered

WHO = "augmentation jpeg"


class Jpeg:
    """JPEG compression of all pictures of a clip with one random quality."""

    def __init__(self, low: int, high: int) -> None:
        between(WHO, 1, 100, low=low, high=high)
        ordered(WHO, low=low, high=high)
        self.transform = v2.JPEG(quality=(low, high))

    def __call__(self, images: Any) -> Any:
        """Compress images (T, 3, H, W). The encoder works in the computer's memory, wherever the images are."""
        return self.transform(images.cpu()).to(images.device)
