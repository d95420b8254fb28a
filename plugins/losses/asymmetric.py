"""Asymmetric loss for binary answers with few positives, such as action units."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from zoo.errors import UserError
from zoo.layers.validation import at_least
from zoo.losses import BinaryLoss
from zoo.tracks import Answer, Counts


class Asymmetric(BinaryLoss):
    """Asymmetric loss (Ridnik et al. 2020), averaged over the labelled elements.

    A positive has the loss (1 - p)^gamma_pos (-log p). A negative has p_m^gamma_neg (-log(1 - p_m)) with
    p_m = max(p - clip, 0).

    Choices: gammas and clip are the paper's (0, 4, 0.05); the authors' code, github.com/Alibaba-MIIL/ASL
    ``src/loss_functions/losses.py``, defaults to gamma_pos = 1. The gradient passes through the focusing factors, as in
    the formula and in that code. Logarithms are computed from the logits; that code clamps probabilities at 1e-8
    instead. By design, a negative with p < clip has loss and gradient 0, and a negative predicted 1 with certainty has
    the bounded loss of p_m = 1 - clip. The training counts are not used.
    """

    def __init__(
        self,
        answers: tuple[Answer, ...],
        counts: tuple[Counts, ...],
        gamma_neg: float = 4.0,
        gamma_pos: float = 0.0,
        clip: float = 0.05,
    ) -> None:
        at_least("loss asymmetric", 0, gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip)
        if clip >= 0.5:  # a negative that is predicted 1 would have no loss
            raise UserError(f"loss asymmetric: clip is {clip}; give less than 0.5")
        super().__init__(answers)
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip

    def each(self, raw: Tensor, truth: Tensor) -> Tensor:
        """Return the losses (B, T, A) of the elements of raw and truth, both (B, T, A)."""
        positive = (-self.gamma_pos * functional.softplus(raw)).exp() * functional.softplus(-raw)
        return torch.where(truth > 0.5, positive, self._negative(raw))

    def _negative(self, raw: Tensor) -> Tensor:
        """Return the loss of each element as a negative. 1 - p_m is 1 - p + clip, at most 1."""
        rest = functional.logsigmoid(-raw)
        if self.clip:
            rest = torch.logaddexp(rest, rest.new_tensor(math.log(self.clip)))
        missed = rest < 0
        rest = rest.where(missed, -torch.ones_like(rest))  # any value at which the power has a finite gradient
        return torch.where(missed, (-torch.expm1(rest)) ** self.gamma_neg * -rest, torch.zeros_like(rest))
