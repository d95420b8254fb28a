"""Cross-entropy for answers that are one of several classes."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from zoo.modules import Loss
from zoo.tracks import Answer, Counts

_POWER = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}


class CrossEntropy(Loss):
    """Weighted cross-entropy summed over the labelled frames, divided by their number.

    A class's weight is (frames / its frames) to a power, scaled so that the mean over training frames is 1; a class
    without training frames has weight 0, with a warning.
    """

    additive = True

    def __init__(self, answers: tuple[Answer, ...], counts: tuple[Counts, ...], weights: str = "balanced") -> None:
        super().__init__(answers, width=sum(len(a.classes) for a in answers))
        self.widths = [len(a.classes) for a in answers]
        each = [class_weights(a, c, _POWER[weights]) for a, c in zip(answers, counts, strict=True)]
        self.register_buffer("weights", torch.tensor([weight for part in each for weight in part]))
        self.weights: Tensor

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """raw (B, T, all classes), target (B, T, A) class indices, labelled (B, T, A) bool -> scalar."""
        index = torch.where(labelled, target, torch.zeros_like(target)).long()
        total = raw.new_zeros(())
        parts = zip(raw.split(self.widths, -1), self.weights.split(self.widths), strict=True)
        for i, (part, weights) in enumerate(parts):
            truth = index[..., i]
            surprise = -part.log_softmax(-1).gather(-1, truth.unsqueeze(-1)).squeeze(-1)
            total = total + (surprise * weights.to(raw.dtype)[truth] * labelled[..., i]).sum()
        return total / labelled.sum().clamp_min(1)

    def decode(self, raw: Tensor) -> Tensor:
        """(B, T, all classes) -> probabilities of each answer's classes, side by side."""
        return torch.cat([part.softmax(-1) for part in raw.split(self.widths, -1)], -1)


def class_weights(answer: Answer, counts: Counts, power: float) -> list[float]:
    """One weight a class; see CrossEntropy. Warns of classes that no training frame shows."""
    missing = [name for name, n in zip(answer.classes, counts.bins, strict=True) if n == 0]
    if missing:
        warnings.warn(f"{answer.name}: no training frame shows {', '.join(missing)}; weight 0", stacklevel=3)
    frames = sum(counts.bins)
    raw = [(frames / n) ** power if n else 0.0 for n in counts.bins]
    scale = frames / max(sum(n * w for n, w in zip(counts.bins, raw, strict=True)), 1.0)
    return [w * scale for w in raw]
