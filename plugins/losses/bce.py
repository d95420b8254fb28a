"""Binary cross-entropy for binary answers such as action units."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.nn import functional

from zoo.losses import POWERS, BinaryLoss
from zoo.tracks import Answer, Counts


class BinaryCrossEntropy(BinaryLoss):
    """Binary cross-entropy averaged over the labelled elements.

    Positives have the weight (negatives / positives) to a power, at most ``cap``. The weight is 1, with a warning, if
    the training frames contain no positive.
    """

    def __init__(
        self,
        answers: tuple[Answer, ...],
        counts: tuple[Counts, ...],
        weights: str = "balanced",
        cap: float = 10.0,
    ) -> None:
        super().__init__(answers)
        each = [positive_weight(a, c, POWERS[weights], cap) for a, c in zip(answers, counts, strict=True)]
        self.register_buffer("weights", torch.tensor(each))
        self.weights: Tensor

    def each(self, raw: Tensor, truth: Tensor) -> Tensor:
        """Return the weighted -log of the label's probability (B, T, A), for raw and truth (B, T, A)."""
        weights = self.weights.to(raw.dtype)
        return functional.binary_cross_entropy_with_logits(raw, truth, pos_weight=weights, reduction="none")


def positive_weight(answer: Answer, counts: Counts, power: float, cap: float) -> float:
    """Return the weight of positives relative to negatives; see BinaryCrossEntropy."""
    negatives, positives = counts.bins
    if positives == 0:
        warnings.warn(f"{answer.name}: no training frame shows a positive", stacklevel=3)
        return 1.0
    return min((negatives / positives) ** power, cap)
