"""Functions of losses: concordance, weights of classes and of rare values, mean probabilities.

Shapes: A answers, C classes of one answer, K raw outputs; ``zoo.losses`` has all of them, with the base classes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from zoo.errors import UserError
from zoo.metrics.concordance import concordance_terms
from zoo.tracks import Answer, Counts

POWERS = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}
"""Value of an option ``weights`` -> power of the inverse frequency of a class."""
_CONSTANT = 1e-10  # a batch with a smaller variance of targets counts as constant


def concordance(prediction: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the CCC of each answer from weighted population moments.

    With equal weights of any size this is Lin's coefficient with population variances.

    Args:
        prediction: (B, T, A).
        target: (B, T, A).
        weight: (B, T, A), 0 where there is no label.

    Returns:
        ccc (A,), and usable (A,) bool. An answer is not usable if fewer than two labels have a weight or all are equal,
        because CCC is then 0 for any prediction. Its ccc is 0, with a graph.

    Examples:
        >>> import torch
        >>> from zoo.losses import concordance
        >>> prediction, target = torch.tensor([[[0.5], [-0.5], [9.0]]]), torch.tensor([[[0.5], [-0.5], [0.0]]])
        >>> ccc, usable = concordance(prediction, target, weight=torch.tensor([[[1.0], [1.0], [0.0]]]))
        >>> ccc.tolist(), usable.tolist()  # the frame with weight 0 does not count
        ([1.0], [True])
    """
    # The evaluation metric, zoo.metrics.scores.ccc, uses the same terms in float64, without gradients or weights.
    # The moments are those of the whole batch: the mean of the CCCs of two halves is a different number.
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
    """Return 1 - CCC, averaged over the answers whose CCC is usable.

    Args:
        prediction: (B, T, A).
        target: (B, T, A).
        weight: (B, T, A), 0 where there is no label.

    Returns:
        A scalar; 0, with zero gradients, if no answer is usable.

    Examples:
        >>> import torch
        >>> from zoo.losses import concordance_loss
        >>> target = torch.tensor([[[0.5], [-0.5]]])
        >>> concordance_loss(-target, target, torch.ones(1, 2, 1)).item()
        2.0
        >>> concordance_loss(-target, target, torch.zeros(1, 2, 1)).item()  # nothing is labelled
        0.0
    """
    ccc, usable = concordance(prediction, target, weight)
    return ((1 - ccc) * usable).sum() / usable.sum().clamp_min(1)


