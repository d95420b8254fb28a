"""Asymmetric loss for answers that are 0 or 1 and mostly 0, such as action units."""

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
    """Asymmetric loss (Ridnik et al. 2020): (1 - p)^gamma_pos (-log p) for a positive; p_m^gamma_neg (-log(1 - p_m)),
    p_m = max(p - clip, 0), for a negative. Averaged over the labelled elements.

    Choices: gammas and clip of the paper (0, 4, 0.05; the authors' code, github.com/Alibaba-MIIL/ASL
    ``src/loss_functions/losses.py``, defaults to gamma_pos = 1); the gradient goes through the focusing factors, as
    the formula says and that code computes; logarithms are taken of the raw answer, where that code floors
    probabilities at 1e-8. A negative with p < clip has loss and gradient 0, and one that is surely answered 1 has the
    bounded loss of p_m = 1 - clip: that is the method. The training counts are not used.
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
        if clip >= 0.5:  # a negative that is answered 1 would have no loss
            raise UserError(f"loss asymmetric: clip is {clip}; give less than 0.5")
        super().__init__(answers)
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip

    def each(self, raw: Tensor, truth: Tensor) -> Tensor:
        """raw, truth (B, T, A) -> the elements' losses (B, T, A)."""
        positive = (-self.gamma_pos * functional.softplus(raw)).exp() * functional.softplus(-raw)
        return torch.where(truth > 0.5, positive, self._negative(raw))

    def _negative(self, raw: Tensor) -> Tensor:
        """The loss of negatives. 1 - p_m is 1 - p + clip, at most 1."""
        rest = functional.logsigmoid(-raw)
        if self.clip:
            rest = torch.logaddexp(rest, rest.new_tensor(math.log(self.clip)))
        missed = rest < 0
        rest = rest.where(missed, -torch.ones_like(rest))  # any number whose power has a gradient
        return torch.where(missed, (-torch.expm1(rest)) ** self.gamma_neg * -rest, torch.zeros_like(rest))
