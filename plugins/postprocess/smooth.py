"""A mean filter over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers

WIDTHS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""Seconds tried by ``fit``. Published best ones: about 3 s for valence, arousal and expression, 0.2 s for AUs."""


class Smooth:
    """The mean over [t - width / 2, t + width / 2] of each answer as a continuous function of time, linear between
    frames. So a varying frame rate gives no frame more say than its share of the time, and an answer that changes
    steadily is not moved. Near the ends the window shrinks on both sides.

    ``width`` in seconds: one for all kinds of answers, one a kind (what ``state`` gives), or None: ``fit`` chooses.
    """

    def __init__(self, answers: tuple[Answer, ...], width: float | Mapping[str, float] | None = None) -> None:
        self.kinds = {answer.name: answer.kind for answer in answers}
        self.chosen = width is None
        given = width if isinstance(width, Mapping) else dict.fromkeys(self.kinds.values(), width or 0.0)
        self.widths: dict[str, float] = {str(kind): float(seconds) for kind, seconds in given.items()}

    def fit(self, videos: list[VideoAnswers], score: Callable[[list[VideoAnswers]], float]) -> None:
        """Choose the width of each kind of answer in turn by the score, the narrowest of equals."""
        if not self.chosen:
            return
        for kind in self.widths:
            scores = [self._score(videos, score, kind, width) for width in WIDTHS]
            self.widths[kind] = WIDTHS[int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))]

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """The video with its answers smoothed."""
        values = dict(video.values)
        for name, kind in self.kinds.items():
            values[name] = mean_filter(np.asarray(values[name]), video.times, self.widths[kind])
        return replace(video, values=values)

    def state(self) -> dict[str, Any]:
        """The widths by kind of answer; given to the constructor they make the same filter."""
        return {"width": dict(self.widths)}

    def _score(
        self,
        videos: list[VideoAnswers],
        score: Callable[[list[VideoAnswers]], float],
        kind: str,
        width: float,
    ) -> float:
        self.widths[kind] = width
        return score([self.apply(video) for video in videos])


def mean_filter(values: np.ndarray, times: np.ndarray, width: float) -> np.ndarray:
    """values (n,) or (n, C) at rising times (n,) in seconds -> their mean over ``width`` seconds around each frame."""
    half = np.minimum(width / 2, np.minimum(times - times[0], times[-1] - times))
    wide = half > 1e-3  # windows under 2 ms hold one frame, and their area is lost in rounding
    out = values.astype(np.float64)
    if wide.any():
        area = _area(out, times, (times + half)[wide]) - _area(out, times, (times - half)[wide])
        out[wide] = (area.T / (2 * half[wide])).T
    return out.astype(values.dtype)


def _area(values: np.ndarray, times: np.ndarray, until: np.ndarray) -> np.ndarray:
    """The integral from times[0] to each of ``until`` of the line through the values: (m,) or (m, C)."""
    steps = np.diff(times)
    pieces = (values[1:] + values[:-1]).T * steps / 2
    sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(pieces.T, axis=0)])
    k = np.clip(np.searchsorted(times, until, side="right") - 1, 0, len(steps) - 1)
    past = until - times[k]
    slope = (values[k + 1] - values[k]).T / steps[k]
    return sums[k] + (values[k].T * past + slope * past**2 / 2).T
