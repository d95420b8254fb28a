"""Add Gaussian noise to features, for `harness evaluate --noise`.

The noise is added to the fusion's input: each slot's features after its adapter (standardised, projected, one linear
layer: zoo.model.adapter), where the slot is present. Level 1 is one standard deviation of each of these features,
measured without noise on the evaluated videos (each frame counted as often as windows show it). The noise of a frame is
drawn once, seeded by the names of slot and video. It is the same in every window, at every level (scaled by the level)
and in every run of the command.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from zoo.model.model import Batch, Model
from zoo.modules import FusionOut


class InputStatistics:
    """A model wrapper, for harness.evaluation.prediction.answers, that records the spread of every slot's features."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.slots = model.slots
        self.decode = model.decode
        self.eval = model.eval
        self.sums: dict[str, Tensor] = {}

    def __call__(self, batch: Batch) -> FusionOut:
        """Return the model's predictions."""
        features = {name: self.changed(name, x, batch) for name, x in self.model.features(batch).items()}
        return self.model.fuse(features, batch.present, batch.valid)

    def changed(self, slot: str, x: Tensor, batch: Batch) -> Tensor:
        """Return the features (B, T, D) that the fusion gets."""
        rows = x[batch.present[slot] & batch.valid].double()
        sums = torch.stack([torch.ones_like(rows), rows, rows**2]).sum(1)
        self.sums[slot] = self.sums[slot] + sums if slot in self.sums else sums
        return x

    def standard_deviations(self) -> dict[str, Tensor]:
        """Return slot -> (D,) standard deviations so far; 0 if the slot was never present."""
        out = {}
        for slot, (n, total, squares) in self.sums.items():
            mean = total / n.clamp_min(1)
            out[slot] = (squares / n.clamp_min(1) - mean**2).clamp_min(0).sqrt()
        return out


class Noisy(InputStatistics):
    """A model wrapper that adds noise to the features: ``level`` times ``spread``."""

    def __init__(self, model: Model, spread: dict[str, Tensor], level: float, frames: dict[str, int]) -> None:
        super().__init__(model)
        self.scale = {slot: level * deviation for slot, deviation in spread.items()}
        self.frames = frames
        self.drawn: dict[tuple[str, str], Tensor] = {}

    def changed(self, slot: str, x: Tensor, batch: Batch) -> Tensor:
        """Return the features with noise where the slot is present."""
        noise = torch.zeros_like(x)
        for clip, (video, first, _) in enumerate(batch.where):
            own = self.noise(slot, video, x.shape[-1])[first : first + x.shape[1]].to(x)
            noise[clip, : len(own)] = own * self.scale[slot].to(x)
        return x + noise * (batch.present[slot] & batch.valid).unsqueeze(-1)

    def noise(self, slot: str, video: str, dim: int) -> Tensor:
        """Return (frames of the video, dim) standard normal noise.

        Only the last video's noise is kept, because the windows of a video follow one another.
        """
        if (slot, video) not in self.drawn:
            self.drawn = {key: value for key, value in self.drawn.items() if key[1] == video}
            digest = hashlib.sha256(f"{slot}\0{video}".encode()).digest()
            random = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
            self.drawn[slot, video] = torch.randn(self.frames[video], dim, generator=random)
        return self.drawn[slot, video]
