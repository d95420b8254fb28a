"""Values as the mean of a distribution over bins, trained by concordance and cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.layers.validation import at_least
from zoo.losses import ValueLoss, concordance_loss, negative_log_likelihood
from zoo.tracks import Answer, Counts


class CccBins(ValueLoss):
    """1 - CCC of the mean of a softmax over ``bins``, + ``weight`` x cross-entropy with the label's bin.

    There are ``bins`` raw outputs per answer, one answer after the other. The form is that of the winner of ABAW 2020
    (github.com/wtomin/Multitask-Emotion-Recognition-with-Incomplete-Labels, criterion CCC_CE, read in a later copy):

    - The value is the soft-argmax over points from low to high, both included, so that the ends can be predicted.
    - The label's bin is one of equal bins over the range. So the point of the first or last bin lies half a bin outside
      the bin's middle, as in that code.
    - Cross-entropy is averaged over the labelled elements and has weight 1 by default, as in that code.
    - That code's CCC divides by n - 1 in its variances; this one is the population CCC (division by n).

    ``lds`` weights the moments of CCC and each element's cross-entropy (zoo.losses.lds_weights).
    """

    additive = False

    def __init__(
        self,
        answers: tuple[Answer, ...],
        counts: tuple[Counts, ...],
        bins: int = 20,
        weight: float = 1.0,
        lds: str = "none",
    ) -> None:
        at_least("loss ccc_bins", 2, bins=bins)
        at_least("loss ccc_bins", 0, weight=weight)
        super().__init__(answers, counts, len(answers) * bins, lds)
        self.weight = weight
        points = torch.stack([torch.linspace(a.low, a.high, bins) for a in answers])
        self.register_buffer("points", points, persistent=False)
        self.points: Tensor  # (A, bins)

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Return the loss, a scalar >= 0, for raw (B, T, A x bins), target (B, T, A) and labelled (B, T, A) bool."""
        weights = self.weights(target, labelled)
        truth = self.bin_of(target, labelled, torch.full_like(self.sizes, self.points.shape[1]))
        entropy = (negative_log_likelihood(self._split(raw), truth) * weights).sum() / labelled.sum().clamp_min(1)
        return concordance_loss(self.decode(raw), target, weights) + self.weight * entropy

    def decode(self, raw: Tensor) -> Tensor:
        """Return values (B, T, A) in [low, high] from raw (B, T, A x bins)."""
        return (self._split(raw).softmax(-1) * self.points).sum(-1).clamp(self.low, self.high)

    def _split(self, raw: Tensor) -> Tensor:
        """Reshape raw (B, T, A x bins) to (B, T, A, bins)."""
        return raw.unflatten(-1, tuple(self.points.shape))
