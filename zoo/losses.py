"""What the losses share: masked sums, concordance, weights from the training counts, and a base class for each kind of
answer. A loss outside this repository may use them too.

Shapes: B clips, T frames, A answers, K raw outputs, C classes of one answer.
"""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from zoo.errors import UserError
from zoo.metrics.concordance import concordance_terms
from zoo.modules import Loss
from zoo.tracks import Answer, Counts

POWERS = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}
_CONSTANT = 1e-10  # variance of targets below which a batch's labels are all the same number


# --- answers that are numbers -----------------------------------------------------------------------------------------


class ValueLoss(Loss):
    """Base of losses for numbers in a range. ``lds`` weighs each labelled element by how rare its label is in
    training; see ``lds_weights``. Write ``forward`` and ``decode``."""

    def __init__(self, answers: tuple[Answer, ...], counts: tuple[Counts, ...], width: int, lds: str) -> None:
        super().__init__(answers, width)
        self.register_buffer("low", torch.tensor([a.low for a in answers]), persistent=False)
        self.register_buffer("high", torch.tensor([a.high for a in answers]), persistent=False)
        self.low: Tensor
        self.high: Tensor
        self.weighted = lds != "none"
        each = [lds_weights(c.bins, lds) for c in counts]
        # Not kept with the model's weights: they serve training alone, and the histograms' sizes may differ.
        for i, weights in enumerate(each):
            self.register_buffer(f"lds_weights{i}", torch.tensor(weights), persistent=False)
        self.register_buffer("sizes", torch.tensor([len(weights) for weights in each]), persistent=False)
        self.sizes: Tensor

    def weights(self, target: Tensor, labelled: Tensor) -> Tensor:
        """target, labelled (B, T, A) -> weight of every element (B, T, A), 0 where not labelled."""
        if not self.weighted:
            return labelled.to(target.dtype)
        at = self.bin_of(target, labelled, self.sizes)
        each = [self.get_buffer(f"lds_weights{i}").to(target.dtype)[at[..., i]] for i in range(len(self.answers))]
        return torch.stack(each, -1) * labelled

    def bin_of(self, target: Tensor, labelled: Tensor, sizes: Tensor) -> Tensor:
        """The number of the label's bin among ``sizes`` (A,) equal bins over its answer's range, (B, T, A); 0 where
        not labelled."""
        share = (torch.where(labelled, target, self.low) - self.low) / (self.high - self.low)
        return (share * sizes).floor().long().clamp_min(0).minimum(sizes - 1)


