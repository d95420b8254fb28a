"""The output of fusions, their base classes, and what they build their networks with."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from zoo.modules.losses import weighted_mean


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


@dataclass(frozen=True)
class Build:
    """The parts from which a fusion is built.

    Attributes:
        head: ``head(dim)`` -> the temporal model, with ``out_dim``.
        width: K, the number of raw outputs.
        dropout: Dropout before the last layer.
        average: ``average(raw, shares)`` -> one raw prediction whose probabilities are the mean of several
            (Loss.average).
        tasks: Raw outputs of each task (kind of answers), in their order; they add up to K. Empty: one task.

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
    tasks: tuple[int, ...] = ()

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
