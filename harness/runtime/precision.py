"""Mixed precision on a device, and a warning if the device has no native bfloat16."""

from __future__ import annotations

import warnings

import torch

from zoo.layers.precision import computes_bfloat16


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context that a network runs in: bfloat16 where it is safe (``bf16-mixed``), or unchanged (``32``)."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed")


def warn_of_bfloat16(device: torch.device, option: str) -> None:
    """Warn if the device has no native bfloat16; ``option`` is the setting that asked for it."""
    if not computes_bfloat16(device):
        warnings.warn(f"{option}: this machine has no native bfloat16; float32 is faster here", stacklevel=2)
