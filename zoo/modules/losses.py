"""The base class of losses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from zoo.tracks import Answer, Counts


def weighted_mean(raw: Tensor, shares: Tensor) -> Tensor:
    """Average several raw predictions.

    Args:
        raw: (S, ..., K).
        shares: (S, ..., K), with a sum of 1 over S.

    Returns:
        (..., K).

    Examples:
        >>> import torch
        >>> from zoo.modules import weighted_mean
        >>> raw, shares = torch.tensor([[1.0, 1.0], [5.0, 5.0]]), torch.tensor([[0.5, 1.0], [0.5, 0.0]])
        >>> weighted_mean(raw, shares).tolist()
        [3.0, 1.0]
    """
    return (raw * shares).sum(0)


class Loss(nn.Module):
    """The base class of losses, each with the decoding of its answers.

    Args:
        answers: The answers it is computed for.
        width: K, the number of raw outputs it needs.

    Attributes:
        additive: True if the loss of a batch is the sum of its clips' losses over a count, so that gradients may be
            accumulated. CCC is not additive.

    Examples:
        >>> import torch
        >>> from zoo.api import Answer
        >>> from zoo.modules import Loss
        >>> class Mae(Loss):
        ...     def forward(self, raw, target, labelled):
        ...         error = torch.where(labelled, raw - target, 0.0).abs()
        ...         return error.sum() / labelled.sum().clamp_min(1)
        ...     def decode(self, raw):
        ...         return raw.clamp(-1, 1)
        >>> loss = Mae((Answer("valence", "value", invalid=-5),), width=1)
        >>> target, labelled = torch.tensor([[[0.5], [-5.0]]]), torch.tensor([[[True], [False]]])
        >>> loss(torch.zeros(1, 2, 1), target, labelled).item()  # the unlabelled -5 does not count
        0.5
    """

    additive = False

    def __init__(self, answers: tuple[Answer, ...], width: int) -> None:
        super().__init__()
        self.answers = answers
        self.width = width

    @abstractmethod
    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            raw: (B, T, K) float32.
            target: (B, T, A). Unlabelled targets are arbitrary and must not matter.
            labelled: (B, T, A) bool.

        Returns:
            A scalar; 0 with a graph if nothing is labelled.
        """

    @abstractmethod
    def decode(self, raw: Tensor) -> Tensor:
        """Decode raw outputs.

        Args:
            raw: (B, T, K).

        Returns:
            (B, T, sum of answer.width): values in [low, high], class probabilities, probabilities of 1.
        """

    def average(self, raw: Tensor, shares: Tensor) -> Tensor:
        """Return raw outputs whose decoding is the mean of several decodings, if these are probabilities.

        For other answers, and in this base class, the result is the mean of the raw outputs. An element with a share of
        0 does not count and gets no gradient.

        Args:
            raw: (S, ..., K).
            shares: (S, ..., K), with a sum of 1 over S.

        Returns:
            (..., K).
        """
        return weighted_mean(raw, shares)


LossBuilder = Callable[[tuple[Answer, ...], tuple[Counts, ...]], Loss]
