"""Focal loss for answers that are one of several classes."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.layers.validation import at_least
from zoo.losses import POWERS, ClassLoss, class_weights, negative_log_likelihood
from zoo.tracks import Answer, Counts


class Focal(ClassLoss):
    """Focal loss (Lin et al. 2017): w_y (1 - p_y)^gamma (-log p_y), summed over the labelled frames, divided by their
    number.

    Choices: Lin's alpha is here the class weight of the loss ``ce``, from the training counts, so that gamma = 0 is
    ``ce``; the sum is divided by the labelled frames, where Lin divides by the boxes that hold an object. p_y is the
    softmax, where Lin has one sigmoid a class.
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
        """raw (B, T, C), truth (B, T) -> (1 - p)^gamma (-log p) of the true class (B, T)."""
        cost = negative_log_likelihood(raw, truth)
        # 1 - p without the loss of digits near p = 1; the floor keeps the gradient of small gammas finite there.
        miss = -torch.expm1(-cost)
        return miss.clamp_min(1e-12) ** self.gamma * cost
