"""Choose the device that a run computes on."""

from __future__ import annotations

import torch

from harness.runtime import memory
from zoo.errors import UserError, first_line


def pick_device(name: str) -> torch.device:
    """Return the device of this name; ``auto`` is the GPU if there is one.

    On the CPU, freed memory is kept for the next step. Raises UserError if the device cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError("device-unknown", name=name, reason=first_line(error)) from None
    if device.type == "cpu":
        memory.retain_freed_memory()
    return device
