"""Place a model on its device for training: memory layout, precision, batch norms and throughput."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from harness.config.schema import Train
from harness.runtime.distributed import World, silence_lightning
from harness.runtime.precision import warn_of_bfloat16
from harness.training.compiling import compile_model
from harness.training.recompute import checkpoint_gradients
from zoo.api import FrameInput
from zoo.errors import UserError
from zoo.model.lora import is_adapter
from zoo.model.model import Model, module_key
from zoo.parallel import share_dropout


def fabric(world: World, settings: Train) -> Any:
    """Return Lightning Fabric for the devices of ``world``.

    Lightning takes seconds to import, so it is not imported before training begins.
    """
    if world.fabric is not None:
        return world.fabric
    from lightning_fabric import Fabric

    silence_lightning()
    device = world.device
    devices = [device.index or 0] if device.type == "cuda" else 1
    return Fabric(accelerator=device.type, devices=devices, strategy="auto", precision=settings.precision)


def place(model: Model, world: World, settings: Train) -> None:
    """Move a model to its device and prepare it for training in several processes.

    Encoders of pictures get the memory layout in which convolutions are fastest. In several processes, dropout and
    batch norms are made independent of the number of processes. Raises UserError if batch norms are to be trained in
    several processes without a GPU.
    """
    if world.first and settings.precision == "bf16-mixed":
        warn_of_bfloat16(world.device, "--precision bf16-mixed")
    model.to(world.device)
    for encoder in model.encoders.values():
        if isinstance(encoder.input, FrameInput):
            encoder.to(memory_format=torch.channels_last)
            _usual_layout_of_adapters(encoder)
    checkpoint_gradients(model, settings)
    if settings.compile:
        compile_model(model)
    if world.size > 1 or settings.accumulate > 1:
        share_dropout(model)
    if world.size == 1:
        return
    if settings.batch_norm == "train" and _norms(model):
        if world.device.type != "cuda":
            raise UserError("batch-norm-without-gpu")
        from timm.layers import convert_sync_batchnorm

        convert_sync_batchnorm(model.encoders)


def _usual_layout_of_adapters(encoder: nn.Module) -> None:
    """Lay out adapters row by row again: DoRA of peft takes views of its convolutions' weights."""
    for name, parameter in encoder.named_parameters():
        if is_adapter(name):
            parameter.data = parameter.data.contiguous()


def freeze(model: Model, settings: Train) -> None:
    """Put batch norms of trained encoders in eval mode if ``train.batch_norm=frozen``.

    They then keep the statistics that they were loaded with. Those of adapted encoders always do
    (harness.training.freezing).
    """
    for norm in _norms(model) if settings.batch_norm == "frozen" else ():
        norm.eval()


def _norms(model: Model) -> list[nn.Module]:
    adapted = {module_key(slot) for slot in model.adapted}
    trained = [encoder for name, encoder in model.encoders.items() if name not in adapted]
    return [part for e in trained for part in e.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


class Clock:
    """A counter of frames per second."""

    def __init__(self) -> None:
        self.frames = 0
        self.seconds = 0.0
        self.started = 0.0

    def start(self) -> None:
        """Start or continue timing."""
        self.started = time.perf_counter()

    def count(self, frames: int) -> None:
        """Add frames that were processed since the last call."""
        now = time.perf_counter()
        self.frames += frames
        self.seconds += now - self.started
        self.started = now

    @property
    def rate(self) -> float | None:
        """Frames per second; None if none were counted."""
        return round(self.frames / self.seconds, 1) if self.seconds else None
