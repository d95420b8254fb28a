"""Smoothing over time: mean, median and Gaussian filters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers
from zoo.layers.validation import at_least

WIDTHS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""Widths in seconds tried by ``fit``. Published best: about 3 s for valence, arousal and expression, 0.2 s for AUs."""

_MARGIN = 1e-3  # seconds, more than any rounding of a window's end


class Smooth:
    """Post-processor that smooths predictions over a window of time (HSEmotion, arXiv:2407.13184, which counts frames).

    ``method``:

    - mean: the mean over [t - width / 2, t + width / 2] of the prediction as a piecewise linear function of time. So
      with a varying frame rate each frame counts by the time it covers, and a linear trend is unchanged.
    - median: the median of the frames in that window.
    - gaussian: the mean with Gaussian weights, times the time each frame covers, cut off at four standard deviations.
      The standard deviation is that of a box of the given width, width / sqrt(12), so that a width smooths about
      equally with all methods.

    Near the ends of the video a window shrinks equally on both sides, so the first and the last frame stay as they are.
    Class probabilities are normalised to sum 1.

    ``width``: seconds; one number, one for each kind of answer (the form of ``state``), or None: ``fit`` chooses.
    ``width_value``, ``width_class``, ``width_binary``: override it for one kind of answer, for example on a multi-task
    track 3 s for valence and 0.1 s for AUs. ``each``: choose a width for each answer, valence and arousal apart, in
    place of one for each kind.
    """

    def __init__(
        self,
        answers: tuple[Answer, ...],
        method: str = "mean",
        width: float | Mapping[str, float] | None = None,
        width_value: float | None = None,
        width_class: float | None = None,
        width_binary: float | None = None,
        each: bool = False,
    ) -> None:
        self.answers = {answer.name: (answer.kind, answer.name if each else answer.kind) for answer in answers}
        self.method, self.filter = method, _FILTERS[method]
        own = {"value": width_value, "class": width_class, "binary": width_binary}
        given: dict[str, float | None] = {}
        for kind, key in self.answers.values():
            usual = width.get(key) if isinstance(width, Mapping) else width
            given[key] = usual if own[kind] is None else own[kind]
        self.chosen = [key for key, seconds in given.items() if seconds is None]
        self.widths = {key: float(seconds or 0.0) for key, seconds in given.items()}
        for key, seconds in self.widths.items():
            at_least(f"post-processor smooth ({key} answers)", 0, width=seconds)

    def fit(self, videos: list[VideoAnswers], score: Callable[[Iterable[VideoAnswers]], float]) -> None:
        """Choose the width with the best score for each kind of answer, or each answer, in turn.

        Of equals, the narrowest is taken.
        """
        for key in self.chosen:
            scores = [self._score(videos, score, key, width) for width in WIDTHS]
            self.widths[key] = WIDTHS[int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))]

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """Return the video with its predictions smoothed."""
        values = dict(video.values)
        for name, (kind, key) in self.answers.items():
            given = np.asarray(values[name])
            done = self.filter(given, video.times, self.widths[key])
            values[name] = _normalised(done, given) if kind == "class" and self.widths[key] > 0 else done
        return replace(video, values=values)

    def settled(self, video: VideoAnswers) -> int | None:
        """Return the number of frames whose windows end before the last frame.

        None for the Gaussian filter: its sums are rounded otherwise if the longest window grows.
        """
        if self.method == "gaussian":
            return None
        reach = max(self.widths.values(), default=0.0) / 2 + _MARGIN
        return int(np.searchsorted(video.times + reach, video.times[-1])) if len(video.times) else 0

    def state(self) -> dict[str, Any]:
        """Return the widths by kind of answer, or by answer; passed to the constructor, they make the same filter."""
        return {"width": dict(self.widths)}

    def _score(
        self,
        videos: list[VideoAnswers],
        score: Callable[[Iterable[VideoAnswers]], float],
        key: str,
        width: float,
    ) -> float:
        self.widths[key] = width
        return score(self.apply(video) for video in videos)


def mean_filter(values: np.ndarray, times: np.ndarray, width: float) -> np.ndarray:
    """Return the mean of values (n,) or (n, C), at increasing times (n,), over ``width`` seconds around each frame."""
    half = _reach(times, width / 2)
    wide = half > 1e-3  # windows under 2 ms hold one frame, and their area is lost in rounding
    out = values.astype(np.float64)
    if wide.any():
        area = _area(out, times, (times + half)[wide]) - _area(out, times, (times - half)[wide])
        out[wide] = (area.T / (2 * half[wide])).T
    return out.astype(values.dtype)


def median_filter(values: np.ndarray, times: np.ndarray, width: float) -> np.ndarray:
    """Return the median of values (n,) or (n, C) over the frames at most ``width`` / 2 seconds away.

    The median of an even number of frames is the mean of the middle two.
    """

    def median(window: np.ndarray, inside: np.ndarray, away: np.ndarray, share: np.ndarray) -> np.ndarray:
        ordered, count = np.sort(np.where(inside, window, np.inf), axis=1), inside.sum(1, keepdims=True)
        middle = [np.take_along_axis(ordered, k, axis=1)[:, 0] for k in ((count - 1) // 2, count // 2)]
        return np.mean(middle, axis=0)

    return _by_window(values, times, width / 2, median)


def gaussian_filter(values: np.ndarray, times: np.ndarray, width: float) -> np.ndarray:
    """Return the mean of values (n,) or (n, C) with Gaussian weights, times the time that each frame covers.

    The standard deviation of the weights is ``width`` / sqrt(12) seconds.
    """
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
    """Return the half-width in seconds (n,) of each frame's window: at most ``half``, and not beyond an end."""
    return np.minimum(half, np.minimum(times - times[0], times[-1] - times))


def _by_window(
    values: np.ndarray, times: np.ndarray, half: float, reduce: Callable[..., np.ndarray], rows: int = 4096
) -> np.ndarray:
    """Reduce each column of values (n,) or (n, C) over the frames of each frame's window.

    ``reduce`` is called with four (m, W) arrays for m windows, padded at their end: the values, a mask of those inside
    the window, their distances from the frame in seconds, and the seconds of the video that each covers. ``rows``: the
    most windows processed at once, which bounds the memory.
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
    """Normalise class probabilities (n, C) to sum 1; use ``otherwise`` if all are 0, which is possible for medians."""
    total = p.sum(-1, keepdims=True)
    return np.where(total > 0, p / np.where(total > 0, total, 1), otherwise).astype(p.dtype)


def _area(values: np.ndarray, times: np.ndarray, until: np.ndarray) -> np.ndarray:
    """Integrate the piecewise linear function through the values from times[0] to each of ``until``: (m,) or (m, C)."""
    steps = np.diff(times)
    pieces = (values[1:] + values[:-1]).T * steps / 2
    sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(pieces.T, axis=0)])
    k = np.clip(np.searchsorted(times, until, side="right") - 1, 0, len(steps) - 1)
    past = until - times[k]
    slope = (values[k + 1] - values[k]).T / steps[k]
    return sums[k] + (values[k].T * past + slope * past**2 / 2).T
