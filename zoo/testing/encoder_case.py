"""An encoder under test: how to build it, and its synthetic input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from zoo.api import AudioInput, EncoderSpec, FrameInput, ModelCard, TextInput, VectorInput
from zoo.modules import Encoder
from zoo.registry.registry import resolve
from zoo.testing.comparisons import defaults, randomise_parameters
from zoo.testing.rules import construct, expect

BATCH, FRAMES = 2, 3
RATE = 25  # frames per second of the synthetic clips

Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class EncoderCase:
    """An encoder's spec, with the stream, argument and options to check it with.

    Attributes:
        spec: The encoder's spec.
        stream: The stream.
        argument: The argument, or None.
        options: Options in place of the defaults.
        values: Other values for the rule *options*.
    """

    spec: EncoderSpec
    stream: str
    argument: str | None
    options: Mapping[str, Any]
    values: Mapping[str, Any]

    def build(self, seed: int = 0, **changed: Any) -> Encoder:
        """Build the encoder in evaluation mode, with randomised parameters.

        Args:
            seed: Seed of torch's generator.
            **changed: Options in place of the case's.

        Returns:
            The encoder.
        """
        encoder = self.fresh(seed, **changed)
        randomise_parameters(encoder)
        return encoder

    def fresh(self, seed: int = 0, **changed: Any) -> Encoder:
        """Build the encoder with its initial parameters.

        Args:
            seed: Seed of torch's generator.
            **changed: Options in place of the case's.

        Returns:
            The encoder.

        Raises:
            ConformanceError: It is not a zoo.modules.Encoder.
        """
        torch.manual_seed(seed)
        chosen = defaults(self.spec, {**self.options, **changed})
        encoder = construct(self.spec, self.stream, self.argument, **chosen)
        expect(isinstance(encoder, Encoder), f"build gives a {type(encoder).__name__}, not a zoo.modules.Encoder")
        return encoder

    def arguments(self, block: nn.Module) -> tuple[Any, ...]:
        """Return the arguments of forward.

        Args:
            block: The encoder.

        Returns:
            Tensors, by the encoder's kind of input.
        """
        assert isinstance(block, Encoder)
        return tuple(example(block).values())

    def outputs(self, block: nn.Module, *arguments: Any) -> list[Tensor]:
        """Return the features.

        Args:
            block: The encoder.
            *arguments: The arguments of forward.

        Returns:
            One tensor.
        """
        return [block(*arguments)]

    @cached_property
    def encoder(self) -> Encoder:
        """One encoder for all the rules that do not train it."""
        return self.build()

    def passport(self, **changed: Any) -> ModelCard | None:
        """Return the model card of the weights with these options.

        Args:
            **changed: Options in place of the case's.

        Returns:
            The card, or None if there are no weights.
        """
        if self.spec.passport is None:
            return None
        chosen = defaults(self.spec, {**self.options, **changed})
        found: ModelCard | None = resolve(self.spec.passport)(self.stream, self.argument, **chosen)
        return found


def example(encoder: Encoder, clips: int = BATCH, frames: int = FRAMES) -> Inputs:
    """Return synthetic input for an encoder: noise, present at every frame; sound includes its margins.

    Args:
        encoder: The encoder.
        clips: Number of clips.
        frames: Frames per clip.

    Returns:
        The arguments of forward by name.

    Raises:
        ConformanceError: The encoder declares none of zoo.api's inputs.
    """
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
    if isinstance(declared, TextInput):
        texts = [" ".join(f"word{7 * i + k}" for k in range(2 + i % 3)) for i in range(clips * frames)]
        return {"tokens": torch.from_numpy(declared.tokenise(texts)).unflatten(0, (clips, frames))}
    expect(isinstance(declared, VectorInput), f"input is a {type(declared).__name__}, none of zoo.api's inputs")
    assert isinstance(declared, VectorInput)
    return {"vectors": torch.randn(clips, frames, declared.dim, generator=generator)}


@torch.no_grad()
def answer(encoder: Encoder, inputs: Inputs) -> Tensor:
    """Return the features without a graph.

    Args:
        encoder: The encoder.
        inputs: The arguments of forward by name.

    Returns:
        (B, T, dim).
    """
    features: Tensor = encoder(*inputs.values())
    return features
