"""Post-processing: fitted on groups of validation videos, applied to the others; and what it would flatter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.evaluation.folds import folds_of
from harness.evaluation.scoring import main_score
from leaderboards.blocks import PostBlock
from zoo.api import TrackSpec, VideoAnswers
from zoo.registry.plan import Block
from zoo.registry.registry import resolve


class Chain:
    """The post-processors of a run, in order; each is fitted on what the ones before it give."""

    def __init__(self, blocks: Sequence[Block], track: TrackSpec) -> None:
        kinds = {answer.kind for answer in track.answers}
        self.names = [b.spec.name for b in blocks if kinds & set(b.spec.kinds)]  # type: ignore[attr-defined]
        self.parts = [
            resolve(b.spec.build)(tuple(a for a in track.answers if a.kind in b.spec.kinds), **b.options)  # type: ignore[attr-defined]
            for b in blocks
            if b.spec.name in self.names
        ]
        self.track = track

    def fit(self, videos: Sequence[VideoAnswers]) -> Chain:
        """Fit every part by the track's main score."""
        now, before = list(videos), None
        for part in self.parts:
            if before is not None:
                for i, video in enumerate(now):  # in place: the answers to a large set fill a good part of the memory
                    now[i] = before.apply(video)
            part.fit(now, lambda those: main_score(self.track, those))
            before = part
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


def fit_folds(
    blocks: Sequence[Block],
    track: TrackSpec,
    videos: Sequence[VideoAnswers],
    by_fold: Mapping[int, Sequence[VideoAnswers]] | None = None,
) -> dict[int, Chain]:
    """Fold of groups -> the post-processors fitted on the other folds.

    With one group there are no others: their values stay at the parts' defaults, fitted on nothing. ``by_fold``: where
    the answers themselves were made with values fitted on folds (weights of an ensemble), fold -> all videos as made
    without it, so that no fold's labels reach its own answers by way of the others' either.
    """
    # A smoothing width that was chosen on the very frames it is scored on flatters the score (optimism, below). So
    # each fold's videos are processed with values that were fitted on the other folds alone: every reported answer
    # is one that its own labels had no part in.
    fold = folds_of([video.group for video in videos])
    chains = {}
    for f in sorted(set(fold.values())):
        others = [video for video in (videos if by_fold is None else by_fold[f]) if fold[video.group] != f]
        chains[f] = Chain(blocks, track)
        if labelled(others):
            chains[f].fit(others)
    return chains


def apply_folds(chains: Mapping[int, Chain], videos: Sequence[VideoAnswers]) -> list[VideoAnswers]:
    """Each video processed by the chain of its fold; the groups must be those that ``chains`` were fitted with."""
    fold = folds_of([video.group for video in videos])
    return [chains[fold[video.group]].apply(video) for video in videos]


def optimism(chain: Chain, videos: Sequence[VideoAnswers], cross_fitted: float) -> PostBlock:
    """What the usual way to report post-processing is too good by: part of the record, never what is ranked.

    ``fitted_on_itself``: the main score where one set of values, that of ``chain``, which was fitted on all of
    ``videos``, is scored on the same videos. ``optimism``: that less the cross-fitted score. It holds the luck of
    having chosen by the frames that are scored, and that four fifths of the videos fit a little worse than all; with
    few groups it can be below 0 by chance.
    """
    itself = main_score(chain.track, (chain.apply(video) for video in videos))
    return {"fitted_on_itself": itself, "optimism": itself - cross_fitted}


def mean_optimism(posts: Sequence[PostBlock]) -> PostBlock:
    """The same figures of several runs, averaged as their scores are; nothing where one has none."""
    mean = PostBlock()
    if all("fitted_on_itself" in post for post in posts):
        mean["fitted_on_itself"] = sum(post["fitted_on_itself"] for post in posts) / len(posts)
    if all("optimism" in post for post in posts):
        mean["optimism"] = sum(post["optimism"] for post in posts) / len(posts)
    return mean
