"""Cross-entropy for class answers."""

from __future__ import annotations

from torch import Tensor

from zoo.losses import POWERS, ClassLoss, class_weights, negative_log_likelihood
from zoo.tracks import Answer, Counts


class CrossEntropy(ClassLoss):
    """Weighted cross-entropy, summed over the labelled frames and divided by their number.

    A class's weight is (all frames / frames of the class) to a power, scaled to mean 1 over the training frames. A
    class without training frames has weight 0, with a warning.
    """

    def __init__(self, answers: tuple[Answer, ...], counts: tuple[Counts, ...], weights: str = "balanced") -> None:
        super().__init__(answers, [class_weights(a, c, POWERS[weights]) for a, c in zip(answers, counts, strict=True)])

    def each(self, raw: Tensor, truth: Tensor, answer: int) -> Tensor:
        """Return -log of the true class's probability (B, T), for raw (B, T, C) and truth (B, T)."""
        return negative_log_likelihood(raw, truth)
