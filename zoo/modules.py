"""Base classes and masked helpers for networks. A plugin author needs this file and zoo/api.py only.

Shapes: B clips, T frames, D features, K raw outputs. ``valid`` (B, T) is always a prefix: padding is at the end.

Weight decay applies to weights that multiply features. Biases, norms and vectors are excluded automatically. A module
with other parameters to exclude (tables, rates, tokens) names them: ``def no_weight_decay(self) -> set[str]``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.layers.masked import gather, masked_mean, recur, scatter
from zoo.tracks import Answer, Counts

__all__ = [
    "Build",
    "DecisionFusion",
    "Encoder",
    "FeatureFusion",
    "FrameEncoder",
    "FusionOut",
    "Loss",
    "OwnClassifier",
    "Predictor",
    "gather",
    "masked_mean",
    "recur",
    "scatter",
    "weighted_mean",
]


@dataclass
class FusionOut:
    """The output of a fusion.

    Attributes:
        raw: (B, T, K) raw predictions.
        per_slot: Raw predictions (B, T, K) of single slots; they are supervised too.
        aux: Named scalar losses, which are added to the loss and logged.

    Examples:
        >>> import torch
        >>> from zoo.modules import FusionOut
        >>> out = FusionOut(torch.zeros(2, 3, 8), aux={"balance": torch.tensor(0.1)})
        >>> tuple(out.raw.shape), list(out.aux)
        ((2, 3, 8), ['balance'])
    """

    raw: Tensor
    per_slot: dict[str, Tensor] = field(default_factory=dict)
    aux: dict[str, Tensor] = field(default_factory=dict)


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


def weighted_mean(raw: Tensor, shares: Tensor) -> Tensor:
    """Average several raw predictions.

    Args:
        raw: (S, ..., K).
        shares: (S, ..., K), with a sum of 1 over S.

    Returns:
        (..., K).

    Examples:
        >>> import torch
        >>> from zoo.modules import weighted_mean
        >>> raw, shares = torch.tensor([[1.0, 1.0], [5.0, 5.0]]), torch.tensor([[0.5, 1.0], [0.5, 0.0]])
        >>> weighted_mean(raw, shares).tolist()
        [3.0, 1.0]
    """
    return (raw * shares).sum(0)


class Loss(nn.Module):
    """The base class of losses, each with the decoding of its answers.

    Args:
        answers: The answers it is computed for.
        width: K, the number of raw outputs it needs.

    Attributes:
        additive: True if the loss of a batch is the sum of its clips' losses over a count, so that gradients may be
            accumulated. CCC is not additive.

    Examples:
        >>> import torch
        >>> from zoo.api import Answer
        >>> from zoo.modules import Loss
        >>> class Mae(Loss):
        ...     def forward(self, raw, target, labelled):
        ...         error = torch.where(labelled, raw - target, 0.0).abs()
        ...         return error.sum() / labelled.sum().clamp_min(1)
        ...     def decode(self, raw):
        ...         return raw.clamp(-1, 1)
        >>> loss = Mae((Answer("valence", "value", invalid=-5),), width=1)
        >>> target, labelled = torch.tensor([[[0.5], [-5.0]]]), torch.tensor([[[True], [False]]])
        >>> loss(torch.zeros(1, 2, 1), target, labelled).item()  # the unlabelled -5 does not count
        0.5
    """

    additive = False

    def __init__(self, answers: tuple[Answer, ...], width: int) -> None:
        super().__init__()
        self.answers = answers
        self.width = width

    @abstractmethod
    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            raw: (B, T, K) float32.
            target: (B, T, A). Unlabelled targets are arbitrary and must not matter.
            labelled: (B, T, A) bool.

        Returns:
            A scalar; 0 with a graph if nothing is labelled.
        """

    @abstractmethod
    def decode(self, raw: Tensor) -> Tensor:
        """Decode raw outputs.

        Args:
            raw: (B, T, K).

        Returns:
            (B, T, sum of answer.width): values in [low, high], class probabilities, probabilities of 1.
        """

    def average(self, raw: Tensor, shares: Tensor) -> Tensor:
        """Return raw outputs whose decoding is the mean of several decodings, if these are probabilities.

        For other answers, and in this base class, the result is the mean of the raw outputs. An element with a share of
        0 does not count and gets no gradient.

        Args:
            raw: (S, ..., K).
            shares: (S, ..., K), with a sum of 1 over S.

        Returns:
            (..., K).
        """
        return weighted_mean(raw, shares)


LossBuilder = Callable[[tuple[Answer, ...], tuple[Counts, ...]], Loss]


@dataclass(frozen=True)
class Build:
    """The parts from which a fusion is built.

    Attributes:
        head: ``head(dim)`` -> the temporal model, with ``out_dim``.
        width: K, the number of raw outputs.
        dropout: Dropout before the last layer.
        average: ``average(raw, shares)`` -> one raw prediction whose probabilities are the mean of several
            (Loss.average).

    Examples:
        >>> from torch import nn
        >>> from zoo.modules import Build
        >>> build = Build(head=lambda dim: nn.Identity(), width=8, dropout=0.1)
        >>> build.output(16)[1]
        Linear(in_features=16, out_features=8, bias=True)
    """

    head: Callable[[int], nn.Module]
    width: int
    dropout: float = 0.0
    average: Callable[[Tensor, Tensor], Tensor] = weighted_mean

    def output(self, dim: int) -> nn.Module:
        """Build the last layer: (B, T, dim) -> (B, T, width).

        Args:
            dim: Features per frame.

        Returns:
            Dropout and a linear layer.
        """
        return nn.Sequential(nn.Dropout(self.dropout), nn.Linear(dim, self.width))

    def predictor(self, dim: int) -> Predictor:
        """Build a temporal model with a last layer: (B, T, dim), valid (B, T) -> (B, T, width).

        Args:
            dim: Features per frame.

        Returns:
            A new predictor.
        """
        head = self.head(dim)
        return Predictor(head, self.output(int(head.out_dim)))  # type: ignore[arg-type]


