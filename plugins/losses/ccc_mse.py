"""Concordance correlation and squared error as one loss."""

from __future__ import annotations

from torch import Tensor

from zoo.layers.validation import at_least
from zoo.losses import ValueLoss, concordance_loss
from zoo.tracks import Answer, Counts


class CccMse(ValueLoss):
    """1 - CCC + ``weight`` x squared error, values being tanh(raw) scaled to the answer's range.

    CCC as in the loss ``ccc``. The squared error is counted in half ranges (for [-1, 1] in the answer's own unit, so
    that answers of all ranges have the same say) and averaged over the labelled elements; unlike CCC it has a gradient
    also where a batch's labels are all the same. The pair is in ABAW code (facts: th2l ``core/loss.py`` has both
    terms); their weight is a choice of the user, 1 unless told otherwise.

    ``lds`` weighs the moments of CCC and, as Yang et al. 2021 do, each squared error (zoo.losses.lds_weights).
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
        """raw (B, T, A), target (B, T, A), labelled (B, T, A) bool -> scalar, at least 0."""
        values, weights = self.decode(raw), self.weights(target, labelled)
        gap = (values - target.where(labelled, values)) / ((self.high - self.low) / 2)
        squares = (weights * gap**2).sum() / labelled.sum().clamp_min(1)
        return concordance_loss(values, target, weights) + self.weight * squares

    def decode(self, raw: Tensor) -> Tensor:
        """(B, T, A) -> (B, T, A) in [low, high]."""
        return (self.low + (self.high - self.low) * (raw.tanh() + 1) / 2).clamp(self.low, self.high)
