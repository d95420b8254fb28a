"""Logit-adjusted cross-entropy for imbalanced classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.layers.validation import at_least
from zoo.losses import ClassLoss, class_weights, negative_log_likelihood
from zoo.tracks import Answer, Counts


class LogitAdjust(ClassLoss):
    """Cross-entropy of logits + tau log prior (Menon et al. 2020, the logit-adjusted loss).

    The priors are the classes' shares of the training frames. Decoding does not adjust the logits, so that the model
    learns the prediction under uniform priors. tau = 1 is also Balanced Softmax (Ren et al. 2020); tau = 0 is plain
    cross-entropy.

    The log prior of a class without training frames would be infinite. Such a class is not adjusted, and its frames
    have weight 0, with a warning. So the loss lowers its logit at every frame like that of the most frequent class. A
    small prior in its place would leave the logit unconstrained, and the class could win in decoding.
    """

    def __init__(self, answers: tuple[Answer, ...], counts: tuple[Counts, ...], tau: float = 1.0) -> None:
        at_least("loss logit_adjust", 0, tau=tau)
        super().__init__(answers, [class_weights(a, c, 0.0) for a, c in zip(answers, counts, strict=True)])
        shifts = [tau * math.log(n / sum(c.bins)) if n else 0.0 for c in counts for n in c.bins]
        self.register_buffer("shifts", torch.tensor(shifts))
        self.shifts: Tensor  # (all classes,)

    def each(self, raw: Tensor, truth: Tensor, answer: int) -> Tensor:
        """Return the cross-entropy of the adjusted logits (B, T), for raw (B, T, C) and truth (B, T)."""
        return negative_log_likelihood(raw + self.shifts.split(self.widths)[answer].to(raw.dtype), truth)