def concordance(prediction: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """CCC of each answer from weighted population moments; all (B, T, A), weight 0 where there is no label.

    Gives ccc (A,) and where it means anything (A,) bool: not where labels of weight are fewer than two or all equal,
    since CCC is 0 there whatever is predicted. ccc is 0, with a graph, in that case. Equal weights, whatever their
    size, give Lin's plain coefficient with population variances.
    """
    # The metric of evaluation, zoo.metrics.scores.ccc, has these terms in float64, without gradients and weights.
    # Moments are those of the whole batch: CCC does not split, the mean over two halves is another number.
    total = weight.sum((0, 1))
    share = weight / torch.where(total > 0, total, torch.ones_like(total))
    mean_p, p = _centred(prediction, share)
    mean_t, t = _centred(target.to(prediction.dtype), share)
    covariance, variance_p, variance_t = ((share * product).sum((0, 1)) for product in (p * t, p * p, t * t))
    usable = variance_t > _CONSTANT
    both, apart = concordance_terms(covariance, variance_p, variance_t, (mean_p - mean_t) ** 2)
    ccc: Tensor = both / torch.where(usable, apart, torch.ones_like(apart))
    return torch.where(usable, ccc, torch.zeros_like(ccc)), usable


def concordance_loss(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """1 - CCC, mean over the answers for which CCC means anything; 0, with zero gradients, where there is none."""
    ccc, usable = concordance(prediction, target, weight)
    return ((1 - ccc) * usable).sum() / usable.sum().clamp_min(1)


def _centred(x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of x (B, T, A) by shares, (A,), and x - mean, 0 elsewhere. Two passes keep float32 exact enough."""
    zero = torch.zeros_like(x)
    mean = (share * torch.where(share > 0, x, zero)).sum((0, 1))
    return mean, torch.where(share > 0, x - mean, zero)


def lds_weights(bins: Sequence[int], lds: str) -> list[float]:
    """Label distribution smoothing (Yang et al. 2021, arXiv:2102.09554): a weight for each bin of the histogram of
    training labels, the higher, the rarer labels near it are.

    ``lds``: none (all 1), inverse or sqrt, and after a colon the standard deviation of the Gaussian kernel in bins
    (``inverse:1.5``; 2 without, as in the authors' code). The histogram (sqrt: its square root, taken before smoothing
    as their code does) is smoothed and inverted. Two choices of this zoo: the kernel is not cut off after two bins but
    divided by what of it lies inside the range, so that even labels weigh the same up to the ends; a smoothed bin
    counts at least one frame instead of clipping bins at 5 and 1000. Weights are scaled so that training frames have
    mean 1.
    """
    way, _, width = lds.partition(":")
    sigma = _number(width or "2")
    if way not in ("none", "inverse", "sqrt") or not sigma > 0:
        raise UserError("option-lds", lds=lds)
    frames = sum(bins)
    if way == "none" or frames == 0:
        return [1.0] * len(bins)
    power = 0.5 if way == "sqrt" else 1.0
    raw = []
    for i in range(len(bins)):
        kernel = [math.exp(-0.5 * ((i - j) / sigma) ** 2) for j in range(len(bins))]
        smoothed = sum(k * n**power for k, n in zip(kernel, bins, strict=True)) / sum(kernel)
        raw.append(1 / max(smoothed, 1.0))
    scale = frames / sum(n * w for n, w in zip(bins, raw, strict=True))
    return [w * scale for w in raw]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


# --- answers that are classes -----------------------------------------------------------------------------------------


class ClassLoss(Loss):
    """Base of losses for answers that are one of several classes: ``each`` frame's loss, summed over the labelled
    elements, divided by their number. Decoding is softmax. Write ``each``.

    ``weights`` (all classes,): what a frame of the class weighs, one after the other for the answers.
    """

    additive = True

    def __init__(self, answers: tuple[Answer, ...], weights: list[list[float]]) -> None:
        super().__init__(answers, width=sum(len(a.classes) for a in answers))
        self.widths = [len(a.classes) for a in answers]
        self.register_buffer("weights", torch.tensor([weight for part in weights for weight in part]))
        self.weights: Tensor

    @abstractmethod
    def each(self, raw: Tensor, truth: Tensor, answer: int) -> Tensor:
        """raw (B, T, C) of one answer, truth (B, T) long -> the frames' losses before weighting, (B, T)."""

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """raw (B, T, all classes), target (B, T, A) class indices, labelled (B, T, A) bool -> scalar."""
        index = torch.where(labelled, target, torch.zeros_like(target)).long()
        total = raw.new_zeros(())
        parts = zip(raw.split(self.widths, -1), self.weights.split(self.widths), strict=True)
        for i, (part, weights) in enumerate(parts):
            truth = index[..., i]
            frames = self.each(part, truth, i) * weights.to(raw.dtype)[truth]
            total = total + (frames * labelled[..., i]).sum()
        return total / labelled.sum().clamp_min(1)

    def decode(self, raw: Tensor) -> Tensor:
        """(B, T, all classes) -> probabilities of each answer's classes, side by side."""
        return torch.cat([part.softmax(-1) for part in raw.split(self.widths, -1)], -1)

    def average(self, raw: Tensor, shares: Tensor) -> Tensor:
        """Logarithms of the mean probabilities; an answer's shares are the mean of those of its classes."""
        parts = zip(raw.float().split(self.widths, -1), shares.float().split(self.widths, -1), strict=True)
        mixed = [_log_mean(part.log_softmax(-1), share.mean(-1, keepdim=True)) for part, share in parts]
        return torch.cat(mixed, -1).to(raw.dtype)


def negative_log_likelihood(raw: Tensor, truth: Tensor) -> Tensor:
    """-log of the true class's probability: raw (B, T, C), truth (B, T) long -> (B, T)."""
    return -raw.log_softmax(-1).gather(-1, truth.unsqueeze(-1)).squeeze(-1)


def class_weights(answer: Answer, counts: Counts, power: float) -> list[float]:
    """One weight a class: (frames / its frames) to a power, scaled so that training frames have mean 1; 0, with a
    warning, for a class that no training frame shows."""
    frames = sum(counts.bins)
    return scaled_weights(answer, counts, [(frames / n) ** power if n else 0.0 for n in counts.bins])


def scaled_weights(answer: Answer, counts: Counts, raw: list[float]) -> list[float]:
    """The weights scaled so that training frames have mean 1; 0 for a class that no training frame shows, all of
    which one warning names."""
    missing = [name for name, n in zip(answer.classes, counts.bins, strict=True) if n == 0]
    if missing:
        warnings.warn(f"{answer.name}: no training frame shows {', '.join(missing)}; weight 0", stacklevel=4)
    total = sum(n * w for n, w in zip(counts.bins, raw, strict=True))
    scale = sum(counts.bins) / total if total else 0.0
    return [w * scale if n else 0.0 for n, w in zip(counts.bins, raw, strict=True)]


# --- answers that are 0 or 1 ------------------------------------------------------------------------------------------


class BinaryLoss(Loss):
    """Base of losses for answers that are 0 or 1: ``each`` element's loss, summed over the labelled ones, divided by
    their number. Decoding is the sigmoid. Write ``each``."""

    additive = True

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        super().__init__(answers, width=len(answers))

    @abstractmethod
    def each(self, raw: Tensor, truth: Tensor) -> Tensor:
        """raw, truth (B, T, A), truth 0 or 1 -> the elements' losses (B, T, A)."""

    def forward(self, raw: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """raw (B, T, A), target (B, T, A) of 0 and 1, labelled (B, T, A) bool -> scalar."""
        truth = torch.where(labelled, target, torch.zeros_like(target)).to(raw.dtype)
        return (self.each(raw, truth) * labelled).sum() / labelled.sum().clamp_min(1)

    def decode(self, raw: Tensor) -> Tensor:
        """(B, T, A) -> probabilities of 1."""
        return raw.sigmoid()

    def average(self, raw: Tensor, shares: Tensor) -> Tensor:
        """The logits of the mean probabilities."""
        return average_logits(raw, shares)


def average_logits(raw: Tensor, shares: Tensor) -> Tensor:
    """Return the logits of the mean probabilities of several units' logits: raw, shares (S, ..., A) -> (..., A)."""
    x, shares = raw.float(), shares.float()
    return (_log_mean(logsigmoid(x), shares) - _log_mean(logsigmoid(-x), shares)).to(raw.dtype)


def _log_mean(logs: Tensor, shares: Tensor) -> Tensor:
    """Return the logarithm of the mean of exp(logs) (S, ...) by shares that add up to 1 over S."""
    heard = shares > 0  # a share of 0 has no logarithm, and must have no gradient
    return (logs + torch.where(heard, shares, 1).log()).masked_fill(~heard, -torch.inf).logsumexp(0)
