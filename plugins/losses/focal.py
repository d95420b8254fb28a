"""Focal loss for class answers."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.layers.validation import at_least
from zoo.losses import POWERS, ClassLoss, class_weights, negative_log_likelihood
from zoo.tracks import Answer, Counts


class Focal(ClassLoss):
    """Focal loss (Lin et al. 2017): w_y (1 - p_y)^gamma (-log p_y).

    It is summed over the labelled frames and divided by their number.

    Choices: the class weights of the loss ``ce``, computed from the training counts, replace Lin's alpha, so that
    gamma = 0 gives ``ce``. The sum is divided by the number of labelled frames; Lin divides by the number of boxes that
    hold an object. p_y is a softmax probability; Lin has one sigmoid per class.
    """

    def __init__(
        self,
        answers: tuple[Answer, ...],
        counts: tuple[Counts, ...],
        gamma: float = 2.0,
        weights: str = "balanced",
    ) -> None:
        at_least("loss focal", 0, gamma=gamma)
        super().__init__(answers, [class_weights(a, c, POWERS[weights]) for a, c in zip(answers, counts, strict=True)])
        self.gamma = gamma

    def each(self, raw: Tensor, truth: Tensor, answer: int) -> Tensor:
        """Return (1 - p)^gamma (-log p) of the true class (B, T), for raw (B, T, C) and truth (B, T)."""
        cost = negative_log_likelihood(raw, truth)
        # 1 - p without cancellation near p = 1. The floor keeps the gradient finite there for small gammas.
        miss = -torch.expm1(-cost)
        return miss.clamp_min(1e-12) ** self.gamma * cost
