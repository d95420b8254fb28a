"""The scores of the ABAW competitions, in float64 and NumPy only.

There are two layers. Functions of arrays and of confusion matrices: ``ccc``, ``pearson``, ``f1_per_class``,
``accuracy``. And sums: ``statistics`` reduces the predictions for one video to a few numbers per answer, ``merge`` adds
them up over videos without loss, and ``score`` computes a metric from them. The score of all frames, of one video, of
the frames with a face and of all groups but one therefore take a single pass over the frames.

The sums of a value are (6,) float64: frames, mean prediction, mean target, and the centred sums of squares of
predictions, of targets and of products. Those of classes and binary answers are a (classes, classes) int64 confusion;
rows are targets. ``FRAMES`` holds the number of frames with any label. Confusions are added; centred sums are merged by
the formula of Chan, Golub and LeVeque, which keeps the precision that plain sums of squares lose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo.metrics.cards import METRICS, MetricCard, card
from zoo.metrics.concordance import concordance_terms
from zoo.tracks import Answer

__all__ = [
    "FORMULAS",
    "FRAMES",
    "METRICS",
    "MetricCard",
    "Reachable",
    "Score",
    "Stats",
    "accuracy",
    "card",
    "ccc",
    "confusion",
    "f1_per_class",
    "leave_one_out",
    "merge",
    "pearson",
    "reachable",
    "score",
    "statistics",
]

Array = NDArray[np.float64]
Sums = NDArray[Any]
Stats = dict[str, Sums]
"""Sums of one video, group or data set: answer name -> array (module docstring), and ``FRAMES`` -> ()."""

FRAMES = "frames"


@dataclass(frozen=True)
class Score:
    """The score of a track.

    Attributes:
        main: The track's metric, NaN if nothing is labelled.
        parts: The numbers it is computed from, and counts.
    """

    main: float
    parts: dict[str, float]


@dataclass(frozen=True)
class Reachable:
    """The best score that labels allow.

    Attributes:
        best: The score of a perfect prediction of these labels.
        absent: Classes and action units that never occur and values that never change; each of them lowers ``best``.
    """

    best: float
    absent: tuple[str, ...]


# --- plain functions --------------------------------------------------------------------------------------------------


def ccc(prediction: ArrayLike, target: ArrayLike) -> float:
    """Return the concordance correlation of two (n,) arrays, with population variances.

    CCC = 2 cov / (var + var + (mean - mean)^2). It is 0 if either array is constant, even if both are the same
    constant; NaN for n = 0. Lin, Biometrics 45 (1989).
    """
    return _ccc(_moments(np.asarray(prediction, np.float64), np.asarray(target, np.float64)))


def pearson(prediction: ArrayLike, target: ArrayLike) -> float:
    """Return Pearson's correlation of two (n,) arrays: 0 if either is constant, NaN for n = 0."""
    return _pearson(_moments(np.asarray(prediction, np.float64), np.asarray(target, np.float64)))


