"""The loss of a student on its teacher's predictions (knowledge distillation).

Hinton et al. 2015, arXiv:1503.02531; a teacher of the student's own kind ("born again"): Furlanello et al. 2018,
arXiv:1805.04770.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from zoo.api import Answer
from zoo.loss_functions import concordance_loss

_LEAST = 1e-7  # a probability below this counts as this: its logarithm must be finite


def soft_loss(
    decoded: Tensor, soft: Tensor, taught: Tensor, answers: Sequence[Answer], temperature: float, rows: slice
) -> Tensor:
    """Return the loss on a teacher's predictions, the sum over the kinds of answers.

    Class: T² KL(q || p), with q and p the teacher's and the student's probabilities to the power 1 / T, normalised; the
    factor T² keeps the gradient's size. Binary: the same for 1 and 0, averaged over the units. Value: 1 - CCC with the
    teacher's values, whatever T. All are over the taught frames of the batch.

    Args:
        decoded: (b, T, K) the student's predictions of the clips ``rows``: values, probabilities.
        soft: (B, T, K) the teacher's, of all clips.
        taught: (B, T) bool, frames for which there is a prediction of the teacher.
        answers: The answers, in the order of the columns.
        temperature: T, positive.
        rows: The clips of the batch that ``decoded`` belongs to. The losses of parts of a batch add up to that of the
            batch, except for values.

    Returns:
        A scalar; 0, with zero gradients, if no frame is taught.
    """
    own, mask = soft[rows].to(decoded.dtype), taught[rows]
    total = decoded.new_zeros(())
    frames = taught.sum().clamp_min(1)
    for kind, columns in _parts(answers):
        student, teacher = (torch.where(mask.unsqueeze(-1), x, 0.5)[..., columns] for x in (decoded, own))
        if kind == "value":
            weight = mask.unsqueeze(-1).expand_as(student).to(student.dtype)
            total = total + concordance_loss(student, teacher, weight)
            continue
        divergence = _of_classes if kind == "class" else _of_units
        each = divergence(student, teacher, temperature)
        total = total + temperature**2 * (each * mask).sum() / frames
    return total


def _parts(answers: Sequence[Answer]) -> list[tuple[str, slice]]:
    """Return (kind, columns) of each class answer, of all values, and of all units; those of a kind are adjacent."""
    found: list[tuple[str, slice]] = []
    for answer in answers:
        start = found[-1][1].stop if found else 0
        if found and found[-1][0] == answer.kind != "class":
            found[-1] = answer.kind, slice(found[-1][1].start, start + answer.width)
        else:
            found.append((answer.kind, slice(start, start + answer.width)))
    return found


def _of_classes(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return KL (B, T) of tempered class probabilities (B, T, C)."""
    p = (student.clamp_min(_LEAST).log() / temperature).log_softmax(-1)
    q = (teacher.clamp_min(_LEAST).log() / temperature).log_softmax(-1)
    return (q.exp() * (q - p)).sum(-1)


def _of_units(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the mean over units of the KL (B, T) of tempered probabilities of 1 (B, T, U)."""
    a, b = (torch.logit(x, eps=_LEAST) / temperature for x in (student, teacher))
    q = b.sigmoid()
    return (q * (logsigmoid(b) - logsigmoid(a)) + (1 - q) * (logsigmoid(-b) - logsigmoid(-a))).mean(-1)
