"""Building blocks of losses: a base class per kind of answer, and functions for concordance and weights.

Losses in plugins may use them too.

Shapes: B clips, T frames, A answers, K raw outputs, C classes of one answer.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from zoo.loss_functions import (
    POWERS,
    average_logits,
    class_weights,
    concordance,
    concordance_loss,
    lds_weights,
    log_mean,
    negative_log_likelihood,
    scaled_weights,
)
from zoo.modules import Loss
from zoo.tracks import Answer, Counts

__all__ = [
    "POWERS",
    "BinaryLoss",
    "ClassLoss",
    "ValueLoss",
    "average_logits",
    "class_weights",
    "concordance",
    "concordance_loss",
    "lds_weights",
    "negative_log_likelihood",
    "scaled_weights",
]


ON_EDGE = 1e-4
"""Share of a bin below an edge that counts as on it: 0.1 in float32 and in float64 must come into the same bin."""


class ValueLoss(Loss):
    """The base class of losses for values in a range. Implement ``forward`` and ``decode``.

    Args:
        answers: The values to predict.
        counts: The training labels of each.
        width: K, the number of raw outputs.
        lds: How to weight rare labels; see ``lds_weights``.

    Examples:
        >>> import torch
        >>> from zoo.api import Answer, Counts
        >>> from zoo.losses import ValueLoss, concordance_loss
        >>> class Ccc(ValueLoss):
        ...     def forward(self, raw, target, labelled):
        ...         return concordance_loss(self.decode(raw), target, self.weights(target, labelled))
        ...     def decode(self, raw):
        ...         return raw.tanh()
        >>> loss = Ccc((Answer("valence", "value", -5),), (Counts(3, (2, 1)),), width=1, lds="none")
        >>> target, labelled = torch.tensor([[[0.5], [0.1], [-5.0]]]), torch.tensor([[[True], [True], [False]]])
        >>> abs(loss(target.atanh(), target, labelled).item()) < 1e-3  # a perfect prediction of the labelled frames
        True
    """

    def __init__(self, answers: tuple[Answer, ...], counts: tuple[Counts, ...], width: int, lds: str) -> None:
        super().__init__(answers, width)
        self.register_buffer("low", torch.tensor([a.low for a in answers]), persistent=False)
        self.register_buffer("high", torch.tensor([a.high for a in answers]), persistent=False)
        self.low: Tensor
        self.high: Tensor
        self.weighted = lds != "none"
        each = [lds_weights(c.bins, lds) for c in counts]
        # Not saved with the model: only training needs them, and the histograms may differ in size.
        for i, weights in enumerate(each):
            self.register_buffer(f"lds_weights{i}", torch.tensor(weights), persistent=False)
        self.register_buffer("sizes", torch.tensor([len(weights) for weights in each]), persistent=False)
        self.sizes: Tensor

    def weights(self, target: Tensor, labelled: Tensor) -> Tensor:
        """Weight each labelled element by the rarity of its label in training.

        Args:
            target: (B, T, A).
            labelled: (B, T, A) bool.

        Returns:
            (B, T, A), 0 where unlabelled; 1 where labelled without label distribution smoothing.

        Examples:
            >>> import torch
            >>> from zoo.api import Answer, Counts
            >>> from zoo.losses import ValueLoss
            >>> loss = ValueLoss((Answer("valence", "value", -5),), (Counts(4, (3, 1)),), width=1, lds="inverse:0.1")
            >>> target = torch.tensor([[[-0.5], [0.5], [-5.0]]])
            >>> [round(weight, 2) for weight in loss.weights(target, target >= -1).flatten().tolist()]
            [0.67, 2.0, 0.0]
        """
        if not self.weighted:
            return labelled.to(target.dtype)
        at = self.bin_of(target, labelled, self.sizes)
        each = [self.get_buffer(f"lds_weights{i}").to(target.dtype)[at[..., i]] for i in range(len(self.answers))]
        return torch.stack(each, -1) * labelled

    def bin_of(self, target: Tensor, labelled: Tensor, sizes: Tensor) -> Tensor:
        """Return the index of each label's bin in equal bins over its answer's range.

        Args:
            target: (B, T, A).
            labelled: (B, T, A) bool.
            sizes: (A,) number of bins.

        Returns:
            (B, T, A) long; 0 where unlabelled.

        Examples:
            >>> import torch
            >>> from zoo.api import Answer, Counts
            >>> from zoo.losses import ValueLoss
            >>> loss = ValueLoss((Answer("valence", "value", -5),), (Counts(4, (1, 1, 1, 1)),), width=1, lds="none")
            >>> target = torch.tensor([[[-1.0], [0.1], [1.0], [-5.0]]])
            >>> loss.bin_of(target, target >= -1, torch.tensor([4])).squeeze(-1).tolist()
            [[0, 2, 3, 0]]
        """
        share = (torch.where(labelled, target, self.low) - self.low) / (self.high - self.low)
        return (share * sizes + ON_EDGE).floor().long().clamp_min(0).minimum(sizes - 1)


class ClassLoss(Loss):
    """The base class of losses for answers that are one of several classes. Implement ``each``.

    The loss is the sum of ``each`` over the labelled elements, divided by their number. Decoding is softmax.

    Args:
        answers: The answers to predict.
        weights: For each answer, the weight of a frame of each class.

    Examples:
        >>> import torch
        >>> from zoo.api import Answer
        >>> from zoo.losses import ClassLoss, negative_log_likelihood
        >>> class CrossEntropy(ClassLoss):
        ...     def each(self, raw, truth, answer):
        ...         return negative_log_likelihood(raw, truth)
        >>> loss = CrossEntropy((Answer("mood", "class", -1, classes=("sad", "happy")),), weights=[[1.0, 1.0]])
        >>> target = torch.tensor([[[1.0], [-1.0]]])
        >>> round(loss(torch.zeros(1, 2, 2), target, target >= 0).item(), 3)  # the logarithm of 2
        0.693
    """

    additive = True

    def __init__(self, answers: tuple[Answer, ...], weights: list[list[float]]) -> None:
        super().__init__(answers, width=sum(len(a.classes) for a in answers))
        self.widths = [len(a.classes) for a in answers]
        self.register_buffer("weights", torch.tensor([weight for part in weights for weight in part]))
        self.weights: Tensor

    @abstractmethod
    def each(self, raw: Tensor, truth: Tensor, answer: int) -> Tensor:
        """Compute the loss of each frame for one answer, before weighting.

        Args:
            raw: (B, T, C) of this answer.
            truth: (B, T) long.
            answer: Index of the answer.

        Returns:
            (B, T).
        """

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Compute the weighted mean over the labelled elements.

        Args:
            raw: (B, T, classes of all answers).
            target: (B, T, A) class indices.
            labelled: (B, T, A) bool.

        Returns:
            A scalar.
        """
        index = torch.where(labelled, target, torch.zeros_like(target)).long()
        total = raw.new_zeros(())
        parts = zip(raw.split(self.widths, -1), self.weights.split(self.widths), strict=True)
        for i, (part, weights) in enumerate(parts):
            truth = index[..., i]
            frames = self.each(part, truth, i) * weights.to(raw.dtype)[truth]
            total = total + (frames * labelled[..., i]).sum()
        return total / labelled.sum().clamp_min(1)

    def decode(self, raw: Tensor) -> Tensor:
        """Return each answer's class probabilities, concatenated.

        Args:
            raw: (B, T, classes of all answers).

        Returns:
            (B, T, classes of all answers).
        """
        return torch.cat([part.softmax(-1) for part in raw.split(self.widths, -1)], -1)

    def average(self, raw: Tensor, shares: Tensor) -> Tensor:
        """Return the logarithms of the mean probabilities.

        Args:
            raw: (S, ..., K).
            shares: (S, ..., K); an answer's share is the mean over its classes.

        Returns:
            (..., K).
        """
        parts = zip(raw.float().split(self.widths, -1), shares.float().split(self.widths, -1), strict=True)
        mixed = [log_mean(part.log_softmax(-1), share.mean(-1, keepdim=True)) for part, share in parts]
        return torch.cat(mixed, -1).to(raw.dtype)


