"""Scores of each video and each group of videos, the lowest first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from harness.evaluation.scoring import statistics_of
from zoo.api import TrackSpec, VideoAnswers
from zoo.metrics import scores as metrics


class Bar(NamedTuple):
    """The score of one video or group, over its labelled frames."""

    name: str
    score: float
    frames: int
    videos: int


def bars(track: TrackSpec, videos: Sequence[VideoAnswers]) -> tuple[list[Bar], list[Bar]]:
    """Return the bars of the labelled videos and of their groups, the lowest first."""
    stats = {video.video: statistics_of(track, video) for video in videos}
    groups: dict[str, list[str]] = {}
    for video in videos:
        if int(stats[video.video][metrics.FRAMES]):
            groups.setdefault(video.group, []).append(video.video)
    each = [_bar(track, name, [stats[name]]) for names in groups.values() for name in names]
    whole = [_bar(track, group, [stats[name] for name in names]) for group, names in groups.items()]
    return _ordered(each), _ordered(whole)


def _bar(track: TrackSpec, name: str, parts: Sequence[metrics.Stats]) -> Bar:
    merged = metrics.merge(parts)
    score = metrics.score(track.metric, track.answers, merged).main
    return Bar(name, float(score), int(merged[metrics.FRAMES]), len(parts))


def _ordered(found: Sequence[Bar]) -> list[Bar]:
    return sorted((bar for bar in found if math.isfinite(bar.score)), key=lambda bar: (bar.score, bar.name))
