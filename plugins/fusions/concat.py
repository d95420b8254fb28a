"""Early fusion: the slots' features concatenated."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.modules import Build, FeatureFusion, Features, Masks


class Concat(FeatureFusion):
    """One predictor on the concatenated features (B, T, sum of dims).

    The learned vector that replaces an absent slot's features tells the predictor that the slot is absent; the masks
    are not an input.
    """

    def __init__(self, dims: dict[str, int], build: Build) -> None:
        super().__init__(dims, build, dim=sum(dims.values()))

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """Concatenate features (B, T, D_slot) by slot to (B, T, sum of dims), in the order of the slots."""
        return torch.cat([features[slot] for slot in self.slots], dim=-1)