class BinaryLoss(Loss):
    """The base class of losses for answers that are 0 or 1. Implement ``each``.

    The loss is the sum of ``each`` over the labelled elements, divided by their number. Decoding is the sigmoid.

    Args:
        answers: The answers to predict.

    Examples:
        >>> import torch
        >>> from torch.nn.functional import binary_cross_entropy_with_logits
        >>> from zoo.api import Answer
        >>> from zoo.losses import BinaryLoss
        >>> class Bce(BinaryLoss):
        ...     def each(self, raw, truth):
        ...         return binary_cross_entropy_with_logits(raw, truth, reduction="none")
        >>> loss, target = Bce((Answer("AU1", "binary", -1),)), torch.tensor([[[1.0], [-1.0]]])
        >>> round(loss(torch.zeros(1, 2, 1), target, target >= 0).item(), 3)  # the logarithm of 2
        0.693
        >>> loss.decode(torch.zeros(1, 2, 1)).flatten().tolist()
        [0.5, 0.5]
    """

    additive = True

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        super().__init__(answers, width=len(answers))

    @abstractmethod
    def each(self, raw: Tensor, truth: Tensor) -> Tensor:
        """Compute the loss of each element.

        Args:
            raw: (B, T, A).
            truth: (B, T, A), 0 or 1.

        Returns:
            (B, T, A).
        """

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Compute the mean over the labelled elements.

        Args:
            raw: (B, T, A).
            target: (B, T, A) of 0 and 1.
            labelled: (B, T, A) bool.

        Returns:
            A scalar.
        """
        truth = torch.where(labelled, target, torch.zeros_like(target)).to(raw.dtype)
        return (self.each(raw, truth) * labelled).sum() / labelled.sum().clamp_min(1)

    def decode(self, raw: Tensor) -> Tensor:
        """Return the probabilities of 1.

        Args:
            raw: (B, T, A).

        Returns:
            (B, T, A).
        """
        return raw.sigmoid()

    def average(self, raw: Tensor, shares: Tensor) -> Tensor:
        """Return the logits of the mean probabilities.

        Args:
            raw: (S, ..., A).
            shares: (S, ..., A), with a sum of 1 over S.

        Returns:
            (..., A).
        """
        return average_logits(raw, shares)