def _centred(x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted mean (A,) of x (B, T, A), and x - mean, 0 where the share is 0.

    Two passes keep float32 precise enough.
    """
    zero = torch.zeros_like(x)
    mean = (share * torch.where(share > 0, x, zero)).sum((0, 1))
    return mean, torch.where(share > 0, x - mean, zero)


def lds_weights(bins: Sequence[int], lds: str) -> list[float]:
    """Compute label distribution smoothing weights (Yang et al. 2021, arXiv:2102.09554).

    Each bin of the histogram of training labels gets a weight, which is higher the rarer the labels near it are. The
    histogram (for sqrt: its square root, taken before smoothing as in the authors' code) is smoothed and inverted, then
    scaled so that the mean over training frames is 1.

    Two choices differ from the authors' code. The kernel is not cut off after two bins but divided by its part inside
    the range, so that uniform labels get equal weights up to the ends. A smoothed bin counts at least one frame,
    instead of bins being clipped at 5 and 1000.

    Args:
        bins: Training frames per bin.
        lds: none (all weights 1), inverse or sqrt; optionally a colon and the standard deviation of the Gaussian kernel
            in bins (``inverse:1.5``). The default is 2, as in the authors' code.

    Returns:
        One weight per bin.

    Raises:
        UserError: ``lds`` is none of these.

    Examples:
        >>> from zoo.losses import lds_weights
        >>> lds_weights([30, 10], "none")
        [1.0, 1.0]
        >>> [round(weight, 2) for weight in lds_weights([30, 10], "inverse:0.1")]
        [0.67, 2.0]
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


def negative_log_likelihood(raw: Tensor, truth: Tensor) -> Tensor:
    """Return -log of the true class's probability.

    Args:
        raw: (B, T, C) logits.
        truth: (B, T) long.

    Returns:
        (B, T).

    Examples:
        >>> import torch
        >>> from zoo.losses import negative_log_likelihood
        >>> tuple(negative_log_likelihood(torch.zeros(2, 3, 8), torch.zeros(2, 3, dtype=torch.long)).shape)
        (2, 3)
    """
    return -raw.log_softmax(-1).gather(-1, truth.unsqueeze(-1)).squeeze(-1)


def class_weights(answer: Answer, counts: Counts, power: float) -> list[float]:
    """Compute one weight per class: (frames / frames of the class) to a power.

    Warns if a class has no training frame; its weight is 0.

    Args:
        answer: The answer.
        counts: Its training labels.
        power: See POWERS: 0 for equal weights, 1 for balanced ones.

    Returns:
        Weights (C,) with a mean of 1 over the training frames.

    Examples:
        >>> from zoo.api import Answer, Counts
        >>> from zoo.losses import class_weights
        >>> answer, counts = Answer("mood", "class", -1, classes=("sad", "happy")), Counts(100, (80, 20))
        >>> class_weights(answer, counts, power=0.0), class_weights(answer, counts, power=1.0)
        ([1.0, 1.0], [0.625, 2.5])
    """
    frames = sum(counts.bins)
    return scaled_weights(answer, counts, [(frames / n) ** power if n else 0.0 for n in counts.bins])


def scaled_weights(answer: Answer, counts: Counts, raw: list[float]) -> list[float]:
    """Scale class weights to a mean of 1 over the training frames.

    Warns once about all classes without a training frame; their weights are 0.

    Args:
        answer: The answer.
        counts: Its training labels.
        raw: One weight per class.

    Returns:
        Weights (C,).

    Examples:
        >>> from zoo.api import Answer, Counts
        >>> from zoo.losses import scaled_weights
        >>> answer, counts = Answer("mood", "class", -1, classes=("sad", "happy")), Counts(100, (50, 50))
        >>> scaled_weights(answer, counts, [1.0, 3.0])
        [0.5, 1.5]
    """
    missing = [name for name, n in zip(answer.classes, counts.bins, strict=True) if n == 0]
    if missing:
        warnings.warn(f"{answer.name}: no training frame shows {', '.join(missing)}; weight 0", stacklevel=4)
    total = sum(n * w for n, w in zip(counts.bins, raw, strict=True))
    scale = sum(counts.bins) / total if total else 0.0
    return [w * scale if n else 0.0 for n, w in zip(counts.bins, raw, strict=True)]


def average_logits(raw: Tensor, shares: Tensor) -> Tensor:
    """Return the logits of the mean of several probabilities, given as logits.

    Args:
        raw: (S, ..., A) logits.
        shares: (S, ..., A), with a sum of 1 over S.

    Returns:
        (..., A).

    Examples:
        >>> import torch
        >>> from zoo.losses import average_logits
        >>> raw, shares = torch.tensor([[0.8], [0.2]]).logit(), torch.tensor([[0.5], [0.5]])
        >>> round(abs(average_logits(raw, shares).sigmoid().item()), 3)
        0.5
    """
    x, shares = raw.float(), shares.float()
    return (log_mean(logsigmoid(x), shares) - log_mean(logsigmoid(-x), shares)).to(raw.dtype)


def log_mean(logs: Tensor, shares: Tensor) -> Tensor:
    """Return the logarithm of the mean of exp(logs) (S, ...), weighted by shares with a sum of 1 over S."""
    heard = shares > 0  # log(0) is -inf, and its gradient would be NaN
    return (logs + torch.where(heard, shares, 1).log()).masked_fill(~heard, -torch.inf).logsumexp(0)