def confusion(prediction: ArrayLike, target: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Return the (classes, classes) counts of two (n,) arrays of class numbers.

    Rows are targets, columns predictions.
    """
    pairs = np.asarray(target).astype(np.int64) * classes + np.asarray(prediction).astype(np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def f1_per_class(confusion: ArrayLike) -> Array:
    """Return the F1 of every class (C,) of a (C, C) confusion: 0 for a class that neither occurs nor is predicted."""
    counts = np.asarray(confusion, np.float64)
    both = counts.sum(0) + counts.sum(1)
    return 2 * np.diag(counts) / np.where(both > 0, both, 1)


def accuracy(confusion: ArrayLike) -> float:
    """Return the proportion of the counts on the diagonal; NaN for an empty confusion."""
    counts = np.asarray(confusion, np.float64)
    return float(np.trace(counts) / counts.sum()) if counts.sum() else float("nan")


# --- sums -------------------------------------------------------------------------------------------------------------


def statistics(
    answers: Sequence[Answer],
    values: Mapping[str, Sums],
    targets: Mapping[str, Sums],
    mask: NDArray[np.bool_] | None = None,
    joint: bool = False,
) -> Stats:
    """Return the sums of one video or group of n frames.

    Args:
        answers: The answers to score.
        values: As in zoo.tracks.VideoAnswers: (n,) numbers; (n, classes) probabilities, of which the largest is taken
            (the first of equals); or (n,) probabilities decided at 0.5 (0.5 counts as 1).
        targets: Answer -> (n,), NaN if unlabelled.
        mask: (n,) the frames that count; None: all.
        joint: A frame counts for a value only if all its values are labelled (TrackSpec.joint_labels).

    Raises:
        ValueError: A labelled frame has no finite prediction, or a target that is not a class.
    """
    labelled = {a.name: ~np.isnan(np.asarray(targets[a.name], np.float64)) for a in answers}
    if mask is not None:
        labelled = {name: at & np.asarray(mask, bool) for name, at in labelled.items()}
    numbers = [a.name for a in answers if a.kind == "value"]
    if joint and numbers:
        together: NDArray[np.bool_] = np.logical_and.reduce([labelled[name] for name in numbers])
        labelled |= dict.fromkeys(numbers, together)
    stats: Stats = {a.name: _sums(a, values[a.name], targets[a.name], labelled[a.name]) for a in answers}
    stats[FRAMES] = np.asarray(np.logical_or.reduce(list(labelled.values())).sum(), np.int64)
    return stats


def merge(parts: Sequence[Stats]) -> Stats:
    """Return the sums of all frames from the sums of disjoint parts.

    Raises:
        ValueError: There are no parts.
    """
    if not parts:
        raise ValueError("there are no sums to merge")
    stacked = {name: np.stack([p[name] for p in parts]) for name in parts[0]}
    return {
        name: _merged_moments(sums) if sums.dtype == np.float64 else np.asarray(sums.sum(0))
        for name, sums in stacked.items()
    }


def leave_one_out(metric: str, answers: Sequence[Answer], groups: Sequence[Stats]) -> Array:
    """Return (G,) the main score of all groups but one, in the order of ``groups``; NaN if nothing is left."""
    if len(groups) < 2:
        return np.full(len(groups), np.nan)
    rests = (merge([*groups[:g], *groups[g + 1 :]]) for g in range(len(groups)))
    return np.array([score(metric, answers, rest).main for rest in rests])


def score(metric: str, answers: Sequence[Answer], stats: Stats) -> Score:
    """Compute the metric and its parts from the sums of all frames to score.

    Parts: ``ccc_<answer>``, ``pearson_<answer>``, ``mean_ccc``, ``mean_pearson`` | ``f1_<class>``, ``macro_f1``,
    ``weighted_f1`` (weighted by the labels of each class), ``accuracy`` |
    ``f1_<unit>``, ``mean_f1``, ``au_accuracy``; ``frames`` with any label and ``frames_<answer>``.

    Raises:
        ValueError: The metric is unknown, or needs a kind of answer that is missing.
    """
    needs = card(metric).kinds
    missing = [kind for kind in needs if not any(a.kind == kind for a in answers)]
    if missing:
        raise ValueError(f"metric {metric} wants answers of the kind {missing[0]}, there is none")
    parts: dict[str, float] = {}
    for kind, figures in (("value", _value_parts), ("class", _class_parts), ("binary", _binary_parts)):
        chosen = [a for a in answers if a.kind == kind]
        if chosen:
            parts |= figures(chosen, stats)
    parts |= {FRAMES: float(stats[FRAMES])} | {f"frames_{a.name}": _labelled(stats[a.name]) for a in answers}
    return Score(float(FORMULAS[metric](parts)), parts)


def reachable(metric: str, answers: Sequence[Answer], stats: Stats) -> Reachable:
    """Return the score of a perfect prediction of these labels, and the classes, units and values they lack."""
    perfect: Stats = dict(stats)
    absent: list[str] = []
    for a in answers:
        sums = stats[a.name]
        if a.kind == "value":
            n, _, mean, _, squares, _ = sums
            perfect[a.name] = np.array([n, mean, mean, squares, squares, squares])
            absent += [a.name] if not squares > 0 else []
            continue
        rows = sums.sum(1)
        perfect[a.name] = np.diag(rows)
        absent += [c for c, n in zip(a.classes, rows, strict=True) if n == 0] if a.kind == "class" else []
        absent += [a.name] if a.kind == "binary" and rows[1] == 0 else []
    return Reachable(score(metric, answers, perfect).main, tuple(absent))


def over_present(metric: str, answers: Sequence[Answer], stats: Stats) -> float:
    """Return the metric with each mean F1 over the classes with a label and the units with a positive label only.

    The part of a score below 1 that remains is not due to missing labels. Published results differ in which of the two
    they report; the competition's is ``score``. A mean over nothing is 0; the result is NaN if nothing is labelled.
    """
    parts = dict(score(metric, answers, stats).parts)
    shown: dict[str, list[float]] = {}
    for a in answers:
        if a.kind != "value":
            f1, rows = f1_per_class(stats[a.name]), stats[a.name].sum(1)
            name, at = ("macro_f1", rows > 0) if a.kind == "class" else ("mean_f1", np.array([False, rows[1] > 0]))
            shown.setdefault(name, []).extend(f1[at].tolist())
    labelled = {name: not np.isnan(parts[name]) for name in shown}
    parts |= {name: float(np.mean(f1)) if f1 else 0.0 for name, f1 in shown.items() if labelled[name]}
    return float(FORMULAS[metric](parts))


# --- formulas ---------------------------------------------------------------------------------------------------------

FORMULAS: dict[str, Callable[[Mapping[str, float]], float]] = {
    "mean_ccc": lambda p: p["mean_ccc"],
    "mean_pearson": lambda p: p["mean_pearson"],
    "macro_f1": lambda p: p["macro_f1"],
    "weighted_f1": lambda p: p["weighted_f1"],
    "mean_f1": lambda p: p["mean_f1"],
    "f1_accuracy": lambda p: 0.67 * p["macro_f1"] + 0.33 * p["accuracy"],
    "au_f1_accuracy": lambda p: 0.5 * p["mean_f1"] + 0.5 * p["au_accuracy"],
    "mtl_sum": lambda p: p["mean_ccc"] + p["macro_f1"] + p["mean_f1"],
}
"""Metric -> its main number, from the parts of the score."""


# --- inside -----------------------------------------------------------------------------------------------------------


def _sums(a: Answer, value: Sums, target: Sums, at: NDArray[np.bool_]) -> Sums:
    x, y = np.asarray(value)[at].astype(np.float64), np.asarray(target)[at].astype(np.float64)
    finite = np.isfinite(x) if x.ndim == 1 else np.isfinite(x).all(1)
    if not finite.all():
        frame = int(np.flatnonzero(at)[np.argmin(finite)]) + 1
        raise ValueError(f"the prediction of {a.name} at labelled frame {frame} is not a finite number")
    if a.kind == "value":
        return _moments(x, y)
    classes = len(a.classes) if a.kind == "class" else 2
    if ((y < 0) | (y >= classes) | (y % 1 != 0)).any():
        raise ValueError(f"a label of {a.name} is none of 0 to {classes - 1}")
    if a.kind == "class" and x.shape[1:] != (classes,):
        raise ValueError(f"{a.name} wants (frames, {classes}) probabilities, not {np.asarray(value).shape}")
    return confusion(x.argmax(1) if a.kind == "class" else x >= 0.5, y, classes)


def _moments(x: Array, y: Array) -> Array:
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"prediction and target must be (n,) alike, not {x.shape} and {y.shape}")
    if not x.size:
        return np.zeros(6)
    # Relative to the first element: a constant has a sum of squares of exactly 0, and large offsets lose no digits.
    mean_x, mean_y = x[0] + (x - x[0]).mean(), y[0] + (y - y[0]).mean()
    dx, dy = x - mean_x, y - mean_y
    return np.array([x.size, mean_x, mean_y, dx @ dx, dy @ dy, dx @ dy])


def _merged_moments(parts: Array) -> Array:
    n, x, y = parts[:, 0], parts[:, 1], parts[:, 2]
    if not n.any():
        return np.zeros(6)
    n, x, y, sums = n[n > 0], x[n > 0], y[n > 0], parts[n > 0, 3:]
    mean_x, mean_y = x[0] + (n * (x - x[0])).sum() / n.sum(), y[0] + (n * (y - y[0])).sum() / n.sum()
    dx, dy = x - mean_x, y - mean_y
    between = np.array([(n * dx * dx).sum(), (n * dy * dy).sum(), (n * dx * dy).sum()])
    return np.concatenate([[n.sum(), mean_x, mean_y], sums.sum(0) + between])


def _ccc(moments: Array) -> float:
    n, mean_x, mean_y, xx, yy, xy = moments
    both, apart = concordance_terms(xy, xx, yy, n * (mean_x - mean_y) ** 2)
    return float(np.clip(both / apart, -1, 1) if apart > 0 else 0.0) if n else float("nan")


def _pearson(moments: Array) -> float:
    n, _, _, xx, yy, xy = moments
    spread = np.sqrt(xx) * np.sqrt(yy)
    return float(np.clip(xy / spread, -1, 1) if spread > 0 else 0.0) if n else float("nan")


def _labelled(sums: Sums) -> float:
    return float(sums[0] if sums.ndim == 1 else sums.sum())


def _value_parts(answers: Sequence[Answer], stats: Stats) -> dict[str, float]:
    parts = {f"ccc_{a.name}": _ccc(stats[a.name]) for a in answers}
    correlations = {f"pearson_{a.name}": _pearson(stats[a.name]) for a in answers}
    means = {
        "mean_ccc": float(np.mean(list(parts.values()))),
        "mean_pearson": float(np.mean(list(correlations.values()))),
    }
    return parts | correlations | means


def _class_parts(answers: Sequence[Answer], stats: Stats) -> dict[str, float]:
    if len(answers) > 1:
        raise ValueError("a track has one answer of the kind class")
    counts = stats[answers[0].name]
    f1 = f1_per_class(counts)
    mean = float(f1.mean()) if counts.any() else float("nan")
    weighted = float(f1 @ counts.sum(1) / counts.sum()) if counts.any() else float("nan")
    named = {f"f1_{c}": float(f) for c, f in zip(answers[0].classes, f1, strict=True)}
    return named | {"macro_f1": mean, "weighted_f1": weighted, "accuracy": accuracy(counts)}


def _binary_parts(answers: Sequence[Answer], stats: Stats) -> dict[str, float]:
    parts = {f"f1_{a.name}": float(f1_per_class(stats[a.name])[1]) for a in answers}
    counts = np.sum([stats[a.name] for a in answers], axis=0)
    mean = float(np.mean(list(parts.values()))) if counts.any() else float("nan")
    return parts | {"mean_f1": mean, "au_accuracy": accuracy(counts)}
