"""Frozen slots of the demo's face stream: the default encoder's, and a small one that can be made to misbehave."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.config.schema import Features
from harness.data.index.index import Index
from harness.features.frozen_encoder import FrozenSlot, frozen_slots
from harness.features.store import FeatureStore
from zoo.api import FrameInput
from zoo.layers.precision import computes_bfloat16
from zoo.modules import Encoder
from zoo.registry.plan import SlotPlan, make_plan
from zoo.registry.registry import load
from zoo.registry.tracks import find_track

CPU = torch.device("cpu")
WITH_BF16 = pytest.mark.skipif(not computes_bfloat16(CPU), reason="this processor has no bfloat16: it takes minutes")


def plans(text: str, options: dict[str, object] | None = None) -> tuple[SlotPlan, ...]:
    registry = load([])
    answers = find_track(registry, "va", None)[1].answers
    return make_plan(registry, encoders=text, fusion="late", head="gru", answers=answers, options=options or {}).slots


def slots(text: str = "face", **settings: object) -> list[FrozenSlot]:
    return frozen_slots(plans(text), Features(**{"chunk": 16, **settings}), CPU)


class Odd(Encoder):
    """The mean of an image. ``most``: frames that fit in memory; ``mate``: how much of its neighbour's mean is added."""

    def __init__(self, most: int = 10_000, mate: float = 0.0, rough: float = 0.0, context: int = 0) -> None:
        super().__init__(2, FrameInput(8, (0.0,) * 3, (1.0,) * 3, context))
        self.most, self.mate, self.rough = most, mate, rough
        self.sizes: list[int] = []

    def forward(self, frames: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
        self.sizes.append(frames.shape[0] * frames.shape[1])
        if self.sizes[-1] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        mean = frames.mean((-1, -2, -3))
        if self.input.context:
            mean = mean[:, self.input.context : -self.input.context]
        mean = mean + self.mate * mean.flatten().roll(1).view_as(mean)
        if torch.is_autocast_enabled("cpu"):
            mean = mean * (1 + self.rough)
        return torch.stack([mean, 2 * mean], -1)


def odd(precision: str = "float32", **more: object) -> FrozenSlot:
    return FrozenSlot(plans("face")[0], Features(precision=precision, chunk=16), CPU, None, _encoder=Odd(**more))


def features(store: FeatureStore, index: Index, slot: str = "face") -> dict[str, bytes]:
    return {v.name: np.asarray(store.rows(slot, v.name)).tobytes() for v in index.videos}
