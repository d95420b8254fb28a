"""Predict and score a split with several processes, which share out its videos."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

import numpy as np

from harness.batching.clips import ClipData
from harness.evaluation.choice_optimism import FoldSums, fold_sums
from harness.evaluation.prediction import PredictionOptions, answers
from harness.evaluation.scoring import statistics_of
from harness.runtime.distributed import World
from zoo.api import TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.metrics import scores as metrics
from zoo.model.model import Model


def shared_score(
    world: World,
    model: Model,
    data: ClipData,
    track: TrackSpec,
    *,
    epoch: int,
    by_fold: FoldSums | None = None,
    **how: Unpack[PredictionOptions],
) -> metrics.Score:
    """Return the score of all videos, which the processes share out; it is the same in every process.

    ``by_fold`` is filled with the sums of each fold of groups. Raise UserError, which names ``epoch``, if a labelled
    frame has a prediction that is not finite.
    """
    # CCC and F1 are not means over videos, so the scores of several processes cannot be averaged. Each process computes
    # the additive sums of its videos; these are gathered, merged in the order of the videos (so that the result does
    # not depend on the number of processes) and scored once.
    part = world.shard([video.n_frames for video in data.videos])
    own = answers(model, data, track, device=world.device, only=part, **how)
    sums, broken = _sums_until_broken(track, zip(part, own, strict=True))
    # The processes gather before one of them raises: the others would wait for its sums for ever.
    gathered = world.all_gather((sums, broken))
    for video, frame, name in (broken for _, broken in gathered if broken):
        raise UserError("validation-not-finite", video=video, frame=frame, name=name, epoch=epoch)
    every = {v: stats for some, _ in gathered for v, stats in some.items()}
    if by_fold is not None:
        by_fold |= fold_sums([data.videos[v].group for v in sorted(every)], [every[v] for v in sorted(every)])
    stats = metrics.merge([every[v] for v in sorted(every)])
    return metrics.score(track.metric, track.answers, stats)


def _sums_until_broken(
    track: TrackSpec, videos: Iterable[tuple[int, VideoAnswers]]
) -> tuple[dict[int, metrics.Stats], tuple[str, int, str] | None]:
    """Return the sums of videos by index, up to the first prediction that is not finite, and that one (or None)."""
    sums: dict[int, metrics.Stats] = {}
    for v, video in videos:
        if broken := _first_broken(video):
            return sums, broken
        sums[v] = statistics_of(track, video)
    return sums, None


def _first_broken(video: VideoAnswers) -> tuple[str, int, str] | None:
    """Return video, frame and name of a prediction of a labelled frame that is not finite; None if all are."""
    for name, values in video.values.items():
        finite = np.isfinite(values) if values.ndim == 1 else np.isfinite(values).all(1)
        broken = ~finite & ~np.isnan(video.targets[name])
        if broken.any():
            return video.video, int(np.argmax(broken)) + 1, name
    return None


def shared_answers(
    world: World, model: Model, data: ClipData, track: TrackSpec, **how: Unpack[PredictionOptions]
) -> list[VideoAnswers]:
    """Return the predictions for all videos, which the processes share out, in the first process; [] in the others."""
    part = world.shard([video.n_frames for video in data.videos])
    own = dict(zip(part, answers(model, data, track, device=world.device, only=part, **how), strict=True))
    every = {v: video for some in world.gather(own) for v, video in some.items()}
    return [every[v] for v in sorted(every)]
