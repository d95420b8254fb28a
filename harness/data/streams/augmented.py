"""A reader of pictures that gives one augmented view of a video."""

from __future__ import annotations

import json

import numpy as np
import torch

from harness.io.hashing import digest
from zoo.api import Target
from zoo.augmenting import ClipName, build_augmentation, drawing
from zoo.readers import Source
from zoo.registry.augmentations import AugmentationPlan
from zoo.registry.registry import resolve

VERSION = 2  # raise it if the same draws give other pictures
SEED = 0  # of the draws of every run: runs with other seeds share the cached features


class AugmentedReader:
    """The pictures of another reader, all of a video's changed by one draw (zoo.augmenting).

    The draw follows from the number of the view, in place of an epoch, and from the video.
    """

    def __init__(self, source: Source, *, reader: Target, chain: tuple[AugmentationPlan, ...], view: int) -> None:
        self.inner = resolve(reader)(source)
        self.uses_video: bool = self.inner.uses_video
        self.squeezed: bool = getattr(self.inner, "squeezed", False)
        self.plans, self.chain = chain, tuple(map(build_augmentation, chain))
        self.clip = ClipName(SEED, view, source.name, 0, source.n_frames)

    def present(self) -> np.ndarray:
        """Return (n_frames,) bool: frames that have a picture."""
        present: np.ndarray = self.inner.present()
        return present

    def fingerprint(self) -> str:
        """Return a digest of the pictures' content, the augmentations with all their options, and the view."""
        names = [
            (plan.spec.name, plan.spec.version, json.dumps(dict(plan.options), sort_keys=True), plan.p, plan.per_frame)
            for plan in self.plans
        ]
        clip = self.clip
        return digest("view", VERSION, self.inner.fingerprint(), names, clip.seed, clip.epoch, clip.video, clip.length)

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """Return the changed picture of a frame, uint8 RGB (size, size, 3); None if there is none."""
        picture = self.inner.image(index, frame, size)
        if picture is None:
            return None
        images = torch.from_numpy(np.ascontiguousarray(picture)).unsqueeze(0).movedim(-1, -3)
        with drawing(images.device), torch.no_grad():
            for augmentation in self.chain:
                images = augmentation.pictures(images, [index], self.clip)
        return np.ascontiguousarray(images[0].movedim(-3, -1).numpy())
