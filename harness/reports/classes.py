"""Numbers behind the figures of classes and units: confusion, precision and recall, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.api import Answer, VideoAnswers

BINS = 10
POINTS = 160
"""Most points of a precision-recall curve on a page."""

Floats = NDArray[np.float64]


class ClassFigure(NamedTuple):
    """Precision, recall and F1 of one class or unit, and its number of labels."""

    name: str
    precision: float
    recall: float
    f1: float
    labels: int


class PrecisionRecall(NamedTuple):
    """Precision-recall curve of one unit, recall ascending.

    ``average``: average precision; ``share``: share of positive labels.
    """

    name: str
    recall: list[float]
    precision: list[float]
    average: float
    share: float


class Reliability(NamedTuple):
    """Calibration: for each bin of confidence, its mean confidence, the share of correct predictions, and the frames.

    ``error``: the expected calibration error, the mean distance of the two over all frames.
    """

    confidence: list[float]
    right: list[float]
    frames: list[int]
    error: float


def labelled(answer: Answer, videos: Sequence[VideoAnswers]) -> tuple[Floats, Floats]:
    """Return predictions and targets of all labelled frames of some videos, pooled."""
    values = np.concatenate([np.asarray(video.values[answer.name], np.float64) for video in videos])
    targets = np.concatenate([np.asarray(video.targets[answer.name], np.float64) for video in videos])
    at = ~np.isnan(targets)
    return values[at], targets[at]


def class_figures(names: Sequence[str], confusion: NDArray[np.int64]) -> list[ClassFigure]:
    """Return the figures of each class of a (C, C) confusion matrix with targets as rows; 0 for a zero denominator."""
    hits, labels, chosen = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    return [
        ClassFigure(name, _ratio(hit, said), _ratio(hit, true), _ratio(2 * hit, said + true), int(true))
        for name, hit, true, said in zip(names, hits, labels, chosen, strict=True)
    ]


def precision_recall(name: str, scores: Floats, targets: Floats) -> PrecisionRecall | None:
    """Return the precision-recall curve of a unit; None without a positive label.

    Args:
        name: The unit.
        scores: (n,) probabilities.
        targets: (n,) 0 or 1.
    """
    positives = int(targets.sum())
    if positives == 0:
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(targets[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # frames with equal scores count together
    precision, recall = hits[last] / (last + 1), hits[last] / positives
    average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    shown = np.unique(np.linspace(0, len(last) - 1, min(POINTS, len(last))).astype(int))
    return PrecisionRecall(name, recall[shown].tolist(), precision[shown].tolist(), average, positives / len(targets))


def reliability(confidence: Floats, right: Floats) -> Reliability | None:
    """Return the calibration of predictions in bins of equal width; None without frames.

    Args:
        confidence: (n,) from 0 to 1.
        right: (n,) 1 if the prediction is correct, else 0.
    """
    if not len(confidence):
        return None
    place = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    frames = np.bincount(place, minlength=BINS)
    mean = np.bincount(place, confidence, BINS)
    hits = np.bincount(place, right, BINS)
    error = float(np.abs(mean - hits).sum() / len(confidence))
    used = np.flatnonzero(frames)
    return Reliability(
        (mean[used] / frames[used]).tolist(), (hits[used] / frames[used]).tolist(), frames[used].tolist(), error
    )


def class_reliability(answer: Answer, videos: Sequence[VideoAnswers]) -> Reliability | None:
    """Return the calibration of a class or a unit; None without labels.

    The confidence of a class answer is its largest probability, and it is right if that class is the label. The
    confidence of a unit is its probability, and it is right if the unit is labelled active.
    """
    values, targets = labelled(answer, videos)
    if answer.kind == "class":
        return reliability(values.max(1), (values.argmax(1) == targets).astype(np.float64)) if len(values) else None
    return reliability(values, targets)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
