"""Fit a decision threshold for each action unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.api import Answer, VideoAnswers
from zoo.errors import UserError


class Threshold:
    """Post-processor that moves each answer's best threshold to 0.5, the threshold of all later steps.

    HSEmotion tunes thresholds per AU as well. A probability p below the threshold t becomes p / (2 t), any other
    1 - (1 - p) / (2 (1 - t)). The map is piecewise linear: it keeps the order, 0 stays 0 and 1 stays 1 (for t = 0, 0
    becomes 0.5).

    For each answer, ``fit`` chooses the threshold with the greatest F1 over all labelled frames of the videos. An
    answer without positives or without labels in the videos keeps 0.5. The score passed to ``fit`` is not used: a
    track's mean F1 is greatest if each answer's F1 is.

    ``method``:

    - best: tries every threshold that makes a difference, not a grid. Of the thresholds that decide these frames
      equally it takes the middle, or 0.5 if that is among them; of equal F1, the nearest to 0.5.
    - plateau: the greatest F1 of a moving average over 0.10 of the thresholds 0, 0.01, ..., 1 (LIGA, ABAW 11, section
      9.4). A narrow peak seldom stands on other videos: LIGA's best threshold 0.30 had an F1 of .719 on its own videos
      and of .614 on others, the plateau's 0.63 had .707 and .701.

    ``threshold``: one number in [0, 1) for all answers, one for each answer (the form of ``state``), or None: fitted.
    """

    def __init__(
        self,
        answers: tuple[Answer, ...],
        threshold: float | Mapping[str, float] | None = None,
        method: str = "best",
    ) -> None:
        self.chosen, self.method = threshold is None, _METHODS[method]
        names = [answer.name for answer in answers]
        given = threshold if isinstance(threshold, Mapping) else dict.fromkeys(names, 0.5 if self.chosen else threshold)
        self.thresholds = {name: float(given[name]) for name in names}  # type: ignore[arg-type]
        for name, t in self.thresholds.items():
            if not 0 <= t < 1:
                raise UserError(f"post-processor threshold: threshold of {name} is {t}; give 0 or more, less than 1")

    def fit(self, videos: list[VideoAnswers], score: Callable[[Iterable[VideoAnswers]], float]) -> None:
        """Choose the threshold of each answer with the greatest F1 over all labelled frames."""
        if not self.chosen:
            return
        for name in self.thresholds:
            p = np.concatenate([np.asarray(video.values[name], np.float64) for video in videos] or [np.zeros(0)])
            target = np.concatenate([np.asarray(video.targets[name], np.float64) for video in videos] or [np.zeros(0)])
            labelled = ~np.isnan(target)
            self.thresholds[name] = self.method(p[labelled], target[labelled] > 0.5)

    def apply(self, video: VideoAnswers) -> VideoAnswers:
        """Return the video with its probabilities mapped, in float64, so that none is rounded across 0.5."""
        moved = {name: moved_to_half(np.asarray(video.values[name]), t) for name, t in self.thresholds.items()}
        return replace(video, values={**video.values, **moved})

    def settled(self, video: VideoAnswers) -> int:
        """Return the number of frames: each frame is mapped alone."""
        return len(video.times)

    def state(self) -> dict[str, Any]:
        """Return the thresholds by answer; passed to the constructor, they make the same post-processor."""
        return {"threshold": dict(self.thresholds)}


def best_threshold(p: np.ndarray, positive: np.ndarray) -> float:
    """Return the threshold t in [0, 1) with the greatest F1 of p >= t for ``positive``, both (n,); see Threshold."""
    if not positive.any():
        return 0.5
    order = np.argsort(-p, kind="stable")
    p, hits = p[order], np.cumsum(positive[order])
    cuts = np.append(np.flatnonzero(np.diff(p)), len(p) - 1)  # the last frame that is predicted 1, at each threshold
    f1 = 2 * hits[cuts] / (cuts + 1 + positive.sum())
    highest = p[cuts]  # thresholds in (lowest, highest] give the same decisions
    lowest = np.append(p[cuts[:-1] + 1], min(0.0, float(p[-1])))
    middle = np.where((lowest < 0.5) & (highest >= 0.5), 0.5, (lowest + highest) / 2)
    middle = np.where(middle > lowest, middle, highest)  # there is no float between the two neighbours
    best = np.flatnonzero(f1 == f1.max())
    return float(np.clip(middle[best[np.argmin(np.abs(middle[best] - 0.5))]], 0.0, np.nextafter(1.0, 0.0)))


def plateau_threshold(p: np.ndarray, positive: np.ndarray) -> float:
    """Return the centre in [0, 1) of the best plateau of F1 over thresholds for ``positive``, both (n,).

    At both ends the average is over the thresholds that exist. Of equals, the nearest to 0.5 is taken.
    """
    if not positive.any():
        return 0.5
    grid = np.arange(101) / 100
    predicted, hits = (len(those) - np.searchsorted(np.sort(those), grid) for those in (p, p[positive]))
    f1 = 2 * hits / (predicted + positive.sum())
    window = np.ones(_PLATEAU)
    smooth = np.convolve(f1, window, "same") / np.convolve(np.ones_like(f1), window, "same")
    best = np.flatnonzero(smooth >= smooth.max() - 1e-12)
    return float(min(grid[best[np.argmin(np.abs(grid[best] - 0.5))]], np.nextafter(1.0, 0.0)))


_PLATEAU = 11  # thresholds of the grid in a moving average: 0.10 from the first to the last
_METHODS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"best": best_threshold, "plateau": plateau_threshold}


def moved_to_half(p: np.ndarray, threshold: float) -> np.ndarray:
    """Map p (n,) in [0, 1] to float64 (n,) in [0, 1], at least 0.5 if and only if p is at least the threshold."""
    p = np.clip(p.astype(np.float64), 0.0, 1.0)
    below = 0.5 * np.divide(p, threshold, out=np.zeros_like(p), where=p < threshold)
    above = np.maximum(0.5, 1 - 0.5 * (1 - p) / (1 - threshold))
    return np.where(p < threshold, below, above)
