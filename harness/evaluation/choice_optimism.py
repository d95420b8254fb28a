"""Estimate by how much a score is too high because its epoch was chosen on the videos that are scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness.evaluation.folds import folds_of
from leaderboards.blocks import EpochChoice
from zoo.api import TrackSpec
from zoo.metrics import scores as metrics

FoldSums = dict[int, dict[str, list[float]]]
"""Fold of groups -> the additive sums of a metric over the fold's videos, as plain numbers for the checkpoint."""


def fold_sums(groups: Sequence[str], stats: Sequence[metrics.Stats]) -> FoldSums:
    """Return the sums of videos by the fold that cross-fitting puts each video's group in.

    ``groups`` and ``stats`` hold the group and the sums of each video.
    """
    fold = folds_of(groups)
    merged = {
        f: metrics.merge([one for group, one in zip(groups, stats, strict=True) if fold[group] == f])
        for f in sorted(set(fold.values()))
    }
    return {f: {name: np.asarray(x).tolist() for name, x in one.items()} for f, one in merged.items()}


def epoch_optimism(track: TrackSpec, epochs: Sequence[FoldSums]) -> EpochChoice | None:
    """Return the nested score and the optimism of the best epoch's score.

    ``nested`` scores each fold of groups at the epoch that is best on the other folds. ``optimism`` is the best epoch's
    score on all folds minus ``nested``. None if there is one fold, one epoch, or a score that is not a number.

    The nested score is also a little too low, because four fifths of the videos choose a little worse than all of them.
    """
    # The metric (CCC, F1) is not a mean over videos, so a fold's score cannot be averaged with another's. The sums of
    # all folds are merged first, each taken from the epoch that the other folds chose, and scored once.
    folds = sorted(epochs[0]) if epochs else []
    if len(folds) < 2 or len(epochs) < 2 or any(sorted(epoch) != folds for epoch in epochs):
        return None
    chosen = [_arrays(epochs[_best(track, epochs, [g for g in folds if g != f])][f]) for f in folds]
    nested = _score(track, chosen)
    best = max(_score(track, [_arrays(epoch[f]) for f in folds]) for epoch in epochs)
    return {"nested": nested, "optimism": best - nested} if np.isfinite(nested) and np.isfinite(best) else None


def _best(track: TrackSpec, epochs: Sequence[FoldSums], folds: Sequence[int]) -> int:
    """Return the index of the first epoch with the highest score on some folds."""
    scores = [_score(track, [_arrays(epoch[f]) for f in folds]) for epoch in epochs]
    return int(np.argmax([-np.inf if np.isnan(score) else score for score in scores]))


def _score(track: TrackSpec, sums: Sequence[metrics.Stats]) -> float:
    return float(metrics.score(track.metric, track.answers, metrics.merge(sums)).main)


def _arrays(sums: Mapping[str, list[float]]) -> metrics.Stats:
    return {name: np.asarray(x) for name, x in sums.items()}  # integers stay integers: metrics.merge depends on it
