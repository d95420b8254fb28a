"""Try an encoder without data: build it on the meta device, and run it on an example with B=2, T=3."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor, nn

from zoo.api import AudioInput, FrameInput, TextInput, VectorInput
from zoo.errors import UserError, first_line
from zoo.model.model import build_to_measure, encode
from zoo.modules import Encoder
from zoo.registry.plan import SlotPlan
from zoo.registry.registry import resolve


def meta_or_real(build: Any) -> Any:
    """Build on the meta device, or with real tensors if that is not possible there."""
    try:
        with torch.device("meta"):
            return build()
    except (NotImplementedError, RuntimeError):
        return build()


def built_from(slot: SlotPlan) -> Hashable:
    """Return everything that determines how the slot's encoder is built, or None if that cannot be hashed.

    It is also None if the argument or an option names a file or folder, whose content may change.
    """
    argument, options = slot.slot.argument, slot.options
    if any(isinstance(text, str) and os.path.exists(text) for text in (argument, *options.values())):
        return None
    given = tuple(sorted(options.items()))
    key = (resolve(slot.encoder.build), slot.stream.name, slot.stream.kind, argument, given, slot.frozen, slot.scores)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def probe(encoder: Encoder, slot: SlotPlan, watch: Callable[[nn.Module], object] = lambda encoder: None) -> Tensor:
    """Return the features of an example with B=2, T=3; ``watch`` is called with the network before it is run.

    Raise UserError if the network fails and files of the user describe it; other faults are the program's own.
    """
    try:
        return _probed(encoder, slot, watch)
    except UserError:
        raise
    except Exception as error:  # a network of another library may raise anything
        if folder := getattr(encoder, "described_in", ""):
            raise UserError("encoder-files-fail", folder=folder, reason=first_line(error)) from error
        raise


def _probed(encoder: Encoder, slot: SlotPlan, watch: Callable[[nn.Module], object]) -> Tensor:
    try:
        watch(encoder)
        return encode(encoder.to("meta"), example(encoder, torch.device("meta")), ones("meta"))
    except (NotImplementedError, RuntimeError):  # some operators have no meta implementation: use real tensors
        real = build_to_measure(slot)
        watch(real)
        with torch.no_grad():
            return encode(real, example(real, torch.device("cpu")), ones("cpu"))


def ones(device: str | torch.device) -> Tensor:
    """Return a mask (2, 3) that is True everywhere."""
    return torch.ones(2, 3, dtype=torch.bool, device=device)


def example(encoder: Encoder, device: torch.device) -> dict[str, Tensor]:
    """Return an input of zeros for an encoder, with B=2, T=3."""
    spec = encoder.input
    if isinstance(spec, FrameInput):
        frames = 3 + 2 * spec.context
        shape = (2, frames, spec.size, spec.size, 3)
        present = torch.ones(2, frames, dtype=torch.bool, device=device)
        return {"frames": torch.zeros(shape, dtype=torch.uint8, device=device), "present": present}
    if isinstance(spec, AudioInput):
        n = int(spec.rate * (0.1 + 2 * spec.margin))
        times = torch.tensor([0.0, 0.04, 0.08], device=device).expand(2, 3) + spec.margin
        return {
            "samples": torch.zeros(2, n, device=device),
            "samples_valid": torch.ones(2, n, dtype=torch.bool, device=device),
            "times": times,
        }
    if isinstance(spec, TextInput):
        return {"tokens": torch.zeros(2, 3, spec.length, dtype=torch.int32, device=device)}
    assert isinstance(spec, VectorInput)
    return {"vectors": torch.zeros(2, 3, spec.dim, device=device)}
