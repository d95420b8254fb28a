"""Features of several looks of a video's pictures (test-time augmentation), computed in one reading of the video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from harness.data.streams.augmented import MIRROR, augmented, mirrored, view_draw
from harness.evaluation.looks import Pass
from harness.predicting.live_branches import PictureFeatures
from zoo.augmenting import Augmentation
from zoo.model.augmenter import build_chains
from zoo.registry.plan import Plan

Change = Callable[[np.ndarray, int, str], np.ndarray]
"""A function from a picture, the number of its frame, and the name of its video to the picture's look."""
Looks = Mapping[str, Mapping[str, Change]]
"""Branch -> name of the look -> the change that makes it."""


def looks_of(passes: Sequence[Pass], plan: Plan) -> dict[str, dict[str, Change]]:
    """Return the looks that passes take of the pictures of frozen encoders."""
    chains, found = build_chains(plan), dict[str, dict[str, Change]]()
    for look in {one.look.name: one.look for one in passes if one.look.name}.values():
        for slot in look.cached:
            change = _mirror if look.name == MIRROR else _view(chains[slot], int(look.name))
            found.setdefault(slot, {})[look.name] = change
    return found


def _mirror(picture: np.ndarray, frame: int, video: str) -> np.ndarray:
    return mirrored(picture)


def _view(chain: Sequence[Augmentation], view: int) -> Change:
    def change(picture: np.ndarray, frame: int, video: str) -> np.ndarray:
        return augmented(picture, chain, frame, view_draw(view, video))

    return change


class LookedFeatures:
    """Features of a frozen picture encoder for the plain pictures and for their other looks.

    Args:
        plain: The features of the plain pictures.
        others: The features of the other looks, each with the change that makes it.
        video: Name of the video.
    """

    def __init__(self, plain: PictureFeatures, others: Sequence[tuple[Change, PictureFeatures]], video: str) -> None:
        self.plain, self.others, self.video, self.seen = plain, list(others), video, 0

    def add(self, image: np.ndarray | None) -> None:
        """Add the next frame's picture; None if it has none."""
        self.plain.add(image)
        for change, features in self.others:
            features.add(None if image is None else change(image, self.seen, self.video))
        self.seen += 1

    def finish(self) -> None:
        """Encode the remaining pictures."""
        for features in (self.plain, *(features for _, features in self.others)):
            features.finish()

    def known(self, ended: bool) -> int:
        """Return the number of leading frames whose features are complete."""
        return min(features.known(ended) for features in (self.plain, *(features for _, features in self.others)))
