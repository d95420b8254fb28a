"""By how much a score is too high for having chosen its epoch on the very videos that are scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness.evaluation.folds import folds_of
from leaderboards.blocks import EpochChoice
from zoo.api import TrackSpec
from zoo.metrics import scores as metrics

FoldSums = dict[int, dict[str, list[float]]]
"""Fold of groups -> the additive sums of a metric over its videos, as plain numbers that a checkpoint can hold."""


def fold_sums(groups: Sequence[str], stats: Sequence[metrics.Stats]) -> FoldSums:
    """Return the sums of videos, given with the group of each, by the fold that cross-fitting puts it in."""
    fold = folds_of(groups)
    merged = {
        f: metrics.merge([one for group, one in zip(groups, stats, strict=True) if fold[group] == f])
        for f in sorted(set(fold.values()))
    }
    return {f: {name: np.asarray(x).tolist() for name, x in one.items()} for f, one in merged.items()}


def epoch_optimism(track: TrackSpec, epochs: Sequence[FoldSums]) -> EpochChoice | None:
    """Return ``nested``, the score where each fold of groups is scored at the epoch that is best on the other folds,
    and ``optimism``, the best epoch's score on all less that; None with one fold, one epoch or a score of no number.

    The nested score is also a little too low, since four fifths of the videos choose a little worse than all.
    """
    folds = sorted(epochs[0]) if epochs else []
    if len(folds) < 2 or len(epochs) < 2 or any(sorted(epoch) != folds for epoch in epochs):
        return None
    chosen = [_arrays(epochs[_best(track, epochs, [g for g in folds if g != f])][f]) for f in folds]
    nested = _score(track, chosen)
    best = max(_score(track, [_arrays(epoch[f]) for f in folds]) for epoch in epochs)
    return {"nested": nested, "optimism": best - nested} if np.isfinite(nested) and np.isfinite(best) else None


def _best(track: TrackSpec, epochs: Sequence[FoldSums], folds: Sequence[int]) -> int:
    """The first of the epochs with the highest score on some folds."""
    scores = [_score(track, [_arrays(epoch[f]) for f in folds]) for epoch in epochs]
    return int(np.argmax([-np.inf if np.isnan(score) else score for score in scores]))


def _score(track: TrackSpec, sums: Sequence[metrics.Stats]) -> float:
    return float(metrics.score(track.metric, track.answers, metrics.merge(sums)).main)


def _arrays(sums: Mapping[str, list[float]]) -> metrics.Stats:
    return {name: np.asarray(x) for name, x in sums.items()}  # whole numbers stay so: metrics.merge tells by that
