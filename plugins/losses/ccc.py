"""Concordance correlation coefficient (CCC) as a loss."""

from __future__ import annotations

from torch import Tensor

from zoo.losses import ValueLoss, concordance_loss
from zoo.tracks import Answer, Counts


class Ccc(ValueLoss):
    """1 - CCC (Lin 1989), averaged over the answers.

    The moments are population moments over all labelled frames of the batch. An answer with fewer than two labels in
    the batch, or with equal labels only, is left out, because its CCC is 0 for any prediction. If no answer remains,
    the loss is 0, with a graph and zero gradients.

    ``activation``: with tanh (default), values are tanh(raw) scaled to the answer's range, both in the loss and in
    decoding. With clamp, the loss uses raw itself, in units of the answer, and only decoding clips it.

    ``lds``: weight the moments by how rare a label is in training (zoo.losses.lds_weights). arXiv:2107.03891 uses label
    distribution smoothing on this data. Weighting the moments of CCC is a choice of this zoo.
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
        """Return the loss, a scalar in [0, 2], for raw (B, T, A), target (B, T, A) and labelled (B, T, A) bool."""
        return concordance_loss(self.values(raw), target, self.weights(target, labelled))

    def decode(self, raw: Tensor) -> Tensor:
        """Return values (B, T, A) in [low, high] from raw (B, T, A)."""
        return self.values(raw).clamp(self.low, self.high)

    def values(self, raw: Tensor) -> Tensor:
        """Return the values (B, T, A) that are compared with the labels, from raw (B, T, A)."""
        if self.activation == "clamp":
            return raw
        return self.low + (self.high - self.low) * (raw.tanh() + 1) / 2
