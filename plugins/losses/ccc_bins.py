"""Values as the mean of a distribution over bins, by concordance and cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.layers.validation import at_least
from zoo.losses import ValueLoss, concordance_loss, negative_log_likelihood
from zoo.tracks import Answer, Counts


class CccBins(ValueLoss):
    """1 - CCC of the mean of a softmax over ``bins``, + ``weight`` x cross-entropy against the label's bin.

    Raw outputs: ``bins`` an answer, one answer after the other. As in the winner of ABAW 2020 (github.com/wtomin/
    Multitask-Emotion-Recognition-with-Incomplete-Labels, criterion CCC_CE, whose form was read in a later copy): the
    value is the soft-argmax over points from low to high, both included, so that the ends can be answered; the label's
    bin is one of equal bins over the range. So the point of an end's bin lies half a bin outside its middle, as there.
    Their CCC divides by n - 1 in its variances, this one is population CCC (design: n). Cross-entropy is averaged over
    the labelled elements and has weight 1, as there.

    ``lds`` weighs the moments of CCC and each element's cross-entropy (zoo.losses.lds_weights).
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
        """raw (B, T, A x bins), target (B, T, A), labelled (B, T, A) bool -> scalar, at least 0."""
        weights = self.weights(target, labelled)
        truth = self.bin_of(target, labelled, torch.full_like(self.sizes, self.points.shape[1]))
        entropy = (negative_log_likelihood(self._split(raw), truth) * weights).sum() / labelled.sum().clamp_min(1)
        return concordance_loss(self.decode(raw), target, weights) + self.weight * entropy

    def decode(self, raw: Tensor) -> Tensor:
        """(B, T, A x bins) -> (B, T, A) in [low, high]."""
        return (self._split(raw).softmax(-1) * self.points).sum(-1).clamp(self.low, self.high)

    def _split(self, raw: Tensor) -> Tensor:
        """(B, T, A x bins) -> (B, T, A, bins)."""
        return raw.unflatten(-1, tuple(self.points.shape))
