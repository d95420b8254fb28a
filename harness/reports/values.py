"""Numbers behind the figures of values such as valence and arousal: densities and mean labels by prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.reports.classes import labelled
from zoo.api import Answer, VideoAnswers

CELLS = 24
Floats = NDArray[np.float64]


class Density(NamedTuple):
    """Frames in each cell of a square: ``counts[row][column]``; rows are bins of the second quantity, ascending."""

    x: str
    y: str
    low: tuple[float, float]
    high: tuple[float, float]
    counts: list[list[int]]


class MeanLabel(NamedTuple):
    """Mean prediction, mean label and number of frames for each bin of predictions."""

    prediction: list[float]
    label: list[float]
    frames: list[int]


def density(a: Answer, b: Answer, x: Floats, y: Floats, names: tuple[str, str]) -> Density:
    """Return the joint density of two (n,) quantities in the ranges of two answers.

    Numbers out of range are counted in the outermost cells.
    """
    columns, rows = _cells(x, a), _cells(y, b)
    counts = np.bincount(rows * CELLS + columns, minlength=CELLS * CELLS).reshape(CELLS, CELLS)
    return Density(*names, (a.low, b.low), (a.high, b.high), counts.tolist())


def densities(answers: Sequence[Answer], videos: Sequence[VideoAnswers]) -> list[Density]:
    """Return prediction against label for each value, and, for two values, labels and predictions in their plane."""
    values = [answer for answer in answers if answer.kind == "value"]
    found = []
    for answer in values:
        predicted, true = labelled(answer, videos)
        if len(true):
            found.append(density(answer, answer, true, predicted, (f"{answer.name}, label", "prediction")))
    if len(values) == 2 and found:
        a, b = values
        joint = [_joint(a, b, video) for video in videos]
        truth, said = (np.concatenate([pair[i] for pair in joint], axis=1) for i in (0, 1))
        if truth.shape[1]:
            found.append(density(a, b, truth[0], truth[1], (f"labels: {a.name}", b.name)))
            found.append(density(a, b, said[0], said[1], (f"predictions: {a.name}", b.name)))
    return found


def mean_label(answer: Answer, videos: Sequence[VideoAnswers], bins: int = 16) -> MeanLabel | None:
    """Return the mean label at each prediction; None without labels.

    It is on the diagonal if predictions are neither too extreme nor too close to the mean.
    """
    predicted, true = labelled(answer, videos)
    if not len(true):
        return None
    place = np.clip(((predicted - answer.low) / (answer.high - answer.low) * bins).astype(int), 0, bins - 1)
    frames = np.bincount(place, minlength=bins)
    used = np.flatnonzero(frames)
    means = [np.bincount(place, what, bins)[used] / frames[used] for what in (predicted, true)]
    return MeanLabel(means[0].tolist(), means[1].tolist(), frames[used].tolist())


def _joint(a: Answer, b: Answer, video: VideoAnswers) -> tuple[Floats, Floats]:
    truth = np.stack([np.asarray(video.targets[x.name], np.float64) for x in (a, b)])
    said = np.stack([np.asarray(video.values[x.name], np.float64) for x in (a, b)])
    at = ~np.isnan(truth).any(0)
    return truth[:, at], said[:, at]


def _cells(values: Floats, answer: Answer) -> NDArray[np.int64]:
    share = (values - answer.low) / (answer.high - answer.low)
    return np.clip((share * CELLS).astype(np.int64), 0, CELLS - 1)
