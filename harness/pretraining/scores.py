"""Scores of a pretraining on the official validation part, each with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from harness.evaluation.scoring import statistics_of
from harness.pretraining.plan import target_track
from leaderboards.intervals import jackknife
from zoo.api import TrackSpec, VideoAnswers
from zoo.metrics import scores as metrics

SHOWN: Mapping[str, tuple[tuple[str, tuple[float, float]], ...]] = {
    "expr": (("macro_f1", (0.0, 1.0)), ("accuracy", (0.0, 1.0))),
    "va": (("mean_ccc", (-1.0, 1.0)), ("ccc_valence", (-1.0, 1.0)), ("ccc_arousal", (-1.0, 1.0))),
}
"""Target -> the parts of its score that get an interval, each with its range."""


class Measure(TypedDict):
    """A score with its 95 % interval."""

    value: float
    low: float
    high: float


class TargetScores(TypedDict):
    """The scores of one target: ``measures`` with intervals, all ``parts``, and the pictures scored."""

    measures: dict[str, Measure]
    parts: dict[str, float]
    pictures: int


def score_targets(track: TrackSpec, targets: Sequence[str], videos: Sequence[VideoAnswers]) -> dict[str, TargetScores]:
    """Return target -> scores of the blocks of pictures ``videos``; intervals leave out one block at a time.

    The blocks are random (harness.pretraining.clips), so this is the jackknife of independent pictures. Nobody knows
    which photographs show one person; if many do, the true intervals are wider.
    """
    found = {}
    for target in targets:
        own = target_track(track, target)
        blocks = [statistics_of(own, video) for video in videos]
        blocks = [block for block in blocks if int(block[metrics.FRAMES])]
        parts = metrics.score(own.metric, own.answers, metrics.merge(blocks)).parts
        without = [
            metrics.score(own.metric, own.answers, metrics.merge([*blocks[:b], *blocks[b + 1 :]])).parts
            for b in range(len(blocks) if len(blocks) > 1 else 0)
        ]
        measures: dict[str, Measure] = {}
        for name, score_range in SHOWN[target]:
            interval = jackknife(parts[name], [rest[name] for rest in without], score_range)
            measures[name] = {"value": parts[name], "low": interval.low, "high": interval.high}
        pictures = int(metrics.merge(blocks)[metrics.FRAMES])
        found[target] = TargetScores(measures=measures, parts=parts, pictures=pictures)
    return found
