"""Concordance, and a soft assignment of each frame to the regions of the valence-arousal square."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.layers.validation import at_least
from zoo.losses import ValueLoss, concordance_loss
from zoo.tracks import Answer, Counts


class CccRegions(ValueLoss):
    """1 - CCC, + ``weight`` x the divergence of a frame's predicted regions from those near its label.

    The range of every answer is cut into ``cells`` equal parts, so that two answers give cells x cells regions. A label
    y belongs to the region with the centre c to the share q_c, proportional to exp(-|y - c|^2 / 2 sigma^2), with each
    answer's range scaled to [-1, 1]. The loss is 1 - CCC + weight x KL(q || p), and p is the softmax of one raw output
    a region. CCC is that of `ccc` with tanh; only it is weighted by ``lds``. The divergence is averaged over the frames
    in which every answer is labelled. Decoding reads the values alone.

    This is the soft-prompt loss of Kookmin (2026, arXiv:2603.13415) without its text. There p compares a frame's
    features with CLIP's embedding of a prompt for each of 3 x 3 regions; here the last layer learns a vector for each.
    The paper's weight of .2 is the default. Its sigma was not published: the default is half a cell of three. Its
    temperature is part of the learned vectors.
    """

    additive = False

    def __init__(
        self,
        answers: tuple[Answer, ...],
        counts: tuple[Counts, ...],
        cells: int = 3,
        weight: float = 0.2,
        sigma: float = 1 / 3,
        lds: str = "none",
    ) -> None:
        at_least("loss ccc_regions", 2, cells=cells)
        at_least("loss ccc_regions", 0, weight=weight)
        at_least("loss ccc_regions", 0.01, sigma=sigma)
        super().__init__(answers, counts, len(answers) + cells ** len(answers), lds)
        self.weight, self.sigma = weight, sigma
        middles = (2 * torch.arange(cells) + 1) / cells - 1
        centres = torch.cartesian_prod(*[middles] * len(answers)).reshape(-1, len(answers))
        self.register_buffer("centres", centres, persistent=False)
        self.centres: Tensor  # (R, A)

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Return the loss, a scalar >= 0, for raw (B, T, A + R), target (B, T, A) and labelled (B, T, A) bool."""
        concordance = concordance_loss(self.decode(raw), target, self.weights(target, labelled))
        known = labelled.all(-1)
        near = self.shares(torch.where(labelled, target, self.low.to(target.dtype)))
        predicted = raw[..., len(self.answers) :].log_softmax(-1)
        each = (torch.xlogy(near, near) - near * predicted).sum(-1)
        divergence = torch.where(known, each, 0.0).sum() / known.sum().clamp_min(1)
        return concordance + self.weight * divergence

    def shares(self, target: Tensor) -> Tensor:
        """Return how far labels belong to the regions: (..., A) -> (..., R), with a sum of 1 over R."""
        scaled = 2 * (target - self.low) / (self.high - self.low) - 1
        distance = (scaled.unsqueeze(-2) - self.centres.to(target.dtype)).square().sum(-1)
        return (-distance / (2 * self.sigma**2)).softmax(-1)

    def decode(self, raw: Tensor) -> Tensor:
        """Return values (B, T, A) in [low, high] from raw (B, T, A + R)."""
        values = raw[..., : len(self.answers)].tanh()
        return (self.low + (self.high - self.low) * (values + 1) / 2).clamp(self.low, self.high)
