"""Focal loss for answers that are 0 or 1, such as action units."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from zoo.errors import UserError
from zoo.layers.validation import at_least
from zoo.losses import BinaryLoss
from zoo.tracks import Answer, Counts


class FocalBce(BinaryLoss):
    """Focal loss (Lin et al. 2017): alpha (1 - p)^gamma (-log p) for a positive, (1 - alpha) p^gamma (-log(1 - p)) for
    a negative, averaged over the labelled elements.

    Choices: alpha = 0.75 and gamma = 2 as in ABAW code (th2l), where positives are rare; Lin has alpha = 0.25 for
    boxes. Lin divides by the number of positives, here by that of labelled elements, as the neighbours do. The
    training counts are not used.
    """

    def __init__(
        self,
        answers: tuple[Answer, ...],
        counts: tuple[Counts, ...],
        alpha: float = 0.75,
        gamma: float = 2.0,
    ) -> None:
        if not 0 < alpha < 1:
            raise UserError(f"loss focal_bce: alpha is {alpha}; give more than 0 and less than 1")
        at_least("loss focal_bce", 0, gamma=gamma)
        super().__init__(answers)
        self.alpha = alpha
        self.gamma = gamma

    def each(self, raw: Tensor, truth: Tensor) -> Tensor:
        """raw, truth (B, T, A) -> the elements' focal losses (B, T, A)."""
        margin = (2 * truth - 1) * raw  # p of the true answer is its sigmoid
        weight = self.alpha * truth + (1 - self.alpha) * (1 - truth)
        # (1 - p)^gamma as an exponential: no power of a rounded 0.
        return weight * (-self.gamma * functional.softplus(margin)).exp() * functional.softplus(-margin)
