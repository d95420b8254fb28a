"""Cross-entropy for answers that are one of several classes."""

from __future__ import annotations

from torch import Tensor

from zoo.losses import POWERS, ClassLoss, class_weights, negative_log_likelihood
from zoo.tracks import Answer, Counts


class CrossEntropy(ClassLoss):
    """Weighted cross-entropy summed over the labelled frames, divided by their number.

    A class's weight is (frames / its frames) to a power, scaled so that the mean over training frames is 1; a class
    without training frames has weight 0, with a warning.
    """

    def __init__(self, answers: tuple[Answer, ...], counts: tuple[Counts, ...], weights: str = "balanced") -> None:
        super().__init__(answers, [class_weights(a, c, POWERS[weights]) for a, c in zip(answers, counts, strict=True)])

    def each(self, raw: Tensor, truth: Tensor, answer: int) -> Tensor:
        """raw (B, T, C), truth (B, T) -> -log of the true class's probability (B, T)."""
        return negative_log_likelihood(raw, truth)
