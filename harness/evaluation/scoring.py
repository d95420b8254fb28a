"""Score the predictions of a split, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from leaderboards.blocks import ScoreBlock
from leaderboards.intervals import jackknife
from zoo.api import TrackSpec, VideoAnswers
from zoo.metrics import scores as metrics


def statistics_of(track: TrackSpec, video: VideoAnswers, mask: np.ndarray | None = None) -> metrics.Stats:
    """Return the additive sums of the metric over one video."""
    return metrics.statistics(track.answers, video.values, video.targets, mask, joint=track.joint_labels)


def main_score(track: TrackSpec, videos: Iterable[VideoAnswers]) -> float:
    """Return the track's main score, pooled over all labelled frames of some videos.

    The videos are read one at a time, so an iterator will do.
    """
    stats = metrics.merge([statistics_of(track, video) for video in videos])
    return float(metrics.score(track.metric, track.answers, stats).main)


def score_block(track: TrackSpec, videos: Sequence[VideoAnswers], *, with_face: bool = False) -> ScoreBlock | None:
    """Return the scores of some videos as a block of the record.

    It holds the main score with its interval, its parts, scores per video and leave-one-group-out scores. None if
    nothing is labelled, or no frame has a label of an answer without which the metric is not defined. ``with_face``:
    count only labelled frames that have a face crop.
    """
    if with_face and not all("crop" in video.extra for video in videos):
        return None
    masks = [video.extra["crop"].astype(bool) if with_face else None for video in videos]
    stats = {v.video: statistics_of(track, v, m) for v, m in zip(videos, masks, strict=True)}
    groups: dict[str, list[metrics.Stats]] = {}
    for video in videos:
        if int(stats[video.video][metrics.FRAMES]) > 0:
            groups.setdefault(video.group, []).append(stats[video.video])
    if not groups:
        return None
    names = sorted(groups)
    by_group = [metrics.merge(groups[name]) for name in names]
    whole = metrics.merge(by_group)
    score = metrics.score(track.metric, track.answers, whole)
    if math.isnan(score.main):
        return None
    without = metrics.leave_one_out(track.metric, track.answers, by_group)
    interval = jackknife(score.main, np.asarray(without, float).tolist(), track.score_range)
    reachable = metrics.reachable(track.metric, track.answers, whole)
    per_video = {
        name: float(metrics.score(track.metric, track.answers, s).main)
        for name, s in stats.items()
        if int(s[metrics.FRAMES]) > 0
    }
    return {
        "main": score.main,
        "low": interval.low,
        "high": interval.high,
        "parts": score.parts,
        "frames": int(whole[metrics.FRAMES]),
        "videos": len(per_video),
        "groups": names,
        "leave_one_out": [float(x) for x in without],
        "per_video": per_video,
        "reachable": reachable.best,
        "absent": list(reachable.absent),
        "over_present": metrics.over_present(track.metric, track.answers, whole) if reachable.absent else score.main,
        "confusion": {a.name: whole[a.name].astype(int).tolist() for a in track.answers if a.kind != "value"},
    }
