"""An encoder to be checked: how it is built, and what it is fed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from zoo.api import AudioInput, EncoderSpec, FrameInput, ModelCard, VectorInput
from zoo.modules import Encoder
from zoo.registry.registry import resolve
from zoo.testing.comparisons import defaults, randomise_parameters
from zoo.testing.rules import construct, expect

BATCH, FRAMES = 2, 3
RATE = 25  # frames a second of the made-up clips

Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class EncoderCase:
    """An encoder's spec, with the stream, argument and options to check it with."""

    spec: EncoderSpec
    stream: str
    argument: str | None
    options: Mapping[str, Any]
    values: Mapping[str, Any]

    def build(self, seed: int = 0, **changed: Any) -> Encoder:
        """The encoder, in evaluation mode, its parameters shaken."""
        encoder = self.fresh(seed, **changed)
        randomise_parameters(encoder)
        return encoder

    def fresh(self, seed: int = 0, **changed: Any) -> Encoder:
        """The encoder as it is built."""
        torch.manual_seed(seed)
        chosen = defaults(self.spec, {**self.options, **changed})
        encoder = construct(self.spec, self.stream, self.argument, **chosen)
        expect(isinstance(encoder, Encoder), f"build gives a {type(encoder).__name__}, not a zoo.modules.Encoder")
        return encoder

    def arguments(self, block: nn.Module) -> tuple[Any, ...]:
        """What forward takes."""
        assert isinstance(block, Encoder)
        return tuple(example(block).values())

    def outputs(self, block: nn.Module, *arguments: Any) -> list[Tensor]:
        """The features."""
        return [block(*arguments)]

    @cached_property
    def encoder(self) -> Encoder:
        """One encoder for all the rules that do not train it."""
        return self.build()

    def passport(self, **changed: Any) -> ModelCard | None:
        """What the spec says of its weights, with these options; None without weights."""
        if self.spec.passport is None:
            return None
        chosen = defaults(self.spec, {**self.options, **changed})
        found: ModelCard | None = resolve(self.spec.passport)(self.stream, self.argument, **chosen)
        return found


def example(encoder: Encoder, clips: int = BATCH, frames: int = FRAMES) -> Inputs:
    """What forward takes, by the kind of input: noise, all of it present; of sound, its margins too."""
    generator = torch.Generator().manual_seed(1)
    declared = encoder.input
    if isinstance(declared, FrameInput):
        around = frames + 2 * declared.context
        images = torch.randn(clips, around, 3, declared.size, declared.size, generator=generator)
        present = {"present": torch.ones(clips, around, dtype=torch.bool)} if declared.context else {}
        return {"frames": images, **present}
    if isinstance(declared, AudioInput):
        n = round((frames / RATE + 2 * declared.margin) * declared.rate)
        times = declared.margin + torch.arange(frames) / RATE
        return {
            "samples": 0.1 * torch.randn(clips, n, generator=generator),
            "samples_valid": torch.ones(clips, n, dtype=torch.bool),
            "times": times.expand(clips, frames),
        }
    expect(isinstance(declared, VectorInput), f"input is a {type(declared).__name__}, none of zoo.api's inputs")
    assert isinstance(declared, VectorInput)
    return {"vectors": torch.randn(clips, frames, declared.dim, generator=generator)}


@torch.no_grad()
def answer(encoder: Encoder, inputs: Inputs) -> Tensor:
    """The features without a graph."""
    features: Tensor = encoder(*inputs.values())
    return features
