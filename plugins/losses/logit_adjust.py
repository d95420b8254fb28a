"""Logit-adjusted cross-entropy for unevenly frequent classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.layers.validation import at_least
from zoo.losses import ClassLoss, class_weights, negative_log_likelihood
from zoo.tracks import Answer, Counts


class LogitAdjust(ClassLoss):
    """Cross-entropy of logits + tau log prior (Menon et al. 2020, the logit-adjusted loss), priors being the shares of
    the training frames. Decoding is without adjustment, so that what is learned is the answer under even priors.
    tau = 1 is also Balanced Softmax (Ren et al. 2020); tau = 0 is plain cross-entropy.

    A class without training frames, whose log prior would be infinite, is not adjusted, and its frames weigh 0, with a
    warning: so it is held down at every frame like the most frequent class, where a small prior in its place would
    leave its logit free and let it win when decoded.
    """

    def __init__(self, answers: tuple[Answer, ...], counts: tuple[Counts, ...], tau: float = 1.0) -> None:
        at_least("loss logit_adjust", 0, tau=tau)
        super().__init__(answers, [class_weights(a, c, 0.0) for a, c in zip(answers, counts, strict=True)])
        shifts = [tau * math.log(n / sum(c.bins)) if n else 0.0 for c in counts for n in c.bins]
        self.register_buffer("shifts", torch.tensor(shifts))
        self.shifts: Tensor  # (all classes,)

    def each(self, raw: Tensor, truth: Tensor, answer: int) -> Tensor:
        """raw (B, T, C), truth (B, T) -> cross-entropy of the adjusted logits (B, T)."""
        return negative_log_likelihood(raw + self.shifts.split(self.widths)[answer].to(raw.dtype), truth)
