"""Concordance correlation as a loss."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.modules import Loss
from zoo.tracks import Answer, Counts

_CONSTANT = 1e-10  # variance of targets below which a batch's labels are all the same number


class Ccc(Loss):
    """1 - CCC with population moments over all labelled frames of the batch, mean over the answers.

    An answer whose labels in this batch are fewer than two or all equal is left out: its CCC is 0 whatever is
    predicted. Where that leaves none the loss is 0, with a graph and zero gradients.

    ``activation`` tanh (default): values are tanh(raw) scaled to the answer's range, in the loss and when decoded.
    clamp: the loss sees raw itself, in units of the answer, and decode clips it.
    """

    additive = False

    def __init__(self, answers: tuple[Answer, ...], counts: tuple[Counts, ...], activation: str = "tanh") -> None:
        super().__init__(answers, width=len(answers))
        self.activation = activation
        self.register_buffer("low", torch.tensor([a.low for a in answers]), persistent=False)
        self.register_buffer("high", torch.tensor([a.high for a in answers]), persistent=False)
        self.low: Tensor
        self.high: Tensor

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """raw (B, T, A), target (B, T, A), labelled (B, T, A) bool -> scalar in [0, 2]."""
        frames = labelled.sum((0, 1))  # (A,)
        mean_p, p = _centred(self._values(raw), labelled, frames)
        mean_t, t = _centred(target.to(raw.dtype), labelled, frames)
        covariance, variance_p, variance_t = (
            (product.sum((0, 1)) / frames.clamp_min(1)) for product in (p * t, p * p, t * t)
        )
        usable = variance_t > _CONSTANT
        spread = variance_p + variance_t + (mean_p - mean_t) ** 2
        ccc = 2 * covariance / torch.where(usable, spread, torch.ones_like(spread))
        return torch.where(usable, 1 - ccc, torch.zeros_like(ccc)).sum() / usable.sum().clamp_min(1)

    def decode(self, raw: Tensor) -> Tensor:
        """(B, T, A) -> (B, T, A) in [low, high]."""
        return self._values(raw).clamp(self.low, self.high)

    def _values(self, raw: Tensor) -> Tensor:
        if self.activation == "clamp":
            return raw
        return self.low + (self.high - self.low) * (raw.tanh() + 1) / 2


def _centred(x: Tensor, mask: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of x (B, T, A) under the mask, (A,), and x - mean, 0 elsewhere. Two passes keep float32 exact enough."""
    zero = torch.zeros_like(x)
    mean = torch.where(mask, x, zero).sum((0, 1)) / frames.clamp_min(1)
    return mean, torch.where(mask, x - mean, zero)
