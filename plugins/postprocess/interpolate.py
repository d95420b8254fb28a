"""Interpolate predictions at frames without input."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers


class Interpolate:
    """Post-processor that replaces the predictions at frames at which no slot is present.

    They are interpolated linearly in time between the nearest frames with input. Before the first and after the last of
    those, the nearest prediction is held. A video without any input stays as it is.
    """

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self.names = [answer.name for answer in answers]

    def fit(self, videos: list[VideoAnswers], score: Callable[[Iterable[VideoAnswers]], float]) -> None:
        """Do nothing: this post-processor has no parameters."""

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """Return the video with interpolated predictions at frames without input."""
        seen = np.any(list(video.present.values()), axis=0) if video.present else np.ones(len(video.times), bool)
        if seen.all() or not seen.any():
            return video
        values = dict(video.values)
        for name in self.names:
            values[name] = _interpolate(np.asarray(values[name]), video.times, seen)
        return replace(video, values=values)

    def settled(self, video: VideoAnswers) -> int:
        """Return the number of frames up to the last one with input: those after it depend on the next one."""
        seen = np.any(list(video.present.values()), axis=0) if video.present else np.ones(len(video.times), bool)
        return int(np.flatnonzero(seen)[-1]) + 1 if seen.any() else 0

    def state(self) -> dict[str, Any]:
        """Return an empty state: nothing is fitted."""
        return {}


def _interpolate(values: np.ndarray, times: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return values (n,) or (n, C) with the rows outside ``seen`` (n,) interpolated."""
    out = values.copy()
    for column in out.reshape(len(out), -1).T:  # views into out
        column[~seen] = np.interp(times[~seen], times[seen], column[seen])
    return out
