"""Post-processing by cross-fitting: fitted on some groups of validation videos and applied to the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.evaluation.folds import folds_of
from harness.evaluation.scoring import main_score
from leaderboards.blocks import PostBlock
from zoo.api import PostSpec, TrackSpec, VideoAnswers
from zoo.errors import UserError
from zoo.registry.plan import Block
from zoo.registry.registry import resolve


class Chain:
    """The post-processors of a run, in order; each is fitted on the output of the ones before it.

    ``gains``: by how much the post-processors that need a gain raise the main score of videos that they were not fitted
    on. Those whose gain is not above 0 are left out, and before `fit` so are all of them.
    """

    def __init__(self, blocks: Sequence[Block[PostSpec]], track: TrackSpec) -> None:
        kinds = {answer.kind for answer in track.answers}
        self.blocks = {b.spec.name: b for b in blocks if kinds & set(b.spec.kinds)}
        self.track = track
        every = {name: self._build(name) for name in self.blocks}  # all are built, so that a wrong option is found now
        self.parts = {name: part for name, part in every.items() if not self.blocks[name].spec.needs_gain}
        self.gains: dict[str, float] = {}

    def fit(self, videos: Sequence[VideoAnswers]) -> Chain:
        """Fit every part by the track's main score."""
        now, before = list(videos), None
        parts: dict[str, Any] = {}
        for name, block in self.blocks.items():
            if before is not None:
                for i, video in enumerate(now):  # one by one: the predictions of a large set fill much of the memory
                    now[i] = before.apply(video)
                before = None
            if block.spec.needs_gain:
                self.gains[name] = self._gain(name, now)
                if not self.gains[name] > 0:
                    continue
            parts[name] = before = self._fitted(name, now)
        self.parts = parts
        return self

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """Apply all parts, one after the other."""
        for name, part in self.parts.items():
            video = applied(name, part, video)
        return video

    def state(self) -> dict[str, Any]:
        """Return the fitted values, for the record; parts that were left out have none."""
        return {name: part.state() for name, part in self.parts.items()}

    def _build(self, name: str) -> Any:
        spec, options = self.blocks[name].spec, self.blocks[name].options
        return resolve(spec.build)(tuple(a for a in self.track.answers if a.kind in spec.kinds), **options)

    def _fitted(self, name: str, videos: list[VideoAnswers]) -> Any:
        part = self._build(name)
        part.fit(videos, lambda those: main_score(self.track, those))
        return part

    def _gain(self, name: str, videos: Sequence[VideoAnswers]) -> float:
        """Return the gain of a part by cross-fitting; NaN if there are too few labelled groups to fit on others."""
        fold = folds_of([video.group for video in videos])
        parts = {}
        for f in set(fold.values()):
            others = [video for video in videos if fold[video.group] != f]
            if not labelled(others):
                return float("nan")
            parts[f] = self._fitted(name, others)
        with_part = main_score(self.track, (applied(name, parts[fold[video.group]], video) for video in videos))
        return with_part - main_score(self.track, videos)


def applied(name: str, part: Any, video: VideoAnswers) -> VideoAnswers:
    """Apply one part; raise UserError, which names it, if its answer cannot be scored as the video's."""
    done = part.apply(video)
    if not isinstance(done, VideoAnswers):
        raise UserError("post-answer", name=name, video=video.video, got=f"a {type(done).__name__}")
    for answer, before in video.values.items():
        after = np.asarray(done.values.get(answer))
        if after.shape != np.shape(before) or after.dtype.kind not in "fiub":
            got = f"{answer}: {after.dtype} of shape {after.shape}" if answer in done.values else f"no {answer}"
            raise UserError("post-answer", name=name, video=video.video, got=got)
        if (wrong := ~np.isfinite(after) & np.isfinite(before)).any():
            got = f"{answer}: {after[wrong][0]} at frame {int(np.argwhere(wrong)[0, 0]) + 1}"
            raise UserError("post-answer", name=name, video=video.video, got=got)
    return done


def labelled(videos: Sequence[VideoAnswers]) -> bool:
    """Return True if any frame of some videos has a label."""
    return any((target == target).any() for video in videos for target in video.targets.values())


def fit_folds(
    blocks: Sequence[Block[PostSpec]],
    track: TrackSpec,
    videos: Sequence[VideoAnswers],
    by_fold: Mapping[int, Sequence[VideoAnswers]] | None = None,
) -> dict[int, Chain]:
    """Return fold of groups -> the post-processors fitted on the other folds.

    With a single group there are no others, and the parts keep their defaults. ``by_fold`` is needed if the predictions
    themselves were made with values fitted on folds (weights of an ensemble). It gives fold -> all videos as predicted
    without that fold, so that no fold's labels reach its own predictions by way of the other folds.
    """
    # A smoothing width that was chosen on the frames it is scored on flatters the score (see ``optimism`` below). So
    # the videos of each fold are processed with values that were fitted on the other folds alone: the labels of a
    # frame have no part in its own reported prediction.
    #
    # Folds are made of groups, not of videos. Two videos of one person are alike, so a value fitted on one of them
    # would have seen the other.
    fold = folds_of([video.group for video in videos])
    chains = {}
    for f in sorted(set(fold.values())):
        others = [video for video in (videos if by_fold is None else by_fold[f]) if fold[video.group] != f]
        chains[f] = Chain(blocks, track)
        if labelled(others):
            chains[f].fit(others)
    return chains


def apply_folds(chains: Mapping[int, Chain], videos: Sequence[VideoAnswers]) -> list[VideoAnswers]:
    """Process each video with the chain of its fold; the groups must be those that ``chains`` were fitted with."""
    fold = folds_of([video.group for video in videos])
    return [chains[fold[video.group]].apply(video) for video in videos]


def optimism(chain: Chain, videos: Sequence[VideoAnswers], cross_fitted: float) -> PostBlock:
    """Return by how much the usual way to report post-processing is too high; recorded, but never ranked by.

    ``fitted_on_itself``: the main score if one set of values, that of ``chain``, is fitted on all of ``videos`` and
    scored on the same videos. ``optimism``: this score minus the cross-fitted one. It contains the luck of choosing by
    the frames that are scored, and the fact that four fifths of the videos fit a little worse than all. With few groups
    it can be below 0 by chance.
    """
    itself = main_score(chain.track, (chain.apply(video) for video in videos))
    return {"fitted_on_itself": itself, "optimism": itself - cross_fitted}


def mean_optimism(posts: Sequence[PostBlock]) -> PostBlock:
    """Return the optimism of several runs, averaged like their scores; a figure that one run lacks is left out."""
    mean = PostBlock()
    if posts and all("fitted_on_itself" in post for post in posts):
        mean["fitted_on_itself"] = sum(post["fitted_on_itself"] for post in posts) / len(posts)
    if posts and all("optimism" in post for post in posts):
        mean["optimism"] = sum(post["optimism"] for post in posts) / len(posts)
    return mean
