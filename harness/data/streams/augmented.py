"""Readers of pictures that give one augmented view of a video, or its mirror image."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import torch

from harness.io.hashing import digest
from zoo.api import Target
from zoo.augmenting import Augmentation, ClipName, build_augmentation, drawing
from zoo.readers import Source
from zoo.registry.augmentations import AugmentationPlan
from zoo.registry.registry import resolve

VERSION = 3  # raise it if the same draws give other pictures
MIRROR = "mirror"
MIRROR_VERSION = 1  # raise it if the mirror image differs
SEED = 0  # of the draws of every run: runs with other seeds share the cached features


def view_draw(view: int, video: str) -> ClipName:
    """Return the names that the draw of a view of a whole video follows from.

    The length is not among them: a data folder counts the frames of the annotation and prediction those of the video,
    and the two may differ.
    """
    return ClipName(SEED, view, video, start=0, length=0)


class AugmentedReader:
    """The pictures of another reader, all of a video's changed by one draw (zoo.augmenting).

    The draw follows from the number of the view, in place of an epoch, and from the video.
    """

    def __init__(self, source: Source, *, reader: Target, chain: tuple[AugmentationPlan, ...], view: int) -> None:
        self.inner = resolve(reader)(source)
        self.uses_video: bool = self.inner.uses_video
        self.squeezed: bool = getattr(self.inner, "squeezed", False)
        self.plans, self.chain = chain, tuple(map(build_augmentation, chain))
        self.clip = view_draw(view, source.name)

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
        return digest("view", VERSION, self.inner.fingerprint(), names, clip.seed, clip.epoch, clip.video)

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """Return the changed picture of a frame, uint8 RGB (size, size, 3); None if there is none."""
        picture = self.inner.image(index, frame, size)
        return None if picture is None else augmented(picture, self.chain, index, self.clip)


def augmented(picture: np.ndarray, chain: Sequence[Augmentation], index: int, clip: ClipName) -> np.ndarray:
    """Return a picture, uint8 RGB (size, size, 3), of frame ``index`` changed by the draw of ``clip``."""
    images = torch.from_numpy(np.ascontiguousarray(picture)).unsqueeze(0).movedim(-1, -3)
    with drawing(images.device), torch.no_grad():
        for augmentation in chain:
            images = augmentation.pictures(images, [index], clip)
    return np.ascontiguousarray(images[0].movedim(-3, -1).numpy())


def mirrored(picture: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) mirrored left to right."""
    return np.ascontiguousarray(picture[:, ::-1])


class MirroredReader:
    """The pictures of another reader, mirrored left to right."""

    def __init__(self, source: Source, *, reader: Target) -> None:
        self.inner = resolve(reader)(source)
        self.uses_video: bool = self.inner.uses_video
        self.squeezed: bool = getattr(self.inner, "squeezed", False)

    def present(self) -> np.ndarray:
        """Return (n_frames,) bool: frames that have a picture."""
        present: np.ndarray = self.inner.present()
        return present

    def fingerprint(self) -> str:
        """Return a digest of the pictures' content."""
        return digest(MIRROR, MIRROR_VERSION, self.inner.fingerprint())

    def image(self, index: int, frame: np.ndarray | None, size: int) -> np.ndarray | None:
        """Return the mirrored picture of a frame, uint8 RGB (size, size, 3); None if there is none."""
        picture = self.inner.image(index, frame, size)
        return None if picture is None else mirrored(picture)
