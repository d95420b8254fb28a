"""Focal loss for binary answers such as action units."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from zoo.errors import UserError
from zoo.layers.validation import at_least
from zoo.losses import BinaryLoss
from zoo.tracks import Answer, Counts


class FocalBce(BinaryLoss):
    """Focal loss (Lin et al. 2017), averaged over the labelled elements.

    A positive has the loss alpha (1 - p)^gamma (-log p), a negative (1 - alpha) p^gamma (-log(1 - p)).

    Choices: alpha = 0.75 and gamma = 2 as in ABAW code (th2l), because positives are rare; Lin has alpha = 0.25 for
    boxes. Lin divides by the number of positives; this loss divides by the number of labelled elements, as the other
    binary losses do. The training counts are not used.
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
        """Return the focal losses (B, T, A) of the elements of raw and truth, both (B, T, A)."""
        margin = (2 * truth - 1) * raw  # its sigmoid is the label's probability
        weight = self.alpha * truth + (1 - self.alpha) * (1 - truth)
        # (1 - p)^gamma as an exponential, so that 1 - p cannot be rounded to 0 before the power.
        return weight * (-self.gamma * functional.softplus(margin)).exp() * functional.softplus(-margin)
