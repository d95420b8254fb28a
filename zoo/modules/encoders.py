"""Base classes of encoders, and an encoder's own classifier."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import UserError


class Encoder(nn.Module):
    """The base class of encoders: a slot's input -> features per video frame.

    ``forward`` takes, by kind of input:

    - frames: ``(B, T, 3, H, W)``, normalised (with context frames also ``present (B, T + 2 context)``);
    - sound: ``samples (B, S)``, ``samples_valid (B, S)``, ``times (B, T)`` in seconds from the first sample;
    - text: ``tokens (B, T, input.length)`` int32, -1 where there is none;
    - vectors: ``(B, T, input.dim)``.

    It returns ``(B, T, dim)``.

    Args:
        dim: Features per frame.
        input: A FrameInput, AudioInput, TextInput or VectorInput.

    Attributes:
        needs_training: Why the encoder cannot be frozen with these options; empty if it can.
        last_layer: Names of its own parameters that work on the outputs of several layers; rates by layer and
            unfreezing take them for parts of the last one.
        described_in: The folder of the user's whose files describe the network, so that an error at its first call is
            put down to them; empty if only its weights come from files.

    Examples:
        >>> import torch
        >>> from zoo.api import VectorInput
        >>> from zoo.modules import Encoder
        >>> class Scaled(Encoder):
        ...     def forward(self, vectors):
        ...         return vectors / 100
        >>> encoder = Scaled(dim=8, input=VectorInput(8))
        >>> tuple(encoder(torch.ones(2, 3, 8)).shape)
        (2, 3, 8)
    """

    needs_training = ""
    last_layer: tuple[str, ...] = ()
    described_in = ""

    def __init__(self, dim: int, input: object) -> None:
        super().__init__()
        self.dim = dim
        self.input = input


class FrameEncoder(Encoder):
    """The base class of encoders that see one frame at a time. Implement ``encode``.

    Examples:
        >>> import torch
        >>> from zoo.api import FrameInput
        >>> from zoo.modules import FrameEncoder
        >>> class Colour(FrameEncoder):
        ...     def encode(self, images):  # (N, 3, H, W) -> (N, 3)
        ...         return images.mean((2, 3))
        >>> encoder = Colour(dim=3, input=FrameInput(16, mean=(0.5,) * 3, std=(0.5,) * 3))
        >>> tuple(encoder(torch.zeros(2, 4, 3, 16, 16)).shape)
        (2, 4, 3)
    """

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Encode images.

        Args:
            images: (N, 3, H, W), normalised.

        Returns:
            (N, dim).
        """

    def forward(self, frames: Tensor) -> Tensor:
        """Encode every frame of a batch.

        Args:
            frames: (B, T, 3, H, W), normalised.

        Returns:
            (B, T, dim).
        """
        return self.encode(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])


class OwnClassifier(nn.Module):
    """The last layer that a weight file has in addition to a network's features: (..., dim) -> (..., width) logits.

    It is never trained: its weights are buffers and part of the state. They are zero until a file sets them. A state
    saved before encoders kept their classifier may lack them.

    Args:
        dim: Features per frame.
        width: Number of logits.

    Examples:
        >>> import torch
        >>> from zoo.modules import OwnClassifier
        >>> last = OwnClassifier(dim=4, width=7)
        >>> _ = last.load_state_dict({"weight": torch.ones(7, 4), "bias": torch.zeros(7)})
        >>> tuple(last(torch.ones(2, 3, 4)).shape)
        (2, 3, 7)
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(width, dim))
        self.register_buffer("bias", torch.zeros(width))

    def forward(self, features: Tensor) -> Tensor:
        """Compute the logits, in float32.

        Args:
            features: (..., dim).

        Returns:
            (..., width).

        Raises:
            UserError: No file has set the weights.
        """
        if not self.weight.is_meta and not bool(self.weight.any()):
            raise UserError("scores-no-classifier")
        with torch.autocast(features.device.type, enabled=False):
            return nn.functional.linear(features.float(), self.weight.float(), self.bias.float())

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any, **more: Any) -> None:
        own = {prefix + name: buffer for name, buffer in self.named_buffers(recurse=False)}
        super()._load_from_state_dict({**own, **state_dict}, prefix, *rest, **more)
