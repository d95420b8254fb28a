"""Cross-entropy balanced by the effective number of frames of each class."""

from __future__ import annotations

from torch import Tensor

from zoo.layers.validation import fraction
from zoo.losses import ClassLoss, negative_log_likelihood, scaled_weights
from zoo.tracks import Answer, Counts


class Balanced(ClassLoss):
    """Class-balanced cross-entropy (Cui et al. 2019): a class of n training frames weighs (1 - beta) / (1 - beta^n),
    the inverse of its effective number of frames.

    What "balanced" means here: in this field it mostly names inverse-frequency weights (scikit-learn's "balanced"),
    which the loss ``ce`` has by default; Balanced Softmax (Ren et al. 2020) is ``logit_adjust`` with tau = 1. So this
    loss is the third thing of that name: frames beyond about 1 / (1 - beta) of a class, near copies of each other in a
    video, no longer lower its weight. beta = 0 gives equal weights, beta -> 1 those of ``ce``. Weights are scaled so
    that training frames have mean 1, as in ``ce`` (Cui: the classes' weights add up to their number, a factor only).
    A class without training frames has weight 0, with a warning.
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
        """raw (B, T, C), truth (B, T) -> -log of the true class's probability (B, T)."""
        return negative_log_likelihood(raw, truth)
