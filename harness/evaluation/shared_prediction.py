"""Predict and score a split with several processes, which share out its videos."""

from __future__ import annotations

from typing import Any

from harness.batching.clips import ClipData
from harness.evaluation.choice_optimism import FoldSums, fold_sums
from harness.evaluation.prediction import answers
from harness.evaluation.scoring import statistics_of
from harness.runtime.distributed import World
from zoo.api import TrackSpec, VideoAnswers
from zoo.metrics import scores as metrics
from zoo.model.model import Model


def shared_score(
    world: World, model: Model, data: ClipData, track: TrackSpec, *, by_fold: FoldSums | None = None, **how: Any
) -> metrics.Score:
    """Return the score of all videos, which the processes share out; it is the same in every process.

    ``by_fold`` is filled with the sums of each fold of groups.
    """
    # CCC and F1 are not means over videos, so the scores of several processes cannot be averaged. Each process computes
    # the additive sums of its videos; these are gathered, merged in the order of the videos (so that the result does
    # not depend on the number of processes) and scored once.
    part = world.shard([video.n_frames for video in data.videos])
    own = answers(model, data, track, device=world.device, only=part, **how)
    sums = {v: statistics_of(track, video) for v, video in zip(part, own, strict=True)}
    every = {v: stats for some in world.all_gather(sums) for v, stats in some.items()}
    if by_fold is not None:
        by_fold |= fold_sums([data.videos[v].group for v in sorted(every)], [every[v] for v in sorted(every)])
    stats = metrics.merge([every[v] for v in sorted(every)])
    return metrics.score(track.metric, track.answers, stats)


def shared_answers(world: World, model: Model, data: ClipData, track: TrackSpec, **how: Any) -> list[VideoAnswers]:
    """Return the predictions for all videos, which the processes share out, in the first process; [] in the others."""
    part = world.shard([video.n_frames for video in data.videos])
    own = dict(zip(part, answers(model, data, track, device=world.device, only=part, **how), strict=True))
    every = {v: video for some in world.gather(own) for v, video in some.items()}
    return [every[v] for v in sorted(every)]
