"""Mixed precision on a device, and a word where it has no bfloat16 of its own."""

from __future__ import annotations

import warnings

import torch

from zoo.layers.precision import computes_bfloat16


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """What a network runs in: bfloat16 where it is safe (``bf16-mixed``), or as it is (``32``)."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed")


def warn_of_bfloat16(device: torch.device, option: str) -> None:
    """What asks for it is told where the device has none of its own."""
    if not computes_bfloat16(device):
        warnings.warn(f"{option}: this machine has no bfloat16 of its own: float32 is faster here", stacklevel=2)
