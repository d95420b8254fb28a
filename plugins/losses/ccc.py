"""Concordance correlation as a loss."""

from __future__ import annotations

from torch import Tensor

from zoo.losses import ValueLoss, concordance_loss
from zoo.tracks import Answer, Counts


class Ccc(ValueLoss):
    """1 - CCC (Lin 1989) with population moments over all labelled frames of the batch, mean over the answers.

    An answer whose labels in this batch are fewer than two or all equal is left out: its CCC is 0 whatever is
    predicted. Where that leaves none the loss is 0, with a graph and zero gradients.

    ``activation`` tanh (default): values are tanh(raw) scaled to the answer's range, in the loss and when decoded.
    clamp: the loss sees raw itself, in units of the answer, and decode clips it.

    ``lds``: the moments are weighted by how rare a label is in training (zoo.losses.lds_weights). arXiv:2107.03891 uses
    label distribution smoothing on this data; that the weights enter the moments of CCC is this zoo's choice.
    """

    additive = False

    def __init__(
        self,
        answers: tuple[Answer, ...],
        counts: tuple[Counts, ...],
        activation: str = "tanh",
        lds: str = "none",
    ) -> None:
        super().__init__(answers, counts, len(answers), lds)
        self.activation = activation

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """raw (B, T, A), target (B, T, A), labelled (B, T, A) bool -> scalar in [0, 2]."""
        return concordance_loss(self.values(raw), target, self.weights(target, labelled))

    def decode(self, raw: Tensor) -> Tensor:
        """(B, T, A) -> (B, T, A) in [low, high]."""
        return self.values(raw).clamp(self.low, self.high)

    def values(self, raw: Tensor) -> Tensor:
        """(B, T, A) -> what is compared with the labels, (B, T, A)."""
        if self.activation == "clamp":
            return raw
        return self.low + (self.high - self.low) * (raw.tanh() + 1) / 2