class Predictor(nn.Module):
    """A head and an output layer: (B, T, D), valid (B, T) -> raw (B, T, K).

    Args:
        head: The temporal model.
        output: The last layer.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from zoo.modules import Predictor
        >>> class Plain(nn.Module):
        ...     def forward(self, x, valid):
        ...         return x
        >>> predictor = Predictor(Plain(), nn.Linear(4, 8))
        >>> tuple(predictor(torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)).shape)
        (2, 3, 8)
    """

    def __init__(self, head: nn.Module, output: nn.Module) -> None:
        super().__init__()
        self.head = head
        self.output = output

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Predict.

        Args:
            x: (B, T, D).
            valid: (B, T) bool.

        Returns:
            Raw predictions (B, T, K).
        """
        out: Tensor = self.output(self.head(x, valid))
        return out


Features = dict[str, Tensor]
Masks = dict[str, Tensor]


class FeatureFusion(nn.Module):
    """The base class of fusions that fuse features and then predict once. Implement ``fuse``.

    Args:
        dims: Slot -> features per frame.
        build: The parts to build from.
        dim: Features per frame that ``fuse`` returns.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from zoo.modules import Build, FeatureFusion
        >>> class Plain(nn.Module):
        ...     out_dim = 6
        ...     def forward(self, x, valid):
        ...         return x
        >>> class Join(FeatureFusion):
        ...     def fuse(self, features, present, valid):
        ...         return torch.cat([features[slot] for slot in self.slots], -1)
        >>> dims, valid = {"face": 4, "audio": 2}, torch.ones(2, 3, dtype=torch.bool)
        >>> fusion = Join(dims, Build(head=lambda dim: Plain(), width=8), dim=6)
        >>> features, present = {slot: torch.ones(2, 3, dim) for slot, dim in dims.items()}, dict.fromkeys(dims, valid)
        >>> tuple(fusion(features, present, valid).raw.shape)
        (2, 3, 8)
    """

    def __init__(self, dims: dict[str, int], build: Build, dim: int) -> None:
        super().__init__()
        self.slots = tuple(dims)
        self.predictor = build.predictor(dim)

    @abstractmethod
    def fuse(self, features: Features, present: Masks, valid: Tensor) -> Tensor:
        """Fuse the features of all slots.

        Args:
            features: Slot -> (B, T, D_slot). At a frame where a slot is absent these are the slot's learned vector.
            present: Slot -> (B, T) bool.
            valid: (B, T) bool.

        Returns:
            (B, T, dim).
        """

    def forward(self, features: Features, present: Masks, valid: Tensor) -> FusionOut:
        """Fuse and predict.

        Args:
            features: Slot -> (B, T, D_slot).
            present: Slot -> (B, T) bool.
            valid: (B, T) bool.

        Returns:
            Raw predictions (B, T, K).
        """
        return FusionOut(self.predictor(self.fuse(features, present, valid), valid))


class DecisionFusion(nn.Module):
    """The base class of fusions that predict from every slot and combine the predictions. Implement ``combine``.

    Args:
        dims: Slot -> features per frame.
        build: The parts to build from.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from zoo.modules import Build, DecisionFusion, masked_mean
        >>> class Plain(nn.Module):
        ...     out_dim = 4
        ...     def forward(self, x, valid):
        ...         return x
        >>> class Average(DecisionFusion):
        ...     def combine(self, raw, present):
        ...         return masked_mean(raw, present.unsqueeze(-1), dim=0)
        >>> fusion = Average({"face": 4, "audio": 4}, Build(head=lambda dim: Plain(), width=8))
        >>> x, valid = torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)
        >>> out = fusion({"face": x, "audio": x}, {"face": valid, "audio": ~valid}, valid)
        >>> bool((out.raw == out.per_slot["face"]).all())  # the absent slot does not count
        True
    """

    def __init__(self, dims: dict[str, int], build: Build) -> None:
        super().__init__()
        self.slots = tuple(dims)
        self.predictors = nn.ModuleList(build.predictor(dim) for dim in dims.values())

    @abstractmethod
    def combine(self, raw: Tensor, present: Tensor) -> Tensor:
        """Combine the raw predictions of all slots.

        Args:
            raw: (S, B, T, K).
            present: (S, B, T) bool.

        Returns:
            (B, T, K); any finite prediction where no slot is present.
        """

    def forward(self, features: Features, present: Masks, valid: Tensor) -> FusionOut:
        """Predict from every slot and combine.

        Args:
            features: Slot -> (B, T, D_slot).
            present: Slot -> (B, T) bool.
            valid: (B, T) bool.

        Returns:
            Raw predictions (B, T, K), and those of each slot.
        """
        each = [net(features[slot], valid) for slot, net in zip(self.slots, self.predictors, strict=True)]
        raw = self.combine(torch.stack(each), torch.stack([present[slot] for slot in self.slots]))
        return FusionOut(raw, per_slot=dict(zip(self.slots, each, strict=True)))


# --- masked helpers ---------------------------------------------------------------------------------------------------
