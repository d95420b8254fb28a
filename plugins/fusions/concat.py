"""Early fusion: the slots' features side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.modules import Build, FeatureFusion, Features, Masks


class Concat(FeatureFusion):
    """One predictor on (B, T, sum of dims). It sees that a slot is absent by the slot's learned vector, which stands
    in its place; the masks are no input of their own."""

    def __init__(self, dims: dict[str, int], build: Build) -> None:
        super().__init__(dims, build, dim=sum(dims.values()))

    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """slot -> (B, T, D_slot) to (B, T, sum of dims), in the order of the slots."""
        return torch.cat([features[slot] for slot in self.slots], dim=-1)
