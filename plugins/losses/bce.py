"""Binary cross-entropy for answers that are 0 or 1, such as action units."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.nn import functional

from zoo.modules import Loss
from zoo.tracks import Answer, Counts

_POWER = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}


class BinaryCrossEntropy(Loss):
    """Binary cross-entropy summed over the labelled elements, divided by their number.

    A positive weighs (negatives / positives) to a power, at most ``cap``; 1, with a warning, where training frames
    show no positive.
    """

    additive = True

    def __init__(
        self,
        answers: tuple[Answer, ...],
        counts: tuple[Counts, ...],
        weights: str = "balanced",
        cap: float = 10.0,
    ) -> None:
        super().__init__(answers, width=len(answers))
        each = [positive_weight(a, c, _POWER[weights], cap) for a, c in zip(answers, counts, strict=True)]
        self.register_buffer("weights", torch.tensor(each))
        self.weights: Tensor

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """raw (B, T, A), target (B, T, A) of 0 and 1, labelled (B, T, A) bool -> scalar."""
        truth = torch.where(labelled, target, torch.zeros_like(target)).to(raw.dtype)
        weights = self.weights.to(raw.dtype)
        each = functional.binary_cross_entropy_with_logits(raw, truth, pos_weight=weights, reduction="none")
        return (each * labelled).sum() / labelled.sum().clamp_min(1)

    def decode(self, raw: Tensor) -> Tensor:
        """(B, T, A) -> probabilities of 1."""
        return raw.sigmoid()


def positive_weight(answer: Answer, counts: Counts, power: float, cap: float) -> float:
    """What a positive weighs against a negative; see BinaryCrossEntropy."""
    negatives, positives = counts.bins
    if positives == 0:
        warnings.warn(f"{answer.name}: no training frame shows a positive", stacklevel=3)
        return 1.0
    return min((negatives / positives) ** power, cap)
