"""Concordance correlation coefficient (CCC) and squared error as one loss."""

from __future__ import annotations

from torch import Tensor

from zoo.layers.validation import at_least
from zoo.losses import ValueLoss, concordance_loss
from zoo.tracks import Answer, Counts


class CccMse(ValueLoss):
    """1 - CCC + ``weight`` x squared error, for values tanh(raw) scaled to the answer's range.

    CCC is computed as in the loss ``ccc``. The squared error is averaged over the labelled elements. It is measured in
    half ranges (for [-1, 1] that is the answer's own unit), so that answers of different ranges count equally. Unlike
    CCC it has a gradient even if all labels of a batch are equal. ABAW code has both terms (th2l ``core/loss.py``). The
    user chooses their ratio with ``weight``, by default 1.

    ``lds`` weights the moments of CCC and, as in Yang et al. 2021, each squared error (zoo.losses.lds_weights).
    """

    additive = False

    def __init__(
        self,
        answers: tuple[Answer, ...],
        counts: tuple[Counts, ...],
        weight: float = 1.0,
        lds: str = "none",
    ) -> None:
        at_least("loss ccc_mse", 0, weight=weight)
        super().__init__(answers, counts, len(answers), lds)
        self.weight = weight

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Return the loss, a scalar >= 0, for raw (B, T, A), target (B, T, A) and labelled (B, T, A) bool."""
        values, weights = self.decode(raw), self.weights(target, labelled)
        gap = (values - target.where(labelled, values)) / ((self.high - self.low) / 2)
        squares = (weights * gap**2).sum() / labelled.sum().clamp_min(1)
        return concordance_loss(values, target, weights) + self.weight * squares

    def decode(self, raw: Tensor) -> Tensor:
        """Return values (B, T, A) in [low, high] from raw (B, T, A)."""
        return (self.low + (self.high - self.low) * (raw.tanh() + 1) / 2).clamp(self.low, self.high)
