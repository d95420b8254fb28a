"""Stacking: linear models on the predictions of an ensemble's members.

Wolpert 1992, doi 10.1016/S0893-6080(05)80023-1. A frame's inputs are the predictions of all members for all answers:
values as they are, log odds of units, log probabilities of classes. The models are those of the plain reference
(harness.evaluation.plain_reference): ridge regression for values, logistic regression for units, multinomial for
classes, with classes weighted by their rarity. Least squares gives values that vary less than the labels, which a
post-processor can undo. Regularisation is chosen by the track's score, cross-fitted over three folds of the groups that
the models are fitted on. At most ``CAP`` labelled frames are used, drawn with seed 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from harness.evaluation.merging import merge
from harness.evaluation.plain_reference import FOLDS, STRENGTHS, Models, TrainingFrames, choose, fit, learnable
from leaderboards.blocks import StackBlock
from zoo.api import Answer, TrackSpec, VideoAnswers

Array = NDArray[np.float64]

CAP = 20_000
"""The most frames that the models are fitted on; neighbouring frames are alike."""
LEAST = 1e-6
"""The least probability whose logarithm is taken."""


@dataclass(frozen=True)
class Stack:
    """Fitted models.

    Attributes:
        track: The track.
        models: Answer -> function of the inputs (n, D). An answer without two different labels has none: the mean of
            the members is its prediction.
        block: Its entry in the record.
    """

    track: TrackSpec
    models: Models = field(repr=False)
    block: StackBlock

    def merge(self, members: Sequence[Sequence[VideoAnswers]]) -> list[VideoAnswers]:
        """Return the predictions for all videos of the members, in the first member's order."""
        with threadpool_limits(1):
            return [
                replace(even, values={**even.values, **{name: f(x) for name, f in self.models.items()}})
                for even, x in inputs(members, self.track)
            ]


def fit_stack(members: Sequence[Sequence[VideoAnswers]], track: TrackSpec) -> Stack:
    """Fit the models on labelled frames at which any member saw something."""
    with threadpool_limits(1):  # the same numbers however many threads there are
        frames = _frames(members, track)
        known = [a for a in range(len(track.answers)) if learnable(track.answers[a], frames.labels[:, a])]
        complete = len(known) == len(track.answers)  # else no score is defined, and the smallest strength is taken
        strength, scores = choose(track, frames) if complete else (STRENGTHS[0], [None] * len(STRENGTHS))
        some = replace(frames, labels=frames.labels[:, known])
        models = fit([track.answers[a] for a in known], some, strength) if known else {}
    block: StackBlock = {
        "strength": strength,
        "chosen_among": dict(zip(map(str, STRENGTHS), scores, strict=True)),
        "chosen_on": f"{FOLDS} folds of the groups that it is fitted on",
        "frames": len(frames.x),
        "inputs": int(frames.x.shape[1]),
        "averaged": [answer.name for a, answer in enumerate(track.answers) if a not in known],
    }
    return Stack(track, models, block)


def inputs(members: Sequence[Sequence[VideoAnswers]], track: TrackSpec) -> list[tuple[VideoAnswers, Array]]:
    """Return for each video the mean of the members, and the models' inputs (n, D)."""
    found = []
    by_name = [{video.video: video for video in member} for member in members]
    for even in merge(members, track):
        those = [videos[even.video] for videos in by_name]
        columns = [_linear(answer, video.values[answer.name]) for video in those for answer in track.answers]
        found.append((even, np.concatenate(columns, axis=1)))
    return found


def _linear(answer: Answer, values: Array) -> Array:
    """Return a prediction on a scale on which it can be added to others: (n, 1) or (n, classes)."""
    given = np.asarray(values, np.float64)
    if answer.kind == "class":
        return np.log(given.clip(LEAST))
    if answer.kind == "binary":
        p = given.clip(LEAST, 1 - LEAST)
        given = np.log(p / (1 - p))
    return given[:, None]


def _frames(members: Sequence[Sequence[VideoAnswers]], track: TrackSpec) -> TrainingFrames:
    if not members[0]:  # a single group: there are no others to fit on
        return TrainingFrames(np.zeros((0, 0)), np.zeros((0, len(track.answers))), [], scaled=False)
    x, labels, groups = [], [], []
    for video, rows in inputs(members, track):
        own = np.stack([np.asarray(video.targets[answer.name], np.float64) for answer in track.answers], 1)
        useful = np.isfinite(own).any(1)
        if video.present:
            useful &= np.logical_or.reduce(list(video.present.values()))
        x.append(rows[useful])
        labels.append(own[useful])
        groups += [video.group] * int(useful.sum())
    frames = TrainingFrames(np.concatenate(x), np.concatenate(labels), groups, scaled=False)
    if len(groups) <= CAP:
        return frames
    kept = np.sort(np.random.default_rng(0).choice(len(groups), CAP, replace=False))
    return TrainingFrames(frames.x[kept], frames.labels[kept], [groups[i] for i in kept], scaled=False)
