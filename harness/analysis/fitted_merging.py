"""Merging that is fitted on labels: weights of members, or a second level (stacking), cross-fitted over groups.

A video is merged with what was fitted on the other folds of groups, the folds of post-processing. What is fitted on all
scored videos is used only for the test file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.analysis.ensemble_weights import METHODS as WEIGHTS
from harness.analysis.ensemble_weights import PerKind, by_fold, fit_weights
from harness.analysis.stacking import fit_stack
from harness.evaluation.folds import folds_of
from harness.evaluation.merging import merge
from harness.evaluation.scoring import main_score
from leaderboards.blocks import EnsembleBlock
from zoo.api import TrackSpec, VideoAnswers

METHODS = (*WEIGHTS, "stack")

Members = Sequence[Sequence[VideoAnswers]]


class Combiner(Protocol):
    """Something that merges the predictions of members for the same videos."""

    def merge(self, members: Members) -> list[VideoAnswers]:
        """Return the merged predictions, with the videos in the first member's order."""


@dataclass(frozen=True)
class Weighted:
    """The average with weights; ``weights`` None: all equal."""

    track: TrackSpec
    weights: PerKind | None = None

    def merge(self, members: Members) -> list[VideoAnswers]:
        """Return the weighted averages."""
        return merge(members, self.track, weights=self.weights)


@dataclass(frozen=True)
class CrossFitted:
    """A merging of labelled videos.

    Attributes:
        merged: Every video as merged by what was fitted on other folds.
        by_fold: Fold -> all videos as merged by what was fitted without that fold.
        whole: What was fitted on all videos, for others.
        weights: Its weights, if it has any.
        facts: The entries of the record.
    """

    merged: list[VideoAnswers]
    by_fold: dict[int, list[VideoAnswers]]
    whole: Combiner
    weights: PerKind | None
    facts: EnsembleBlock


def cross_fit(members: Members, track: TrackSpec, method: str, split: str) -> CrossFitted:
    """Fit a method on folds of the groups of labelled videos, and on all of them.

    Args:
        members: The predictions of each member for the same videos.
        track: The track.
        method: One of ``METHODS``.
        split: The name of the videos' split, for the record.
    """
    fold = folds_of([video.group for video in members[0]])
    weights: PerKind | None = None
    combiners: dict[int, Combiner]
    whole: Combiner
    facts: EnsembleBlock = {"fitted_on": f"other groups of {split}"}
    if method == "stack":
        stacks = {f: fit_stack(_without(members, fold, f), track) for f in sorted(set(fold.values()))}
        combiners, whole = dict(stacks), (stack := fit_stack(members, track))
        facts |= {"stack_by_fold": [stacks[f].block for f in stacks], "stack": stack.block}
        facts["mean"] = main_score(track, merge(members, track))
    else:
        fitted, _ = by_fold(members, track, method)
        weights = fit_weights(members, track, method)
        combiners, whole = {f: Weighted(track, own) for f, own in fitted.items()}, Weighted(track, weights)
        facts |= {"weights_by_fold": list(fitted.values()), "weights": weights}
    folds = {f: combiner.merge(members) for f, combiner in combiners.items()}
    merged = [folds[fold[video.group]][i] for i, video in enumerate(members[0])]
    itself = main_score(track, whole.merge(members))
    facts |= {"fitted_on_itself": itself, "optimism": itself - main_score(track, merged)}
    return CrossFitted(merged, folds, whole, weights, facts)


def _without(members: Members, fold: dict[str, int], f: int) -> list[list[VideoAnswers]]:
    return [[video for video in member if fold[video.group] != f] for member in members]
