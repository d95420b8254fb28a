"""Cross-entropy with smoothed labels."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.layers.validation import fraction
from zoo.losses import POWERS, ClassLoss, class_weights
from zoo.tracks import Answer, Counts


class LabelSmoothing(ClassLoss):
    """Cross-entropy with (1 - smoothing) on the true class + smoothing spread evenly (Szegedy et al. 2016).

    Choices:

    - The smoothing is spread over the classes that have training frames, including the true class. Szegedy spreads it
      over all classes, which is the same if every class has frames. A class without training frames would otherwise be
      predicted with some probability at every frame.
    - A frame has the class weight of its own class, as in ``ce``. PyTorch's ``cross_entropy`` weights each term of the
      sum by that term's class instead, which moves the optimum away from the smoothed label.
    """

    def __init__(
        self,
        answers: tuple[Answer, ...],
        counts: tuple[Counts, ...],
        smoothing: float = 0.1,
        weights: str = "balanced",
    ) -> None:
        fraction("loss label_smoothing", smoothing=smoothing)
        super().__init__(answers, [class_weights(a, c, POWERS[weights]) for a, c in zip(answers, counts, strict=True)])
        self.smoothing = smoothing
        seen = [[float(n > 0) for n in c.bins] if any(c.bins) else [1.0] * len(c.bins) for c in counts]
        even = torch.cat([torch.tensor(part) / sum(part) for part in seen])
        self.register_buffer("even", even)
        self.even: Tensor  # (all classes,)

    def each(self, raw: Tensor, truth: Tensor, answer: int) -> Tensor:
        """Return the cross-entropy with the smoothed label (B, T), for raw (B, T, C) and truth (B, T)."""
        cost = -raw.log_softmax(-1)
        true = cost.gather(-1, truth.unsqueeze(-1)).squeeze(-1)
        even = (cost * self.even.split(self.widths)[answer].to(raw.dtype)).sum(-1)
        return (1 - self.smoothing) * true + self.smoothing * even
