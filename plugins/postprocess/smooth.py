"""Filters over time: mean, median, Gaussian."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers
from zoo.layers.validation import at_least

WIDTHS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""Seconds tried by ``fit``. Published best ones: about 3 s for valence, arousal and expression, 0.2 s for AUs."""


class Smooth:
    """Each answer smoothed over a window of time around each frame (HSEmotion, arXiv:2407.13184, by frames).

    ``method`` mean: the mean over [t - width / 2, t + width / 2] of the answer as a continuous function of time,
    linear between frames. So a varying frame rate gives no frame more say than its share of the time, and an answer
    that changes steadily is not moved. median: the median of the frames in that window. gaussian: their mean by weights
    that fall off with the standard deviation of a box of that width, width / sqrt(12), so that one width smooths alike
    by all methods; out to four deviations, each frame by its share of the time. Near the ends a window shrinks on both
    sides to the frames there are: the first and the last frame stay. Probabilities of classes are brought to sum 1.

    ``width`` in seconds: one for all kinds of answers, one a kind (what ``state`` gives), or None: ``fit`` chooses.
    ``width_value``, ``width_class``, ``width_binary``: for that kind of answer instead; so a multi-task track, too, has
    3 s for valence and 0.1 s for AUs.
    """

    def __init__(
        self,
        answers: tuple[Answer, ...],
        method: str = "mean",
        width: float | Mapping[str, float] | None = None,
        width_value: float | None = None,
        width_class: float | None = None,
        width_binary: float | None = None,
    ) -> None:
        self.kinds: dict[str, str] = {answer.name: answer.kind for answer in answers}
        self.filter = _FILTERS[method]
        given = dict(width) if isinstance(width, Mapping) else dict.fromkeys(self.kinds.values(), width)
        own = {"value": width_value, "class": width_class, "binary": width_binary}
        given = {kind: seconds if own[kind] is None else own[kind] for kind, seconds in given.items()}
        self.chosen = [kind for kind, seconds in given.items() if seconds is None]
        self.widths = {kind: float(seconds or 0.0) for kind, seconds in given.items()}
        for kind, seconds in self.widths.items():
            at_least(f"post-processor smooth ({kind} answers)", 0, width=seconds)

    def fit(self, videos: list[VideoAnswers], score: Callable[[Iterable[VideoAnswers]], float]) -> None:
        """Choose the width of each kind of answer in turn by the score, the narrowest of equals."""
        for kind in self.chosen:
            scores = [self._score(videos, score, kind, width) for width in WIDTHS]
            self.widths[kind] = WIDTHS[int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))]

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """The video with its answers smoothed."""
        values = dict(video.values)
        for name, kind in self.kinds.items():
            given = np.asarray(values[name])
            done = self.filter(given, video.times, self.widths[kind])
            values[name] = _normalised(done, given) if kind == "class" and self.widths[kind] > 0 else done
        return replace(video, values=values)

    def state(self) -> dict[str, Any]:
        """The widths by kind of answer; given to the constructor they make the same filter."""
        return {"width": dict(self.widths)}

    def _score(
        self,
        videos: list[VideoAnswers],
        score: Callable[[Iterable[VideoAnswers]], float],
        kind: str,
        width: float,
    ) -> float:
        self.widths[kind] = width
        return score(self.apply(video) for video in videos)


def mean_filter(values: np.ndarray, times: np.ndarray, width: float) -> np.ndarray:
    """values (n,) or (n, C) at rising times (n,) in seconds -> their mean over ``width`` seconds around each frame."""
    half = _reach(times, width / 2)
    wide = half > 1e-3  # windows under 2 ms hold one frame, and their area is lost in rounding
    out = values.astype(np.float64)
    if wide.any():
        area = _area(out, times, (times + half)[wide]) - _area(out, times, (times - half)[wide])
        out[wide] = (area.T / (2 * half[wide])).T
    return out.astype(values.dtype)


