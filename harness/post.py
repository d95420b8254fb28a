"""Post-processing: fitted on groups of validation videos, applied to the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.evaluate import folds_of, main_score
from zoo.api import TrackSpec, VideoAnswers
from zoo.plan import Block
from zoo.registry import resolve


class Chain:
    """The post-processors of a run, in order; each is fitted on what the ones before it give."""

    def __init__(self, blocks: Sequence[Block], track: TrackSpec) -> None:
        kinds = {answer.kind for answer in track.answers}
        self.names = [b.spec.name for b in blocks if kinds & set(b.spec.kinds)]  # type: ignore[attr-defined]
        self.parts = [
            resolve(b.spec.build)(tuple(a for a in track.answers if a.kind in b.spec.kinds), **b.options)  # type: ignore[attr-defined]
            for b in blocks if b.spec.name in self.names
        ]  # fmt: skip
        self.track = track

    def fit(self, videos: Sequence[VideoAnswers]) -> Chain:
        """Fit every part by the track's main score."""
        now = list(videos)
        for part in self.parts:
            part.fit(now, lambda those: main_score(self.track, those))
            now = [part.apply(video) for video in now]
        return self

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """All parts, one after the other."""
        for part in self.parts:
            video = part.apply(video)
        return video

    def state(self) -> dict[str, Any]:
        """What was fitted, for the record."""
        return {name: part.state() for name, part in zip(self.names, self.parts, strict=True)}


def labelled(videos: Sequence[VideoAnswers]) -> bool:
    """Whether any frame of some videos has a label."""
    return any((target == target).any() for video in videos for target in video.targets.values())


def cross_fit(
    blocks: Sequence[Block], track: TrackSpec, videos: Sequence[VideoAnswers]
) -> tuple[list[VideoAnswers], list[dict[str, Any]]]:
    """Each video processed with values fitted on the other folds of groups; and the fitted values of every fold.

    With one group there are no others: its values stay at the parts' defaults, fitted on nothing.
    """
    fold = folds_of([video.group for video in videos])
    out: dict[str, VideoAnswers] = {}
    states = []
    for f in sorted(set(fold.values())):
        others = [video for video in videos if fold[video.group] != f]
        chain = Chain(blocks, track)
        if labelled(others):
            chain.fit(others)
        states.append(chain.state())
        out.update({v.video: chain.apply(v) for v in videos if fold[v.group] == f})
    return [out[video.video] for video in videos], states
