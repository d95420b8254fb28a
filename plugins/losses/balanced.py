"""Cross-entropy balanced by each class's effective number of frames."""

from __future__ import annotations

from torch import Tensor

from zoo.layers.validation import fraction
from zoo.losses import ClassLoss, negative_log_likelihood, scaled_weights
from zoo.tracks import Answer, Counts


class Balanced(ClassLoss):
    """Class-balanced cross-entropy (Cui et al. 2019).

    A class of n training frames has the weight (1 - beta) / (1 - beta^n), the inverse of its effective number of
    frames.

    The name "balanced" has three meanings in this field. Mostly it means inverse-frequency weights (scikit-learn's
    "balanced"), the default of the loss ``ce``. Balanced Softmax (Ren et al. 2020) is ``logit_adjust`` with tau = 1. In
    this loss, more than about 1 / (1 - beta) frames of a class, which in a video are near copies of each other, no
    longer lower the class's weight. beta = 0 gives equal weights, beta -> 1 those of ``ce``.

    Weights are scaled to mean 1 over the training frames, as in ``ce``. (In Cui et al. the weights of the classes add
    up to their number; the two differ by a factor.) A class without training frames has weight 0, with a warning.
    """

    def __init__(self, answers: tuple[Answer, ...], counts: tuple[Counts, ...], beta: float = 0.9999) -> None:
        fraction("loss balanced", beta=beta)
        super().__init__(
            answers,
            [
                scaled_weights(a, c, [(1 - beta) / (1 - beta**n) if n else 0.0 for n in c.bins])
                for a, c in zip(answers, counts, strict=True)
            ],
        )

    def each(self, raw: Tensor, truth: Tensor, answer: int) -> Tensor:
        """Return -log of the true class's probability (B, T), for raw (B, T, C) and truth (B, T)."""
        return negative_log_likelihood(raw, truth)