def median_filter(values: np.ndarray, times: np.ndarray, width: float) -> np.ndarray:
    """values (n,) or (n, C) -> the median of the frames at most ``width`` / 2 seconds away; of an even number of
    frames the mean of the middle two."""

    def median(window: np.ndarray, inside: np.ndarray, away: np.ndarray, share: np.ndarray) -> np.ndarray:
        ordered, count = np.sort(np.where(inside, window, np.inf), axis=1), inside.sum(1, keepdims=True)
        middle = [np.take_along_axis(ordered, k, axis=1)[:, 0] for k in ((count - 1) // 2, count // 2)]
        return np.mean(middle, axis=0)

    return _by_window(values, times, width / 2, median)


def gaussian_filter(values: np.ndarray, times: np.ndarray, width: float) -> np.ndarray:
    """values (n,) or (n, C) -> their mean by Gaussian weights of deviation ``width`` / sqrt(12) seconds, times each
    frame's share of the time."""
    deviation = max(width, 1e-9) / math.sqrt(12)

    def mean(window: np.ndarray, inside: np.ndarray, away: np.ndarray, share: np.ndarray) -> np.ndarray:
        weight = np.where(inside, share * np.exp(-0.5 * (away / deviation) ** 2), 0.0)
        return (weight * window).sum(1) / weight.sum(1)

    return _by_window(values, times, 4 * deviation, mean)


_FILTERS: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    "mean": mean_filter,
    "median": median_filter,
    "gaussian": gaussian_filter,
}


def _reach(times: np.ndarray, half: float) -> np.ndarray:
    """Seconds (n,) that each frame's window reaches to either side: at most ``half``, and not beyond an end."""
    return np.minimum(half, np.minimum(times - times[0], times[-1] - times))


def _by_window(
    values: np.ndarray, times: np.ndarray, half: float, reduce: Callable[..., np.ndarray], rows: int = 4096
) -> np.ndarray:
    """values (n,) or (n, C) with each column reduced over the frames of each frame's window.

    ``reduce`` gets (m, W) arrays of m windows, padded at their end: the values, which are inside, how many seconds away
    from the frame they are, how many seconds of the video each stands for. ``rows`` bounds the memory.
    """
    reach = _reach(times, half) + 1e-6  # 1 us of slack for rounded times
    first, last = np.searchsorted(times, times - reach), np.searchsorted(times, times + reach, side="right")
    share = np.gradient(times) if len(times) > 1 else np.ones(1)
    given = values.reshape(len(values), -1).astype(np.float64)
    out = given.copy()
    for start in range(0, len(times), rows):
        part = slice(start, start + rows)
        at = first[part, None] + np.arange((last - first)[part].max())
        inside = at < last[part, None]
        at = np.minimum(at, len(times) - 1)
        for column in range(given.shape[1]):
            away = times[at] - times[part, None]
            out[part, column] = reduce(given[:, column][at], inside, away, share[at])
    return out.reshape(values.shape).astype(values.dtype)


def _normalised(p: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Class probabilities (n, C) with sum 1; ``otherwise`` where all are 0, which medians may be."""
    total = p.sum(-1, keepdims=True)
    return np.where(total > 0, p / np.where(total > 0, total, 1), otherwise).astype(p.dtype)


def _area(values: np.ndarray, times: np.ndarray, until: np.ndarray) -> np.ndarray:
    """The integral from times[0] to each of ``until`` of the line through the values: (m,) or (m, C)."""
    steps = np.diff(times)
    pieces = (values[1:] + values[:-1]).T * steps / 2
    sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(pieces.T, axis=0)])
    k = np.clip(np.searchsorted(times, until, side="right") - 1, 0, len(steps) - 1)
    past = until - times[k]
    slope = (values[k + 1] - values[k]).T / steps[k]
    return sums[k] + (values[k].T * past + slope * past**2 / 2).T
