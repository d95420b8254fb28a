"""Answers at unseen frames, from the nearest seen ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers


class Interpolate:
    """Replaces the answers at frames where no slot is present: linear in time between the nearest seen frames, the
    first and the last seen answer held beyond them. A video that is never seen stays as it is."""

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self.names = [answer.name for answer in answers]

    def fit(self, videos: list[VideoAnswers], score: Callable[[Iterable[VideoAnswers]], float]) -> None:
        """Nothing is fitted."""

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """The video with its unseen frames answered anew."""
        seen = np.any(list(video.present.values()), axis=0) if video.present else np.ones(len(video.times), bool)
        if seen.all() or not seen.any():
            return video
        values = dict(video.values)
        for name in self.names:
            values[name] = _interpolate(np.asarray(values[name]), video.times, seen)
        return replace(video, values=values)

    def state(self) -> dict[str, Any]:
        """Nothing was fitted."""
        return {}


def _interpolate(values: np.ndarray, times: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """values (n,) or (n, C) with the rows that are not seen replaced."""
    out = values.copy()
    for column in out.reshape(len(out), -1).T:  # views into out
        column[~seen] = np.interp(times[~seen], times[seen], column[seen])
    return out
