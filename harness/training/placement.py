"""A model and the devices it is trained on: layout, precision, batch norms, and how fast it went."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from harness.config.schema import Train
from harness.runtime.distributed import World, silence_lightning
from harness.runtime.precision import warn_of_bfloat16
from zoo.api import FrameInput
from zoo.errors import UserError
from zoo.model.model import Model
from zoo.parallel import share_dropout


def fabric(world: World, settings: Train) -> Any:
    """Lightning Fabric for the world's devices. It takes seconds to import, so not before training begins."""
    if world.fabric is not None:
        return world.fabric
    from lightning_fabric import Fabric

    silence_lightning()
    device = world.device
    devices = [device.index or 0] if device.type == "cuda" else 1
    return Fabric(accelerator=device.type, devices=devices, strategy="auto", precision=settings.precision)


def place(model: Model, world: World, settings: Train) -> None:
    """Put a model on its device, encoders of pictures in the layout that convolutions are fastest in, and make what it
    draws and averages in training independent of the processes."""
    if world.first and settings.precision == "bf16-mixed":
        warn_of_bfloat16(world.device, "--precision bf16-mixed")
    model.to(world.device)
    for encoder in model.encoders.values():
        if isinstance(encoder.input, FrameInput):
            encoder.to(memory_format=torch.channels_last)
    if world.size == 1:
        return
    share_dropout(model)
    if settings.batch_norm == "train" and _norms(model):
        if world.device.type != "cuda":
            raise UserError("batch-norm-without-gpu")
        from timm.layers import convert_sync_batchnorm

        convert_sync_batchnorm(model.encoders)


def freeze(model: Model, settings: Train) -> None:
    """``train.batch_norm=frozen``: batch norms of trained encoders keep the statistics that they came with."""
    for norm in _norms(model) if settings.batch_norm == "frozen" else ():
        norm.eval()


def _norms(model: Model) -> list[nn.Module]:
    return [part for part in model.encoders.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


class Clock:
    """Frames a second while it runs."""

    def __init__(self) -> None:
        self.frames = 0
        self.seconds = 0.0
        self.started = 0.0

    def start(self) -> None:
        """Go on."""
        self.started = time.perf_counter()

    def count(self, frames: int) -> None:
        """So many frames are done by now."""
        now = time.perf_counter()
        self.frames += frames
        self.seconds += now - self.started
        self.started = now

    @property
    def rate(self) -> float | None:
        """Frames a second; None where there were none."""
        return round(self.frames / self.seconds, 1) if self.seconds else None
